"""The linear layer of the kernels (csrc/kernels/linear.cc): forward, backward and the autograd node."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from unrolled.eager import eager
from unrolled.kernels.native import dense, index, isa, kernels, threads

__all__ = ["LinearWeights", "linear", "product"]


class LinearWeights(NamedTuple):
    """The weights of a linear layer: weight (V, D), bias (V,) or None."""

    weight: Tensor
    bias: Tensor | None


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Return W x + b, x (…, D) -> (…, V), in one order of sums: an output has the same bits in any batch.

    The kernels compute plain eager calls in float32 on the CPU (see `native.eager`). Other calls use torch's product,
    as do calls with gradients if the kernels have no vector instructions.
    """
    if not _is_ours(x, weight, bias):
        return F.linear(x, weight, bias)
    if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in (x, weight, bias)):
        return F.linear(x, weight, bias) if isa() == "portable" else _Linear.apply(x, weight, bias)  # type: ignore[no-untyped-call]
    return product(x, weight, bias)


def _is_ours(x: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    """Return True if the kernels may compute a product: in float32 on the CPU, in a plain eager call."""
    return (
        kernels is not None
        and x.is_cpu
        and x.dtype is torch.float32
        and weight.dtype is torch.float32
        and not torch.is_autocast_enabled("cpu")
        and eager(x, weight, bias)
    )


def write_gradients(
    x: Tensor,
    weight: Tensor,
    dy: Tensor,
    dx: Tensor | None,
    dweight: Tensor | None,
    dbias: Tensor | None,
    *,
    add: bool = False,
) -> None:
    """Write the gradients of y = W x + b into memory of the caller, who can use it again.

    Args:
        x, dx: (N, D); dx, dweight and dbias are written where they are not None.
        weight, dweight: (H, D).
        dy: (N, H).
        dbias: (H,).
        add: whether to add to dweight and dbias instead of writing them.
    """
    if _is_ours(x, weight, dy) and isa() != "portable":
        assert kernels is not None
        kernels.linear_backward(index(x.dtype), threads(), dense(x), dense(weight), dense(dy), dx, dweight, dbias, add)
        return
    if dx is not None:
        dx.copy_(dy @ weight)
    for total, left, right in ((dweight, dy.T, x), (dbias, dy.T, dy.new_ones(len(dy)))):
        if total is not None:
            total.add_(left @ right) if add else total.copy_(left @ right)


def product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Return W x + b as `linear` does, by the kernels and without gradients."""
    assert kernels is not None
    y = x.new_empty(*x.shape[:-1], weight.shape[0])
    kernels.linear(index(x.dtype), threads(), dense(_flat(x)), dense(weight), dense(bias), y.view(-1, weight.shape[0]))
    return y


def _flat(x: Tensor) -> Tensor:
    """(…, D) -> (N, D)."""
    return x if x.dim() == 2 else x.reshape(-1, x.shape[-1])


class _Linear(torch.autograd.Function):
    """The autograd node of a linear layer."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return product(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        need_x, need_weight, need_bias = ctx.needs_input_grad
        if torch.is_grad_enabled() or not eager(dy):  # torch's operations can be differentiated and transformed
            flat = _flat(dy)
            return (
                dy @ weight if need_x else None,
                flat.T @ _flat(x) if need_weight else None,
                flat.sum(0) if need_bias else None,
            )
        assert kernels is not None
        dx = torch.empty_like(x, memory_format=torch.contiguous_format) if need_x else None
        dweight = torch.empty_like(weight, memory_format=torch.contiguous_format) if need_weight else None
        dbias = weight.new_empty(weight.shape[0]) if need_bias else None
        kernels.linear_backward(
            index(x.dtype), threads(), dense(_flat(x)), dense(weight), dense(_flat(dy)),
            None if dx is None else _flat(dx), dweight, dbias,
        )  # fmt: skip
        return dx, dweight, dbias
