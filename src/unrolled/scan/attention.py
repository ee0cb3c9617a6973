"""The scan of a decoder that attends before each step, by our kernels (csrc/kernels/attention.cc).

    q_t = W_q h_{t−1};   weights_t = softmax_s v · tanh(q_t + key_s);   context_t = Σ_s weights_ts o_s
    h_t = cell([x_t; context_t], h_{t−1})

The scan is one autograd node. From the last step to the first, its backward pass computes the gradients that depend on
those of the next step: those of the states, and the summands of each attention step in those of keys, v and outputs.
Then the gradients of the weights are one product each over all steps; those of the cell are computed by one backward
scan, from the gradients of every h_t from outside and through its attention step.

A sequence has the same bits in any batch and with any padding.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from unrolled.cells import Cell, LSTMCell
from unrolled.eager import eager
from unrolled.kernels import attention
from unrolled.kernels.differentiate import gradients_of
from unrolled.kernels.linear import product
from unrolled.kernels.native import Recurrence, dense, index, kernels, threads
from unrolled.kernels.scan import CellWeights, Inputs, Kernel
from unrolled.scan import reference
from unrolled.scan.fused import cell_of, weights_of
from unrolled.shapes import real
from unrolled.state import State, hold

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
    """Run a decoder over T ≥ 1 steps -> y (B, T, H), and state, weights and context after each sequence's last real
    step.

    The weights and context of a sequence of length 0 are those of its first step; they must not be used.

    Args:
        cell: a plain cell, in float32.
        x: (B, T, E).
        state: state before the first step.
        lengths: (B,) or None.
        query: W_q, (A, H).
        v, keys, outputs, source_lengths: see `kernels.attention.attend`.
    """
    recurrence, *weights = weights_of(cell)
    kernel = Kernel(recurrence, index(x.dtype), threads(), reverse=False)
    memory = Attention(query, keys, v, outputs, source_lengths)
    states = (state.h, state.c if isinstance(cell, LSTMCell) else None)
    y, h, c, last_weights, context = _Scan.apply(  # type: ignore[no-untyped-call]
        *kernel, *map(dense, weights), *map(dense, memory), x, lengths, *map(dense, states)
    )
    return y, cell.State(h) if c is None else cell.State(h, c), last_weights, context


class Weights(NamedTuple):
    """The cell's weights: see `CellWeights`."""

    weight_x: Tensor
    weight_h: Tensor
    bias: Tensor | None
    bias_n: Tensor | None


class Attention(NamedTuple):
    """The tensors of attention: W_q (A, H), and keys, v, outputs and lengths of `kernels.attention.attend`."""

    query_weight: Tensor
    keys: Tensor
    v: Tensor
    outputs: Tensor
    lengths: Tensor


class Steps(NamedTuple):
    """The values of all steps.

    Args:
        x: [x_t; context_t], (B, T, E + D).
        gates: (T, B, ·), of the LSTM and the GRU.
        h, c: states before the first step and after each, (T + 1, B, H), c of the LSTM alone.
        query: q_t, (T, B, A).
        weights: (T, B, S).
    """

    x: Tensor
    gates: Tensor | None
    h: Tensor
    c: Tensor | None
    query: Tensor
    weights: Tensor


class Call(NamedTuple):
    """One call: its weights, the values of its steps, and the sequences' lengths (B,) or None."""

    kernel: Kernel
    weights: Weights
    attention: Attention
    steps: Steps
    lengths: Tensor | None

    @property
    def real(self) -> Tensor | None:
        """The mask of real steps, (B, T), or None if all are real."""
        return None if self.lengths is None else real(self.lengths, len(self.steps.query))

    @property
    def counts(self) -> Tensor:
        """The number of real steps of each sequence, (B,)."""
        B, T, _ = self.steps.x.shape
        return torch.full((B,), T) if self.lengths is None else self.lengths.long()

    def inputs(self, first: int, end: int) -> Inputs:
        """Return the recurrence's inputs from step `first` up to step `end`."""
        x, h, c = self.steps.x[:, first:end], self.steps.h[first], _at(self.steps.c, first)
        return Inputs(x, None, *self.weights, None, h, c)

    def results(self, first: int, end: int) -> tuple[Tensor, Tensor | None]:
        """Return the recurrence's y and gates from step `first` up to step `end`."""
        gates = self.steps.gates
        return self.steps.h[first + 1 : end + 1].transpose(0, 1), None if gates is None else gates[first:end]


