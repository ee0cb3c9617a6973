"""Checks of tensor shapes with named axes.

The letters are those of docs/notation.md: B batch, T time, D model size, H hidden size, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

import torch
from torch import Tensor

from unrolled.eager import readable
from unrolled.errors import ShapeError

__all__ = ["check", "check_lengths", "real", "refuse"]


def check(name: str, tensor: Tensor, letters: str, **sizes: int) -> None:
    """Check that `tensor` has one axis for each letter, with the given sizes: `check("x", x, "BTD", D=128)`.

    Raises:
        ShapeError: it has not; the message gives the argument's name, the expected and the actual shape.
    """
    if tensor.dim() == len(letters) and all(
        sizes.get(letter, size) == size for letter, size in zip(letters, tensor.shape, strict=True)
    ):
        return
    expected = ", ".join(f"{letter}={sizes[letter]}" if letter in sizes else letter for letter in letters)
    raise ShapeError(f"{name} must have shape ({expected}): got {tuple(tensor.shape)}")


def refuse(name: str, tensor: Tensor, shape: Sequence[int]) -> NoReturn:
    """Raise ShapeError for a tensor that is not of this shape."""
    raise ShapeError(f"{name} must have shape ({', '.join(map(str, shape))}): got {tuple(tensor.shape)}")


def check_lengths(lengths: Tensor | None, B: int, T: int) -> None:
    """Check that `lengths` is None or (B,) integers from 0 to T; values are checked where they are `readable`.

    Raises:
        ShapeError: a wrong shape, dtype or value.
    """
    if lengths is None:
        return
    check("lengths", lengths, "B", B=B)
    if lengths.is_floating_point() or lengths.dtype == torch.bool:
        raise ShapeError(f"lengths must be integers: got {lengths.dtype}")
    if B and readable(lengths) and not 0 <= int(lengths.min()) <= int(lengths.max()) <= T:
        raise ShapeError(f"lengths must lie between 0 and T={T}: got {int(lengths.min())} to {int(lengths.max())}")


def real(lengths: Tensor, T: int) -> Tensor:
    """Return the mask of real steps, (B, T) bool, from lengths (B,): True for a real step, False for padding."""
    return torch.arange(T, device=lengths.device) < lengths.unsqueeze(1)
