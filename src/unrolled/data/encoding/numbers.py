"""Numbers as targets of a model: standardised with mean and standard deviation of the training split."""

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["Scale"]

Floats = NDArray[np.float64]


class Scale(NamedTuple):
    """Mean and standard deviation of the numbers that a model was trained on.

    A model predicts z = (y − mean) / deviation, for which the same rates and weights serve whatever the unit of y is.
    """

    mean: float
    deviation: float

    @classmethod
    def learn(cls, numbers: Floats) -> Self:
        """Return mean and standard deviation of N numbers (N,), not all of which are equal."""
        mean = float(numbers.mean())
        distances = numbers - mean
        largest = np.abs(distances).max()  # so that no square is 0 or infinite
        return cls(mean, float(largest * np.sqrt(np.square(distances / largest).mean())))

    def standardise(self, numbers: Floats) -> Floats:
        """Return numbers as targets of the model."""
        return (numbers - self.mean) / self.deviation

    def restore(self, outputs: Floats) -> Floats:
        """Return outputs of the model as numbers in their unit."""
        return self.mean + self.deviation * outputs
