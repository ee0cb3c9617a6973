"""The task classify where the data are images: an image in, one of the labels that were seen in training out."""

from __future__ import annotations

import logging
from typing import Any, Self

import torch

from unrolled import lineage
from unrolled.config import Config
from unrolled.data.encoding.pixels import ImageSteps, Pixels
from unrolled.data.examples.images import Images, load_images, read_images
from unrolled.data.report.images import ImageReport, inspect_images
from unrolled.data.splits.images import ImageSplits, load_image_splits
from unrolled.decoding import ImageClassification, classify, probabilities
from unrolled.errors import ConfigError, DataError
from unrolled.evaluation import ClassificationResult
from unrolled.inside import Example
from unrolled.inside.tokens import LIMIT
from unrolled.models import Features
from unrolled.runs.preprocessor import Preprocessor
from unrolled.runs.run import Run
from unrolled.tasks.classification import Classified, Classifier
from unrolled.tasks.parts import described, log_read, log_splits, own_test, reading
from unrolled.training.task import OF_PAIRS

__all__ = ["ClassifyImages", "ImageRun"]

log = logging.getLogger("unrolled")


class ImageRun(Classifier):
    """A trained classifier of images."""

    ASK = "IMAGE.png"
    PIPELINE = "image-classification"

    @property
    def pixels(self) -> Pixels:
        """How it reads an image."""
        assert isinstance(self.preprocessor, Pixels)
        return self.preprocessor

    def decode(self, images: Any, *, on_bad_row: str | None = None) -> list[ImageClassification]:
        """Answer for one image or many, in their order.

        Args:
            images: an image file or a list of them, a folder, an IDX file, a sample's part; or an array of the shape
                and type of training, (N, H, W, C), of which N, and C where it is 1, may be missing.
            on_bad_row: "stop" or "skip"; default: as in training.

        Raises:
            DataError: an image cannot be read, or is not of the shape or type of those in training.
        """
        found = self._read(images, on_bad_row=on_bad_row)
        places = [found.at(index) for index in range(len(found))]
        return classify(places, self.labels, probabilities(self.model, self._steps(found)), ImageClassification)

    def example(self, given: Any, *, limit: int = LIMIT) -> Example:
        """Return an image, as `decode` takes it, as the model takes it, all of it: it is asked for its label."""
        found = self._read(given)
        if len(found) != 1:
            raise DataError(f"one image is looked at at a time: got {len(found):,}", fix="give one")
        inputs, _ = self._steps(found).pad(torch.tensor([0]))
        T = inputs.shape[1]
        return Example(
            text=found.at(0),
            inputs=inputs,
            tokens=tuple(f"{self.pixels.by} {t}" for t in range(T)),
            spans=(),
            steps=torch.tensor([T - 1]),
            answers=torch.tensor([-1]),
            meanings=self.meanings,
            also={"image": torch.from_numpy(found.pixels[0]).float()},
        )

    def evaluate(self, data: object = None, *, on_bad_row: str | None = None) -> ClassificationResult:
        """Compare the model's answers with the labels of `data`, or of the test part it was trained beside.

        Args:
            data: an IDX file, a folder of images by class, a sample's part, or a pair of arrays (images, labels); None:
                the run's own test part.
            on_bad_row: "stop" or "skip"; default: as in training.

        Raises:
            DataError: a bad image, an unknown label, or (with None) training data that are gone or have changed.
            ConfigError: on_bad_row without data.
        """
        if data is None:
            if on_bad_row is not None:
                raise ConfigError("the run's own test part is read as in training: leave on_bad_row out")
            return self.result(own_test(self, lambda source: load_image_splits(source, self.config.data).test))
        images = load_images(data, reading(self, on_bad_row=on_bad_row), labels=self.labels)
        log_read(images)
        return self.result(images)

    def result(self, images: Images) -> ClassificationResult:
        """Evaluate on images that are read already."""
        return self.figures(self._steps(images), images.among(self.labels))

    def _read(self, images: Any, *, on_bad_row: str | None = None) -> Images:
        H, W, C = self.pixels.shape
        if tuple(getattr(images, "shape", ())) in ((H, W, C), (H, W) if C == 1 else (H, W, C)):
            images = images.reshape(1, H, W, C)
        found = read_images(images, reading(self, on_bad_row=on_bad_row))
        if found.counts.skipped:
            log_read(found)
        return found

    def _steps(self, images: Images) -> ImageSteps:
        """The images as steps, if they are like those of training."""
        return _steps(images, self.pixels)


