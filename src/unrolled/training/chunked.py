"""The last product of a model and its loss in chunks, so that many outputs are never in memory as a whole.

The loss of a batch is a sum over its N positions, and so are its gradients:

    z_n = W x_n + b      L = Σ_n ℓ(z_n, target_n)      dz_n = dℓ/dz_n
    dx_n = Wᵀ dz_n       dW = Σ_n dz_n x_nᵀ            db = Σ_n dz_n

So some positions at a time can go through the product, the loss and back, and only the dx_n and the sums stay. With
V = 50,000 tokens the logits of 512 positions are 102 MB, in memory that is new in each update and walked five times; a
chunk uses the same memory again. The gradients are computed in the forward pass: nothing is computed twice.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from unrolled.kernels.linear import linear, write_gradients

__all__ = ["chunk_of", "chunked_nats"]

WHOLE_BYTES, WHOLE_POSITIONS = 1 << 27, 1_024
"""Logits of this size, or of so few positions, are not cut: each chunk reads all of W and adds to all of dW."""
CHUNK_BYTES, CHUNK_POSITIONS = 1 << 25, 128
"""Size of the logits of a chunk, which has no fewer positions than these."""

Loss = Callable[[Tensor, Tensor], Tensor]


def chunk_of(positions: int, num_outputs: int) -> int | None:
    """Return the number of positions in a chunk; None where the logits are computed as a whole."""
    if positions <= WHOLE_POSITIONS or 4 * positions * num_outputs <= WHOLE_BYTES:
        return None
    chunks = math.ceil(positions / max(CHUNK_POSITIONS, CHUNK_BYTES // (4 * num_outputs)))
    return math.ceil(positions / chunks)  # all chunks have nearly the same size


def chunked_nats(
    x: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, *, losses: Sequence[Loss], size: int
) -> list[Tensor]:
    """Return losses of the logits W x + b, without ever having all of these.

    Args:
        x: (B, T, D).
        weight: W, (V, D).
        bias: b, (V,).
        targets: (B, T).
        losses: each (logits (1, n, V), targets (1, n)) -> a sum over the positions. The first has gradients.
        size: the number n of positions in a chunk.
    """
    nats: tuple[Tensor, ...] = _Chunked.apply(x, weight, bias, targets, losses, size)  # type: ignore[no-untyped-call]
    return list(nats)


class _Chunked(torch.autograd.Function):
    """The autograd node of product and loss."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, losses: Sequence[Loss], size: int
    ) -> tuple[Tensor, ...]:
        flat, goals = x.flatten(0, 1), targets.flatten()
        inputs = (flat, weight, bias)
        sums = [
            torch.empty_like(t) if t is not None and need else None
            for t, need in zip(inputs, ctx.needs_input_grad[:3], strict=True)
        ]
        totals = [torch.zeros((), device=x.device)] * len(losses)
        for start in range(0, len(flat), size):
            some, target = flat[start : start + size], goals[None, start : start + size]
            logits = _float32(linear(some, weight, bias)).requires_grad_()
            with torch.enable_grad():
                nats = losses[0](logits[None], target)
            others = [loss(logits.detach()[None], target) for loss in losses[1:]]
            totals = [total + each for total, each in zip(totals, [nats.detach(), *others], strict=True)]
            if all(s is None for s in sums):
                continue
            (dlogits,) = torch.autograd.grad(nats, logits)
            dx = None if sums[0] is None else sums[0][start : start + size]
            write_gradients(some, weight, dlogits, dx, *sums[1:], add=start > 0)
        ctx.gradients, ctx.shape = sums, x.shape
        ctx.mark_non_differentiable(*totals[1:])
        return tuple(totals)

    @staticmethod
    @torch.autograd.function.once_differentiable  # type: ignore[untyped-decorator,unused-ignore]
    def backward(ctx: Any, dnats: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        gradients, ctx.gradients = ctx.gradients, None
        if gradients is None:
            raise RuntimeError("the gradients of this loss were computed already: backward can be called once")
        dx, dweight, dbias = (None if g is None else g.mul_(dnats.to(g.dtype)) for g in gradients)  # they are large
        return None if dx is None else dx.view(ctx.shape), dweight, dbias, None, None, None


def _float32(logits: Tensor) -> Tensor:
    """Return logits of bfloat16 in float32, and others as they are."""
    return logits.float() if logits.dtype == torch.bfloat16 else logits
