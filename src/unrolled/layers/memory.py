"""What passes from an encoder to a decoder, and what a decoder that looks at it carries."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor

from unrolled.shapes import real
from unrolled.state import State

__all__ = ["AttentionDecoderState", "Memory"]


class Memory(NamedTuple):
    """What an encoder has left of a source; () for what a model does not use.

    outputs: (B, S, D), 0 at padding. keys: (B, S, A), what attention compares with. lengths: (B,), the real steps.
    summary: what the final states say, batch first.
    """

    outputs: Any
    keys: Any
    lengths: Tensor
    summary: Any

    @property
    def real(self) -> Tensor:
        """The mask of real steps, (B, S)."""
        return real(self.lengths, self.outputs.shape[1])


class AttentionDecoderState(NamedTuple):
    """What a decoder with attention carries.

    layers: the recurrent layers' states. weights (B, S) and context (B, D): of the last step. fed: y of the last step,
    (B, H), where it is fed in again, else ().
    """

    layers: Any
    weights: Tensor
    context: Tensor
    fed: Any

    @classmethod
    def initial(cls, layers: State, memory: Memory, fed: Any = ()) -> AttentionDecoderState:
        """Return what is carried into the first step: nothing has been looked at."""
        B, S, D = memory.outputs.shape
        return cls(layers, memory.outputs.new_zeros(B, S), memory.outputs.new_zeros(B, D), fed)
