"""Bahdanau's decoder: attends to all of the encoder's outputs before each step of its lowest layer.

    weights_t, context_t = score(s_{t−1})           see layers/scores.py; s is the lowest layer's h
    s_t = lowest([x_t; context_t], s_{t−1})
    y_t = the layers above(s_t)

The queries are the lowest layer's states, so only that layer takes one step at a time; the layers above it run as one
scan.

Bahdanau, Cho & Bengio, "Neural machine translation by jointly learning to align and translate", 2015.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from unrolled.kernels.attention import can_attend
from unrolled.layers.memory import AttentionDecoderState, Memory
from unrolled.layers.recurrent import Recurrent, Stacked
from unrolled.layers.scores import Additive
from unrolled.scan import attention, choose
from unrolled.shapes import check_lengths, real
from unrolled.state import State, hold

__all__ = ["Bahdanau"]


class Bahdanau(nn.Module):
    """A stack of recurrent layers whose lowest attends to a memory before each step.

    Args:
        layers: recurrent; the lowest takes [x; context].
        score: between the lowest layer's h and the encoder's outputs.
    """

    def __init__(self, layers: Stacked, score: Additive) -> None:
        super().__init__()
        self.layers, self.score, self.output_size = layers, score, layers.output_size

    def initial(self, layers: State, memory: Memory) -> AttentionDecoderState:
        """Return the state before the first step, from the layers' states."""
        return AttentionDecoderState.initial(layers, memory)

    def forward(
        self, x: Tensor, memory: Memory, state: AttentionDecoderState, lengths: Tensor | None = None
    ) -> tuple[Tensor, AttentionDecoderState]:
        """Return y (B, T, H) of x (B, T, D), and the state after each sequence's last real step."""
        B, T, _ = x.shape
        check_lengths(lengths, B, T)
        lowest = self.layers.layers[0]
        assert isinstance(lowest, Recurrent)
        mask = lowest.mask(x)
        if mask is None and self._is_one_node(x, memory, lowest):
            y, own = self._scan(x, memory, state._replace(layers=state.layers[0]), lengths, lowest)
            y, above = self.layers.above(y, state.layers[1:], lengths)
            return y, own._replace(layers=(own.layers, *above))
        real_outputs = memory.real
        is_real = None if lengths is None else real(lengths, T).unbind(1)
        own, ys = state._replace(layers=state.layers[0]), [x.new_empty(B, 0, lowest.output_size)]
        for t, x_t in enumerate(torch.split(x, 1, dim=1) if T else ()):
            weights, context = self.score(lowest.summary(own.layers).unsqueeze(1), memory, real_outputs)
            y, cell_state = lowest.run(torch.cat([x_t, context], dim=2), own.layers, None, mask)
            after = AttentionDecoderState(cell_state, weights.squeeze(1), context.squeeze(1), ())
            if is_real is not None:
                y, after = y.masked_fill(~is_real[t].view(-1, 1, 1), 0), hold(is_real[t], after, own)
            own = after
            ys.append(y)
        y, above = self.layers.above(torch.cat(ys, dim=1), state.layers[1:], lengths)
        return y, own._replace(layers=(own.layers, *above))

    def _is_one_node(self, x: Tensor, memory: Memory, lowest: Recurrent) -> bool:
        """Return True if all steps of the lowest layer run as one autograd node: with gradients, and kernels for it."""
        return (
            x.shape[1] > 1
            and torch.is_grad_enabled()
            and type(self.score) is Additive
            and can_attend(x, memory.keys, memory.outputs, *self.score.parameters())
            and lowest.backend in ("auto", "fused")
            and choose(lowest.backend, lowest.cell, zoned=bool(lowest.zoneout)) == "fused"
            and getattr(lowest.cell, "nonlinearity", "tanh") == "tanh"  # bounded, since padded steps are computed too
        )

    def _scan(
        self, x: Tensor, memory: Memory, own: AttentionDecoderState, lengths: Tensor | None, lowest: Recurrent
    ) -> tuple[Tensor, AttentionDecoderState]:
        """Run all steps of the lowest layer -> y, and the state after each sequence's last real step."""
        y, state, weights, context = attention.scan(
            lowest.cell, x, own.layers, lengths, self.score.query.weight, self.score.v, memory.keys, memory.outputs,
            memory.lengths,
        )  # fmt: skip
        after = AttentionDecoderState(state, weights, context, ())
        return y, after if lengths is None else hold(lengths > 0, after, own)
