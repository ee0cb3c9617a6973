"""A layer of torch.nn by the kernels, in torch's form: two biases for each gate, x and y (T, B, ·) or (B, T, ·).

The kernels add the biases (all but the GRU's candidate has one sum, see `nn/weights.py`), read a state of None as zeros
and write the gradients of both biases. A step of a small layer takes as long as ten operations of torch, so there is
none of them around the call.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from unrolled.eager import eager
from unrolled.kernels import scan
from unrolled.kernels.differentiate import gradients_of
from unrolled.kernels.native import Recurrence, dense, index, kernels, rows, threads
from unrolled.kernels.scan import CellWeights

__all__ = ["Layer", "fits", "in_our_form", "run"]


class Layer(NamedTuple):
    """The tensors of one layer and direction, or of a cell, in torch's form.

    Args:
        x: (B, T, D), or (T, B, D).
        weight_ih, weight_hh: (G·H, D) and (G·H, H).
        bias_ih, bias_hh: (G·H,), or both None.
        h0, c0: (B, H) or (1, B, H), c0 of the LSTM alone; both None: zeros.
    """

    x: Tensor
    weight_ih: Tensor
    weight_hh: Tensor
    bias_ih: Tensor | None
    bias_hh: Tensor | None
    h0: Tensor | None
    c0: Tensor | None

    @classmethod
    def of(cls, x: Tensor, weights: Sequence[Any], h0: Tensor | None, c0: Tensor | None) -> Layer:
        """Return the tensors with torch's list of weights: two, or four with biases."""
        weight_ih, weight_hh, *biases = weights
        bias_ih, bias_hh = biases or (None, None)
        return cls(x, weight_ih, weight_hh, bias_ih, bias_hh, h0, c0)


class _Call(NamedTuple):
    """The options of one call: recurrence, instruction set, threads, direction, lengths (B,), and the order of x."""

    recurrence: int
    isa: int
    threads: int
    reverse: bool
    lengths: Tensor | None
    time_first: bool


def in_our_form(recurrence: int, weights: Sequence[Tensor]) -> CellWeights:
    """Return torch's weight_ih, weight_hh and, if there are biases, bias_ih and bias_hh in our form.

    Our bias is the sum of torch's two, except for the GRU's candidate, whose second bias is inside the reset product.
    """
    weight_ih, weight_hh, *biases = weights
    if not biases:
        return CellWeights(recurrence, weight_ih, weight_hh, None, None)
    bias_ih, bias_hh = biases
    if recurrence != Recurrence.GRU:
        return CellWeights(recurrence, weight_ih, weight_hh, bias_ih + bias_hh, None)
    H = bias_ih.shape[0] // 3
    bias = torch.cat([bias_ih[: 2 * H] + bias_hh[: 2 * H], bias_ih[2 * H :]])
    return CellWeights(recurrence, weight_ih, weight_hh, bias, bias_hh[2 * H :])


def fits(recurrence: int, D: int, H: int, layer: Layer, *, time_first: bool) -> bool:
    """Return True if the tensors are those of a whole batch in float32 on the CPU, of D inputs and H units.

    h0 and c0 must be (1, B, H). To be called on tensors without subclasses, in a plain eager call.
    """
    return kernels is not None and bool(kernels.layer_fits(recurrence, D, H, time_first, *layer))


