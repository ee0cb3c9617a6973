"""A trained classifier of texts with several labels each: decode, evaluate, and the example that `explain` reads."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from unrolled.config import DataConfig
from unrolled.data.encoding.batches import Sequences
from unrolled.data.examples.label_sets import load_label_sets, multi_hot
from unrolled.data.examples.labelled import Examples
from unrolled.data.splits.label_sets import split_label_sets
from unrolled.decoding.multi_label import MultiLabelClassification, label, label_probabilities
from unrolled.decoding.options import MultiLabelOptions
from unrolled.evaluation import MultiLabelResult, evaluate_multi_label
from unrolled.evaluation.by_example import ByExample, score_label_sets
from unrolled.evaluation.multi_label import THRESHOLD
from unrolled.runs.card import code
from unrolled.runs.run import MAX_LENGTH
from unrolled.runs.texts import TextRun, listed

if TYPE_CHECKING:
    from unrolled.inside import Example

__all__ = ["MultiLabelRun"]


class MultiLabelRun(TextRun):
    """A trained classifier of texts with several labels each: output k is the logit of `labels[k]`."""

    EVALUATE_OPTIONS = MultiLabelOptions

    def decode(self, texts: str | Iterable[str], **options: Any) -> list[MultiLabelClassification]:
        """Return the labels of one text or many, in order.

        Args:
            texts: a text, or several.
            options: threshold, the probability from which a label is answered (default: 0.5), and precision,
                "float32" (default) or "int8".

        Raises:
            DataError: a text is not a string, or is empty.
            ConfigError: another option, or one out of range.
        """
        chosen = MultiLabelOptions.parse(options, task=self.config.task)
        texts = listed(texts)
        with self.answering(chosen.precision):
            return label(texts, self.labels, self.probabilities(texts), chosen.threshold)

    def example(self, input: Any, *, max_length: int = MAX_LENGTH) -> Example:
        """Return a text, or a list of its tokens, as an input of the model.

        The labels that are answered are explained, the most probable first; where none is, the most probable one.
        """
        from unrolled.inside.example import Quantity

        example = super().example(input, max_length=max_length)
        (values,) = label_probabilities(self.model, Sequences([example.inputs[0].tolist()]))
        order = (-values).argsort(kind="stable")
        answers = torch.from_numpy(order[: max(1, int((values >= THRESHOLD).sum()))].copy())
        return replace(
            example,
            steps=example.steps.expand(len(answers)),
            answers=answers,
            quantity=Quantity("log_prob", F.logsigmoid),
        )

    def load_examples(self, data: object, settings: DataConfig) -> Examples:
        """Read the examples of `data`, with labels that the run knows."""
        return load_label_sets(data, settings, labels=self.labels)

    def load_test(self, data: object) -> Examples:
        """Read the test split of the training data."""
        return split_label_sets(data, self.config.data).test

    def result(self, examples: Examples, *, threshold: float = THRESHOLD) -> MultiLabelResult:
        """Evaluate on examples that are already read."""
        return evaluate_multi_label(
            self.labels,
            multi_hot(examples, self.labels),
            self.probabilities(examples),
            usual=self.record["data"]["usual"],
            threshold=threshold,
        )

    def answers(self, examples: Examples, *, threshold: float = THRESHOLD) -> NDArray[np.bool_]:
        """Return whether each label is answered for each example, (N, K)."""
        return self.probabilities(examples) >= threshold

    def scores(self, examples: Examples, *, threshold: float = THRESHOLD) -> ByExample:
        """Return 1 for each text whose labels are all right, and 0 for the others."""
        answers = self.answers(examples, threshold=threshold)
        lengths = self.sequences(examples).lengths.numpy()
        return score_label_sets(self.labels, multi_hot(examples, self.labels), answers, lengths, examples.texts())

    def probabilities(self, inputs: Iterable[str] | Examples) -> NDArray[np.float64]:
        """Return the probability of each of K labels for each of N texts, (N, K)."""
        if self.members:
            return self.averaged(lambda run: run.probabilities(inputs))
        return label_probabilities(self.model, self.sequences(inputs))

    def card(self) -> dict[str, str]:
        """Return the fields of its model card that depend on the task."""
        shown = ", ".join(map(code, self.labels[:20])) + ("." if len(self.labels) <= 20 else ", …")
        splits = self.record["data"]["splits"].items()
        return {
            "pipeline": "text-classification",
            "answers": f"It answers with any number of {len(self.labels)} labels, also none: {shown}",
            "command": f"unrolled decode THIS_FOLDER {self.EXAMPLE_INPUT}",
            "data": ", ".join(f"{split} {values['rows']:,}" for split, values in splits)
            + " examples. Labels come from that data and are no better than it.",
            "result": _result(self.record["result"]) if self.record["result"] else "",
        }


def _result(result: dict[str, Any]) -> str:
    low, high = result["micro_f1_interval"]
    return (
        f"On {result['n']:,} held-out examples: micro-F1 {result['micro_f1']:.1%} (95 % interval {low:.1%} to "
        f"{high:.1%}), macro-F1 {result['macro_f1']:.3f}, all labels of a text right {result['subset_accuracy']:.1%}; "
        f"always answering the most frequent labels gets a micro-F1 of {result['usual_micro_f1']:.1%}."
    )
