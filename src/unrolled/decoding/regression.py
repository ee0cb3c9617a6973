"""Decoding for the task regress: the predicted number, in one forward pass a sequence."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unrolled.data.encoding.numbers import Scale
from unrolled.decoding.classification import Readable, outputs
from unrolled.decoding.finite import refuse_infinite
from unrolled.display import Answers, Displayed
from unrolled.models import Model
from unrolled.strings import one_line

__all__ = ["Prediction", "predict", "predictions"]


@dataclass(frozen=True, repr=False)
class Prediction(Displayed):
    """The answer for one text: the predicted number, in the unit of the training data."""

    text: str
    value: float

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary of JSON values."""
        return asdict(self)

    def shown(self) -> str:
        """Return one line: number and input, separated by a tab."""
        return f"{self.value:.6g}\t{one_line(self.text)}"


def predictions(model: Model, sequences: Readable, scale: Scale) -> NDArray[np.float64]:
    """Return the predicted number of each of the N sequences, (N,), in their order.

    Args:
        model: a model that answers once with one output, in eval mode.
        scale: mean and standard deviation of the numbers that it was trained on.
    """
    return scale.restore(outputs(model, sequences)[:, 0])


def predict(texts: list[str], values: NDArray[np.float64]) -> Answers[Prediction]:
    """Return an answer for each of N texts from the predicted numbers (N,).

    Raises:
        CheckpointError: a number is not finite.
    """
    refuse_infinite(values)
    return Answers(Prediction(text, value) for text, value in zip(texts, values.tolist(), strict=True))
