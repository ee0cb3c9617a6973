"""The task classify for images: one of the labels of the training split for an image."""

from __future__ import annotations

import logging
from typing import Any, Self

import torch

from unrolled import lineage
from unrolled.config import Config
from unrolled.data.encoding.pixels import Pixels
from unrolled.data.report.images import ImageReport, inspect_images, ruinous_issues
from unrolled.data.splits.images import ImageSplits, load_image_splits
from unrolled.errors import ConfigError
from unrolled.evaluation import ClassificationResult
from unrolled.models import Features
from unrolled.runs.images import ImageRun, image_steps
from unrolled.runs.preprocessor import Preprocessor
from unrolled.runs.run import Run
from unrolled.tasks.classification import Classified
from unrolled.tasks.split_record import data_record, log_issues, log_splits
from unrolled.training.task import OF_LABEL_SETS, OF_PAIRS

__all__ = ["ClassifyImages"]

log = logging.getLogger("unrolled")


class ClassifyImages(Classified):
    """The task classify for images.

    Args:
        data: the argument of the user. splits: read from it.
        pixels: the order of the pixels, and mean and standard deviation of the training split.
    """

    run = ImageRun
    smallest = Features(1)
    unused = (
        OF_PAIRS
        | OF_LABEL_SETS
        | {"text", "label", "tokenizer", "vocabulary_size", "whole_words", "min_frequency", "lowercase"}
        | {"header", "normalize"}
        | {"cache", "batch_tokens", "streams", "chunk"}
    )

    def __init__(self, data: object, splits: ImageSplits, pixels: Pixels) -> None:
        self.name, self.labels, self.preprocessor = splits.train.name, splits.labels, pixels
        self.data, self.splits, self.pixels = data, splits, pixels
        train, valid = splits.train, splits.valid
        super().__init__(
            (image_steps(train, pixels), torch.from_numpy(train.among(self.labels))),
            (image_steps(valid, pixels), torch.from_numpy(valid.among(self.labels))),
        )

    @classmethod
    def read(cls, data: object, config: Config, preprocessor: Preprocessor | None = None) -> Self:
        """Read images, split them, measure mean and standard deviation of the training split; see `Task.read`."""
        splits = load_image_splits(data, config.data)
        log_splits(splits)
        log_issues(ruinous_issues(splits))
        assert config.data.by is not None
        assert preprocessor is None or isinstance(preprocessor, Pixels)
        pixels = preprocessor or Pixels.learn(
            splits.train.pixels, by=config.data.by, permutation_seed=config.data.permutation_seed
        )
        log.info("images of %s, read by %s", pixels, pixels.by)
        return cls(data, splits, pixels)

    @classmethod
    def inspect(cls, data: object, config: Config) -> ImageReport:
        """Return shape, counts, splits and labels; see `unrolled.data.report.images`."""
        return inspect_images(data, config.data)

    @classmethod
    def refuse_unused(cls, config: Config) -> None:
        """Refuse settings that images do not use, and a way of reading images that the model does not support.

        Raises:
            ConfigError: names the setting.
        """
        super().refuse_unused(config)
        whole, by = lineage.architecture(config.model.name).whole, config.data.by
        if whole != (by == "image"):
            ways = "at once: by image" if whole else "step by step: by row, column or pixel"
            raise ConfigError(f"model {config.model.name} reads an image {ways}; got by {by}")
        if whole and config.model.read is not None:
            raise ConfigError(
                f"a model that reads an image at once does not use read: remove it (got {config.model.read!r})"
            )

    def batch_tokens(self, config: Config) -> int:
        """Return the number of steps of `batch_images` images."""
        return config.training.batch_images * self.pixels.num_steps

    def record(self) -> dict[str, Any]:
        """Return the splits and the most frequent label."""
        return {**data_record(self.data, self.splits), "majority": self.majority}

    def test(self, run: Run) -> ClassificationResult | None:
        """Return accuracy and the other measures on the test split."""
        assert isinstance(run, ImageRun)
        return run.result(self.splits.test) if len(self.splits.test) else None
