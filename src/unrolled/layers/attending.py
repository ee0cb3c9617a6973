"""Decoders that look at all of the encoder's outputs at each step: two orders of looking and moving.

    Bahdanau looks, then moves:                          Luong moves, then looks:
    weights_t, context_t = look(s_{t−1})                 s_t = layers(x_t, s_{t−1})
    s_t = layers([x_t; context_t], s_{t−1})              weights_t, context_t = look(s_t)
    y_t = s_t                                            y_t = tanh(W [context_t; s_t] + b)

With input feeding, Luong's layers see [x_t; y_{t−1}]. Without it nothing that was looked at returns, and so all steps
go through the layers in one scan, and through the attention in one product.

Bahdanau, Cho & Bengio, "Neural machine translation by jointly learning to align and translate", 2015; Luong, Pham &
Manning, "Effective approaches to attention-based neural machine translation", 2015.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from unrolled.layers.mlp import Linear
from unrolled.layers.recurrent import Stacked
from unrolled.layers.scores import Score, look
from unrolled.shapes import real
from unrolled.state import State, hold

__all__ = ["AttentionCarry", "Bahdanau", "Luong", "Memory"]


class Memory(NamedTuple):
    """What an encoder has left of a source; () for what a model has no use for.

    outputs: (B, S, D), 0 at padding. keys: (B, S, A), what attention compares with. lengths: (B,), the real steps.
    summary: what the final states say, batch first.
    """

    outputs: Any
    keys: Any
    lengths: Tensor
    summary: Any


class AttentionCarry(NamedTuple):
    """What a decoder with attention carries.

    layers: the recurrent layers' states. weights (B, S) and context (B, D): of the last step. fed: y of the last step,
    (B, H), where it is fed in again, else ().
    """

    layers: Any
    weights: Tensor
    context: Tensor
    fed: Any


class Bahdanau(nn.Module):
    """Looks at the source with the state before the step; what it sees joins the step's input.

    Args:
        layers: of recurrent layers; the lowest takes [x; context].
        score: of its lowest layer's size.
    """

    def __init__(self, layers: Stacked, score: Score) -> None:
        super().__init__()
        self.layers, self.score, self.output_size = layers, score, layers.output_size

    def begin(self, layers: State, memory: Memory) -> AttentionCarry:
        """Return what it carries into the first step, from its layers' states."""
        return AttentionCarry(layers, *_unseen(memory), ())

    def forward(
        self, x: Tensor, memory: Memory, carry: AttentionCarry, lengths: Tensor | None = None
    ) -> tuple[Tensor, AttentionCarry]:
        """(B, T, D) -> (B, T, H) and what it carries after each row's last real step."""
        T = x.shape[1]
        here = real(memory.lengths, memory.outputs.shape[1])
        steps = [None] * T if lengths is None else real(lengths, T).long().unbind(1)
        ys = []
        for x_t, step in zip(x.split(1, dim=1) if T else (), steps, strict=True):
            query = carry.layers[0].h.unsqueeze(1)
            weights, context = look(self.score, query, memory.keys, memory.outputs, here)
            y, layers = self.layers(torch.cat([x_t, context], dim=2), carry.layers, step)
            ys.append(y)
            after = AttentionCarry(layers, weights.squeeze(1), context.squeeze(1), ())
            carry = after if step is None else hold(step > 0, after, carry)
        return torch.cat(ys, dim=1) if T else x.new_zeros(x.shape[0], 0, self.output_size), carry


class Luong(nn.Module):
    """Looks at the source with the state after the step; what it sees joins the step's output.

    Args:
        layers: of recurrent layers; with input feeding, the lowest takes [x; y].
        score: of its highest layer's size.
        input_feeding: whether a step sees the y of the one before.
    """

    def __init__(self, layers: Stacked, score: Score, *, input_feeding: bool = False) -> None:
        super().__init__()
        self.layers, self.score, self.input_feeding = layers, score, input_feeding
        self.output_size = layers.output_size
        self.combine = Linear(score.memory_size + self.output_size, self.output_size)

    def begin(self, layers: State, memory: Memory) -> AttentionCarry:
        """Return what it carries into the first step, from its layers' states."""
        weights, context = _unseen(memory)
        fed = context.new_zeros(context.shape[0], self.output_size) if self.input_feeding else ()
        return AttentionCarry(layers, weights, context, fed)

    def forward(
        self, x: Tensor, memory: Memory, carry: AttentionCarry, lengths: Tensor | None = None
    ) -> tuple[Tensor, AttentionCarry]:
        """(B, T, D) -> (B, T, H) and what it carries after each row's last real step."""
        if not self.input_feeding:
            return self._all(x, memory, carry, lengths)
        T = x.shape[1]
        steps = [None] * T if lengths is None else real(lengths, T).long().unbind(1)
        ys = []
        for x_t, step in zip(x.split(1, dim=1) if T else (), steps, strict=True):
            y, carry = self._all(torch.cat([x_t, carry.fed.unsqueeze(1)], dim=2), memory, carry, step)
            ys.append(y)
        return torch.cat(ys, dim=1) if T else x.new_zeros(x.shape[0], 0, self.output_size), carry

    def _all(
        self, x: Tensor, memory: Memory, carry: AttentionCarry, lengths: Tensor | None
    ) -> tuple[Tensor, AttentionCarry]:
        """Every step of x at once."""
        s, layers = self.layers(x, carry.layers, lengths)
        keys = memory.keys if isinstance(memory.keys, Tensor) else memory.outputs
        weights, context = look(self.score, s, keys, memory.outputs, real(memory.lengths, memory.outputs.shape[1]))
        y = self.combine(torch.cat([context, s], dim=2)).tanh()
        found = (weights, context, y) if self.input_feeding else (weights, context)
        return y, AttentionCarry(layers, *_last(found, carry[1:], lengths))


def _last(steps: tuple[Tensor, ...], before: tuple[Any, ...], lengths: Tensor | None) -> tuple[Any, ...]:
    """Of each tensor (B, T, …) what stands at the last real step (B, …), or, of rows without any, what was before."""
    T = steps[0].shape[1]
    if T == 0:
        return before
    if lengths is None:
        after = [value[:, -1] for value in steps]
    else:
        after = [value[torch.arange(len(value)), (lengths - 1).clamp(min=0)] for value in steps]
        after = [hold(lengths > 0, new, old) for new, old in zip(after, before[: len(after)], strict=True)]
    return (*after, *before[len(after) :])


def _unseen(memory: Memory) -> tuple[Tensor, Tensor]:
    """Weights and context before anything has been looked at: 0."""
    B, S, D = memory.outputs.shape
    return memory.outputs.new_zeros(B, S), memory.outputs.new_zeros(B, D)
