"""Training, validation and test split of images.

A sample and a folder with train- and t10k- files have fixed splits; a split may be a file of its own; the missing ones
are split off the training data by image: the pixels and the seed decide, so equal images are always in the same split.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from unrolled.config import DataConfig
from unrolled.data.examples.images import Images, load_images, splits_of, without_unknown
from unrolled.data.reading.objects import PYTHON
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


def load_image_splits(data: object, config: DataConfig) -> ImageSplits:
    """Read `data` and the files `config.valid` and `config.test`, and split off the missing splits.

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
        lambda source, train: load_images(source, config),
        lambda images: images.digests,
        by="image",
    )
    train = splits.train
    for name, split in splits.named().items():
        if (split.shape, split.pixels.dtype) != (train.shape, train.pixels.dtype):
            raise DataError(
                f"the {name} split has images of {split.shape} {split.pixels.dtype}, and training "
                f"{train.shape} {train.pixels.dtype}",
                file=split.source,
                fix="convert all images to one shape and type",
            )
    refuse_one_label(train.labels, train, label="class", units="images", fix="give images of other classes, too")
    held_out = {name: without_unknown(splits.named()[name], train.labels, config, split=name) for name in HELD_OUT}
    refuse_empty(held_out["valid"], "images", train=splits.train)
    return ImageSplits(**vars(splits) | held_out)
