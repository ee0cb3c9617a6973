"""What a recurrent layer did: its states, and its gates by replay, from what it read and what it put out.

Whatever computed the scan, gates are `cell.gates` over all steps at once; see `unrolled.scan.replay`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from unrolled.cells import Cell, ElmanCell, GRUCell, GRUGates, LSTMCell
from unrolled.inside.watch import Call
from unrolled.layers import Recurrent
from unrolled.scan.replay import replay
from unrolled.state import State

__all__ = ["kind", "of_layer", "of_scan"]


def kind(cell: Cell[Any, Any]) -> str:
    """What a cell is called in the names of its tensors: `lstm` for an LSTMCell."""
    return type(cell).__name__.removesuffix("Cell").lower()


def of_layer(layer: Recurrent, calls: list[Call]) -> dict[str, Tensor]:
    """Return the tensors of a layer that was called for one row, once or for one stretch of steps after the other."""
    x = torch.cat([call.given["x"] for call in calls], dim=1)
    y = torch.cat([call.returned[0] for call in calls], dim=1)
    return of_scan(layer.cell, x, y, calls[0].given["state"], reverse=layer.reverse)


def of_scan(cell: Cell[Any, Any], x: Tensor, y: Tensor, state: State, *, reverse: bool = False) -> dict[str, Tensor]:
    """Return the tensors of y (1, T, H), what a scan has made of x (1, T, D) from `state`; see `names.py`."""
    state = cell.initial(x) if state is None else state
    gates, states = replay(cell, x, y, state, reverse=reverse)
    if isinstance(gates, GRUGates):  # it has the candidate in two halves, which are in from_x and from_h
        found = {"r": gates.r, "z": gates.z, "n": gates.n}
    else:
        found = {name: value for name, value in gates._asdict().items() if name not in states._fields}
    found |= states._asdict()
    found |= {f"{name}0": value for name, value in state._asdict().items()}
    if isinstance(cell, ElmanCell | LSTMCell | GRUCell):
        found |= _sums(cell, x, y, state, reverse)
    return {name: value[0] for name, value in found.items()}


def _sums(cell: ElmanCell | LSTMCell | GRUCell, x: Tensor, y: Tensor, state: State, reverse: bool) -> dict[str, Tensor]:
    """What the token and what the past said to each of the G gates, and what each starts from."""
    H, h0 = cell.hidden_size, state.h.unsqueeze(1)
    before = torch.cat([y[:, 1:], h0], dim=1) if reverse else torch.cat([h0, y[:, :-1]], dim=1)
    found = {"from_x": x @ cell.weight_x.T, "from_h": before @ cell.weight_h.T, "bias": cell.bias.unsqueeze(0)}
    found = {name: value.view(*value.shape[:-1], -1, H) for name, value in found.items()}
    return found | ({"bias_n": cell.bias_n.unsqueeze(0)} if isinstance(cell, GRUCell) else {})
