"""Report on images: shape, labels, duplicates (`unrolled data FOLDER`)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from unrolled.config import DataConfig
from unrolled.data.encoding.pixels import Pixels
from unrolled.data.examples.class_names import class_names
from unrolled.data.examples.image_folders import ClassFolders
from unrolled.data.examples.images import Images
from unrolled.data.reading.addresses import PYTHON
from unrolled.data.reading.counts import Counts, Skipped, accounts
from unrolled.data.reading.faults import Faults
from unrolled.data.report.charts import Panel, label_bars
from unrolled.data.report.checks import Repeats, label_issues
from unrolled.data.report.issues import Issue, IssueExample, Report
from unrolled.data.report.refused import EmptyReport, refusals
from unrolled.data.report.spelling import label_spelling_issues, quoted
from unrolled.data.report.tables import SplitTable, duplicates, loads, skipped_rows
from unrolled.data.splits.images import ImageSplits, load_image_splits
from unrolled.display import Displayed
from unrolled.errors import excerpt

__all__ = ["ImageReport", "ImageSplitReport", "inspect_images", "ruinous_issues"]

SHOWN_LABELS = 20
SHADES = " .:-=+*#%@"  # from dark to bright
DRAWN = 28  # maximum columns of the drawing


@dataclass(frozen=True, repr=False)
class ImageSplitReport(Displayed):
    """Statistics of a split."""

    images: int
    labels: dict[str, int]  # images of each label
    majority_rate: float  # accuracy of the most frequent label of training


@dataclass(frozen=True, repr=False)
class ImageReport(Report):
    """Report on a data set of images."""

    source: str
    shape: tuple[int, int, int]  # height, width, channels
    size: str  # the same in words
    dtype: str
    by: str
    steps: tuple[int, int]  # number T of steps, and number D of values in a step
    mean: tuple[float, ...]  # of each channel in the training split, in the images' unit
    std: tuple[float, ...]
    how: str  # a sentence on the split
    loaded: dict[str, Counts]  # see `accounts`
    skipped: tuple[tuple[str, Skipped], ...]  # (source, image), the first of each source and reason
    splits: dict[str, ImageSplitReport]
    majority: str  # the most frequent label in training
    duplicates: dict[str, int]
    first: tuple[str, tuple[str, ...]]  # the first training image: its label, and its rows drawn with characters
    problem: str | None = None  # always None
    issues: tuple[Issue, ...] = ()
    refusals: tuple[str, ...] = ()

    def lines(self) -> Iterator[str]:
        """Yield shape, counts, labels, the first image; see `Report`."""
        return _lines(self)

    def panels(self) -> list[Panel]:
        """Return the images of each label; see `Report`."""
        labels = {name: split.labels for name, split in self.splits.items()}
        return [label_bars(f"{self.source}: images of each label", labels, SHOWN_LABELS)]


class ImageRepeats(Repeats[Images]):
    """Images with equal pixels."""

    ONE, MANY = "an image", "images"

    def keys(self, split: Images) -> Iterator[int]:
        """Yield the first 64 bits of each image's SHA-256."""
        return (int(digest[:16], 16) for digest in split.digests)

    def classes(self, split: Images) -> Iterable[int]:
        """Return the class of each image."""
        classes: list[int] = split.among(self.labels).tolist()
        return classes

    def issue_example(self, split: Images, index: int) -> IssueExample:
        """Return an image with its label."""
        return IssueExample(split.at(index), f'"{excerpt(split.labels[split.classes[index]], 30)}"')


def inspect_images(data: object, config: DataConfig) -> Report:
    """Read and split images as a training does, and return the report.

    Raises:
        DataError: no image can be read.
    """
    faults = Faults(collect=True)
    splits = load_image_splits(data, config, faults)
    names = class_names(splits.labels, config)
    reads = accounts(splits.loaded, splits.named())
    if not len(splits.train):
        return EmptyReport.of(reads, faults)
    assert config.by is not None
    pixels = Pixels.learn(splits.train.pixels, by=config.by, permutation_seed=config.permutation_seed)
    train = splits.train
    counts = np.bincount(train.classes, minlength=len(splits.labels))
    majority = splits.labels[int(counts.argmax())]
    images = {name: split for name, split in splits.named().items() if len(split)}
    reports = {name: _split_report(split, names, majority) for name, split in images.items()}
    repeats = ImageRepeats(images, splits.labels)
    return ImageReport(
        str(data) if isinstance(data, (str, os.PathLike)) else PYTHON,
        pixels.shape,
        str(pixels),
        pixels.dtype,
        pixels.by,
        (pixels.num_steps, pixels.step_size),
        pixels.mean,
        pixels.std,
        splits.how,
        {name: read.counts for name, read in reads.items()},
        skipped_rows(reads),
        reports,
        names[majority],
        repeats.counts(),
        (names[train.labels[train.classes[0]]], _drawn(train)),
        refusals=refusals(faults),
        issues=(
            *ruinous_issues(splits),
            *repeats.issues(),
            *label_issues({name: report.labels for name, report in reports.items()}),
        ),
    )


