"""Replay: every gate and state of a scan that has already run, from x and what the fast path returned.

What the gates said depends on x and on the h before each step, and both are known: all steps go through the gates at
once, in two products. Only what is no output, the LSTM's c, is walked through step by step, place by place.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from unrolled.cells import Cell
from unrolled.shapes import real
from unrolled.state import State, hold

__all__ = ["Replay", "replay"]


class Replay(NamedTuple):
    """What happened inside: the cell's gates and its states after each step, each (B, T, H), 0 at padded steps."""

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
) -> Replay:
    """Return the gates and states of every step of `y, _ = scan(cell, x, state, lengths, reverse=reverse)`.

    Differentiable in x, y, the state and the cell's weights. Of the state, the cell's gates may look at h alone.

    Args:
        cell: the cell that was run.
        x: (B, T, D). y: (B, T, H), what the scan returned for it.
        state: what the scan began with. lengths: (B,). reverse: as they were given to the scan.
    """
    T = y.shape[1]
    state = cell.initial(x) if state is None else state
    is_real = None if lengths is None else real(lengths, T).unsqueeze(2)  # (B, T, 1)
    before = _before(y, state.h.unsqueeze(1), lengths, reverse)
    others = [name for name in cell.State._fields if name != "h"]
    gates = cell.gates(cell.project(x), cell.State(**{"h": before, **dict.fromkeys(others)}))
    if is_real is not None:
        gates = _make(gates, [value.masked_fill(~is_real, 0) for value in gates])
    if not others:
        return Replay(gates, cell.State(y))
    after = _walk(cell, gates, before, state, is_real, reverse)
    return Replay(gates, cell.State(**{"h": y, **{name: after[name] for name in others}}))


def _before(y: Tensor, h0: Tensor, lengths: Tensor | None, reverse: bool) -> Tensor:
    """(B, T, H) and h0 (B, 1, H) -> the h that each step saw, (B, T, H)."""
    T = y.shape[1]
    if not reverse:
        return torch.cat([h0, y[:, :-1]], dim=1)[:, :T]
    before = torch.cat([y[:, 1:], h0], dim=1)[:, :T]
    if lengths is None:
        return before
    first = torch.arange(T, device=y.device) == lengths.unsqueeze(1) - 1  # each row's last real step is read first
    return torch.where(first.unsqueeze(2), h0, before)


def _walk(
    cell: Cell[Any, Any], gates: Any, before: Tensor, state: State, is_real: Tensor | None, reverse: bool
) -> dict[str, Tensor]:
    """Every field of the state after every step, by name, each (B, T, H): `advance` again, with the h that was seen."""
    T = before.shape[1]
    steps = [_make(gates, step) for step in zip(*(value.unbind(1) for value in gates), strict=True)]
    seen = before.unbind(1)
    states: list[State] = [state] * T
    for t in reversed(range(T)) if reverse else range(T):
        _, after = cell.advance(steps[t], state._replace(h=seen[t]))
        state = states[t] = after if is_real is None else hold(is_real[:, t], after, state)
    found = {
        name: torch.stack([s[i] for s in states], dim=1) if T else before.new_zeros(before.shape)
        for i, name in enumerate(cell.State._fields)
    }
    return found if is_real is None else {name: value.masked_fill(~is_real, 0) for name, value in found.items()}


def _make(like: Any, values: Any) -> Any:
    """A tuple of the same type with other values."""
    return type(like)._make(values) if hasattr(like, "_make") else tuple(values)
