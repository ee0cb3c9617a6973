"""Images for the task *classify*, with a label each: IDX files, folders of image files, a sample, or arrays.

All images of a data set have one shape, (H, W, C), and are stored as they were read: bytes, or the floats of an array.
Every image is counted as used or as skipped for a reason.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from unrolled.config import DataConfig
from unrolled.data.examples.class_names import read_class_names
from unrolled.data.examples.image_folders import ClassFolders, class_folders, split_folders
from unrolled.data.examples.labelled import UNKNOWN_LABEL, unknown_label
from unrolled.data.reading import idx, samples
from unrolled.data.reading.addresses import PYTHON, is_sample
from unrolled.data.reading.counts import Counts, Skipped, SkippedRows, skip
from unrolled.data.reading.faults import RAISED, Faults
from unrolled.data.reading.foreign import NO_SERIES
from unrolled.data.reading.formats import of_splits
from unrolled.data.reading.image_files import files_below, is_image_file, read_image
from unrolled.data.reading.rows import SKIP, BadRow
from unrolled.data.reading.shards import files_of
from unrolled.data.reading.text_folders import holds_texts, no_classes
from unrolled.errors import DataError, excerpt

__all__ = ["Images", "are_images", "load_images", "read_images", "splits_of"]

NO_FOLDERS = ClassFolders()
UNITS = "images"
BRIGHTEST = 255
log = logging.getLogger("unrolled")


@dataclass(frozen=True)
class Images:
    """N images of one shape, with or without labels."""

    name: str  # for run folders
    source: str  # the path, "sample:fashion/train", or "python objects"
    pixels: NDArray[Any]  # (N, H, W, C), uint8 or float32
    classes: NDArray[np.int64]  # (N,), index in `labels` of each; (0,) without labels
    labels: tuple[str, ...]  # that occur, sorted
    counts: Counts
    numbers: NDArray[np.int64]  # (N,), index of each image in its source, from 0
    files: tuple[str, ...] = ()  # of each image, if images are files
    skipped: Sequence[Skipped] = ()  # the first skipped images of each reason
    folders: ClassFolders = NO_FOLDERS  # those that are remarkable

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, C)."""
        H, W, C = self.pixels.shape[1:]
        return H, W, C

    def at(self, index: int) -> str:
        """Return the location of an image in its source."""
        if self.files:
            return self.files[index]
        return f"{self.source}, image {self.numbers[index]}"

    def select(self, rows: Iterable[int]) -> Self:
        """Return the images with these indices, in this order; all count as read and used."""
        rows = np.fromiter(rows, dtype=np.int64)
        used = np.unique(self.classes[rows])
        return replace(
            self,
            pixels=self.pixels[rows],
            classes=np.searchsorted(used, self.classes[rows]),
            labels=tuple(self.labels[k] for k in used),
            counts=replace(self.counts, read=len(rows), used=len(rows), skipped={}),
            numbers=self.numbers[rows],
            files=tuple(self.files[row] for row in rows) if self.files else (),
            skipped=(),
        )

    def among(self, labels: Sequence[str]) -> NDArray[np.int64]:
        """Return the class of each image (N,) as an index into `labels`, which has all labels."""
        index = {label: k for k, label in enumerate(labels)}
        return np.array([index[label] for label in self.labels], dtype=np.int64)[self.classes]

    @cached_property
    def digests(self) -> list[str]:
        """SHA-256 of the pixels of each image; equal images have equal digests."""
        return [hashlib.sha256(image).hexdigest() for image in np.ascontiguousarray(self.pixels)]

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of shape, type, pixels and labels, in order."""
        digest = hashlib.sha256(repr((self.pixels.shape, str(self.pixels.dtype), self.labels)).encode())
        digest.update(np.ascontiguousarray(self.pixels).data)
        digest.update(np.ascontiguousarray(self.classes).data)
        return digest.hexdigest()


def are_images(data: object) -> bool:
    """Return whether data for the task classify are images, by name or type; no file is opened."""
    if is_sample(data):
        return samples.find(data, "classify")[0].images
    if isinstance(data, (str, os.PathLike)):
        path = Path(data)
        holds_images = path.is_dir() and not files_of(path) and not holds_texts(path)
        return holds_images or idx.is_idx(path) or is_image_file(path)
    return _arrays(data) is not None


def splits_of(data: object) -> dict[str, object]:
    """Return the fixed splits of data by name (train, valid, test); empty without fixed splits.

    A sample has all three. A folder has those named by its IDX files or its folders (train, Validation, t10k, …).

    Raises:
        DataError: two names mean the same split, or there are folders of images next to those of the splits.
    """
    folder = Path(data) if isinstance(data, (str, os.PathLike)) else None
    if is_sample(data):
        return dict(samples.splits_of(data))
    if folder is None or not folder.is_dir():
        return {}
    if files := idx.splits_of(folder):
        return dict(files)
    return dict(split_folders(folder))


def load_images(
    data: object, config: DataConfig, *, labels: Sequence[str] | None = None, faults: Faults = RAISED
) -> Images:
    """Read the images of `data`, which has no fixed splits or one, and their labels.

    Args:
        data: an IDX file of images; a folder with a folder of image files for each class; "sample:fashion/test"; a
            pair (images, labels) or a mapping of these two, arrays of numpy or torch: images (N, H, W[, C]) of uint8 or
            floats, labels (N,).
        config: whether a bad image stops.
        labels: the allowed labels; an image with another label is bad. None: all.
        faults: the collector, which raises a fault or keeps it for a report.

    Raises:
        DataError: an image or a label is bad (unless bad rows are skipped), or the data are not images.
    """
    images = _load(data, config, labelled=True, faults=faults)
    return images if labels is None else without_unknown(images, labels, config)


def read_images(data: object, config: DataConfig) -> Images:
    """Read images without labels, as `load_images`; also a single file or array, or a list of files."""
    return _load(data, config, labelled=False, faults=RAISED)


def without_unknown(
    images: Images, labels: Sequence[str], config: DataConfig, *, split: str = "", faults: Faults = RAISED
) -> Images:
    """Return the images whose label is one of `labels`; `split` is their split in messages.

    Raises:
        DataError: an image has another label, and bad rows are not skipped.
    """
    known = np.array([label in labels for label in images.labels], dtype=bool)[images.classes]
    bad = np.flatnonzero(~known).tolist()
    if not bad:
        return images
    if config.on_bad_row == "stop":
        problem = unknown_label(images.labels[images.classes[bad[0]]], labels)
        where = f", and this image is in the {split} split" if split else ""
        faults.add(DataError(problem + where, file=images.at(bad[0]), fix=f"correct the label, {SKIP}"))
    return skip(
        images,
        dict.fromkeys(bad, UNKNOWN_LABEL),
        lambda row, reason: Skipped(int(images.numbers[row]), reason, excerpt(images.at(row)), "image"),
    )


def _load(data: object, config: DataConfig, *, labelled: bool, faults: Faults) -> Images:
    if isinstance(data, (list, tuple)) and data and all(isinstance(file, (str, os.PathLike)) for file in data):
        files = [(Path(file), "") for file in data]
        return _decoded(files, f"{len(data)} files", str(data[0]), config, labelled=False, faults=faults)
    if not isinstance(data, (str, os.PathLike)):
        return _from_arrays(data, labelled=labelled)
    if splits := splits_of(data):
        if len(splits) > 1:
            raise DataError(f"has the splits {', '.join(splits)}", file=str(data), fix="name one of them")
        (data,) = splits.values()
    source = str(data)
    path = Path(source)
    if is_sample(source):
        sample, split = samples.find(source, "classify")
        if not sample.images:
            raise DataError(f"{source} is a sample of texts, not images", fix="use sample:fashion")
        assert split is not None  # else `splits_of` returned its splits
        path = idx.splits_of(samples.image_folder(sample.name))[split]
    if path.is_dir():
        found = list(files_below(path, labelled=labelled))
        folders = class_folders(path, found) if labelled else NO_FOLDERS
        if all(isinstance(file, BadRow) for file in found):
            raise of_splits(path) or no_classes(path)
        images = _decoded(found, path.resolve().name, source, config, labelled=labelled, faults=faults)
        return replace(images, folders=folders)
    if is_image_file(path):
        if labelled:
            raise DataError("is a single image", file=source, fix="name the folder that has a folder for each class")
        return _decoded([(path, "")], path.stem, source, config, labelled=False, faults=faults)
    if not idx.is_idx(path):
        raise DataError(
            "is no IDX file and no image by its name",
            file=source,
            fix="name an IDX file, or a folder with a folder of images for each class, or remove --by to read text",
        )
    return _from_idx(path, source, labelled=labelled)


def _from_idx(path: Path, source: str, *, labelled: bool) -> Images:
    pixels = idx.read_images(path, source)
    N, name = len(pixels), path.resolve().parent.name
    counts, numbers = Counts(N, N, {}, UNITS), np.arange(N)
    if not labelled:
        return Images(name, source, pixels, np.empty(0, np.int64), (), counts, numbers)
    labels_file = idx.labels_file(path)
    values = idx.read_labels(labels_file, str(labels_file))
    if len(values) != N:
        raise DataError(
            f"has {len(values):,} labels, and {path.name} {N:,} images",
            file=str(labels_file),
            fix="fetch both files again",
        )
    used, classes = np.unique(values, return_inverse=True)
    names = _label_names(path.with_name(idx.LABEL_NAMES), int(used[-1]))
    labels = [names[k] if names else str(k) for k in used.tolist()]
    order = np.argsort(labels)
    rank = np.argsort(order)
    return Images(name, source, pixels, rank[classes], tuple(labels[k] for k in order), counts, numbers)


def _label_names(path: Path, last: int) -> list[str]:
    """Return the names of the classes from a file; empty if it does not exist."""
    if not path.is_file():
        return []
    names = read_class_names(path)
    if len(names) <= last or len(set(names)) < len(names) or not all(map(str.strip, names)):
        raise DataError(
            f"should hold {last + 1} different names of classes, one a line",
            file=str(path),
            fix="correct the names, or remove the file: then labels are numbers",
        )
    return names


def _decoded(
    files: Sequence[tuple[Path, str] | BadRow],
    name: str,
    source: str,
    config: DataConfig,
    *,
    labelled: bool,
    faults: Faults,
) -> Images:
    """Decode files one by one into an array; the first one decides the shape."""
    pixels: NDArray[np.uint8] = np.empty((0, 1, 1, 1), np.uint8)
    used: list[tuple[str, str]] = []
    numbers: list[int] = []
    skipped, earlier = SkippedRows(), len(faults.found)
    for number, file in enumerate(files):
        image = file if isinstance(file, BadRow) else _like(read_image(file[0]), file[0], used, pixels)
        if not isinstance(image, BadRow):
            assert not isinstance(file, BadRow)
            if not used:
                pixels = np.empty((len(files), *image.shape), np.uint8)
            pixels[len(used)] = image
            used.append((str(file[0]), file[1]))
            numbers.append(number)
            continue
        if image.error and config.on_bad_row == "stop" and not skipped.listed:
            faults.add(image.error)
        skipped.add(image.reason, partial(_listed, number, image.reason, image.error) if image.error else None)
    counts = Counts(len(files), len(used), dict(skipped.counts), UNITS)
    if not used and len(faults.found) == earlier:
        faults.add(DataError(f"none of the files can be used: {counts}", file=source, fix="see the reasons"))
    paths, labels = tuple(path for path, _ in used), [label for _, label in used]
    names = tuple(sorted(set(labels))) if labelled else ()
    index = {label: k for k, label in enumerate(names)}
    classes = np.array([index[label] for label in labels] if labelled else [], dtype=np.int64)
    return Images(name, source, pixels[: len(used)], classes, names, counts, np.array(numbers), paths, skipped.listed)


def _listed(number: int, reason: str, error: DataError) -> Skipped:
    return Skipped(number, reason, excerpt(error.file or ""), "image")


def _like(
    image: NDArray[np.uint8] | BadRow, path: Path, used: Sequence[tuple[str, str]], pixels: NDArray[np.uint8]
) -> NDArray[np.uint8] | BadRow:
    """Return the image if it has the shape of the images before it, or a bad row."""
    if isinstance(image, BadRow) or not used or image.shape == pixels.shape[1:]:
        return image
    problem = f"is {_size(image.shape)}, and {used[0][0]} {_size(pixels.shape[1:])}"
    return BadRow("other shape", DataError(problem, file=str(path), fix=f"bring all to one size and colour, {SKIP}"))


def _arrays(data: object) -> tuple[Any, Any] | None:
    """Return images and labels if data are a pair or a mapping of arrays."""
    if isinstance(data, Mapping):
        pair: tuple[Any, Any] = (data.get("images"), data.get("labels"))
    elif isinstance(data, (tuple, list)) and len(data) == 2:
        pair = (data[0], data[1])
    else:
        return None
    return pair if hasattr(pair[0], "shape") and hasattr(pair[0], "dtype") else None


def _from_arrays(data: object, *, labelled: bool) -> Images:
    pair = _arrays(data) if labelled else (data, None)
    if pair is None or not hasattr(pair[0], "shape"):
        raise DataError(
            f"images cannot be read from a Python {type(data).__name__}",
            fix="give a pair (images, labels): an array (N, H, W) or (N, H, W, C) and a label for each image",
        )
    pixels = _pixels(pair[0])
    if labelled and pixels.dtype != np.uint8 and (pixels.min() < 0 or pixels.max() > BRIGHTEST):
        H, W, _ = pixels.shape[1:]
        log.warning(
            "the array holds numbers from %g to %g, and is read as images of %d rows of %d pixels; %s",
            *(pixels.min(), pixels.max(), H, W, NO_SERIES),
        )
    N = len(pixels)
    counts, numbers = Counts(N, N, {}, UNITS), np.arange(N)
    if not labelled:
        return Images("data", PYTHON, pixels, np.empty(0, np.int64), (), counts, numbers)
    values = np.asarray(pair[1])
    if values.shape != (N,) or values.dtype.kind not in "iubU":
        raise DataError(
            f"labels should be {N:,} whole numbers or strings, one for each image: got {values.dtype} of shape "
            f"{values.shape}",
            file=PYTHON,
            fix="give one label for each image",
        )
    labels, classes = np.unique(values.astype(str), return_inverse=True)
    return Images("data", PYTHON, pixels, classes, tuple(labels.tolist()), counts, numbers)


def _pixels(images: Any) -> NDArray[Any]:
    """Return an array as images, (N, H, W, C), of uint8 or float32."""
    array: NDArray[Any] = np.asarray(images.cpu() if hasattr(images, "cpu") else images)
    if array.dtype != np.uint8 and array.dtype.kind != "f":
        raise DataError(
            f"images should be uint8 or floats: got {array.dtype}",
            file=PYTHON,
            fix="convert them: images.astype('uint8')",
        )
    if array.ndim == 3:
        array = array[..., np.newaxis]
    if array.ndim != 4 or not array.size or array.shape[-1] > 4:
        raise DataError(
            f"images should have the shape (N, H, W) or (N, H, W, C) with at most 4 channels: got {array.shape}"
            + (f". {NO_SERIES[0].upper()}{NO_SERIES[1:]}" if array.ndim < 4 else ""),
            file=PYTHON,
            fix="make the channels the last axis: numpy.moveaxis(images, 1, -1)"
            if array.ndim == 4
            else "give images of two axes each, in one array",
        )
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    array = array.astype(np.float32)
    if bad := np.flatnonzero(~np.isfinite(array).all(axis=(1, 2, 3))).tolist():
        raise DataError(
            f"image {bad[0]} holds a number that is not finite", file=PYTHON, fix=f"remove {len(bad):,} such images"
        )
    return array


def _size(shape: tuple[int, ...]) -> str:
    H, W, C = shape
    return f"{W} × {H} pixels {'grey' if C == 1 else 'RGB'}"
