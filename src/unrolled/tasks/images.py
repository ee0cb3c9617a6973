"""The task classify for images: one of the labels of the training split for an image."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from unrolled.config import Config
from unrolled.data.encoding.pixels import Pixels
from unrolled.data.examples.class_names import class_names
from unrolled.data.report.images import inspect_images, ruinous_issues
from unrolled.data.report.issues import Report
from unrolled.data.splits.images import ImageSplits, load_image_splits
from unrolled.evaluation import ClassificationResult
from unrolled.evaluation.baselines import BaselineScores, linear_pixels
from unrolled.evaluation.by_example import ByExample, score_classes
from unrolled.models import Features
from unrolled.runs.images import ImageRun, image_names, image_steps
from unrolled.runs.preprocessor import Preprocessor
from unrolled.runs.run import Run
from unrolled.tasks.classification import Classified
from unrolled.tasks.split_record import data_record, log_issues, log_splits

__all__ = ["ClassifyImages"]

log = logging.getLogger("unrolled")


class ClassifyImages(Classified):
    """The task classify for images.

    Args:
        data: the data, as the user named them.
        splits: the splits, read from it.
        pixels: the order of the pixels, and mean and standard deviation of the training split.
        names: names of the labels in the data.
    """

    run = ImageRun
    splits: ImageSplits
    smallest = Features(1)

    def __init__(self, data: object, splits: ImageSplits, pixels: Pixels, names: Mapping[str, str]) -> None:
        self.name, self.preprocessor = splits.train.name, pixels
        self.data, self.splits, self.pixels = data, splits, pixels
        train, valid = splits.train, splits.valid
        super().__init__(
            (image_steps(train, pixels), torch.from_numpy(train.among(splits.labels))),
            (image_steps(valid, pixels), torch.from_numpy(valid.among(splits.labels))),
            names,
        )

    @classmethod
    def read(cls, data: object, config: Config, preprocessor: Preprocessor | None = None) -> Self:
        """Read images, split them, measure mean and standard deviation of the training split; see `Task.read`."""
        splits = load_image_splits(data, config.data)
        names = class_names(splits.labels, config.data)
        log_splits(splits)
        log_issues(ruinous_issues(splits))
        assert config.data.by is not None
        assert preprocessor is None or isinstance(preprocessor, Pixels)
        pixels = preprocessor or Pixels.learn(
            splits.train.pixels, by=config.data.by, permutation_seed=config.data.permutation_seed
        )
        log.info("images of %s, read by %s", pixels, pixels.by)
        return cls(data, splits, pixels, names)

    @classmethod
    def inspect(cls, data: object, config: Config) -> Report:
        """Return shape, counts, splits and labels; see `unrolled.data.report.images`."""
        return inspect_images(data, config.data)

    @property
    def size(self) -> int:
        """The number of images of the training split."""
        return len(self.splits.train)

    def batch_tokens(self, config: Config) -> int:
        """Return the number of steps of `batch_images` images."""
        assert config.training.batch_images is not None, "decided by the data"
        return config.training.batch_images * self.pixels.num_steps

    def record(self) -> dict[str, Any]:
        """Return the splits and the most frequent label."""
        return {**data_record(self.data, self.splits), **self.labels_record()}

    def test_inputs(self) -> Sequence[Any]:
        """Return the images of the test split, (H, W, C) each."""
        return [*self.splits.test.pixels]

    def test(self, run: Run) -> ClassificationResult | None:
        """Return accuracy and the other measures on the test split."""
        assert isinstance(run, ImageRun)
        return run.result(self.splits.test) if len(self.splits.test) else None

    def linear(self) -> BaselineScores:
        """Return the scores of a linear classifier of pixels on the test split."""
        train, test = self.splits.train, self.splits.test
        name, answers, seconds = linear_pixels((train.pixels, self._train[1].numpy()), test.pixels)
        return BaselineScores(name, self.test_scores(answers), seconds)

    def test_scores(self, answers: NDArray[np.integer[Any]]) -> ByExample:
        """Return the scores of classes (N,) that are answered on the test split."""
        test = self.splits.test
        truth, lengths = test.among(self.splits.labels), image_steps(test, self.pixels).lengths.numpy()
        return score_classes(self.labels, truth, answers, lengths, image_names(len(test)))
