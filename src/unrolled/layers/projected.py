"""A recurrent layer whose outputs go through a linear layer: heads that read a state of their own become one vector.

    y_t = W_y r_t + b_y,   r the outputs of the recurrent layer

Attention has the same layer after its heads (layers/attention.py).
"""

from __future__ import annotations

from torch import Tensor

from unrolled import shapes
from unrolled.layers.layer import Layer
from unrolled.layers.mlp import Linear
from unrolled.layers.recurrent import Recurrent
from unrolled.state import State

__all__ = ["Projected"]


class Projected(Layer):
    """A recurrent layer and a linear layer.

    Args:
        recurrent: the recurrent layer.
        size: size D of y.

    State: the recurrent layer's.
    """

    def __init__(self, recurrent: Recurrent, size: int) -> None:
        super().__init__(recurrent.input_size, size, causal=recurrent.causal)
        self.recurrent, self.output = recurrent, Linear(recurrent.output_size, size)

    def forward(self, x: Tensor, state: State = None, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        """(B, T, input_size) -> (B, T, D)."""
        y, after = self.recurrent(x, state, lengths)
        y = self.output(y)
        return y if lengths is None else y.masked_fill(~shapes.real(lengths, x.shape[1]).unsqueeze(2), 0), after

    def summary(self, state: State) -> Tensor:
        """Return y of the last step, (B, D)."""
        y: Tensor = self.output(self.recurrent.summary(state))
        return y
