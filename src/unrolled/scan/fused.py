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

from unrolled.cells import Cell, ElmanCell, GRUCell, LSTMCell
from unrolled.kernels import freeze
from unrolled.kernels.native import Recurrence
from unrolled.kernels.packed import Packable
from unrolled.kernels.scan import CellWeights, Inputs, Kernel, define, run
from unrolled.scan import reference
from unrolled.scan.torch import CELLS
from unrolled.state import State

__all__ = ["cell_of", "scan", "weights_of"]

_KINDS: dict[int, type[Cell[Any, Any]]] = {
    Recurrence.ELMAN: ElmanCell,
    Recurrence.ELMAN_RELU: ElmanCell,
    Recurrence.GRU: GRUCell,
    Recurrence.LSTM: LSTMCell,
}


def scan(
    cell: Cell[Any, Any], x: Tensor, state: State, lengths: Tensor | None, *, reverse: bool, mask: Tensor | None
) -> tuple[Tensor, State]:
    """Run the cell over x (B, T, D) from `state` -> y (B, T, H) and the state after each sequence's last real step."""
    weights, h0, c0 = weights_of(cell), state.h, state.c if isinstance(cell, LSTMCell) else None
    if torch.is_autocast_enabled("cpu"):  # the operands of products are rounded; states and sums stay in float32
        rounds = torch.get_autocast_dtype("cpu") is torch.bfloat16
        weights = CellWeights(weights.recurrence, *map(_float32, weights[1:]))  # type: ignore[arg-type]
        with torch.autocast("cpu", enabled=False):
            tensors = map(_float32, (x, lengths, mask, h0, c0))
            y, h, c = run(weights, reverse, *tensors, bfloat16=rounds)  # type: ignore[arg-type]
    else:
        y, h, c = run(weights, reverse, x, lengths, mask, h0, c0)
    return y, cell.State(h) if c is None else cell.State(h, c)


def weights_of(cell: Cell[Any, Any]) -> CellWeights:
    """Return the weights of a plain cell in the form that the kernels take."""
    if isinstance(cell, ElmanCell):
        recurrence = Recurrence.ELMAN_RELU if cell.nonlinearity == "relu" else Recurrence.ELMAN
    else:
        recurrence = Recurrence.LSTM if isinstance(cell, LSTMCell) else Recurrence.GRU
    own: dict[str, Any] = cell._parameters
    return CellWeights(recurrence, own["weight_x"], own["weight_h"], own["bias"], own.get("bias_n"))


def cell_of(weights: CellWeights) -> Cell[Any, Any]:
    """Return a cell that computes with these very tensors, the inverse of `weights_of`; a bias of None is zero.

    The weights are not parameters of the cell: gradients flow to the tensors.
    """
    recurrence, weight_x, weight_h, bias, bias_n = weights
    kind = _KINDS[recurrence]
    cell = kind.__new__(kind)  # not by its constructor, which draws random initial weights
    Cell.__init__(cell, weight_x.shape[1], weight_h.shape[1])
    if isinstance(cell, ElmanCell):
        cell.nonlinearity = "relu" if recurrence == Recurrence.ELMAN_RELU else "tanh"
    bias = weight_x.new_zeros(len(weight_x)) if bias is None else bias
    values = {"weight_x": weight_x, "weight_h": weight_h, "bias": bias}
    if recurrence == Recurrence.GRU:
        values["bias_n"] = weight_x.new_zeros(len(weight_h.T)) if bias_n is None else bias_n
    cell._parameters.update(values)  # type: ignore[arg-type]
    return cell


@define
def _definition(kernel: Kernel, inputs: Inputs) -> tuple[Tensor, Tensor, Tensor | None]:
    """Run the cell of these weights by the reference scan, which is differentiable any number of times."""
    x, lengths, weight_x, weight_h, bias, bias_n, mask, h0, c0 = inputs
    cell = cell_of(CellWeights(kernel.recurrence, weight_x, weight_h, bias, bias_n))
    state = cell.State(h0) if c0 is None else cell.State(h0, c0)
    y, after = reference.scan(cell, x, state, lengths, reverse=kernel.reverse, mask=mask, edit=None)
    return y, after.h, None if c0 is None else after.c


def _float32(tensor: Tensor | None) -> Tensor | None:
    """Return the tensor in float32 if autocast has narrowed it."""
    return tensor.float() if tensor is not None and tensor.dtype in (torch.bfloat16, torch.float16) else tensor


def _packable(cell: Cell[Any, Any]) -> Iterator[Packable]:
    if cell._parameters.keys() >= CELLS[type(cell)]:
        yield Packable("weight_h", weights_of(cell), dict(cell.named_parameters(recurse=False)))


freeze.OWNERS.update(dict.fromkeys(CELLS, _packable))
