"""Positions: attention does not depend on the order of its inputs, so positions are added to them or turn them.

    sinusoidal:  p_t[2i] = sin(t / 10000^(2i/D)),  p_t[2i+1] = cos(t / 10000^(2i/D))      for any t; added to x_t
    learned:     p_t = P[t]                                                               for t < max_length; added
    rotary:      (x_i, x_{i+h}) ← x_i (cos a, sin a) + x_{i+h} (−sin a, cos a),  a = t / 10000^(2i/K),  h = ⌊K/2⌋

Rotary positions turn each query and each key of size K, in pairs of units i and i + h, by angles in proportion to their
step t; where K is odd, the last unit stays. The product of a query and a key then depends on the distance of their
steps alone.

Vaswani et al., "Attention is all you need", 2017, section 3.5. Rotary: Su et al., "RoFormer: enhanced Transformer with
rotary position embedding", 2021, equation 34, where the pairs are units 2i and 2i + 1: another order of the same units.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from unrolled.eager import eager
from unrolled.errors import ConfigError, ShapeError
from unrolled.kernels import freeze

__all__ = ["Position", "Rotary"]


class Position(nn.Module):
    """A vector for each position in a sequence.

    Args:
        size: size D of the vectors.
        kind: "sinusoidal" or "learned".
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
            x: inputs (B, T, D).
            before: (B,), numbers of earlier steps: sequence b starts at position before[b]. None: all start at 0.
            lengths: (B,), numbers of real steps: padding needs no position of its own.

        Raises:
            ShapeError: a sequence is longer than max_length.
        """
        return x + self.vectors(x.shape[1], before, lengths, like=x)

    def vectors(self, T: int, before: Tensor | None, lengths: Tensor | None, *, like: Tensor) -> Tensor:
        """Return the vectors of T steps, (B, T, D), or (T, D) if they are those of all sequences; see `forward`."""
        if not eager(like, before):
            positions = torch.arange(T, device=like.device)
            return self._recorded(positions if before is None else before[:, None] + positions, like)
        start = 0 if before is None or not len(before) else int(before.max())
        end = start + T
        if self.max_length is not None and end > self.max_length and lengths is not None:
            # `end` combines the maxima over all sequences; without padding each may be shorter.
            end = max(1, int((lengths if before is None else before + lengths).max()))
        if self.max_length is not None and end > self.max_length:
            raise ShapeError(f"a sequence may have at most {self.max_length:,} steps here (window): got {end:,}")
        table = self.table_of(end, like)
        if (before is None or len(before) == 1) and end == start + T:
            return table[start:end]
        positions = torch.arange(T, device=like.device)
        if before is not None:
            positions = before[:, None] + positions
        return table[positions.clamp(max=end - 1)]

    def table_of(self, end: int, like: Tensor) -> Tensor:
        """Return the vectors of at least the first `end` positions, in the dtype and on the device of `like`."""
        return self.weight if self.kind == "learned" else self._computed(end, like)

    def encode(self, positions: Tensor) -> Tensor:
        """Return the computed vectors of positions (…), integers, as (…, D) in float64."""
        return encoded(positions, self.size)

    def _recorded(self, positions: Tensor, like: Tensor) -> Tensor:
        """Return the vectors of positions (T,) or (B, T) in a call that is not `eager`.

        Beyond max_length they are those of the last position, since values cannot be checked.
        """
        if self.kind == "learned":
            return self.weight[positions.clamp(max=len(self.weight) - 1)]
        return self.encode(positions).to(like.dtype)

    def _computed(self, end: int, like: Tensor) -> Tensor:
        """Return the vectors of at least the first `end` positions."""
        table = self.table
        if table is None or len(table) < end or (table.dtype, table.device) != (like.dtype, like.device):
            with torch.inference_mode(False):  # a later training needs it, too
                table = self.table = self.encode(torch.arange(2 * end)).to(like.device, like.dtype)
        return table

    def extra_repr(self) -> str:
        """Size, kind and max_length, for repr()."""
        return f"{self.size}, {self.kind!r}, max_length={self.max_length}"


class Rotary(Position):
    """Rotation of queries and keys by their positions.

    Args:
        size: K, of a query.
        max_length: the maximum length of a sequence; None: unlimited.

    Raises:
        ConfigError: size 1, which has no pair.
    """

    def __init__(self, size: int, *, max_length: int | None = None) -> None:
        super().__init__(size, max_length=max_length)
        if size < 2:
            raise ConfigError(
                f'position "rotary" turns pairs of units: the size of a head, hidden_size / num_heads, must be at '
                f"least 2: got {size}"
            )

    def forward(self, x: Tensor, before: Tensor | None = None, lengths: Tensor | None = None) -> Tensor:
        """Return queries or keys x (B, N, T, K) turned by their positions, in float32; see `Position.forward`."""
        y = x.to(torch.promote_types(x.dtype, torch.float32))
        cos, sin = self.vectors(x.shape[2], before, lengths, like=y).chunk(2, dim=-1)
        if cos.dim() == 3:
            cos, sin = cos.unsqueeze(1), sin.unsqueeze(1)  # (B, 1, T, K)
        half = self.size // 2
        turned = torch.cat([y[..., half : 2 * half], y[..., :half], y[..., 2 * half :]], dim=3)
        return (y * cos + turned * sin).to(x.dtype)

    def encode(self, positions: Tensor) -> Tensor:
        """Return the factors of (x_1, x_2) and of (x_2, x_1), the halves of a query: (…, 2 K) in float64."""
        vectors = encoded(positions, self.size)
        sin, cos = vectors[..., 0:-1:2], vectors[..., 1::2]
        rest = vectors[..., : self.size % 2]
        return torch.cat([cos, cos, torch.ones_like(rest), -sin, sin, torch.zeros_like(rest)], dim=-1)

    def extra_repr(self) -> str:
        """Size and max_length, for repr()."""
        return f"{self.size}, max_length={self.max_length}"


def encoded(positions: Tensor, size: int) -> Tensor:
    """Return the vectors of positions (…), integers, as (…, size) in float64."""
    rates = 10_000 ** (torch.arange(0, size, 2, dtype=torch.float64, device=positions.device) / size)
    angle = positions.to(torch.float64).unsqueeze(-1) / rates
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(-2)[..., :size]


freeze.TABLES.add(Position)
