"""Numbers as targets of a model: standardised with mean and standard deviation of the training split."""

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from unrolled.data.reading.arrays import allocate, blocks

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
        mean, distances = float(numbers.mean()), allocate(numbers.shape, np.float64)
        np.subtract(numbers, mean, out=distances)
        largest = max(distances.max(), -distances.min())  # so that no square is 0 or infinite
        distances /= largest
        np.square(distances, out=distances)
        return cls(mean, float(largest * np.sqrt(distances.mean())))

    def standardise(self, numbers: Floats) -> Floats:
        """Return numbers as targets of the model."""
        return (numbers - self.mean) / self.deviation

    def targets(self, numbers: Floats) -> NDArray[np.float32]:
        """Return numbers (N,) as targets of the model, as float32."""
        targets = allocate(numbers.shape, np.float32)
        for some in blocks(len(numbers)):
            targets[some] = self.standardise(numbers[some])
        return targets

    def restore(self, outputs: Floats) -> Floats:
        """Return outputs of the model as numbers in their unit."""
        return self.mean + self.deviation * outputs
