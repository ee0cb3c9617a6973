"""The cross-entropy of a softmax (csrc/kernels/cross_entropy.cc): −Σ_v q_v ln p_v of each row, and its gradient.

The kernels read the logits twice, keep one number a row and write the gradient once; torch's operations keep and walk
tables as large as the logits (benchmarks/large_vocabulary.py compares them).
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from unrolled.eager import eager
from unrolled.kernels.differentiate import gradients_of
from unrolled.kernels.native import dense, index, kernels, threads

__all__ = ["NOTHING", "cross_entropy", "log_sum_exp"]

NOTHING = -100
"""A target that no row has, so that every row counts."""


def cross_entropy(
    logits: Tensor, targets: Tensor, *, ignore_index: int = NOTHING, label_smoothing: float = 0.0
) -> Tensor:
    """Return −Σ_v q_v ln softmax(logits)_v of each row, (N,), in nats.

    q is 1 − ε at the target and ε / V everywhere (Szegedy et al. 2016, Rethinking the Inception Architecture, section
    7). A row has the same bits in any batch. The kernels compute plain eager calls in float32 on the CPU, torch all
    others.

    Args:
        logits: (N, V).
        targets: (N,) integers from 0 to V − 1.
        ignore_index: a target whose rows have the result 0 and no gradient.
        label_smoothing: ε.
    """
    if not _is_ours(logits, targets):
        return _definition(logits, targets, ignore_index, label_smoothing)
    nats: Tensor = _CrossEntropy.apply(logits, targets, ignore_index, label_smoothing)  # type: ignore[no-untyped-call]
    return nats


def log_sum_exp(x: Tensor) -> Tensor:
    """Return ln Σ_v e^{x_v} of each row of x (N, V), (N,); without gradients.

    A row has the same bits in any batch. The kernels compute plain eager calls in float32 on the CPU, torch all others.
    """
    if not _is_ours(x):
        return x.detach().logsumexp(dim=1)
    assert kernels is not None
    y = x.new_empty(x.shape[0])
    kernels.log_sum_exp(index(x.dtype), x, y)
    return y


def _is_ours(logits: Tensor, *others: Tensor) -> bool:
    return (
        kernels is not None
        and logits.is_cpu
        and logits.dtype is torch.float32
        and logits.shape[1] > 0
        and logits.stride(1) == 1
        and eager(logits, *others)
    )


def _definition(logits: Tensor, targets: Tensor, ignore_index: int, label_smoothing: float) -> Tensor:
    return F.cross_entropy(
        logits, targets, ignore_index=ignore_index, label_smoothing=label_smoothing, reduction="none"
    )


class _CrossEntropy(torch.autograd.Function):
    """The autograd node of the kernels."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor, ignore_index: int, label_smoothing: float) -> Tensor:
        assert kernels is not None
        nats, log_sums = logits.new_empty(len(logits)), logits.new_empty(len(logits))
        goals = dense(targets.long())
        kernels.cross_entropy(
            index(logits.dtype), threads(), logits, goals, ignore_index, label_smoothing, nats, log_sums
        )
        ctx.save_for_backward(logits, goals, log_sums)
        ctx.options = ignore_index, label_smoothing
        return nats

    @staticmethod
    def backward(ctx: Any, dnats: Tensor) -> tuple[Tensor | None, ...]:
        logits, goals, log_sums = ctx.saved_tensors
        if torch.is_grad_enabled() or not eager(dnats):  # torch's operations can be differentiated and transformed
            definition = partial(_definitions, goals=goals, options=ctx.options)
            return *gradients_of(definition, (logits,), (True,), (dnats,)), None, None, None
        assert kernels is not None
        dlogits = torch.empty_like(logits, memory_format=torch.contiguous_format)
        kernels.cross_entropy_backward(
            index(logits.dtype), threads(), logits, goals, *ctx.options, log_sums, dense(dnats), dlogits
        )
        return dlogits, None, None, None


def _definitions(logits: Tensor, goals: Tensor, options: tuple[int, float]) -> tuple[Tensor]:
    return (_definition(logits, goals, *options),)