def ruinous_issues(splits: ImageSplits) -> Iterator[Issue]:
    """Yield the issues that ruin a training and are found quickly; a training logs them."""
    for images in splits.loaded:
        yield from folder_issues(images.source, images.folders)
    yield from label_spelling_issues(splits.labels, flags=False)


def folder_issues(source: str, folders: ClassFolders) -> Iterator[Issue]:
    """Yield the issues of folders of classes: empty, with folders inside, with the name of a split."""
    if folders.empty:
        yield Issue(
            "empty classes",
            len(folders.empty),
            f"folders of {source} without an image, which are no class: {quoted(folders.empty)}",
            (),
            "put images into them, or remove them",
        )
    if folders.nested:
        yield Issue(
            "nested folders",
            sum(folders.nested.values()),
            f"{sum(folders.nested.values()):,} images of {source} are in folders within those of the classes: "
            + quoted(list(folders.nested)),
            (),
            "their class is that of the outer folder: move the inner ones up, if they are the classes",
        )
    if folders.like_splits:
        yield Issue(
            "classes named as splits",
            len(folders.like_splits),
            f"folders of {source} with the name of a split are classes: {quoted(folders.like_splits)}",
            (),
            "if they are splits, put a folder for each class into them",
        )


def _split_report(split: Images, names: Mapping[str, str], majority: str) -> ImageSplitReport:
    """Return the statistics of a split.

    Args:
        names: names of the labels.
    """
    numbers = np.bincount(split.among([*names]), minlength=len(names)).tolist()
    counts = dict(zip(names.values(), numbers, strict=True))
    return ImageSplitReport(len(split), counts, counts[names[majority]] / len(split))


def _drawn(images: Images) -> tuple[str, ...]:
    """Return the first image with two characters a pixel, at most DRAWN pixels wide, without dark margins."""
    every = -(-images.shape[1] // DRAWN)
    grey = images.pixels[0, ::every, ::every].mean(axis=-1)
    least, most = float(grey.min()), float(grey.max())
    shades = ((grey - least) / ((most - least) or 1.0) * (len(SHADES) - 1)).round().astype(int)
    lines = ["".join(2 * SHADES[shade] for shade in line).rstrip() for line in shades]
    drawn = [number for number, line in enumerate(lines) if line] or [0]
    return tuple(lines[drawn[0] : drawn[-1] + 1])


def _lines(report: ImageReport) -> Iterator[str]:
    unit = 255 if report.dtype == "uint8" else 1
    means = ", ".join(
        f"{mean / unit:.4f} ± {std / unit:.4f}" for mean, std in zip(report.mean, report.std, strict=True)
    )
    T, D = report.steps
    yield f"{report.source}: images of {report.size}, {report.dtype}"
    yield from loads(report.loaded, report.skipped, report.how)
    yield f"read by {report.by}: {T:,} step{'s'[: T > 1]} of {D:,} number{'s'[: D > 1]}"
    yield f"mean and standard deviation of training{' (of 1)' if unit > 1 else ''}: {means}"
    table = SplitTable(report.splits)
    table.add("images", (split.images for split in table.splits))
    table.add_labels([split.labels for split in table.splits], SHOWN_LABELS)
    table.add(f'always "{excerpt(report.majority, 20)}"', (split.majority_rate for split in table.splits), ".1%")
    yield from table.lines()
    yield f"duplicate images: {duplicates(report.duplicates)}"
    label, lines = report.first
    yield f"the first training image, {excerpt(label, 30)}:"
    yield from lines
