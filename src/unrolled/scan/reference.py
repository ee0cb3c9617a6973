"""The definition of a scan: one generic loop over `gates` and `advance`, for any cell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from unrolled.cells import Cell
from unrolled.scan.zoneout import Zoneout
from unrolled.shapes import real
from unrolled.state import State, hold

__all__ = ["scan", "step"]


def scan(
    cell: Cell[Any, Any],
    x: Tensor,
    state: State,
    lengths: Tensor | None,
    *,
    reverse: bool,
    mask: Tensor | None,
    edit: Callable[[Any], Any] | None,
    zoneout: Zoneout | None = None,
) -> tuple[Tensor, State]:
    """Run the cell over x (B, T, D) from `state` -> y (B, T, O) and the state after each sequence's last real step.

    `reverse` runs from the last step to the first; padding is on the right in either direction, and is skipped. `mask`
    multiplies the leaves in `cell.masked`. `edit` changes the gates of every step before they act.
    """
    B, T = x.shape[:2]
    is_real = None if lengths is None else real(lengths, T).unbind(1)
    x_gates = cell.project(x).unbind(1)  # once, not by x_gates[:, t]: its backward would be quadratic in T
    ys: list[Tensor] = [x.new_empty(0)] * T
    for t in reversed(range(T)) if reverse else range(T):
        gates = cell.gates(x_gates[t], state if mask is None else _masked(cell, state, mask))
        y, after = step(cell, gates if edit is None else edit(gates), state, zoneout)
        if is_real is not None:
            y, after = y.masked_fill(~is_real[t].unsqueeze(1), 0), hold(is_real[t], after, state)
        ys[t], state = y, after
    return torch.stack(ys, dim=1) if T else x.new_zeros(B, 0, cell.output_size), state


def step(cell: Cell[Any, Any], gates: Any, state: State, zoneout: Zoneout | None) -> tuple[Tensor, State]:
    """Return the output and the state after one step with these gates."""
    y, after = cell.advance(gates, state)
    if zoneout is None:
        return y, after
    after = zoneout.mix(after, state)
    return cell.output(after), after


def _masked(cell: Cell[Any, Any], state: State, mask: Tensor) -> State:
    return state._replace(**{name: getattr(state, name) * mask for name in cell.masked})
