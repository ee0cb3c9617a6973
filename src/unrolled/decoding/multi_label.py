"""Decoding for texts with several labels each: the probability of every label, in one forward pass a sequence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unrolled.decoding.classification import Readable, outputs
from unrolled.decoding.finite import refuse_infinite
from unrolled.display import Answers, Displayed
from unrolled.models import Model
from unrolled.strings import one_line

__all__ = ["MultiLabelClassification", "label", "label_probabilities", "sigmoid"]


@dataclass(frozen=True, repr=False)
class MultiLabelClassification(Displayed):
    """The answer for one text: its labels, the most probable first, and the probability of every label."""

    text: str
    labels: tuple[str, ...]
    probabilities: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary of JSON values."""
        return asdict(self) | {"labels": list(self.labels)}

    def shown(self) -> str:
        """Return one line: labels, their probabilities and the input, separated by tabs; the first two may be empty."""
        labels = ";".join(map(one_line, self.labels))
        return f"{labels}\t{';'.join(f'{self.probabilities[k]:.3f}' for k in self.labels)}\t{one_line(self.text)}"


def label_probabilities(model: Model, sequences: Readable) -> NDArray[np.float64]:
    """Return the probability of each of the K labels for each of the N sequences, (N, K).

    The labels are independent: the probabilities of a sequence need not sum to 1.
    """
    return sigmoid(outputs(model, sequences))


def sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 1 / (1 + exp(−x)) of each number; its bits do not depend on the others, as those of torch's do."""
    small = np.exp(-np.abs(x))  # at most 1
    values: NDArray[np.float64] = np.where(x >= 0, 1, small) / (1 + small)
    return values


def label(
    texts: Sequence[str], labels: Sequence[str], probability: NDArray[np.float64], threshold: float
) -> Answers[MultiLabelClassification]:
    """Return an answer for each of N texts, in order: the labels with at least this probability.

    Raises:
        CheckpointError: a probability is not finite.
    """
    refuse_infinite(probability)
    answers: Answers[MultiLabelClassification] = Answers()
    for text, values in zip(texts, probability.tolist(), strict=True):
        order = sorted(range(len(labels)), key=lambda k: -values[k])
        chosen = tuple(labels[k] for k in order if values[k] >= threshold)
        answers.append(MultiLabelClassification(text, chosen, dict(zip(labels, values, strict=True))))
    return answers
