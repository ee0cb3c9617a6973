"""The tensors of a recurrent layer: its states, and its gates by replay from its inputs and outputs.

Replay does not depend on the backend of the scan, see `unrolled.scan.replay`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from unrolled.cells import Cell
from unrolled.inside.watch import Call
from unrolled.layers import Recurrent
from unrolled.scan import Zoneout
from unrolled.scan.replay import before, replay
from unrolled.state import State

__all__ = ["kind", "of_layer", "of_scan"]


def kind(cell: Cell[Any, Any]) -> str:
    """Return the name of a cell in tensor names, such as `lstm` for an LSTMCell."""
    return cell.name or type(cell).__name__.removesuffix("Cell").lower()


def of_layer(layer: Recurrent, calls: list[Call]) -> dict[str, Tensor]:
    """Return the tensors of a layer from its calls with one sequence, one call or consecutive ones."""
    x = torch.cat([call.arguments["x"] for call in calls], dim=1)
    y = torch.cat([call.returned[0] for call in calls], dim=1)
    state, zoneout = calls[0].arguments["state"], layer.scan_zoneout
    return of_scan(layer.cell, x, y, state, reverse=layer.reverse, zoneout=zoneout)


def of_scan(
    cell: Cell[Any, Any],
    x: Tensor,
    y: Tensor,
    state: State,
    *,
    reverse: bool = False,
    zoneout: Zoneout | None = None,
) -> dict[str, Tensor]:
    """Return the tensors of a scan over x (1, T, D) from `state` with outputs y (1, T, O); see `names.py`."""
    state = cell.initial(x) if state is None else state
    gates, states = replay(cell, x, y, state, reverse=reverse, zoneout=zoneout)
    names = cell.gate_meanings or [name for name in getattr(gates, "_fields", ()) if name not in states._fields]
    tensors = {name: getattr(gates, name) for name in names}
    tensors |= states._asdict()
    tensors |= {f"{name}0": value for name, value in state._asdict().items()}
    if set(cell.feedback) == {cell.emits}:
        known = dict.fromkeys(cell.State._fields) | {
            cell.emits: before(y, cell.output(state).unsqueeze(1), None, reverse)
        }
        tensors |= cell.terms(x, cell.State(**known))
    return {name: value[0] for name, value in tensors.items()}
