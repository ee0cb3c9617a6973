"""The memory that an encoder passes to a decoder, and the state of a decoder with attention."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor

from unrolled.shapes import real
from unrolled.state import State

__all__ = ["AttentionDecoderState", "Memory"]


class Memory(NamedTuple):
    """The result of an encoder for a source; () for a field that a model does not use.

    Args:
        outputs: (B, S, D), 0 at padding.
        keys: (B, S, A), compared with a query.
        lengths: (B,), numbers of real steps.
        summary: summary of each layer's final state, batch first.
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
    """The state of a decoder with attention.

    Args:
        layers: the states of the recurrent layers.
        weights: attention weights of the last step, (B, S).
        context: context of the last step, (B, D).
        fed: with input feeding y of the last step, (B, H), else ().
    """

    layers: Any
    weights: Tensor
    context: Tensor
    fed: Any

    @classmethod
    def initial(cls, layers: State, memory: Memory, fed: Any = ()) -> AttentionDecoderState:
        """Return the state before the first step: weights and context are 0."""
        B, S, D = memory.outputs.shape
        return cls(layers, memory.outputs.new_zeros(B, S), memory.outputs.new_zeros(B, D), fed)
