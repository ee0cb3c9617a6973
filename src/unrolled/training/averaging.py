"""The average of the weights over the updates: what is evaluated and kept in its place is often the better network.

    average ← average + (1 − d_u) (weights − average)        d_u = min(decay, (1 + u) / (10 + u)) after update u

so that the first, random weights are soon forgotten. Averaging is Polyak & Juditsky's (1992), the climb of d is the one
of TensorFlow's ExponentialMovingAverage.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

__all__ = ["Average"]


class Average:
    """An exponential average of a model's parameters.

    Args:
        model: whose parameters are averaged. decay: d, near 1: about 1 / (1 − d) updates count.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.parameters = list(model.parameters())
        self.average = [p.detach().clone() for p in self.parameters]
        self.names = [name for name, _ in model.named_parameters()]

    def add(self, update: int) -> None:
        """Take in the weights as they are after `update` updates."""
        d = min(self.decay, (1 + update) / (10 + update))
        torch._foreach_lerp_(self.average, [p.detach() for p in self.parameters], 1 - d)

    def tensors(self) -> dict[str, Tensor]:
        """Return the average, by the parameters' names."""
        return dict(zip(self.names, self.average, strict=True))

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from what `tensors` returned."""
        self.average = [tensors[name].clone() for name in self.names]

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Have the model stand with the average in the block."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        for i, p in enumerate(self.parameters):
            p.data, self.average[i] = self.average[i], p.data