class Arriving(NamedTuple):
    """The gradients of the steps' results from outside of the recurrence; None is zero.

    Args:
        h: gradient of h after 0 … T steps, (B, T + 1, H).
        c: gradient of c after 0 … T steps, (T + 1, B, H).
        weights, context: gradients of those of steps 0 … T − 1, (T + 1, B, ·), the last unused.
    """

    h: Tensor
    c: Tensor | None
    weights: Tensor | None
    context: Tensor | None


class Gradients(NamedTuple):
    """The gradients that are computed step by step: of `Steps.x` and `Steps.query`, and sums over the steps."""

    x: Tensor
    query: Tensor
    keys: Tensor
    v: Tensor
    outputs: Tensor


class StateGradients(NamedTuple):
    """The gradients of a state, (B, H); None is zero."""

    h: Tensor | None
    c: Tensor | None


WeightGradients = list[Tensor | None]  # in the order of Weights


class _Scan(torch.autograd.Function):
    """The autograd node of the scan: Kernel, Weights, Attention, x, lengths, h0, c0 -> y, h, c, weights, context."""

    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> tuple[Tensor, Tensor, Tensor | None, Tensor, Tensor]:
        kernel, weights, memory = Kernel(*arguments[:4]), Weights(*arguments[4:8]), Attention(*arguments[8:13])
        x, lengths, h0, c0 = arguments[13:]
        call = Call(kernel, weights, memory, _allocate(kernel, memory, x, h0, c0), lengths)
        y = _run(call)
        ctx.kernel = kernel
        ctx.save_for_backward(*arguments[4:], *call.steps)
        ctx.set_materialize_grads(False)
        sequences, counts, steps = torch.arange(len(y)), call.counts, call.steps
        last = (counts - 1).clamp(min=0)
        c = None if steps.c is None else steps.c[counts, sequences]
        context = steps.x[sequences, last, x.shape[2] :]
        return y, steps.h[counts, sequences], c, steps.weights[last, sequences], context

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        saved = ctx.saved_tensors
        inputs, steps = saved[:13], Steps(*saved[13:])
        if torch.is_grad_enabled() or not eager(*gradients):
            needed = ctx.needs_input_grad[4:]
            return (None,) * 4 + gradients_of(partial(_definition, ctx.kernel), inputs, needed, gradients)
        call = Call(ctx.kernel, Weights(*inputs[:4]), Attention(*inputs[4:9]), steps, inputs[10])
        arriving, final_dc = _arriving(call, *gradients), gradients[2]
        # A backward scan takes a gradient of c after step T only. With sequences that end earlier, the gradients of the
        # weights are therefore summed step by step.
        by_step = final_dc is not None and call.lengths is not None
        dweights = [torch.zeros_like(w) if by_step and w is not None else None for w in call.weights]
        result, states = _back_in_time(call, arriving, dweights)
        if not by_step:
            dweights = _weight_gradients(call, arriving.h, final_dc)
        dx = result.x[:, :, : result.x.shape[2] - call.attention.outputs.shape[2]]
        return (
            *(None,) * 4, *dweights, _query_gradient(call, result.query), result.keys, result.v,
            result.outputs, None, dx, None, *states,
        )  # fmt: skip


def _definition(kernel: Kernel, *inputs: Any) -> tuple[Tensor, Tensor, Tensor | None, Tensor, Tensor]:
    """Return what `_Scan` returns, from its inputs after the kernel, computed by torch's operations."""
    (query, keys, v, outputs, source_lengths), (x, lengths, h0, c0) = Attention(*inputs[4:9]), inputs[9:]
    cell = cell_of(CellWeights(kernel.recurrence, *inputs[:4]))
    state, last = cell.State(h0) if c0 is None else cell.State(h0, c0), None
    ys: list[Tensor] = []
    for t, x_t in enumerate(torch.split(x, 1, dim=1)):
        weights, context = attention.definition(state.h @ query.T, keys, v, outputs, source_lengths)
        x_t = torch.cat([x_t, context.unsqueeze(1)], dim=2)
        y, after = reference.scan(cell, x_t, state, None, reverse=False, mask=None, edit=None)
        before = (state, weights, context) if last is None else last
        last = (after, weights, context)
        if lengths is not None:
            y, last = y.masked_fill((lengths <= t).view(-1, 1, 1), 0), hold(lengths > t, last, before)
        state, ys = last[0], [*ys, y]
    assert last is not None  # T ≥ 1
    return torch.cat(ys, dim=1), state.h, None if c0 is None else state.c, *last[1:]


