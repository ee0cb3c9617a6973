"""A trained model that predicts a number for a text: decode, evaluate, and the example that `explain` reads."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from unrolled.config import DataConfig
from unrolled.data.encoding.batches import Sequences
from unrolled.data.encoding.numbers import Scale
from unrolled.data.examples.labelled import Examples
from unrolled.data.examples.numbers import load_numbers, numbers_of
from unrolled.data.splits.numbers import split_numbers
from unrolled.decoding.options import Options
from unrolled.decoding.regression import Prediction, predict, predictions
from unrolled.evaluation import RegressionResult, evaluate_regression
from unrolled.evaluation.by_example import ByExample, score_numbers
from unrolled.runs.run import MAX_LENGTH
from unrolled.runs.texts import TextRun, listed

if TYPE_CHECKING:
    from unrolled.inside import Example

__all__ = ["OUTPUT", "RegressionRun"]

OUTPUT = "value"
"""The label of the only output of its model."""
UNCHANGED = 0.01
"""Up to which difference, in standard deviations, two predicted numbers count as equal."""


class RegressionRun(TextRun):
    """A trained model that predicts a number for a text."""

    @property
    def scale(self) -> Scale:
        """Mean and standard deviation of the numbers of the training split."""
        data = self.record["data"]
        return Scale(data["mean"], data["deviation"])

    def decode(self, texts: str | Iterable[str], **options: Any) -> list[Prediction]:
        """Return the predicted number for one text or many, in order.

        Args:
            texts: a text, or several.
            options: precision, "float32" (default) or "int8".

        Raises:
            DataError: a text is not a string, or is empty.
            ConfigError: another option was given.
        """
        chosen = Options.parse(options, task=self.config.task)
        texts = listed(texts)
        with self.answering(chosen.precision):
            return predict(texts, self._numbers(texts, self.sequences(texts)))

    def example(self, input: Any, *, max_length: int = MAX_LENGTH) -> Example:
        """Return a text, or a list of its tokens, as an input of the model; the predicted number is explained."""
        from unrolled.inside.example import Quantity

        number = Quantity("value", lambda outputs: self.scale.mean + self.scale.deviation * outputs)
        return replace(super().example(input, max_length=max_length), quantity=number)

    def load_examples(self, data: object, settings: DataConfig) -> Examples:
        """Read the examples of `data`."""
        return load_numbers(data, settings)

    def load_test(self, data: object) -> Examples:
        """Read the test split of the training data."""
        return split_numbers(data, self.config.data).test

    def result(self, examples: Examples) -> RegressionResult:
        """Evaluate on examples that are already read."""
        sequences = self.sequences(examples)
        return evaluate_regression(
            numbers_of(examples),
            self._numbers(examples, sequences),
            sequences.lengths.numpy(),
            **self.scale._asdict(),
        )

    def answers(self, examples: Examples) -> NDArray[np.float64]:
        """Return the number predicted for each example, (N,), in standard deviations of the training split."""
        return self._numbers(examples, self.sequences(examples)) / self.scale.deviation

    def equal(self, answers: NDArray[Any], others: NDArray[Any]) -> int:
        """Return the number of answers that differ by at most a hundredth of the standard deviation."""
        return int((np.abs(answers - others) <= UNCHANGED).sum())

    def scores(self, examples: Examples) -> ByExample:
        """Return the absolute error on each example."""
        sequences = self.sequences(examples)
        predicted = self._numbers(examples, sequences)
        return score_numbers(numbers_of(examples), predicted, sequences.lengths.numpy(), examples.texts())

    def _numbers(self, inputs: Iterable[str] | Examples, sequences: Sequences) -> NDArray[np.float64]:
        """Return the number predicted for each of N texts, (N,).

        Args:
            sequences: the texts, as its model reads them.
        """
        if self.members:
            return self.averaged(lambda run: run._numbers(inputs, run.sequences(inputs))[:, np.newaxis])[:, 0]
        return predictions(self.model, sequences, self.scale)

    def card(self) -> dict[str, str]:
        """Return the fields of its model card that depend on the task."""
        splits = self.record["data"]["splits"].items()
        mean, deviation = self.scale
        return {
            "pipeline": "text-classification",
            "answers": f"It answers with a number; in its training data the mean is {mean:.6g}, and the standard "
            f"deviation {deviation:.6g}.",
            "command": f"unrolled decode THIS_FOLDER {self.EXAMPLE_INPUT}",
            "data": ", ".join(f"{split} {values['rows']:,}" for split, values in splits)
            + " examples. Numbers come from that data and are no better than it.",
            "result": _result(self.record["result"]) if self.record["result"] else "",
        }


def _result(result: dict[str, Any]) -> str:
    low, high = result["mae_interval"]
    others = "".join(
        f", {name} {result[key]:.3f}"
        for key, name in (("r2", "R²"), ("spearman", "Spearman's rank correlation"))
        if result[key] is not None
    )
    return (
        f"On {result['n']:,} held-out examples: mean absolute error {result['mae']:.4g} (95 % interval {low:.4g} to "
        f"{high:.4g}){others}; always answering the mean of the training split gets {result['mean_mae']:.4g}."
    )
