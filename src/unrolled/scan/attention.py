"""The scan of a decoder that attends before each step, by our kernels (csrc/kernels/attention.cc).

    q_t = W_q h_{t−1};   weights_t = softmax_s v · tanh(q_t + key_s);   context_t = Σ_s weights_ts o_s
    h_t = cell([x_t; context_t], h_{t−1})

The scan is one node of autograd. Back in time goes what depends on a step's neighbours: dh, and what the attention steps
pass to keys and outputs. The gradients of the weights are one product each over all steps, after that: the scan's own, once the
gradient that comes to every h_t from outside and through its attention step is known.

A row has the same bits in any batch and behind any padding.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from unrolled.cells import Cell, LSTMCell
from unrolled.kernels.attention import refuse_second_derivative
from unrolled.kernels.linear import product
from unrolled.kernels.native import dense, index, kernels, threads
from unrolled.scan.fused import weights_of
from unrolled.state import State

__all__ = ["scan"]


def scan(
    cell: Cell[Any, Any],
    x: Tensor,
    state: State,
    lengths: Tensor | None,
    query: Tensor,
    v: Tensor,
    keys: Tensor,
    outputs: Tensor,
    source_lengths: Tensor,
) -> tuple[Tensor, State, Tensor, Tensor]:
    """Run a decoder over T ≥ 1 steps -> y (B, T, H), and state, weights and context after each row's last real step.

    Of a row without a step, weights and context are those of its first, which nobody asked for.

    Args:
        cell: one of the plain ones, in float32. x: (B, T, E). state: it begins with. lengths: (B,) or None.
        query: W_q, (A, H). v, keys, outputs, source_lengths: see `kernels.attention.attend`.
    """
    weights = weights_of(cell)
    y, h, c, looked, context = _Scan.apply(  # type: ignore[no-untyped-call]
        weights.recurrence, lengths, dense(source_lengths), x, *map(dense, (query, v, keys, outputs)),
        *map(dense, weights[1:]), dense(state.h), dense(state.c) if isinstance(cell, LSTMCell) else None,
    )  # fmt: skip
    return y, cell.State(h) if c is None else cell.State(h, c), looked, context


class _Scan(torch.autograd.Function):
    """A decoder's scan as autograd sees it."""

    @staticmethod
    def forward(
        ctx: Any, recurrence: int, lengths: Tensor | None, source_lengths: Tensor, x: Tensor, query: Tensor, v: Tensor,
        keys: Tensor, outputs: Tensor, weight_x: Tensor, weight_h: Tensor, bias: Tensor, bias_n: Tensor | None,
        h0: Tensor, c0: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor | None, Tensor, Tensor]:  # fmt: skip
        assert kernels is not None
        (B, T, E), (_, S, A), H, D = x.shape, keys.shape, h0.shape[1], outputs.shape[2]
        numbers = (4 if recurrence == kernels.GRU else 5 if c0 is not None else 0) * H
        saved = x.new_empty(T, B, numbers) if numbers else None
        xs, y = x.new_empty(B, T, E + D), x.new_empty(B, T, H)
        xs[:, :, :E] = x
        asked, looked, contexts = x.new_empty(T, B, A), x.new_empty(T, B, S), x.new_empty(T, B, D)
        h = x.new_empty(T + 1, B, H)  # before the first step, and after each
        h[0] = h0
        c = None if c0 is None else x.new_empty(T + 1, B, H)
        if c is not None and c0 is not None:
            c[0] = c0
        number, many = index(x.dtype), threads()
        for t in range(T):
            asked[t] = product(h[t], query, None)
            kernels.attention(number, many, asked[t], keys, v, outputs, source_lengths, looked[t], contexts[t])
            xs[:, t, E:] = contexts[t]
            kernels.forward(
                recurrence, number, many, False, xs[:, t : t + 1], None, weight_x, weight_h, bias, bias_n, None, h[t],
                None if c is None else c[t], y[:, t : t + 1], h[t + 1], None if c is None else c[t + 1],
                None if saved is None else saved[t : t + 1],
            )  # fmt: skip
        ctx.numbers = (recurrence, number, many)
        ctx.real = None if lengths is None else torch.arange(T) < lengths.unsqueeze(1)  # (B, T)
        ctx.last = torch.full((B,), T) if lengths is None else lengths.long()  # (B,): after so many steps
        if ctx.real is not None:
            y.masked_fill_(~ctx.real.unsqueeze(2), 0)
        ctx.save_for_backward(
            xs, y, saved, h, c, asked, looked, query, v, keys, outputs, source_lengths, weight_x, weight_h, bias, bias_n
        )
        ctx.set_materialize_grads(False)
        rows, step = torch.arange(B), (ctx.last - 1).clamp(min=0)
        final_c = None if c is None else c[ctx.last, rows]
        return y, h[ctx.last, rows], final_c, looked[step, rows], contexts[step, rows]

    @staticmethod
    def backward(
        ctx: Any, dy: Tensor | None, dh: Tensor | None, dc: Tensor | None, dlooked: Tensor | None,
        dcontext: Tensor | None,
    ) -> tuple[Tensor | None, ...]:  # fmt: skip
        refuse_second_derivative()
        assert kernels is not None
        (
            xs, y, saved, h, c, asked, looked, query, v, keys, outputs, source_lengths, weight_x, weight_h, bias, bias_n
        ) = ctx.saved_tensors  # fmt: skip
        recurrence, number, many = ctx.numbers
        (B, T, _), D, rows = xs.shape, outputs.shape[2], torch.arange(xs.shape[0])
        E = xs.shape[2] - D
        # What comes from outside to h after each of 0 … T steps; the looks add what they pass on to it.
        to_h = y.new_zeros(B, T + 1, y.shape[2])
        if dy is not None:
            to_h[:, 1:] = dy if ctx.real is None else dy.masked_fill(~ctx.real.unsqueeze(2), 0)
        if dh is not None:
            to_h[rows, ctx.last] += dh
        to_c, to_looked, to_context = (_at(place, d, T) for place, d in (
            (ctx.last, dc), (ctx.last - 1, dlooked), (ctx.last - 1, dcontext),
        ))  # fmt: skip
        dxs, dasked = torch.empty_like(xs), torch.empty_like(asked)
        dkeys, dv, doutputs = torch.zeros_like(keys), torch.zeros_like(v), torch.zeros_like(outputs)
        back_h, back_c = (None, None if c is None else h.new_zeros(h[0].shape))  # what step t + 1 passes back
        weights = (weight_x, weight_h, bias, bias_n)
        shares = [None if w is None else torch.empty_like(w) for w in weights]
        alone = dc is not None and ctx.real is not None  # c has gradients in the midst of the scan: step by step
        sums = [None if w is None else torch.zeros_like(w) for w in weights]
        for t in reversed(range(T)):
            if back_c is not None and to_c is not None:
                back_c = back_c + to_c[t + 1]
            before_h, before_c = torch.empty_like(h[t]), None if c is None else torch.empty_like(c[t])
            kernels.backward(
                recurrence, number, many, False, xs[:, t : t + 1], None, weight_x, weight_h, bias, bias_n, None, h[t],
                None if c is None else c[t], y[:, t : t + 1] if ctx.real is None else h[t + 1].unsqueeze(1),
                None if saved is None else saved[t : t + 1], to_h[:, t + 1 : t + 2], back_h, back_c,
                dxs[:, t : t + 1], *(shares if alone else (None,) * 4), before_h, before_c,
            )  # fmt: skip
            if alone:
                for total, share in zip(sums, shares, strict=True):
                    if total is not None and share is not None:
                        total += share
            to = dxs[:, t, E:].contiguous() if to_context is None else dxs[:, t, E:] + to_context[t]
            kernels.attention_backward(
                number, many, asked[t], keys, v, outputs, source_lengths, looked[t],
                None if to_looked is None else to_looked[t], to, dasked[t], dkeys, dv, doutputs, True,
            )  # fmt: skip
            to_query = torch.empty_like(h[t])
            kernels.linear_backward(number, many, h[t], query, dasked[t], to_query, None, None)
            to_h[:, t] += to_query
            back_h, back_c = before_h, before_c
        dquery = torch.empty_like(query)
        kernels.linear_backward(number, many, h[:T].flatten(0, 1), query, dasked.flatten(0, 1), None, dquery, None)
        if not alone:
            kernels.backward(
                recurrence, number, many, False, xs, None, weight_x, weight_h, bias, bias_n, None, h[0],
                None if c is None else c[0], y if ctx.real is None else dense(h[1:].transpose(0, 1)), saved,
                dense(to_h[:, 1:]), None, dense(dc), None, *shares, torch.empty_like(h[0]),
                None if c is None else torch.empty_like(c[0]),
            )  # fmt: skip
            sums = shares
        assert back_h is not None
        dh0, dc0 = back_h + to_h[:, 0], back_c
        if dc0 is not None and to_c is not None:
            dc0 = dc0 + to_c[0]
        return None, None, None, dxs[:, :, :E], dquery, dv, dkeys, doutputs, *sums, dh0, dc0


def _at(place: Tensor, gradient: Tensor | None, T: int) -> Tensor | None:
    """A gradient (B, n) at each row's own one of T + 1 places, (T + 1, B, n), else 0; a place below 0 is none."""
    if gradient is None:
        return None
    every = gradient.new_zeros(T + 1, *gradient.shape)
    every[place.clamp(min=0), torch.arange(len(place))] = gradient.masked_fill((place < 0).unsqueeze(1), 0)
    return every