def _allocate(kernel: Kernel, attention: Attention, x: Tensor, h0: Tensor, c0: Tensor | None) -> Steps:
    """Allocate the values of all steps, and write x and the state before the first step."""
    assert kernels is not None
    (B, T, E), (_, S, A), H, D = x.shape, attention.keys.shape, h0.shape[1], attention.outputs.shape[2]
    numbers = (4 if kernel.recurrence == Recurrence.GRU else 5 if c0 is not None else 0) * H
    steps = Steps(
        x=x.new_empty(B, T, E + D),
        gates=x.new_empty(T, B, numbers) if numbers else None,
        h=x.new_empty(T + 1, B, H),
        c=None if c0 is None else x.new_empty(T + 1, B, H),
        query=x.new_empty(T, B, A),
        weights=x.new_empty(T, B, S),
    )
    steps.x[:, :, :E] = x
    steps.h[0] = h0
    if steps.c is not None and c0 is not None:
        steps.c[0] = c0
    return steps


def _run(call: Call) -> Tensor:
    """Run all steps, write their values to `call.steps` and return y (B, T, H), 0 at padding."""
    assert kernels is not None
    kernel, (query_weight, *memory), steps = call.kernel, call.attention, call.steps
    (T, B, _), D = steps.query.shape, call.attention.outputs.shape[2]
    y, context = steps.x.new_empty(B, T, steps.h.shape[2]), steps.x.new_empty(B, D)
    for t in range(T):
        steps.query[t] = product(steps.h[t], query_weight, None)
        kernels.attention(kernel.isa, kernel.threads, steps.query[t], *memory, steps.weights[t], context)
        steps.x[:, t, -D:] = context
        _, gates = call.results(t, t + 1)
        states = steps.h[t + 1], _at(steps.c, t + 1)
        kernels.forward(*kernel, *call.inputs(t, t + 1), y[:, t : t + 1], *states, gates)
    return y if call.real is None else y.masked_fill_(~call.real.unsqueeze(2), 0)


def _arriving(
    call: Call,
    dy: Tensor | None,
    dh: Tensor | None,
    dc: Tensor | None,
    dweights: Tensor | None,
    dcontext: Tensor | None,
) -> Arriving:
    """Return the gradients of the call's outputs by step, h without those through the attention steps."""
    (B, T, _), H, counts = call.steps.x.shape, call.steps.h.shape[2], call.counts
    to_h = call.steps.h.new_zeros(B, T + 1, H)
    if dy is not None:
        to_h[:, 1:] = dy if call.real is None else dy.masked_fill(~call.real.unsqueeze(2), 0)
    if dh is not None:
        to_h[torch.arange(B), counts] += dh
    to_c = _spread(counts, dc, T)
    return Arriving(to_h, to_c, *(_spread(counts - 1, gradient, T) for gradient in (dweights, dcontext)))


def _spread(steps: Tensor, gradient: Tensor | None, T: int) -> Tensor | None:
    """Return a gradient (B, n) as (T + 1, B, n): at the step of each sequence, 0 elsewhere; none if the step is −1."""
    if gradient is None:
        return None
    every = gradient.new_zeros(T + 1, *gradient.shape)
    every[steps.clamp(min=0), torch.arange(len(steps))] = gradient.masked_fill((steps < 0).unsqueeze(1), 0)
    return every


