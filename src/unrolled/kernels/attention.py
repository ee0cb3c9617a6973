"""One step of additive attention by the kernels (csrc/kernels/attention.cc): forward, backward and the autograd node.

    weights = softmax_s v · tanh(query + key_s);   context = Σ_s weights_s o_s

A sequence has the same bits in any batch and with any padding.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from unrolled.eager import eager
from unrolled.kernels.differentiate import gradients_of
from unrolled.kernels.native import dense, index, isa, kernels, threads

__all__ = ["attend", "can_attend", "definition"]


def can_attend(*tensors: Tensor) -> bool:
    """Return True if the kernels compute this call: eager, in float32, on the CPU, with vector instructions."""
    return (
        kernels is not None
        and isa() != "portable"
        and all(t.is_cpu and t.dtype is torch.float32 for t in tensors)
        and not torch.is_autocast_enabled("cpu")
        and eager(*tensors)
    )


def attend(query: Tensor, keys: Tensor, v: Tensor, outputs: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Return the weights (B, S) and the context (B, D) of one attention step.

    Args:
        query: (B, A).
        keys: (B, S, A).
        v: (A,).
        outputs: o, (B, S, D).
        lengths: (B,), int64, at least 1.
    """
    inputs = (dense(query), dense(keys), dense(v), dense(outputs), dense(lengths))
    if torch.is_grad_enabled() and any(t.requires_grad for t in (query, keys, v, outputs)):
        return _Attention.apply(*inputs)  # type: ignore[no-untyped-call, no-any-return]
    return _attend(*inputs)  # type: ignore[arg-type]


def _attend(query: Tensor, keys: Tensor, v: Tensor, outputs: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    assert kernels is not None
    weights, context = query.new_empty(keys.shape[:2]), query.new_empty(outputs.shape[0], outputs.shape[2])
    kernels.attention(index(torch.float32), threads(), query, keys, v, outputs, lengths, weights, context)
    return weights, context


def definition(query: Tensor, keys: Tensor, v: Tensor, outputs: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Return what `attend` returns, computed by torch's operations: for gradients of gradients, and for tests."""
    scores = (query.unsqueeze(1) + keys).tanh() @ v
    padded = torch.arange(scores.shape[1], device=scores.device) >= lengths.unsqueeze(1)
    weights = scores.masked_fill(padded, -torch.inf).softmax(dim=1)
    return weights, (weights.unsqueeze(1) @ outputs).squeeze(1)


class _Attention(torch.autograd.Function):
    """The autograd node of an attention step."""

    @staticmethod
    def forward(ctx: Any, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        weights, context = _attend(*inputs)
        ctx.save_for_backward(*inputs, weights)
        ctx.set_materialize_grads(False)
        return weights, context

    @staticmethod
    def backward(ctx: Any, dweights: Tensor | None, dcontext: Tensor | None) -> tuple[Tensor | None, ...]:
        *inputs, weights = ctx.saved_tensors
        if torch.is_grad_enabled() or not eager(dweights, dcontext):
            return gradients_of(definition, inputs, ctx.needs_input_grad, (dweights, dcontext))
        assert kernels is not None
        gradients = [torch.empty_like(t) for t in inputs[:4]]  # of query, keys, v and outputs
        kernels.attention_backward(
            index(torch.float32), threads(), *inputs, weights, dense(dweights), dense(dcontext), *gradients
        )
        return (*gradients, None)
