"""A trained classifier of texts: decode, evaluate, and the example that `explain` reads."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from unrolled.config import DataConfig
from unrolled.data.examples.labelled import Examples, load_examples
from unrolled.data.splits.labelled import load_splits
from unrolled.decoding.classification import Classification, Readable, classify, probabilities
from unrolled.decoding.options import ClassOptions, documented
from unrolled.decoding.temperature import scaled
from unrolled.evaluation import ClassificationResult, evaluate_classification
from unrolled.evaluation.by_example import ByExample, score_classes
from unrolled.runs.card import calibration, code
from unrolled.runs.reading import class_indices, known_labels
from unrolled.runs.run import Run
from unrolled.runs.texts import TextRun, listed

__all__ = ["ClassificationRun", "Classifier"]


class Classifier(Run):
    """A trained classifier, of texts or images: class k is `labels[k]`."""

    answer = "once"

    PIPELINE: ClassVar[str]
    """Name of its task on the Hugging Face hub."""

    @abstractmethod
    def sequences(self, inputs: Any) -> Readable:
        """Return N texts or images as inputs of the model."""

    def figures(self, inputs: Any, classes: NDArray[np.int64]) -> ClassificationResult:
        """Return the result for N texts or images with true classes (N,)."""
        sequences = self.sequences(inputs)
        return evaluate_classification(
            self.labels,
            classes,
            self._unscaled(inputs, sequences),
            sequences.lengths.numpy(),
            majority=self.labels.index(self.record["data"]["majority"]),
            temperature=self.temperature,
        )

    def class_scores(self, inputs: Any, classes: NDArray[np.int64], names: Iterable[str]) -> ByExample:
        """Return the score of each of N texts or images with true classes (N,), and names."""
        lengths = self.sequences(inputs).lengths.numpy()
        return score_classes(self.labels, classes, self.class_answers(inputs), lengths, names)

    def class_answers(self, inputs: Any) -> NDArray[np.int64]:
        """Return the class that is answered for each of N texts or images, (N,)."""
        return np.asarray(self._unscaled(inputs, self.sequences(inputs)).argmax(axis=1), dtype=np.int64)

    def probabilities(self, inputs: Any) -> NDArray[np.float64]:
        """Return the probability of each of K classes for N texts or images, (N, K), at the run's temperature."""
        return scaled(self._unscaled(inputs, self.sequences(inputs)), self.temperature)

    def _unscaled(self, inputs: Any, sequences: Readable) -> NDArray[np.float64]:
        """Return the probabilities before the run's temperature.

        Args:
            sequences: the inputs, as its model reads them.
        """
        if self.members:
            return self.averaged(lambda run: run.probabilities(inputs))
        return probabilities(self.model, sequences)

    def card(self) -> dict[str, str]:
        """Return the fields of its model card that depend on the task."""
        shown = ", ".join(map(code, self.labels[:20])) + ("." if len(self.labels) <= 20 else ", …")
        splits = self.record["data"]["splits"].items()
        return {
            "pipeline": self.PIPELINE,
            "answers": f"It answers with one of {len(self.labels)} labels: {shown}",
            "command": f"unrolled decode THIS_FOLDER {self.EXAMPLE_INPUT}",
            "data": ", ".join(f"{split} {values['rows']:,}" for split, values in splits)
            + " examples. Labels come from that data and are no better than it.",
            "result": _result(self.record["result"]) + calibration(self.record) if self.record["result"] else "",
        }


class ClassificationRun(TextRun, Classifier):
    """A trained classifier of texts."""

    PIPELINE = "text-classification"

    @documented(ClassOptions)
    def decode(self, texts: str | Iterable[str], **options: Any) -> list[Classification]:
        """Return the answer for one text or many, in order.

        Args:
            texts: a text, or several.

        Raises:
            DataError: a text is not a string, or is empty.
            ConfigError: an option is unknown, out of range, or not used here.
        """
        chosen = ClassOptions.parse(options, task=self.config.task)
        texts = listed(texts)
        with self.answering(chosen.precision):
            found = self.probabilities(texts)
        return classify(texts, self.labels, found, Classification, chosen.top)

    def load_examples(self, data: object, settings: DataConfig) -> Examples:
        """Read the examples of `data`, with labels that the run knows."""
        return load_examples(data, settings, labels=known_labels(self))

    def load_test(self, data: object) -> Examples:
        """Read the test split of the training data."""
        return load_splits(data, self.config.data).test

    def result(self, examples: Examples) -> ClassificationResult:
        """Evaluate on examples that are already read."""
        return self.figures(examples, class_indices(self, examples.labels()))

    def answers(self, examples: Examples) -> NDArray[np.int64]:
        """Return the class that is answered for each example, (N,)."""
        return self.class_answers(examples)

    def scores(self, examples: Examples) -> ByExample:
        """Return 1 for each right answer, and 0 for the others."""
        return self.class_scores(examples, class_indices(self, examples.labels()), examples.texts())


def _result(result: dict[str, Any]) -> str:
    low, high = result["accuracy_interval"]
    return (
        f"On {result['n']:,} held-out examples: accuracy {result['accuracy']:.1%} "
        f"(95 % interval {low:.1%} to {high:.1%}), macro-F1 {result['macro_f1']:.3f}; "
        f"always answering {code(result['majority_label'])} gets {result['majority_accuracy']:.1%}."
    )
