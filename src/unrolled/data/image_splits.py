"""Training, validation and test part of images, and the labels: as `splits` makes them of texts.

A sample and a folder with train- and t10k- files have fixed parts; a part may be a file of its own; what is left is
split off the training part, by image: its pixels and the seed decide, so equal images never stand in two parts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unrolled.config import DataConfig
from unrolled.data.images import Images, load_images, parts_of, without_unknown
from unrolled.data.objects import PYTHON
from unrolled.data.splits import assign, how_split, shares
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
        """Those of the training part, sorted: label k is class k."""
        return self.train.labels

    def parts(self) -> dict[str, Images]:
        """Return the parts by name."""
        return {"train": self.train, "valid": self.valid, "test": self.test}


def load_image_splits(data: object, config: DataConfig) -> ImageSplits:
    """Read `data` and the files that `config.valid` and `config.test` name, and split off what they do not give.

    Raises:
        DataError: as `load_images`; or a part that is needed has no images, the training part has one class only, the
            parts are of different shapes, or a label of the other parts never occurs in training.
    """
    files = {name: given for name, given in (("valid", config.valid), ("test", config.test)) if given is not None}
    fixed = parts_of(data)
    if fixed and "train" not in fixed:
        raise DataError(f"has no training part, only {', '.join(fixed)}", file=str(data), fix="add the train- files")
    named = (fixed or {"train": data}) | files
    loaded = {name: load_images(file, config) for name, file in named.items()}
    train = loaded["train"]
    wanted = {name: share for name, share in shares(config).items() if name not in named}
    for name, part in loaded.items():
        if (part.shape, part.pixels.dtype) != (train.shape, train.pixels.dtype):
            raise DataError(
                f"the {name} part has images of {part.shape} {part.pixels.dtype}, and training "
                f"{train.shape} {train.pixels.dtype}",
                file=part.source,
                fix="bring all to one shape and type",
            )
    parts = loaded | _split(train, wanted, config)
    labels = parts["train"].labels
    if len(labels) < 2:
        raise DataError(
            f'the training part has one class only: "{labels[0]}" ({len(train):,} images); a classifier needs two',
            file=train.source,
            fix="give images of other classes, too",
        )
    parts |= {name: without_unknown(parts[name], labels, config, part=name) for name in ("valid", "test")}
    if not len(parts["valid"]):
        raise DataError(
            "the validation part has no images",
            file=train.source,
            fix="give a file with --valid, or a --valid-share above 0",
        )
    how = _sentence(data, fixed, wanted, files, config)
    return ImageSplits(parts["train"], parts["valid"], parts["test"], how, tuple(loaded.values()))


def _split(train: Images, wanted: Mapping[str, float], config: DataConfig) -> dict[str, Images]:
    """Cut the parts that are wanted off the training part; every part, empty where no share was asked for."""
    if not any(wanted.values()):
        return {"train": train} | {name: train.take(np.empty(0, np.int64)) for name in wanted}
    different = set(train.digests)
    part_of = assign(different, wanted, config.split_seed)
    if part_of is None:
        raise DataError(
            f"{len(different):,} different images are too few for a training part beside the others",
            file=train.source,
            fix="give more images, smaller shares, or the other parts as files with --valid and --test",
        )
    part = np.array([part_of.get(digest, "train") for digest in train.digests])
    return {name: train.take(np.flatnonzero(part == name)) for name in ("train", *wanted)}


def _sentence(
    data: object, fixed: Mapping[str, object], wanted: Mapping[str, float], files: Mapping[str, str], config: DataConfig
) -> str:
    """How the parts came about."""
    source = str(data) if isinstance(data, (str, Path)) else PYTHON
    said = [f"the part{'s'[: len(fixed) > 1]} {', '.join(fixed)} of {source}"] if fixed else []
    if any(wanted.values()) or not fixed:
        said.append(how_split("train" if fixed else source, "image", wanted, config.split_seed))
    return "; ".join([*said, *(f"{name} is {file}" for name, file in files.items())])
