"""The window: the last n inputs, side by side, in their order.

    y_t = [x_{t−n+1}, …, x_{t−1}, x_t]           x is 0 before the beginning

It keeps the order that a bag loses, and knows nothing of what is further back. Bengio, Ducharme, Vincent & Jauvin,
"A neural probabilistic language model", 2003.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from unrolled import shapes
from unrolled.errors import ConfigError
from unrolled.layers.layer import Layer
from unrolled.state import State

__all__ = ["Window", "WindowState"]


class WindowState(NamedTuple):
    """What a window carries: its last n − 1 inputs, (B, n − 1, D), the oldest first."""

    inputs: Tensor


class Window(Layer):
    """Show each step the last `length` inputs.

    Args:
        size: D.
        length: n, the step's own input included.
    """

    def __init__(self, size: int, length: int) -> None:
        if length < 1:
            raise ConfigError(f"a window holds at least 1 input: got {length}")
        super().__init__(size, length * size, causal=True)
        self.length = length

    def forward(self, x: Tensor, state: State = None, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        """(B, T, D) -> (B, T, n·D)."""
        shapes.check("x", x, "BTD", D=self.input_size)
        B, T, D = x.shape
        shapes.check_lengths(lengths, B, T)
        n = self.length
        before = x.new_zeros(B, n - 1, D) if state is None else state.inputs
        seen = torch.cat([before, x], dim=1)  # (B, n − 1 + T, D)
        y = seen.flatten(1).unfold(1, n * D, D) if T else x.new_empty(B, 0, n * D)
        if lengths is None:
            return y, WindowState(seen[:, T:])
        last = lengths.unsqueeze(1) + torch.arange(n - 1, device=x.device)  # (B, n − 1)
        after = seen.gather(1, last.unsqueeze(2).expand(-1, -1, D))
        return y.masked_fill(~shapes.real(lengths, T).unsqueeze(2), 0), WindowState(after)

    def extra_repr(self) -> str:
        """Size and length, for repr()."""
        return f"{self.input_size}, length={self.length}"
