"""Training, validation and test split of images, and the labels: as `splits` makes them of texts.

A sample and a folder with train- and t10k- files have fixed splits; a part may be a file of its own; what is left is
split off the training split, by image: its pixels and the seed decide, so equal images never stand in two parts.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from unrolled.config import DataConfig
from unrolled.data.assign import read_splits, refuse_empty
from unrolled.data.examples.images import Images, load_images, splits_of, without_unknown
from unrolled.data.reading.objects import PYTHON
from unrolled.errors import DataError

__all__ = ["ImageSplits", "load_image_splits"]


@dataclass(frozen=True)
class ImageSplits:
    """The three parts of a data set of images."""

    train: Images
    valid: Images
    test: Images  # may be empty, if no share was asked for
    how: str  # one sentence: what the parts are and why
    loaded: tuple[Images, ...]  # what was read, file by file: counts and bad images before the split

    @property
    def labels(self) -> tuple[str, ...]:
        """Those of the training split, sorted: label k is class k."""
        return self.train.labels

    def named(self) -> dict[str, Images]:
        """Return the parts by name."""
        return {"train": self.train, "valid": self.valid, "test": self.test}


def load_image_splits(data: object, config: DataConfig) -> ImageSplits:
    """Read `data` and the files that `config.valid` and `config.test` name, and split off what they do not give.

    Raises:
        DataError: as `load_images`; or a part that is needed has no images, the training split has one class only, the
            parts are of different shapes, or a label of the other splits never occurs in training.
    """
    fixed = splits_of(data)
    if fixed and "train" not in fixed:
        raise DataError(f"has no training split, only {', '.join(fixed)}", file=str(data), fix="add the train- files")
    parts, loaded, how = read_splits(
        config,
        fixed or {"train": data},
        str(data) if isinstance(data, (str, Path)) else PYTHON,
        lambda given, train: load_images(given, config),
        lambda images: images.digests,
        by="image",
    )
    train = parts["train"]
    for name, part in parts.items():
        if (part.shape, part.pixels.dtype) != (train.shape, train.pixels.dtype):
            raise DataError(
                f"the {name} split has images of {part.shape} {part.pixels.dtype}, and training "
                f"{train.shape} {train.pixels.dtype}",
                file=part.source,
                fix="bring all to one shape and type",
            )
    labels = parts["train"].labels
    if len(labels) < 2:
        raise DataError(
            f'the training split has one class only: "{labels[0]}" ({len(train):,} images); a classifier needs two',
            file=train.source,
            fix="give images of other classes, too",
        )
    parts |= {name: without_unknown(parts[name], labels, config, part=name) for name in ("valid", "test")}
    refuse_empty(parts, "images")
    return ImageSplits(parts["train"], parts["valid"], parts["test"], how, loaded)
