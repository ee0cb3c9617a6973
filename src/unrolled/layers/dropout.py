"""Dropout, plain or variational. Masks come from torch's generator, which training seeds anew for every update."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["Dropout", "keep_mask"]


class Dropout(nn.Module):
    """Drop a share of x in training, and scale the rest so that its mean stays.

    Args:
        share: what is dropped, from 0 to below 1.
        variational: one mask for all steps of a sequence instead of a new one a step (Gal & Ghahramani 2016).
    """

    def __init__(self, share: float, *, variational: bool = False) -> None:
        super().__init__()
        self.share, self.variational = share, variational

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, D) or (B, D) -> the same shape."""
        if not self.training or self.share == 0:
            return x
        if self.variational and x.dim() == 3:
            return x * keep_mask(x, (x.shape[0], 1, x.shape[2]), self.share)
        return F.dropout(x, self.share)

    def extra_repr(self) -> str:
        """Options, for repr()."""
        return f"{self.share}, variational={self.variational}"


def keep_mask(like: Tensor, shape: Sequence[int], share: float) -> Tensor:
    """Return a mask of the given shape: 0 with probability `share`, else 1 / (1 − share)."""
    return like.new_empty(shape).bernoulli_(1 - share).div_(1 - share)
