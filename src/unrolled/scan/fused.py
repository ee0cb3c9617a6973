"""The kernels (csrc/) as the twin of the plain cells: Elman, LSTM and GRU on the CPU, forward and backward.

The outputs, states and input gradients of a sequence have the same bits in any batch, with any padding, in any chunks
of time and with any number of threads: every sum is computed in one order (k ascending, x before h, then bias). Weight
gradients have the same bits with any number of threads.

See unrolled/kernels/scan.py for the call itself, kernels/native.py for instruction sets and threads.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from unrolled.cells import Cell, ElmanCell, LSTMCell
from unrolled.kernels import freeze
from unrolled.kernels.freeze import Packable
from unrolled.kernels.native import kernels
from unrolled.kernels.scan import CellWeights, run
from unrolled.scan.torch import CELLS
from unrolled.state import State

__all__ = ["scan", "weights_of"]


def scan(
    cell: Cell[Any, Any], x: Tensor, state: State, lengths: Tensor | None, *, reverse: bool, mask: Tensor | None
) -> tuple[Tensor, State]:
    """Run the cell over x (B, T, D) from `state` -> y (B, T, H) and the state after each sequence's last real step."""
    weights, h0, c0 = weights_of(cell), state.h, state.c if isinstance(cell, LSTMCell) else None
    if torch.is_autocast_enabled("cpu"):  # states and sums stay in float32
        weights = CellWeights(weights.recurrence, *map(_float32, weights[1:]))  # type: ignore[arg-type]
        with torch.autocast("cpu", enabled=False):
            y, h, c = run(weights, reverse, *map(_float32, (x, lengths, mask, h0, c0)))  # type: ignore[arg-type]
    else:
        y, h, c = run(weights, reverse, x, lengths, mask, h0, c0)
    return y, cell.State(h) if c is None else cell.State(h, c)


def weights_of(cell: Cell[Any, Any]) -> CellWeights:
    """Return the weights of a plain cell in the form that the kernels take."""
    assert kernels is not None
    if isinstance(cell, ElmanCell):
        recurrence = int(kernels.ELMAN_RELU if cell.nonlinearity == "relu" else kernels.ELMAN)
    else:
        recurrence = int(kernels.LSTM if isinstance(cell, LSTMCell) else kernels.GRU)
    own: dict[str, Any] = cell._parameters
    return CellWeights(recurrence, own["weight_x"], own["weight_h"], own["bias"], own.get("bias_n"))


def _float32(tensor: Tensor | None) -> Tensor | None:
    """Return the tensor in float32 if autocast has narrowed it."""
    return tensor.float() if tensor is not None and tensor.dtype in (torch.bfloat16, torch.float16) else tensor


def _packable(cell: Cell[Any, Any]) -> Iterator[Packable]:
    if cell._parameters.keys() >= CELLS[type(cell)]:
        weights = weights_of(cell)
        yield Packable("weight_h", weights, tuple(p for p in weights[1:] if isinstance(p, Tensor)))


freeze.OWNERS.update(dict.fromkeys(CELLS, _packable))