class ClassifyImages(Classified):
    """Images with a label each, in three parts.

    Args:
        data: what the splits were read from. splits: the parts. pixels: how images are read, learned from training.
    """

    run = ImageRun
    smallest = Features(1)
    unused = (
        OF_PAIRS
        | {"text", "label", "tokenizer", "vocabulary_size", "whole_words", "min_frequency", "lowercase"}
        | {"cache", "batch_tokens", "streams", "chunk"}
    )

    def __init__(self, data: object, splits: ImageSplits, pixels: Pixels) -> None:
        self.name, self.labels, self.preprocessor = splits.train.name, splits.labels, pixels
        self.data, self.splits, self.pixels = data, splits, pixels
        train, valid = splits.train, splits.valid
        super().__init__(
            (_steps(train, pixels), torch.from_numpy(train.among(self.labels))),
            (_steps(valid, pixels), torch.from_numpy(valid.among(self.labels))),
        )

    @classmethod
    def read(cls, data: object, config: Config, preprocessor: Preprocessor | None = None) -> Self:
        """Read images, split them, measure mean and standard deviation of the training part; see `Task.read`."""
        splits = load_image_splits(data, config.data)
        log_splits(splits)
        assert config.data.by is not None
        assert preprocessor is None or isinstance(preprocessor, Pixels)
        pixels = preprocessor or Pixels.learn(
            splits.train.pixels, by=config.data.by, permutation_seed=config.data.permutation_seed
        )
        log.info("images of %s, read by %s", pixels, pixels.by)
        return cls(data, splits, pixels)

    @classmethod
    def inspect(cls, data: object, config: Config) -> ImageReport:
        """Shape, counts, splits, labels; see `unrolled.data.report.images`."""
        return inspect_images(data, config.data)

    @classmethod
    def refuse_unused(cls, config: Config) -> None:
        """Refuse what images have no use for, and a way of reading that the row does not have.

        Raises:
            ConfigError: names the setting.
        """
        super().refuse_unused(config)
        whole, by = lineage.row(config.row).whole, config.data.by
        if whole != (by == "image"):
            ways = "at once: by image" if whole else "step by step: by row, column or pixel"
            raise ConfigError(f"row {config.row} reads an image {ways}; got by {by}")
        if whole and config.model.read is not None:
            raise ConfigError(f"an image at once has no use for read: leave it out (got {config.model.read!r})")

    def batch_tokens(self, config: Config) -> int:
        """The steps of so many images."""
        return config.training.batch_images * self.pixels.num_steps

    def record(self) -> dict[str, Any]:
        """The parts, and the most frequent label."""
        return {**described(self.data, self.splits), "majority": self.majority}

    def test(self, run: Run) -> ClassificationResult | None:
        """Accuracy and all else on the test part."""
        assert isinstance(run, ImageRun)
        return run.result(self.splits.test) if len(self.splits.test) else None


def _steps(images: Images, pixels: Pixels) -> ImageSteps:
    if (images.shape, str(images.pixels.dtype)) != (pixels.shape, pixels.dtype):
        raise DataError(
            f"images of {images.shape} {images.pixels.dtype} (height, width, channels), and the run's are "
            f"{pixels.shape} {pixels.dtype}",
            file=images.source,
            fix="bring them to that shape and type",
        )
    return ImageSteps(images.pixels, pixels)
