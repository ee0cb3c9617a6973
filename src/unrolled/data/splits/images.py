"""Training, validation and test split of images.

A sample and a folder with train- and t10k- files have fixed splits; a split may be a file of its own; the missing ones
are split off the training data by image: the pixels and the seed decide, so equal images are always in the same split.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from unrolled.config import DataConfig
from unrolled.data.examples.images import Images, load_images, splits_of, without_unknown
from unrolled.data.reading.addresses import PYTHON
from unrolled.data.reading.faults import RAISED, Faults
from unrolled.data.splitting import HELD_OUT, DataSplits, read_splits, refuse_empty, refuse_one_label
from unrolled.errors import DataError

__all__ = ["ImageSplits", "load_image_splits"]


@dataclass(frozen=True)
class ImageSplits(DataSplits[Images]):
    """The three splits of a data set of images."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the training split, sorted: label k is class k."""
        return self.train.labels


def load_image_splits(data: object, config: DataConfig, faults: Faults = RAISED) -> ImageSplits:
    """Read `data` and the files `config.valid` and `config.test`, and split off the missing splits.

    Args:
        data: see `load_images`.
        config: settings that say how it is read.
        faults: the collector, which raises a fault or keeps it for a report.

    Raises:
        DataError: as `load_images`; or the validation split is empty, the training split has one class only, the splits
            have images of different shapes, or a label of another split does not occur in training.
    """
    fixed = splits_of(data)
    if fixed and "train" not in fixed:
        raise DataError(f"has no training split, only {', '.join(fixed)}", file=str(data), fix="add the train- files")
    splits = read_splits(
        config,
        fixed or {"train": data},
        str(data) if isinstance(data, (str, Path)) else PYTHON,
        lambda source, train: load_images(source, config, faults=faults),
        lambda images: images.digests,
        by="image",
        faults=faults,
    )
    train = splits.train
    fix = "give images of other classes, too"
    refuse_one_label(train.labels, train, label="class", units="images", fix=fix, faults=faults)
    held_out = {
        name: without_unknown(
            _of_one_shape(splits.named()[name], name, train, faults), train.labels, config, split=name, faults=faults
        )
        for name in HELD_OUT
    }
    if len(train):
        refuse_empty(held_out["valid"], "images", train=train, faults=faults)
    return ImageSplits(**vars(splits) | held_out)


def _of_one_shape(split: Images, name: str, train: Images, faults: Faults) -> Images:
    """Return a split with images like those of training; while faults are collected, another one is left empty."""
    if not len(split) or (split.shape, split.pixels.dtype) == (train.shape, train.pixels.dtype):
        return split
    problem = (
        f"the {name} split has images of {split.shape} {split.pixels.dtype}, and training {train.shape} "
        f"{train.pixels.dtype}"
    )
    faults.add(DataError(problem, file=split.source, fix="convert all images to one shape and type"))
    return split.select(())