def _back_in_time(
    call: Call, arriving: Arriving, dweights: WeightGradients
) -> tuple[Gradients, tuple[Tensor, Tensor | None]]:
    """Run the backward pass from the last step to the first -> the gradients of the steps, and of h0 and c0.

    The gradients through the attention steps are added to `arriving.h`, those of the cell's weights to `dweights`
    (unless None).
    """
    steps, (_, keys, v, outputs, _) = call.steps, call.attention
    gradients = Gradients(
        torch.empty_like(steps.x), torch.empty_like(steps.query), *map(torch.zeros_like, (keys, v, outputs))
    )
    states = StateGradients(None, None if steps.c is None else torch.zeros_like(steps.c[0]))
    for t in reversed(range(len(steps.query))):
        states = _cell_backward(call, t, arriving, states, gradients.x, dweights)
        _attention_backward(call, t, arriving, gradients)
    assert states.h is not None
    dh0, dc0 = states.h + arriving.h[:, 0], states.c
    return gradients, (dh0, dc0 if dc0 is None or arriving.c is None else dc0 + arriving.c[0])


def _cell_backward(
    call: Call, t: int, arriving: Arriving, after: StateGradients, dx: Tensor, dweights: WeightGradients
) -> StateGradients:
    """Write step t of dx, add to dweights (unless None), and return the gradients of the state before step t."""
    assert kernels is not None
    h, c = call.steps.h[t], _at(call.steps.c, t)
    before = StateGradients(torch.empty_like(h), None if c is None else torch.empty_like(c))
    dc = after.c if after.c is None or arriving.c is None else after.c + arriving.c[t + 1]
    summands = [None if total is None else torch.empty_like(total) for total in dweights]
    kernels.backward(
        *call.kernel, *call.inputs(t, t + 1), *call.results(t, t + 1), arriving.h[:, t + 1 : t + 2], after.h, dc,
        dx[:, t : t + 1], *summands, *before,
    )  # fmt: skip
    for total, summand in zip(dweights, summands, strict=True):
        if total is not None and summand is not None:
            total += summand
    return before


def _attention_backward(call: Call, t: int, arriving: Arriving, gradients: Gradients) -> None:
    """Write the query's gradient of step t, add to those of keys, v, outputs and, through the query, of h_{t−1}."""
    assert kernels is not None
    steps, kernel, (query_weight, *memory) = call.steps, call.kernel, call.attention
    dcontext = gradients.x[:, t, -call.attention.outputs.shape[2] :]
    dcontext = dcontext.contiguous() if arriving.context is None else dcontext + arriving.context[t]
    kernels.attention_backward(
        kernel.isa, kernel.threads, steps.query[t], *memory, steps.weights[t], _at(arriving.weights, t), dcontext,
        gradients.query[t], gradients.keys, gradients.v, gradients.outputs, add=True,
    )  # fmt: skip
    dh = torch.empty_like(steps.h[t])
    kernels.linear_backward(kernel.isa, kernel.threads, steps.h[t], query_weight, gradients.query[t], dh, None, None)
    arriving.h[:, t] += dh


def _query_gradient(call: Call, dqueries: Tensor) -> Tensor:
    """Return the gradient of W_q: one product over all steps."""
    assert kernels is not None
    kernel, weight, h = call.kernel, call.attention.query_weight, call.steps.h[:-1].flatten(0, 1)
    dweight = torch.empty_like(weight)
    kernels.linear_backward(kernel.isa, kernel.threads, h, weight, dqueries.flatten(0, 1), None, dweight, None)
    return dweight


def _weight_gradients(call: Call, dh: Tensor, dc: Tensor | None) -> WeightGradients:
    """Return the gradients of the cell's weights: one backward scan over all steps.

    Args:
        dh: gradients of h after 0 … T steps, all those from outside of the recurrence.
        dc: gradient of c after T steps.
    """
    assert kernels is not None
    inputs = call.inputs(0, len(call.steps.query))
    y, gates = call.results(0, len(call.steps.query))
    dweights = [None if w is None else torch.empty_like(w) for w in call.weights]
    unused = [None if state is None else torch.empty_like(state) for state in (inputs.h0, inputs.c0)]
    kernels.backward(*call.kernel, *inputs, y, gates, dense(dh[:, 1:]), None, dense(dc), None, *dweights, *unused)
    return dweights


def _at(steps: Tensor | None, t: int) -> Tensor | None:
    """Return step t of a tensor that may be None."""
    return None if steps is None else steps[t]
