"""The contract of a layer: it maps x over time to y over time, with an explicit state.

    y, state = layer(x, state, lengths)        x (B, T, D) -> y (B, T, output_size)

`lengths` (B,) are the numbers of real steps in this call. Padding is on the right; y is 0 there and the state does not
change. In a layer with `causal`, y up to step t depends only on x up to t, and the laws *split* and *causal* apply.
"""

from __future__ import annotations

from torch import Tensor, nn

from unrolled.state import State

__all__ = ["Layer"]


class Layer(nn.Module):
    """Base of every layer.

    Args:
        input_size: size D of x.
        output_size: size D of y.
        causal: whether y up to t depends only on x up to t.
    """

    def __init__(self, input_size: int, output_size: int, *, causal: bool) -> None:
        super().__init__()
        self.input_size, self.output_size, self.causal = input_size, output_size, causal

    def forward(self, x: Tensor, state: State = None, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        """(B, T, input_size) -> (B, T, output_size) and the state after each sequence's last real step."""
        raise NotImplementedError(f"{type(self).__name__} must define forward(x, state, lengths)")

    def summary(self, state: State) -> Tensor:
        """Return the summary of all steps so far in the state, (B, output_size): the output of `read=last`."""
        raise NotImplementedError(f"{type(self).__name__} has no summary of its inputs in its state")