def run(
    recurrence: int, reverse: bool, lengths: Tensor | None, layer: Layer, *, time_first: bool = False
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Run a layer of float32 numbers in a plain eager call.

    The backward pass keeps a copy of y: the returned y may be written to, as torch's may.

    Args:
        recurrence: see `native.Recurrence`.
        reverse: run from the last real step to the first.
        lengths: (B,) int64, or None.
        layer: weights, x and initial state.
        time_first: x is (T, B, D), and so is y.

    Returns:
        y (B, T, H) or (T, B, H), and h, and c of the LSTM, in the form of h0; (1, B, H) without one.
    """
    call = _Call(recurrence, index(torch.float32), threads(), reverse, lengths, time_first)
    if torch.is_grad_enabled():
        for t in layer:
            if t is not None and t.requires_grad:
                return _Layer.apply(call, *layer)  # type: ignore[no-untyped-call, no-any-return]
    y, h, c, _ = _forward(call, layer, keep=False)
    return y, h, c


def _forward(call: _Call, layer: Layer, *, keep: bool) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
    """Return y, h, c (LSTM) and, with `keep`, the gates that the backward pass needs (LSTM, GRU)."""
    assert kernels is not None
    x, weight_ih, weight_hh, bias_ih, bias_hh, h0, c0 = layer
    first, second, _ = x.shape
    H, is_lstm = weight_hh.shape[1], call.recurrence == Recurrence.LSTM
    if not call.time_first and x.stride(0) < x.stride(1):  # in the layout of x, which the caller may have transposed
        y = x.new_empty((second, first, H)).transpose(0, 1)
    else:
        y = x.new_empty((first, second, H))
    h = x.new_empty((1, second if call.time_first else first, H)) if h0 is None else x.new_empty(h0.shape)
    c = torch.empty_like(h) if is_lstm else None
    saved = None
    if keep and call.recurrence >= Recurrence.GRU:
        T, B = (first, second) if call.time_first else (second, first)
        saved = x.new_empty((T, B, (5 if is_lstm else 4) * H))
    kernels.layer_forward(
        *call, rows(x), dense(weight_ih), dense(weight_hh), dense(bias_ih), dense(bias_hh), dense(h0), dense(c0),
        y, h, c, saved,
    )  # fmt: skip
    return y, h, c, saved


class _Layer(torch.autograd.Function):
    """The autograd node of a layer: _Call and the tensors of Layer -> y, h, c."""

    @staticmethod
    def forward(ctx: Any, call: _Call, *layer: Any) -> tuple[Tensor, Tensor, Tensor | None]:
        y, h, c, saved = _forward(call, layer, keep=True)  # type: ignore[arg-type]
        ctx.call = call
        ctx.save_for_backward(*layer, y.clone(), saved)
        ctx.set_materialize_grads(False)
        return y, h, c

    @staticmethod
    def backward(ctx: Any, dy: Tensor | None, dh: Tensor | None, dc: Tensor | None) -> tuple[Any, ...]:
        *tensors, y, saved = ctx.saved_tensors
        needed = ctx.needs_input_grad[1:]
        if torch.is_grad_enabled() or not eager(dy, dh, dc):
            return None, *gradients_of(partial(_define, ctx.call), tensors, needed, (dy, dh, dc))
        assert kernels is not None
        x, *others = tensors
        need_weights = any(needed[1:5])
        need = (need_weights,) * 4 + needed[5:]
        gradients = [
            torch.empty_like(x) if needed[0] else None,  # in the layout of x
            *[_like(t) if want and t is not None else None for want, t in zip(need, others, strict=True)],
        ]
        kernels.layer_backward(
            *ctx.call, rows(x), *map(dense, others), y, saved, None if dy is None else rows(dy), dense(dh), dense(dc),
            *gradients,
        )  # fmt: skip
        return None, *[d if want else None for d, want in zip(gradients, needed, strict=True)]


def _like(tensor: Tensor) -> Tensor:
    return torch.empty_like(tensor, memory_format=torch.contiguous_format)


def _define(call: _Call, *tensors: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return the result of a call by its definition, in torch's operations."""
    x, *weights, h0, c0 = tensors
    assert x is not None
    ours = in_our_form(call.recurrence, [w for w in weights if w is not None])
    x = x.transpose(0, 1) if call.time_first else x
    if h0 is None:
        h0 = x.new_zeros(1, x.shape[0], ours.weight_h.shape[1])
        c0 = h0 if call.recurrence == Recurrence.LSTM else None
    kernel = scan.Kernel(call.recurrence, call.isa, call.threads, call.reverse)
    form = h0.shape
    states = (None if s is None else s.reshape(form[-2:]) for s in (h0, c0))
    y, h, c = scan.definition(kernel, scan.Inputs(x, call.lengths, *ours[1:], None, *states))  # type: ignore[arg-type]
    y = y.transpose(0, 1) if call.time_first else y
    return y, h.reshape(form), None if c is None else c.reshape(form)
