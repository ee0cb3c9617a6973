"""The window: n consecutive inputs, concatenated, that end with the step's own input or with inputs ahead of it.

    y_t = [x_{t−n+1}, …, x_{t−1}, x_t]                  x is 0 before the first step
    y_t = [x_{t−n+1+a}, …, x_t, …, x_{t+a}]             with a inputs ahead; x is also 0 after the last step

Unlike a bag it preserves the order of its inputs, and it does not depend on inputs outside the window.

Bengio, Ducharme, Vincent & Jauvin, "A neural probabilistic language model", 2003; with words ahead: Collobert et al.,
"Natural language processing (almost) from scratch", 2011.
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
    """The state of a window: the earlier inputs that the next step needs, (B, n − 1 − a, D), the oldest first."""

    inputs: Tensor


class Window(Layer):
    """A window of n inputs around each step.

    Args:
        size: size D of the vectors.
        length: n, including the step's own input.
        ahead: a, the number of inputs after the step's own; those after the end of a call are 0. A window with inputs
            ahead is not causal.

    Raises:
        ConfigError: a length below 1, or `ahead` outside [0, length).
    """

    def __init__(self, size: int, length: int, *, ahead: int = 0) -> None:
        if length < 1:
            raise ConfigError(f"a window holds at least 1 input: got {length}")
        if not 0 <= ahead < length:
            raise ConfigError(f"a window of {length} has at most {length - 1} inputs ahead: got {ahead}")
        super().__init__(size, length * size, causal=ahead == 0)
        self.length, self.ahead = length, ahead

    def forward(self, x: Tensor, state: State = None, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        """(B, T, D) -> (B, T, n·D)."""
        shapes.check("x", x, "BTD", D=self.input_size)
        B, T, D = x.shape
        shapes.check_lengths(lengths, B, T)
        n, a = self.length, self.ahead
        if a and lengths is not None:  # a window ahead must not hold padding
            x = x.masked_fill(~shapes.real(lengths, T).unsqueeze(2), 0)
        back = x.new_zeros(B, n - 1 - a, D) if state is None else state.inputs
        inputs = torch.cat([back, x, x.new_zeros(B, a, D)], dim=1)  # (B, n − 1 + T, D)
        # Windows overlap: a copy may be changed in place.
        y = inputs.flatten(1).unfold(1, n * D, D).contiguous() if T else x.new_empty(B, 0, n * D)
        if lengths is None:
            return y, WindowState(inputs[:, T : T + n - 1 - a])
        last = lengths.unsqueeze(1) + torch.arange(n - 1 - a, device=x.device)  # (B, n − 1 − a)
        after = inputs.gather(1, last.unsqueeze(2).expand(-1, -1, D))
        return y.masked_fill(~shapes.real(lengths, T).unsqueeze(2), 0), WindowState(after)

    def extra_repr(self) -> str:
        """Return the size, length and number of inputs ahead, for repr()."""
        return f"{self.input_size}, length={self.length}, ahead={self.ahead}"
