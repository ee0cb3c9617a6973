"""A linear recurrence of vectors by the kernels (csrc/kernels/recurrence.cc), forward and backward."""

from __future__ import annotations

import torch
from torch import Tensor

from unrolled.eager import eager
from unrolled.kernels.native import dense, index, kernels, threads

__all__ = ["backward", "computes", "forward"]


def computes(*tensors: Tensor) -> bool:
    """Return True if the kernels may compute a call: a plain eager one, in float32 on the CPU, of at least one step."""
    return (
        kernels is not None
        and all(t.is_cpu and t.dtype is torch.float32 and t.numel() > 0 for t in tensors)
        and eager(*tensors)
    )


def forward(a: Tensor, b: Tensor, h0: Tensor) -> Tensor:
    """Return h_t = a_t h_{t−1} + b_t, (B, T, H), from a and b (B, T, H) and h0 (B, H); without gradients."""
    assert kernels is not None
    h = torch.empty_like(b, memory_format=torch.contiguous_format)
    kernels.linear_recurrence(index(a.dtype), threads(), dense(a), dense(b), dense(h0), h)
    return h


def backward(a: Tensor, h: Tensor, h0: Tensor, dh: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of a, b and h0.

    Args:
        a, h0: arguments of `forward`.
        h: its result.
        dh: gradient of h.
    """
    assert kernels is not None
    da, db, dh0 = (torch.empty_like(t, memory_format=torch.contiguous_format) for t in (a, a, h0))
    kernels.linear_recurrence_backward(index(a.dtype), threads(), dense(a), dense(h), dense(h0), dense(dh), da, db, dh0)
    return da, db, dh0
