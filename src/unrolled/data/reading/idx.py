"""IDX, the format of MNIST and its relatives: a header and one array, optionally compressed (.gz, .xz, .bz2).

    00 00 TT NN   type, number of axes                   08 = unsigned bytes, the only type of images and labels
    NN × u32      the size of each axis, big-endian      (N, H, W) or (N, H, W, C): images; (N,): labels
    …             the numbers, the last axis fastest

The labels of `train-images-idx3-ubyte.gz` are in `train-labels-idx1-ubyte.gz` in the same folder. Memory is allocated
for the bytes of the file, never for the size that a header claims.
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
from unrolled.data.reading.folders import is_hidden
from unrolled.data.reading.image_names import PACKING, is_idx
from unrolled.data.reading.remedies import renaming
from unrolled.data.reading.samples import SPLITS
from unrolled.data.reading.split_names import split_named
from unrolled.errors import DataError, excerpt

__all__ = ["LABEL_NAMES", "MOST_PIXELS", "is_idx", "labels_file", "read_images", "read_labels", "splits_of"]

NAME = re.compile(
    rf"(?P<stem>.*?)(?P<kind>images|labels)(?P<rest>[-._]idx[134][-._]ubyte)(?P<packed>({PACKING})?)", re.I
)
LABEL_NAMES = "labels.txt"  # in the folder of IDX files: line k + 1 names class k
MOST_PIXELS = 50_000_000  # of one image; a larger one is a mistake or an attack
BLOCK = 1 << 20  # bytes read at a time
PACKED = {b"\x1f\x8b": ".gz", b"\xfd7": ".xz", b"BZ": ".bz2"}
TYPES = {0x08: "unsigned bytes", 0x09: "signed bytes", 0x0B: "16-bit integers", 0x0C: "32-bit integers"}
TYPES |= {0x0D: "32-bit floats", 0x0E: "64-bit floats"}
FETCH = "fetch the file again"


def read_images(path: Path, file: str) -> NDArray[np.uint8]:
    """Return the images of a file, (N, H, W, C); `file` is its name in messages.

    Raises:
        DataError: the file cannot be read, is not IDX, has no images, or more or fewer than its header says.
    """
    images = _read(path, file, axes=(3, 4), units="images")
    return images[..., np.newaxis] if images.ndim == 3 else images


def read_labels(path: Path, file: str) -> NDArray[np.uint8]:
    """Return the labels of a file, (N,); as `read_images`."""
    return _read(path, file, axes=(1,), units="labels")


def labels_file(path: Path) -> Path:
    """Return the file with the labels of a file of images, compressed or not.

    Raises:
        DataError: the file is missing, or its name does not follow from that of the images.
    """
    match = NAME.fullmatch(path.name)
    if match is None or match["kind"].lower() != "images":
        raise DataError(
            "the name of the labels' file does not follow from this name",
            file=str(path),
            fix="name the two files as in train-images-idx3-ubyte and train-labels-idx1-ubyte (.gz)",
        )
    name = match["stem"] + "labels" + re.sub("idx[34]", "idx1", match["rest"])
    for packed in (match["packed"], "", *PACKINGS):
        if (labels := path.with_name(name + packed)).is_file():
            return labels
    raise DataError(
        "the file with the labels of these images is missing",
        file=str(path),
        fix=f"put {name}{match['packed']} into the same folder",
    )


def splits_of(folder: Path) -> dict[str, Path]:
    """Return the files of images in a folder by split: train-images-… is train, t10k-images-… or test-images-… test.

    Raises:
        DataError: two files are the same split, a file is no split, or labels have no images.
    """
    files = (path for path in sorted(folder.iterdir()) if not is_hidden(path.name))
    names = {path: match for path in files if (match := NAME.fullmatch(path.name))}
    images = {path: match["stem"] for path, match in names.items() if match["kind"].lower() == "images"}
    for path, match in names.items():
        if path not in images and match["stem"] not in images.values():
            name = match["stem"] + "images" + match["rest"].replace("idx1", "idx3") + match["packed"]
            raise DataError(
                "the file with the images of these labels is missing",
                file=str(path),
                fix=f"put {name} into the same folder, or remove the labels",
            )
    splits: dict[str, Path] = {}
    for path, stem in images.items():
        split = split_named(stem)
        if split is None or split in splits:
            problem = f"is the {split} split, and so is {splits[split].name}" if split else "is not a known split"
            raise DataError(problem, file=str(path), fix="name one file, or leave one of train-, valid- and t10k- each")
        splits[split] = path
    return {name: splits[name] for name in SPLITS if name in splits}


def _read(path: Path, file: str, *, axes: tuple[int, ...], units: str) -> NDArray[np.uint8]:
    data = bytearray()
    with open_bytes(path, file) as opened:
        handle = cast(io.BufferedReader, opened)
        try:
            shape = _header(handle, file, axes, units)
            size, each = math.prod(shape), math.prod(shape[1:])
            while len(data) < size and (block := handle.read1(min(BLOCK, size - len(data)))):
                data += block
            more = bool(handle.read(1))
        except UNREADABLE as error:
            where = f" after {len(data) // each:,} {units}" if data else ""
            raise DataError(f"cannot be read to its end{where}: {error}", file=file, fix=FETCH) from None
    if len(data) < size or more:
        actual = "there are more" if more else f"the file ends after {len(data) // each:,}"
        raise DataError(
            f"the header promises {shape[0]:,} {units} ({size:,} bytes), and {actual}", file=file, fix=FETCH
        )
    return np.frombuffer(data, dtype=np.uint8).reshape(shape)


def _header(handle: BinaryIO, file: str, axes: tuple[int, ...], units: str) -> tuple[int, ...]:
    magic = handle.read(4)
    if (packing := PACKED.get(magic[:2])) is not None:
        raise DataError(
            f"the file is compressed, but its name does not end in {packing}",
            file=file,
            fix=f"rename it: {renaming(file, packing, packed=True)}",
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
            f"{units} are unsigned bytes with {' or '.join(map(str, axes))} axes, and these are {TYPES[kind]} with "
            f"{number}: {got}",
            file=file,
            fix="name the file of the images; its labels are found by name" if got == "labels" else FETCH,
        )
    sizes = handle.read(4 * number)
    if len(sizes) < 4 * number:
        raise DataError("the file ends within its header", file=file, fix=FETCH)
    shape = struct.unpack(f">{number}I", sizes)
    pixels = math.prod(shape[1:3])
    if not all(shape) or pixels > MOST_PIXELS or (number == 4 and shape[3] > 4):
        shown = " × ".join(f"{size:,}" for size in shape)
        raise DataError(f"the header promises {excerpt(shown)} {units}, which is impossible", file=file, fix=FETCH)
    return shape
