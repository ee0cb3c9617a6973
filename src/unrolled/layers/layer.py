"""What a layer is: x over time in, y over time out, and a state that is a value.

    y, state = layer(x, state, lengths)        x (B, T, D) -> y (B, T, output_size)

`lengths` (B,) counts the real steps of this call; padding stands right, y is 0 there and the state keeps its value.
`layer.causal` says that y up to step t never depends on what comes after t: the laws *split* and *causal* bind it then.
"""

from __future__ import annotations

from torch import Tensor, nn

from unrolled.state import State

__all__ = ["Layer"]


class Layer(nn.Module):
    """Base of every layer.

    Args:
        input_size: D of x. output_size: D of y.
        causal: whether y up to t depends only on x up to t.
    """

    def __init__(self, input_size: int, output_size: int, *, causal: bool) -> None:
        super().__init__()
        self.input_size, self.output_size, self.causal = input_size, output_size, causal

    def forward(self, x: Tensor, state: State = None, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        """(B, T, input_size) -> (B, T, output_size) and the state after each row's last real step."""
        raise NotImplementedError(f"{type(self).__name__} must define forward(x, state, lengths)")

    def summary(self, state: State) -> Tensor:
        """Return what the state says of everything so far, (B, output_size): what `read=last` reads."""
        raise NotImplementedError(f"{type(self).__name__} keeps no summary of what it has read")
