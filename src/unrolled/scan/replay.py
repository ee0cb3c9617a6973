"""Replay: all gates and states of a scan, from its inputs x and its outputs by any backend.

The gates depend on x and on the leaves of the state in `cell.feedback`. If these are the outputs, they are known, and
the gates of all steps are computed at once, in two products; only the other leaves (c of an LSTM) are computed step by
step, elementwise. A cell with another kind of feedback is run again, step by step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from unrolled.cells import Cell
from unrolled.scan.reference import step
from unrolled.scan.zoneout import Zoneout
from unrolled.shapes import real
from unrolled.state import State, hold

__all__ = ["Replay", "before", "replay"]


class Replay(NamedTuple):
    """The cell's gates, and its states after each step, each (B, T, …), 0 at padded steps."""

    gates: Any
    states: Any


def replay(
    cell: Cell[Any, Any],
    x: Tensor,
    y: Tensor,
    state: State = None,
    lengths: Tensor | None = None,
    *,
    reverse: bool = False,
    zoneout: Zoneout | None = None,
) -> Replay:
    """Return the gates and states of every step of `y, _ = scan(cell, x, state, lengths, reverse=reverse)`.

    Differentiable in x, y, the state and the cell's weights.

    Args:
        cell: the cell that was run.
        x: inputs (B, T, D).
        y: (B, T, O), the outputs of the scan.
        state: state before the first step.
        lengths: numbers of real steps (B,).
        reverse, zoneout: the arguments of the scan; zoneout can be replayed in evaluation only, since the draws of
            training are not saved.
    """
    T = y.shape[1]
    state = cell.initial(x) if state is None else state
    is_real = None if lengths is None else real(lengths, T)  # (B, T)
    others = [name for name in cell.State._fields if name != cell.emits]
    if set(cell.feedback) <= {cell.emits}:
        known = dict.fromkeys(cell.State._fields)
        if cell.feedback:
            known[cell.feedback[0]] = before(y, cell.output(state).unsqueeze(1), lengths, reverse)
        gates = cell.gates(cell.project(x), cell.State(**known))
        if is_real is not None:
            gates = _make(gates, [_only(value, is_real) for value in gates])
        if not others:
            return Replay(gates, cell.State(y))
        steps = [_make(gates, step) for step in zip(*(value.unbind(1) for value in gates), strict=True)]
    else:
        steps = None
    order = list(reversed(range(T)) if reverse else range(T))
    return _stepwise(cell, x, state, steps, is_real, order, zoneout)


def before(y: Tensor, y0: Tensor, lengths: Tensor | None = None, reverse: bool = False) -> Tensor:
    """Return the output before each step, (B, T, O).

    Args:
        y: (B, T, O), the outputs.
        y0: (B, 1, O), the output before the first step.
        lengths: (B,), numbers of real steps; None: all T.
        reverse: the direction of the scan.
    """
    T = y.shape[1]
    if not reverse:
        return torch.cat([y0, y[:, :-1]], dim=1)[:, :T]
    shifted = torch.cat([y[:, 1:], y0], dim=1)[:, :T]
    if lengths is None:
        return shifted
    first = torch.arange(T, device=y.device) == lengths.unsqueeze(1) - 1  # a sequence's last real step is read first
    return torch.where(first.unsqueeze(2), y0, shifted)


def _stepwise(
    cell: Cell[Any, Any],
    x: Tensor,
    state: State,
    steps: Sequence[Any] | None,
    is_real: Tensor | None,
    order: Sequence[int],
    zoneout: Zoneout | None,
) -> Replay:
    """Run the cell again over the steps in this order; `steps` are the gates of each step, None if not known yet."""
    if not order:
        empty = cell.State(*(leaf.unsqueeze(1)[:, :0] for leaf in state))
        return Replay(cell.gates(cell.project(x), empty), empty)
    x_gates = () if steps is not None else cell.project(x).unbind(1)
    gates: list[Any] = [None] * len(order)
    states: list[State] = [None] * len(order)
    for t in order:
        gates[t] = cell.gates(x_gates[t], state) if steps is None else steps[t]
        _, after = step(cell, gates[t], state, zoneout)
        state = states[t] = after if is_real is None else hold(is_real[:, t], after, state)
    every = [
        _make(values[0], [torch.stack(leaf, dim=1) for leaf in zip(*values, strict=True)]) for values in (gates, states)
    ]
    if is_real is not None:
        every = [_make(values, [_only(value, is_real) for value in values]) for values in every]
    return Replay(*every)


def _only(value: Tensor, is_real: Tensor) -> Tensor:
    """Return values of all steps, (B, T, …), with 0 at padded steps."""
    return value.masked_fill(~is_real.view(*is_real.shape, *[1] * (value.dim() - 2)), 0)


def _make(like: Any, values: Any) -> Any:
    """Return a tuple of the same type with other values."""
    return type(like)._make(values) if hasattr(like, "_make") else tuple(values)
