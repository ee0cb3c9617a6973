"""Averages of the weights, which are often better models than the last weights.

The exponential average over the updates:

    average ← average + (1 − d_u) (weights − average)        d_u = min(decay, (1 + u) / (10 + u)) after update u

The small d of the first updates soon removes the random initial weights. Averaging: Polyak & Juditsky, 1992; the
schedule of d: TensorFlow's ExponentialMovingAverage. The averaged weights are evaluated and saved.

The mean of the weights of the k best evaluations (`BestModels`): checkpoint averaging, as in Vaswani et al., "Attention
is all you need", 2017, section 6.1, which takes the last ones.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from unrolled.training.progress import Progress

__all__ = ["Average", "BestModels"]


class Average:
    """An exponential average of a model's parameters.

    Args:
        model: the model to average.
        decay: d, near 1; the average covers about 1 / (1 − d) updates.
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


class BestModels:
    """The weights of the best evaluations, in the order of `Progress.ranking`.

    Args:
        most: k, the number of evaluations.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.weights: list[dict[str, Tensor]] = []

    def add(self, progress: Progress, figure: float, model: nn.Module) -> None:
        """Copy the weights of a model that was just evaluated, if its figure is one of the greatest."""
        place = progress.rank(figure, self.most)
        if place is not None:
            self.weights.insert(place, copy.deepcopy(model.state_dict()))
            del self.weights[self.most :]

    def mean(self) -> dict[str, Tensor]:
        """Return the mean of the weights; what is no floating point number is that of the best."""
        return {
            name: torch.stack([weights[name] for weights in self.weights]).mean(dim=0)
            if value.is_floating_point()
            else value
            for name, value in self.weights[0].items()
        }

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        """Return the weights by the name of their group in a checkpoint."""
        return {f"best_{place}": weights for place, weights in enumerate(self.weights)}
