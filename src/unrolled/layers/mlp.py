"""Feedforward layers, and the head that every model answers through."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from unrolled.errors import ConfigError
from unrolled.kernels import freeze
from unrolled.kernels.freeze import Packable
from unrolled.kernels.linear import LinearWeights, linear
from unrolled.layers.dropout import Dropout

__all__ = ["MLP", "Head", "Linear", "TiedHead"]

PHI = {"tanh": nn.Tanh, "relu": nn.ReLU, "gelu": nn.GELU}


class Linear(nn.Linear):
    """y = W x + b, through our own product: a row has the same bits whatever the batch (see `kernels.linear`)."""

    def forward(self, x: Tensor) -> Tensor:
        """(…, D) -> (…, H)."""
        kept = freeze.linear_of(self)
        return linear(x, self.weight, self.bias) if kept is None else kept.run(x)


class MLP(nn.Module):
    """One pass from input to output, layer by layer:  x_l = φ(W_l x_{l−1} + b_l), each followed by dropout.

    Args:
        sizes: D, H, …, H: the input and every layer.
        nonlinearity: φ, a key of PHI.
        dropout: share of each layer's output that is dropped in training.
    """

    def __init__(self, sizes: Sequence[int], *, nonlinearity: str = "relu", dropout: float = 0.0) -> None:
        super().__init__()
        if nonlinearity not in PHI:
            raise ConfigError(f"nonlinearity must be one of {', '.join(PHI)}: got {nonlinearity!r}")
        steps: list[nn.Module] = []
        for before, after in pairwise(sizes):
            steps += [Linear(before, after), PHI[nonlinearity](), Dropout(dropout)]
        self.steps = nn.Sequential(*steps)
        self.output_size = sizes[-1]

    def forward(self, x: Tensor) -> Tensor:
        """(…, D) -> (…, H)."""
        y: Tensor = self.steps(x)
        return y


class Head(Linear):
    """The last layer, from what the network has made of its input to logits.

    It starts without a bias and with torch's spread of weights: small enough that a fresh model's loss is within 5 % of
    ln V, large enough that what comes back through it tells the units below apart.

    Args:
        size: D. num_outputs: V.
        spread: what the weights are multiplied with: less than 1 where the network's outputs are larger than a gate's.
    """

    def __init__(self, size: int, num_outputs: int, *, spread: float = 1.0) -> None:
        self.spread = spread
        super().__init__(size, num_outputs)

    def reset_parameters(self) -> None:
        """Weights uniform within ±spread / √D, no bias."""
        with torch.no_grad():
            bound = self.spread * self.in_features**-0.5
            self.weight.uniform_(-bound, bound)
            self.bias.zero_()


class TiedHead(nn.Module):
    """A head whose weights are the tokens' own vectors E:  logits = E P y + b  (Press & Wolf 2017).

    So a token's vector learns whenever the token might have been said, not only where it was read.

    Args:
        size: of y. embedding_size: D, of E; where it is the same, there is no P. num_outputs: V.
    """

    def __init__(self, size: int, embedding_size: int, num_outputs: int) -> None:
        super().__init__()
        self.project = nn.Identity() if size == embedding_size else Linear(size, embedding_size, bias=False)
        self.bias = nn.Parameter(torch.zeros(num_outputs))

    def forward(self, y: Tensor, vectors: Tensor) -> Tensor:
        """(…, size) and E (V, D) -> (…, V)."""
        return linear(self.project(y), vectors, self.bias)


def _weights(layer: Linear) -> Iterator[Packable]:
    """What `scan.frozen` packs."""
    if isinstance(layer._parameters.get("weight"), nn.Parameter):  # else it is pruned or parametrized: made anew
        yield Packable("weight", LinearWeights(layer.weight, layer.bias), tuple(layer.parameters(recurse=False)))


freeze.OWNERS.update(dict.fromkeys((Linear, Head), _weights))
