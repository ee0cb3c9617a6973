"""The bag: all inputs so far, pooled without regard to their order.

    mean:  y_t = (x_1 + … + x_t) / t           state (sum, steps)
    max:   y_t = max(x_1, …, x_t)              state (maximum, steps)

The state determines the pool, so a bag can be continued like a recurrence; before the first step it is 0.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from unrolled import shapes
from unrolled.errors import ConfigError
from unrolled.layers.layer import Layer
from unrolled.state import State

__all__ = ["Bag", "BagState"]


class BagState(NamedTuple):
    """The state of a bag: pooled (B, D), the sum (mean) or maximum (max) so far, and steps (B,), their number."""

    pooled: Tensor
    steps: Tensor


class Bag(Layer):
    """Pool x over time.

    Args:
        size: size D of the vectors.
        pool: "mean" or "max".
    """

    def __init__(self, size: int, *, pool: Literal["mean", "max"] = "mean") -> None:
        super().__init__(size, size, causal=True)
        if pool not in ("mean", "max"):
            raise ConfigError(f'pool must be "mean" or "max": got {pool!r}')
        self.pool = pool

    def forward(self, x: Tensor, state: State = None, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        """Return the pool after each step: (B, T, D) -> (B, T, D)."""
        x, state, is_real = self._prepare(x, state, lengths)
        T = x.shape[1]
        steps = state.steps.unsqueeze(1) + torch.arange(1, T + 1, dtype=x.dtype, device=x.device)  # (B, T)
        if self.pool == "mean":
            y = (state.pooled.unsqueeze(1) + x.cumsum(1)) / steps.unsqueeze(2)
        else:
            y = torch.maximum(x.cummax(1).values, self._maximum(state).unsqueeze(1)) if T else x
        y = y if is_real is None else y.masked_fill(~is_real, 0)
        return y, self._after(x, state, lengths)

    def absorb(self, x: Tensor, state: State = None, lengths: Tensor | None = None) -> BagState:
        """Return the state after x (B, T, D), without the outputs of the steps."""
        x, state, _ = self._prepare(x, state, lengths)
        return self._after(x, state, lengths)

    def summary(self, state: State) -> Tensor:
        """Return the pool of all inputs so far, (B, D); 0 before the first."""
        pooled: Tensor = state.pooled
        return pooled / state.steps.clamp(min=1).unsqueeze(1) if self.pool == "mean" else pooled

    def extra_repr(self) -> str:
        """Size and pool, for repr()."""
        return f"{self.input_size}, pool={self.pool!r}"

    def _prepare(self, x: Tensor, state: State, lengths: Tensor | None) -> tuple[Tensor, BagState, Tensor | None]:
        """Check the arguments, create a missing state, and fill padding in x with the neutral element (0 or −∞)."""
        shapes.check("x", x, "BTD", D=self.input_size)
        B, T, D = x.shape
        shapes.check_lengths(lengths, B, T)
        neutral = 0.0 if self.pool == "mean" else float("-inf")
        if state is None:
            state = BagState(x.new_zeros(B, D), x.new_zeros(B))
        if lengths is None:
            return x, state, None
        is_real = shapes.real(lengths, T).unsqueeze(2)
        return x.masked_fill(~is_real, neutral), state, is_real

    def _after(self, x: Tensor, state: BagState, lengths: Tensor | None) -> BagState:
        T = x.shape[1]
        steps = state.steps + (T if lengths is None else lengths.to(x.dtype))
        if self.pool == "mean":
            return BagState(state.pooled + x.sum(1), steps)
        maximum = torch.maximum(self._maximum(state), x.amax(1)) if T else self._maximum(state)
        return BagState(maximum.masked_fill(steps.unsqueeze(1) == 0, 0), steps)

    @staticmethod
    def _maximum(state: BagState) -> Tensor:
        """Return the maximum so far, (B, D); −∞ before the first step."""
        return state.pooled.masked_fill(state.steps.unsqueeze(1) == 0, float("-inf"))
