"""A scan: a cell over time. Here is the one place where its backend is chosen.

| backend   | what it is                                   | for                                   |
|-----------|----------------------------------------------|---------------------------------------|
| reference | the meaning: one loop over gates and advance | any cell                              |
| torch     | torch's own RNN, LSTM, GRU, our weights      | the plain cells, on any device        |
| fused     | our kernels                                  | not built yet                         |

`auto` takes the first of fused, torch and reference whose conditions all hold. Conditions are plain facts that can be
printed; no exception is ever caught to decide. A backend that is forced and cannot run raises BackendError.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, get_args

from torch import Tensor

from unrolled import shapes
from unrolled.cells import Cell
from unrolled.errors import BackendError, ConfigError
from unrolled.scan import reference, torch
from unrolled.state import State

__all__ = ["BACKENDS", "Backend", "Condition", "choose", "conditions", "scan"]

Backend = Literal["auto", "reference", "torch", "fused"]
BACKENDS = ("fused", "torch", "reference")  # in the order in which auto tries them


class Condition(NamedTuple):
    """One thing a backend needs, and whether it is so."""

    needs: str
    holds: bool


def conditions(
    backend: str, cell: Cell[Any, Any] | None = None, *, masked: bool = False, edited: bool = False
) -> list[Condition]:
    """Return what `backend` needs to run `cell` (with or without a recurrent mask, with or without an edit).

    Without a cell, only what it needs of the machine.
    """
    if backend == "reference":
        return []
    if backend == "torch":
        name = type(cell).__name__
        twins = ", ".join(c.__name__ for c in torch.CELLS)
        found = [Condition(f"a cell that is exactly one of {twins} (this is {name})", _is_plain(cell))]
        found.append(Condition("no recurrent dropout in this call", not masked))
        found.append(Condition("gates that nobody edits", not edited))
        return found if cell is not None else []
    return [Condition("compiled kernels (this version has none yet)", False)]


def choose(
    backend: str, cell: Cell[Any, Any], *, masked: bool = False, edited: bool = False
) -> Literal["reference", "torch", "fused"]:
    """Return the backend that will run.

    Raises:
        BackendError: `backend` is forced and one of its conditions does not hold; the message names it.
        ConfigError: there is no such backend.
    """
    if backend not in get_args(Backend):
        raise ConfigError(f'backend must be one of {", ".join(get_args(Backend))}: got "{backend}"')
    for name in BACKENDS if backend == "auto" else (backend,):
        missing = [c.needs for c in conditions(name, cell, masked=masked, edited=edited) if not c.holds]
        if not missing:
            return name  # type: ignore[return-value]
    raise BackendError(f'backend "{backend}" cannot run here: it needs {"; ".join(missing)}. Use backend "auto"')


def scan(
    cell: Cell[Any, Any],
    x: Tensor,
    state: State = None,
    lengths: Tensor | None = None,
    *,
    reverse: bool = False,
    mask: Tensor | None = None,
    edit: Callable[[Any], Any] | None = None,
    backend: str = "auto",
) -> tuple[Tensor, State]:
    """Run a cell over time.

    Args:
        cell: the maths of one step.
        x: (B, T, D), padding right.
        state: what the cell carries into the first step; None is the beginning, all zeros.
        lengths: (B,) integers, the real steps of each row; None: all T.
        reverse: from each row's last real step to its first.
        mask: (B, H), multiplies h where it enters the gates (recurrent dropout: one mask a call).
        edit: changes the gates of every step before they act, as in "clamp the forget gate to 1".
        backend: "auto", "reference", "torch" or "fused".

    Returns:
        y (B, T, H), zero at padded steps, and the state after each row's last step (a row of length 0 keeps its own).

    Raises:
        ShapeError: x, lengths or mask of another shape. BackendError: a forced backend cannot run.
    """
    B, T = x.shape[:2] if x.dim() == 3 else (-1, -1)
    shapes.check("x", x, "BTD", D=cell.input_size)
    shapes.check_lengths(lengths, B, T)
    if mask is not None:
        shapes.check("mask", mask, "BH", B=B, H=cell.hidden_size)
    if state is None:
        state = cell.initial(x)
    else:
        shapes.check("state.h", state.h, "BH", B=B, H=cell.hidden_size)
    chosen = choose(backend, cell, masked=mask is not None, edited=edit is not None)
    if chosen == "torch":
        return torch.scan(cell, x, state, lengths, reverse=reverse)
    return reference.scan(cell, x, state, lengths, reverse=reverse, mask=mask, edit=edit)


def _is_plain(cell: Cell[Any, Any] | None) -> bool:
    """Whether the cell is exactly one of ours, unparametrised: an edited copy must not be computed by its twin."""
    return type(cell) in torch.CELLS and not hasattr(cell, "parametrizations")
