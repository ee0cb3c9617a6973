"""The last input so far, as a pool: for one answer after the last step.

y_t = x_t                                   state: x_t; before the first step it is 0
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from unrolled import shapes
from unrolled.layers.layer import Layer
from unrolled.state import State

__all__ = ["Last", "LastState"]


class LastState(NamedTuple):
    """The state: x (B, D), the input of the last step."""

    x: Tensor


class Last(Layer):
    """The identity, with its last input as its state.

    Args:
        size: size D of the vectors.
    """

    def __init__(self, size: int) -> None:
        super().__init__(size, size, causal=True)

    def forward(self, x: Tensor, state: State = None, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        """(B, T, D) -> (B, T, D)."""
        after = self.absorb(x, state, lengths)
        return x if lengths is None else x.masked_fill(~shapes.real(lengths, x.shape[1]).unsqueeze(2), 0), after

    def absorb(self, x: Tensor, state: State = None, lengths: Tensor | None = None) -> LastState:
        """Return the state after x (B, T, D)."""
        shapes.check("x", x, "BTD", D=self.input_size)
        B, T, D = x.shape
        shapes.check_lengths(lengths, B, T)
        before = x.new_zeros(B, D) if state is None else state.x
        if T == 0:
            return LastState(before)
        if lengths is None:
            return LastState(x[:, -1])
        at = (lengths - 1).clamp(min=0).view(B, 1, 1).expand(B, 1, D)
        return LastState(torch.where(lengths.view(B, 1) > 0, x.gather(1, at).squeeze(1), before))

    def summary(self, state: State) -> Tensor:
        """Return the last input, (B, D)."""
        x: Tensor = state.x
        return x

    def extra_repr(self) -> str:
        """Size, for repr()."""
        return str(self.input_size)
