"""Position vectors: attention does not depend on the order of its inputs, so positions are added to them.

    sinusoidal:  p_t[2i] = sin(t / 10000^(2i/D)),  p_t[2i+1] = cos(t / 10000^(2i/D))      for any t
    learned:     p_t = P[t]                                                               for t < max_length

Vaswani et al., "Attention is all you need", 2017, section 3.5.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from unrolled.eager import eager
from unrolled.errors import ConfigError, ShapeError

__all__ = ["Position"]


class Position(nn.Module):
    """A vector for each position in a sequence.

    Args:
        size: D. kind: "sinusoidal" or "learned".
        max_length: the number of positions, required if they are learned; None: unlimited.
        std: standard deviation of the initial learned vectors.

    Raises:
        ConfigError: another kind, or learned positions without max_length.
    """

    def __init__(
        self,
        size: int,
        kind: Literal["sinusoidal", "learned"] = "sinusoidal",
        *,
        max_length: int | None = None,
        std: float = 0.1,
    ) -> None:
        super().__init__()
        if kind not in ("sinusoidal", "learned"):
            raise ConfigError(f'position must be "sinusoidal" or "learned": got {kind!r}')
        self.size, self.kind, self.max_length = size, kind, max_length
        if kind == "learned":
            if max_length is None:
                raise ConfigError(
                    'position "learned" has one parameter vector for each position: set window to their number'
                )
            self.weight = nn.Parameter(torch.randn(max_length, size) * std)
        self.table: Tensor | None = None  # of sinusoids, cached because computing them takes longer than adding them

    def forward(self, x: Tensor, before: Tensor | None = None, lengths: Tensor | None = None) -> Tensor:
        """Add the positions to x (B, T, D).

        Args:
            x: (B, T, D).
            before: (B,), numbers of earlier steps: sequence b starts at position before[b]. None: all start at 0.
            lengths: (B,), numbers of real steps: padding needs no position of its own.

        Raises:
            ShapeError: a sequence is longer than max_length.
        """
        T = x.shape[1]
        if not eager(x, before):
            positions = torch.arange(T, device=x.device)
            return x + self._recorded(positions if before is None else before[:, None] + positions, x)
        end = T + (0 if before is None or not len(before) else int(before.max()))
        if self.max_length is not None and end > self.max_length and lengths is not None:
            # `end` combines the maxima over all sequences; without padding each may be shorter.
            end = max(1, int((lengths if before is None else before + lengths).max()))
        if self.max_length is not None and end > self.max_length:
            raise ShapeError(f"a sequence may have at most {self.max_length:,} steps here (window): got {end:,}")
        table = self.weight if self.kind == "learned" else self._sinusoids(end, x)
        if before is None and end == T:
            return x + table[:T]
        positions = torch.arange(T, device=x.device)
        if before is not None:
            positions = before[:, None] + positions
        return x + table[positions.clamp(max=end - 1)]

    def _recorded(self, positions: Tensor, like: Tensor) -> Tensor:
        """Return the vectors of positions (T,) or (B, T) in a call that is not `eager`.

        Beyond max_length they are those of the last position, since values cannot be checked.
        """
        if self.kind == "learned":
            return self.weight[positions.clamp(max=len(self.weight) - 1)]
        return encoded(positions, self.size).to(like.dtype)

    def _sinusoids(self, end: int, like: Tensor) -> Tensor:
        """Return the vectors of at least the first `end` positions."""
        table = self.table
        if table is None or len(table) < end or (table.dtype, table.device) != (like.dtype, like.device):
            table = self.table = sinusoidal(2 * end, self.size).to(like)
        return table

    def extra_repr(self) -> str:
        """Size, kind and max_length, for repr()."""
        return f"{self.size}, {self.kind!r}, max_length={self.max_length}"


def sinusoidal(count: int, size: int) -> Tensor:
    """Return the vectors of the first `count` positions, (count, size), in float64."""
    return encoded(torch.arange(count), size)


def encoded(positions: Tensor, size: int) -> Tensor:
    """Return the vectors of positions (…), integers, as (…, size) in float64."""
    rates = 10_000 ** (torch.arange(0, size, 2, dtype=torch.float64, device=positions.device) / size)
    angle = positions.to(torch.float64).unsqueeze(-1) / rates
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(-2)[..., :size]
