"""IDX, the files of MNIST and its relatives: a header, then the numbers of one array, also packed as .gz, .xz or .bz2.

    00 00 TT NN   type of the numbers, how many axes     08 = unsigned bytes, the only type that images and labels have
    NN × u32      the size of each axis, big-endian      (N, H, W) or (N, H, W, C): images; (N,): labels
    …             the numbers, the last axis fastest

The labels of `train-images-idx3-ubyte.gz` stand beside it in `train-labels-idx1-ubyte.gz`. Memory is taken for what is
there, never for what a header claims.
"""

from __future__ import annotations

import io
import math
import re
import struct
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from unrolled.data.reading.files import PACKINGS, UNREADABLE, open_bytes
from unrolled.errors import DataError, excerpt

__all__ = ["MOST_PIXELS", "SPLITS", "is_idx", "labels_beside", "read_images", "read_labels", "splits_of"]

PACKING = "|".join(map(re.escape, PACKINGS))
NAME = re.compile(
    rf"(?P<stem>.*?)(?P<kind>images|labels)(?P<rest>[-._]idx[134][-._]ubyte)(?P<packed>({PACKING})?)", re.I
)
EXTENSION = re.compile(rf".*[-._](idx|idx[134]|idx[134][-._]ubyte|ubyte)({PACKING})?", re.I)
SPLITS = {"train": ("train",), "valid": ("valid", "validation", "val"), "test": ("t10k", "test")}  # as files call them
MOST_PIXELS = 50_000_000  # of one image: more is no input of a network, but a mistake or an attack
BLOCK = 1 << 20  # bytes that are unpacked at once
PACKED = {b"\x1f\x8b": ".gz", b"\xfd7": ".xz", b"BZ": ".bz2"}
TYPES = {0x08: "unsigned bytes", 0x09: "signed bytes", 0x0B: "16-bit integers", 0x0C: "32-bit integers"}
TYPES |= {0x0D: "32-bit floats", 0x0E: "64-bit floats"}
FETCH = "fetch the file again"


def is_idx(path: Path) -> bool:
    """Whether a file's name is one of IDX."""
    return EXTENSION.fullmatch(path.name) is not None


def read_images(path: Path, file: str) -> NDArray[np.uint8]:
    """Return the images of a file, (N, H, W, C); `file` is its name in messages.

    Raises:
        DataError: it cannot be read, is not IDX, does not hold images, or holds more or fewer than it says.
    """
    images = _read(path, file, axes=(3, 4), what="images")
    return images[..., np.newaxis] if images.ndim == 3 else images


def read_labels(path: Path, file: str) -> NDArray[np.uint8]:
    """Return the labels of a file, (N,); as `read_images`."""
    return _read(path, file, axes=(1,), what="labels")


def labels_beside(path: Path) -> Path:
    """Return the file with the labels of a file of images, packed or not, whichever is there.

    Raises:
        DataError: there is none, or the name does not say which it would be.
    """
    found = NAME.fullmatch(path.name)
    if found is None or found["kind"].lower() != "images":
        raise DataError(
            "which file holds the labels cannot be told from this name",
            file=str(path),
            fix="name the two files as in train-images-idx3-ubyte and train-labels-idx1-ubyte (.gz)",
        )
    name = found["stem"] + "labels" + re.sub("idx[34]", "idx1", found["rest"])
    for packed in (found["packed"], "", *PACKINGS):
        if (beside := path.with_name(name + packed)).is_file():
            return beside
    raise DataError(
        "these images have no labels beside them",
        file=str(path),
        fix=f"put {name}{found['packed']} into the same folder",
    )


def splits_of(folder: Path) -> dict[str, Path]:
    """Return the files of images in a folder by part: train-images-… is train, t10k-images-… and test-images-… test.

    Raises:
        DataError: two files are the same part, a file is none, or labels stand without images.
    """
    names = {path: match for path in sorted(folder.iterdir()) if (match := NAME.fullmatch(path.name))}
    images = {path: match["stem"] for path, match in names.items() if match["kind"].lower() == "images"}
    for path, match in names.items():
        if path not in images and match["stem"] not in images.values():
            name = match["stem"] + "images" + match["rest"].replace("idx1", "idx3") + match["packed"]
            raise DataError(
                "these labels have no images beside them",
                file=str(path),
                fix=f"put {name} into the same folder, or take the labels away",
            )
    found: dict[str, Path] = {}
    for path, stem in images.items():
        part = next((part for part, called in SPLITS.items() if stem.strip("-._").lower() in called), None)
        if part is None or part in found:
            problem = f"is the {part} split, and so is {found[part].name}" if part else "is none of the parts we know"
            raise DataError(problem, file=str(path), fix="name one file, or keep one of train-, valid- and t10k- each")
        found[part] = path
    return {part: found[part] for part in SPLITS if part in found}


def _read(path: Path, file: str, *, axes: tuple[int, ...], what: str) -> NDArray[np.uint8]:
    data = bytearray()
    with open_bytes(path, file) as opened:
        handle = cast(io.BufferedReader, opened)
        try:
            shape = _header(handle, file, axes, what)
            wanted, each = math.prod(shape), math.prod(shape[1:])
            while len(data) < wanted and (block := handle.read1(min(BLOCK, wanted - len(data)))):
                data += block
            more = bool(handle.read(1))
        except UNREADABLE as error:
            where = f" after {len(data) // each:,} {what}" if data else ""
            raise DataError(f"cannot be read to its end{where}: {error}", file=file, fix=FETCH) from None
    if len(data) < wanted or more:
        there = "there are more" if more else f"the file ends after {len(data) // each:,}"
        raise DataError(
            f"the header promises {shape[0]:,} {what} ({wanted:,} bytes), and {there}", file=file, fix=FETCH
        )
    return np.frombuffer(data, dtype=np.uint8).reshape(shape)


def _header(handle: BinaryIO, file: str, axes: tuple[int, ...], what: str) -> tuple[int, ...]:
    magic = handle.read(4)
    if (packing := PACKED.get(magic[:2])) is not None:
        raise DataError(
            f"the file is packed, and its name does not end in {packing}",
            file=file,
            fix=f"let its name end in {packing}",
        )
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in TYPES or not magic[3]:
        shown = magic.hex(" ") or "nothing"
        raise DataError(
            f"the file is not IDX: it should begin with 00 00 08 0{axes[0]}, and begins with {shown}",
            file=file,
            fix="check that the right file was named",
        )
    kind, number = magic[2], magic[3]
    if number not in axes or kind != 0x08:
        got = "labels" if number == 1 else "images" if number in (3, 4) else "neither images nor labels"
        raise DataError(
            f"{what} are unsigned bytes with {' or '.join(map(str, axes))} axes, and these are {TYPES[kind]} with "
            f"{number}: {got}",
            file=file,
            fix="name the file of the images; its labels are found beside it" if got == "labels" else FETCH,
        )
    sizes = handle.read(4 * number)
    if len(sizes) < 4 * number:
        raise DataError("the file ends within its header", file=file, fix=FETCH)
    shape = struct.unpack(f">{number}I", sizes)
    pixels = math.prod(shape[1:3])
    if not all(shape) or pixels > MOST_PIXELS or (number == 4 and shape[3] > 4):
        shown = " × ".join(f"{size:,}" for size in shape)
        raise DataError(f"the header promises {excerpt(shown)} {what}, which cannot be", file=file, fix=FETCH)
    return shape
