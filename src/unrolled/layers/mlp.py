"""Feedforward layers, and the heads that compute a model's logits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from unrolled.errors import ConfigError
from unrolled.kernels import freeze
from unrolled.kernels.linear import LinearWeights, linear
from unrolled.kernels.packed import Packable
from unrolled.layers.dropout import Dropout

__all__ = ["MLP", "Head", "Linear", "TiedHead"]

PHI: dict[str, Callable[[], nn.Module]] = {
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "gelu_tanh": lambda: nn.GELU(approximate="tanh"),
    "silu": nn.SiLU,
}
"""The activation functions by name; gelu_tanh is x/2 (1 + tanh(√(2/π) (x + 0.044715 x³))), the GELU of GPT-2."""


class Linear(nn.Linear):
    """y = W x + b by our own product: an output has the same bits in any batch (see `kernels.linear`)."""

    def forward(self, x: Tensor) -> Tensor:
        """(…, D) -> (…, H)."""
        packed = freeze.linear_of(self, x)
        return linear(x, self.weight, self.bias) if packed is None else packed.run(x)


class MLP(nn.Module):
    """A multilayer perceptron:  x_l = φ(W_l x_{l−1} + b_l), each layer followed by dropout.

    Args:
        sizes: D, H, …, H, of the input and of every layer.
        nonlinearity: φ, a key of PHI.
        dropout: rate of dropout after each layer.
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
    """The last layer, from the outputs of the network to logits.

    Its initial bias is 0 and its initial weights are spread as torch's: small enough that the loss of a new model is
    within 5 % of ln V, large enough that the gradients of the units below differ.

    Args:
        size: size D of the vectors.
        num_outputs: number V of logits.
        spread: factor of the initial weights: less than 1 where the outputs of the network are larger than a gate's.
    """

    def __init__(self, size: int, num_outputs: int, *, spread: float = 1.0) -> None:
        self.spread = spread
        super().__init__(size, num_outputs)

    def reset_parameters(self) -> None:
        """Draw the weights uniformly from ±spread / √D; set the bias to 0."""
        with torch.no_grad():
            bound = self.spread * self.in_features**-0.5
            self.weight.uniform_(-bound, bound)
            self.bias.zero_()


class TiedHead(nn.Module):
    """A head whose weights are the embeddings E of the tokens:  logits = E P y + b  (Press & Wolf 2017).

    The vector of a token thus receives a gradient at every prediction, not only where the token was read.

    Args:
        size: size of y.
        embedding_size: D, of E; if it equals `size`, there is no P.
        num_outputs: number V of logits.
    """

    def __init__(self, size: int, embedding_size: int, num_outputs: int) -> None:
        super().__init__()
        self.project = nn.Identity() if size == embedding_size else Linear(size, embedding_size, bias=False)
        self.bias = nn.Parameter(torch.zeros(num_outputs))

    def forward(self, y: Tensor, vectors: Tensor) -> Tensor:
        """Return the logits (…, V) of y (…, size), with `vectors` E (V, D)."""
        return linear(self.project(y), vectors, self.bias)


def _weights(layer: Linear) -> Iterator[Packable]:
    """Yield the weights that `scan.frozen` packs."""
    if isinstance(layer._parameters.get("weight"), nn.Parameter):  # else pruned or parametrized: computed in every call
        yield Packable(
            "weight",
            LinearWeights(layer.weight, layer.bias),
            {n: p for n, p in layer._parameters.items() if p is not None},
        )


freeze.OWNERS.update(dict.fromkeys((Linear, Head), _weights))
