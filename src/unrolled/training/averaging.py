"""The exponential average of the weights over the updates, which is often a better model than the last weights.

    average ← average + (1 − d_u) (weights − average)        d_u = min(decay, (1 + u) / (10 + u)) after update u

The small d of the first updates soon removes the random initial weights. Averaging: Polyak & Juditsky, 1992; the
schedule of d: TensorFlow's ExponentialMovingAverage. The averaged weights are evaluated and saved.
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
        model: the model to average. decay: d, near 1; the average covers about 1 / (1 − d) updates.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.parameters = list(model.parameters())
        self.average = [p.detach().clone() for p in self.parameters]
        self.names = [name for name, _ in model.named_parameters()]

    def add(self, update: int) -> None:
        """Add the present weights of the model, those after `update` updates."""
        d = min(self.decay, (1 + update) / (10 + update))
        torch._foreach_lerp_(self.average, [p.detach() for p in self.parameters], 1 - d)

    def tensors(self) -> dict[str, Tensor]:
        """Return the average of each parameter by its name."""
        return dict(zip(self.names, self.average, strict=True))

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Set the average to the result of an earlier `tensors`."""
        self.average = [tensors[name].clone() for name in self.names]

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Give the model the averaged weights within the block."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        for i, p in enumerate(self.parameters):
            p.data, self.average[i] = self.average[i], p.data
