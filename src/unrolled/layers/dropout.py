"""Dropout, plain or variational. Masks are drawn from torch's generator, which training reseeds for every update."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = ["Dropout", "keep_mask"]


class Dropout(nn.Module):
    """Dropout: in training, set elements of x to 0 at random and scale the others so that the mean is unchanged.

    Args:
        rate: probability that an element is dropped, in [0, 1).
        variational: use one mask for all steps of a sequence instead of a new one for each (Gal & Ghahramani 2016).
    """

    def __init__(self, rate: float, *, variational: bool = False) -> None:
        super().__init__()
        self.rate, self.variational = rate, variational

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, D) or (B, D) -> the same shape."""
        if not self.training or self.rate == 0:
            return x
        B, *T, D = x.shape
        return x * keep_mask(x, (B, *[1] * len(T), D) if self.variational else x.shape, self.rate)

    def extra_repr(self) -> str:
        """Options, for repr()."""
        return f"{self.rate}, variational={self.variational}"


def keep_mask(like: Tensor, shape: Sequence[int], rate: float) -> Tensor:
    """Return a mask of this shape: 0 with probability `rate` (rounded to 1/65536), else 1 / (1 − rate).

    Each 64 random bits give four numbers: on a CPU random bits are drawn one after the other, and torch's own dropout
    draws anew for every element (docs/decisions/0003-dropout.md has the figures).
    """
    n = math.prod(shape)
    bits = torch.empty((n + 3) // 4, dtype=torch.int64, device=like.device).random_(-(2**63), None)
    uniform = bits.view(torch.int16)[:n].view(tuple(shape))  # −32768 … 32767
    return (uniform >= round(rate * 65536) - 32768).to(like.dtype).mul_(1 / (1 - rate))
