"""The logarithm of the normaliser of a softmax, ln Σ_v e^{x_v}, by the kernels (csrc/kernels/block.cc)."""

from __future__ import annotations

import torch
from torch import Tensor

from unrolled.eager import eager
from unrolled.kernels.native import index, kernels

__all__ = ["log_sum_exp"]


def log_sum_exp(x: Tensor) -> Tensor:
    """Return ln Σ_v e^{x_v} of each row of x (N, V), (N,); without gradients.

    A row has the same bits in any batch. The kernels compute plain eager calls in float32 on the CPU, torch all others.
    """
    if kernels is None or not x.is_cpu or x.dtype is not torch.float32 or x.stride(1) != 1 or not eager(x):
        return x.detach().logsumexp(dim=1)
    y = x.new_empty(x.shape[0])
    kernels.log_sum_exp(index(x.dtype), x, y)
    return y
