"""What is known of images before anything is trained on them: what `unrolled data FOLDER` prints."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from unrolled.config import DataConfig
from unrolled.data.encoding.pixels import Pixels
from unrolled.data.examples.images import Images
from unrolled.data.reading.counts import Counts, Skipped, accounts
from unrolled.data.reading.objects import PYTHON
from unrolled.data.report.charts import Bars, Panel
from unrolled.data.report.checks import Repeats, label_issues
from unrolled.data.report.issues import Issue, IssueExample, Report, loads, table
from unrolled.data.splits.images import load_image_splits
from unrolled.errors import excerpt

__all__ = ["ImageReport", "ImageSplitReport", "inspect_images"]

SHOWN_LABELS = 20
SHADES = " .:-=+*#%@"  # from dark to bright
DRAWN = 28  # columns of the picture at most


@dataclass(frozen=True)
class ImageSplitReport:
    """One part of the split."""

    images: int
    labels: dict[str, int]  # images of each label
    majority_rate: float  # accuracy of always answering what is most frequent in training


@dataclass(frozen=True)
class ImageReport(Report):
    """What is understood of a data set of images."""

    source: str
    shape: tuple[int, int, int]  # height, width, channels
    size: str  # the same in words
    dtype: str
    by: str
    steps: tuple[int, int]  # T and D: how many steps a model reads, and how many numbers each one has
    mean: tuple[float, ...]  # of each channel in the training split, in the images' unit
    std: tuple[float, ...]
    how: str  # the split, in a sentence
    loaded: dict[str, Counts]  # see `accounts`
    skipped: tuple[tuple[str, Skipped], ...]  # (file, image), the first of each
    splits: dict[str, ImageSplitReport]
    majority: str  # the most frequent label in training
    duplicates: dict[str, int]
    first: tuple[str, tuple[str, ...]]  # the first training image: its label, and its lines drawn with characters
    problem: str | None = None  # nothing that is readable has one
    issues: tuple[Issue, ...] = ()

    def lines(self) -> Iterator[str]:
        """Yield shape, counts, labels, the first image; see `Report`."""
        return _lines(self)

    def panels(self) -> list[Panel]:
        """Return the images of each label; see `Report`."""
        labels = self.frequent()
        bars = {label: {name: part.labels[label] for name, part in self.splits.items()} for label in labels}
        return [Bars(f"{self.source}: images of each label", bars, len(self.splits["train"].labels) - len(bars))]

    def frequent(self) -> list[str]:
        """Return the most frequent labels of the training split, at most 20."""
        train = self.splits["train"].labels
        return sorted(train, key=lambda label: -train[label])[:SHOWN_LABELS]


class ImageRepeats(Repeats[Images]):
    """Images that are equal to the last bit."""

    ONE, MANY = "an image", "images"

    def keys(self, part: Images) -> Iterator[int]:
        """The first 64 bits of each image's SHA-256."""
        return (int(digest[:16], 16) for digest in part.digests)

    def classes(self, part: Images) -> Iterable[int]:
        """As indices."""
        classes: list[int] = part.among(self.labels).tolist()
        return classes

    def issue_example(self, part: Images, index: int) -> IssueExample:
        """With its label."""
        return IssueExample(part.at(index), f'"{excerpt(part.labels[part.classes[index]], 30)}"')


def inspect_images(data: object, config: DataConfig) -> ImageReport:
    """Read and split images as a training would, and say what comes of it.

    Raises:
        DataError: as `load_image_splits`.
    """
    splits = load_image_splits(data, config)
    reads = accounts(splits.loaded, splits.named())
    assert config.by is not None
    pixels = Pixels.learn(splits.train.pixels, by=config.by, permutation_seed=config.permutation_seed)
    train = splits.train
    counts = np.bincount(train.classes, minlength=len(splits.labels))
    majority = splits.labels[int(counts.argmax())]
    parts = {name: _part(part, splits.labels, majority) for name, part in splits.named().items() if len(part)}
    repeats = ImageRepeats({name: part for name, part in splits.named().items() if len(part)}, splits.labels)
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
        tuple((name, image) for name, read in reads.items() for image in read.skipped),
        parts,
        majority,
        repeats.counts(),
        (train.labels[train.classes[0]], _drawn(train)),
        issues=(*repeats.issues(), *label_issues({name: part.labels for name, part in parts.items()})),
    )


def _part(part: Images, labels: tuple[str, ...], majority: str) -> ImageSplitReport:
    counts = np.bincount(part.among(labels), minlength=len(labels)).tolist()
    found = dict(zip(labels, counts, strict=True))
    return ImageSplitReport(len(part), found, found[majority] / len(part))


def _drawn(images: Images) -> tuple[str, ...]:
    """The first image with a character for a pixel, or for every n-th one where it is large; without a dark rim."""
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
    yield from loads(report.loaded, report.skipped)
    yield f"split: {report.how}"
    yield f"read by {report.by}: {T:,} step{'s'[: T > 1]} of {D:,} number{'s'[: D > 1]}"
    yield f"mean and standard deviation of training{' (of 1)' if unit > 1 else ''}: {means}"
    yield ""
    parts = list(report.splits.values())
    rows = [["", *report.splits], ["images", *(f"{part.images:,}" for part in parts)]]
    for label in (labels := report.frequent()):
        rows.append([f'  "{excerpt(label, 30)}"', *(f"{part.labels[label]:,}" for part in parts)])
    if more := len(parts[0].labels) - len(labels):
        rows.append([f"  … and {more:,} more labels"])
    rows.append([f'always "{excerpt(report.majority, 20)}"', *(f"{part.majority_rate:.1%}" for part in parts)])
    yield from table(rows)
    yield ""
    doubled = ", ".join(f"{count:,} {where}" for where, count in report.duplicates.items() if count)
    yield f"duplicate images: {doubled or 'none'}"
    label, lines = report.first
    yield f"the first training image, {excerpt(label, 30)}:"
    yield from lines
