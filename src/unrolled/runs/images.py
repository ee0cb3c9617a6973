"""A trained classifier of images: decode, evaluate, and the example that `explain` reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from unrolled.config import DataConfig
from unrolled.data.encoding.pixels import ImageSteps, Pixels
from unrolled.data.examples.images import Images, load_images, read_images
from unrolled.data.splits.images import load_image_splits
from unrolled.decoding.classification import ImageClassification, classify
from unrolled.decoding.options import ClassOptions, documented
from unrolled.errors import DataError
from unrolled.evaluation import ClassificationResult
from unrolled.evaluation.by_example import ByExample
from unrolled.runs.classification import Classifier
from unrolled.runs.reading import class_indices, known_labels, log_read, read_held_out, reading, separate
from unrolled.runs.run import MAX_LENGTH

if TYPE_CHECKING:
    from unrolled.inside import Example

__all__ = ["ImageRun", "image_names", "image_steps"]


class ImageRun(Classifier):
    """A trained classifier of images."""

    EXAMPLE_INPUT = "IMAGE.png"
    PIPELINE = "image-classification"

    @property
    def pixels(self) -> Pixels:
        """The preprocessor of its images."""
        assert isinstance(self.preprocessor, Pixels)
        return self.preprocessor

    @documented(ClassOptions)
    def decode(self, images: Any, *, on_bad_row: str | None = None, **options: Any) -> list[ImageClassification]:
        """Return the answer for one image or many, in order.

        Args:
            images: an image file or a list of them, a folder, an IDX file, a split of a sample; or an array of the
                shape and type of training, (N, H, W, C), where N, and C if it is 1, may be missing.
            on_bad_row: "stop" or "skip"; default: as in training.

        Raises:
            DataError: an image cannot be read, or is not of the shape or type of those in training.
            ConfigError: an option is unknown, out of range, or not used here.
        """
        chosen = ClassOptions.parse(options, task=self.config.task, settings=DataConfig.model_fields)
        read = self._read(images, on_bad_row=on_bad_row)
        names = [read.at(index) for index in range(len(read))]
        with self.answering(chosen.precision):
            found = self.probabilities(read)
        return classify(names, self.labels, found, ImageClassification, chosen.top)

    def example(self, input: Any, *, max_length: int = MAX_LENGTH) -> Example:
        """Return one image, as `decode` takes it, as an input of the model, whole; its label is explained."""
        from unrolled.inside import Example

        images = self._read(input)
        if len(images) != 1:
            raise DataError(f"one image is explained at a time: got {len(images):,}", fix="give one")
        inputs, _ = self.sequences(images).pad(torch.tensor([0]))
        T = inputs.shape[1]
        return Example(
            text=images.at(0),
            inputs=inputs,
            tokens=tuple(f"{self.pixels.by} {t}" for t in range(T)),
            spans=(),
            steps=torch.tensor([T - 1]),
            answers=torch.tensor([-1]),
            meanings=self.meanings,
            temperature=self.temperature,
            also={"image": torch.from_numpy(images.pixels[0]).float()},
        )

    def evaluate(
        self, data: object = None, *, on_bad_row: str | None = None, test_split: bool = False, **options: Any
    ) -> ClassificationResult:
        """Compare the model's answers with the labels of `data`, by default of the run's own test split.

        Args:
            data: an IDX file, a folder of images by class, a split of a sample, or a pair of arrays (images, labels);
                None: the run's own test split.
            on_bad_row: "stop" or "skip"; default: as in training.
            test_split: whether `data` are those of the training, of which the test split is used.
            options: precision, "float32" (default) or "int8".

        Raises:
            DataError: a bad image, an unknown label, or (with None) training data that are missing or have changed.
            ConfigError: on_bad_row without data, or another option was given.
        """
        result: ClassificationResult = self.evaluated(data, test_split, {"on_bad_row": on_bad_row, **options})
        return result

    def held_out(self, data: object, test_split: bool, options: Mapping[str, Any]) -> dict[str, Any]:
        """Read the images of an evaluation; return the keyword arguments of `result` and `scores`."""
        settings, _ = separate(self, options, "on_bad_row")

        def load(data: object, config: DataConfig) -> Images:
            images = load_images(data, config, labels=known_labels(self))
            log_read(images)
            return images

        def load_test(source: object) -> Images:
            return load_image_splits(source, self.config.data).test

        return {"images": read_held_out(self, data, test_split, settings, load=load, load_test=load_test)}

    def result(self, images: Images) -> ClassificationResult:
        """Evaluate on images that are already read."""
        return self.figures(images, self._classes(images))

    def answers(self, images: Images) -> NDArray[np.int64]:
        """Return the class that is answered for each image, (N,)."""
        return self.class_answers(images)

    def scores(self, images: Images) -> ByExample:
        """Return 1 for each right answer, and 0 for the others."""
        return self.class_scores(images, self._classes(images), image_names(len(images)))

    def _classes(self, images: Images) -> NDArray[np.int64]:
        """Return the class of each image, (N,)."""
        return class_indices(self, images.labels)[images.classes]

    def _read(self, images: Any, *, on_bad_row: str | None = None) -> Images:
        H, W, C = self.pixels.shape
        if tuple(getattr(images, "shape", ())) in ((H, W, C), (H, W) if C == 1 else (H, W, C)):
            images = images.reshape(1, H, W, C)
        read = read_images(images, reading(self, on_bad_row=on_bad_row))
        if read.counts.skipped:
            log_read(read)
        return read

    def sequences(self, inputs: Images) -> ImageSteps:
        """Return images as sequences of steps, if they have the shape and type of those of training."""
        return image_steps(inputs, self.pixels)


def image_names(n: int) -> list[str]:
    """Return the names of n images: their indices."""
    return [f"image {index}" for index in range(n)]


def image_steps(images: Images, pixels: Pixels) -> ImageSteps:
    """Return images as sequences of steps.

    Raises:
        DataError: they are not of the shape and type of the images of training.
    """
    if (images.shape, str(images.pixels.dtype)) != (pixels.shape, pixels.dtype):
        raise DataError(
            f"expected images of {pixels.shape} {pixels.dtype} (height, width, channels), as in training; got "
            f"{images.shape} {images.pixels.dtype}",
            file=images.source,
            fix="bring them to that shape and type",
        )
    return ImageSteps(images.pixels, pixels)
