"""Luong's decoder: attends to all of the encoder's outputs after each step of its layers.

    s_t = layers(x_t, s_{t−1})                      with input feeding: layers([x_t; y_{t−1}], s_{t−1})
    weights_t, context_t = score(s_t)               see layers/scores.py
    y_t = tanh(W [context_t; s_t] + b)

Without input feeding no context is an input of the layers, so one scan computes all steps of the layers, and one
product all attention steps.

Luong, Pham & Manning, "Effective approaches to attention-based neural machine translation", 2015.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from unrolled.layers.memory import AttentionDecoderState, Memory
from unrolled.layers.mlp import Linear
from unrolled.layers.recurrent import Stacked
from unrolled.layers.scores import Score
from unrolled.shapes import real
from unrolled.state import State, hold

__all__ = ["Luong"]


class Luong(nn.Module):
    """A stack of recurrent layers that attends to a memory after each step.

    Args:
        layers: recurrent; with input feeding, the lowest takes [x; y].
        score: between the highest layer's h and the encoder's outputs.
        input_feeding: whether y of the previous step is an input of the lowest layer.
    """

    def __init__(self, layers: Stacked, score: Score, *, input_feeding: bool = False) -> None:
        super().__init__()
        self.layers, self.score, self.input_feeding = layers, score, input_feeding
        self.output_size = layers.output_size
        self.combine = Linear(score.memory_size + self.output_size, self.output_size)

    def initial(self, layers: State, memory: Memory) -> AttentionDecoderState:
        """Return the state before the first step, from the layers' states."""
        B = len(memory.outputs)
        fed = memory.outputs.new_zeros(B, self.output_size) if self.input_feeding else ()
        return AttentionDecoderState.initial(layers, memory, fed)

    def forward(
        self, x: Tensor, memory: Memory, state: AttentionDecoderState, lengths: Tensor | None = None
    ) -> tuple[Tensor, AttentionDecoderState]:
        """Return y (B, T, H) of x (B, T, D), and the state after each sequence's last real step."""
        real_outputs = memory.real
        if not self.input_feeding:
            return self._scan(x, memory, real_outputs, state, lengths)
        B, T, _ = x.shape
        if T == 0:
            return x.new_zeros(B, 0, self.output_size), state
        counts = [None] * T if lengths is None else real(lengths, T).long().unbind(1)
        ys = []
        for x_t, count in zip(torch.split(x, 1, dim=1), counts, strict=True):
            fed = torch.cat([x_t, state.fed.unsqueeze(1)], dim=2)
            y, state = self._scan(fed, memory, real_outputs, state, count)
            ys.append(y)
        return torch.cat(ys, dim=1), state

    def _scan(
        self, x: Tensor, memory: Memory, real_outputs: Tensor, state: AttentionDecoderState, lengths: Tensor | None
    ) -> tuple[Tensor, AttentionDecoderState]:
        """Run all steps of x, which includes the fed y; `real_outputs` is memory.real."""
        s, layers = self.layers(x, state.layers, lengths)
        weights, context = self.score(s, memory, real_outputs)
        y: Tensor = self.combine(torch.cat([context, s], dim=2)).tanh()
        steps = (weights, context, y) if self.input_feeding else (weights, context)
        return y, AttentionDecoderState(layers, *_last(steps, state[1:], lengths))


def _last(steps: tuple[Tensor, ...], before: tuple[Any, ...], lengths: Tensor | None) -> tuple[Any, ...]:
    """Return each of `steps`, (B, T, …), at the last real step of a sequence; without any, the value in `before`."""
    B, T = steps[0].shape[:2]
    if T == 0:
        return before
    rest = before[len(steps) :]
    if lengths is None:
        return (*(value[:, -1] for value in steps), *rest)
    last = (lengths - 1).clamp(min=0)
    values = tuple(value[torch.arange(B, device=value.device), last] for value in steps)
    return (*hold(lengths > 0, values, before[: len(values)]), *rest)
