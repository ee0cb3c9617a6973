"""A scan: a cell over time. Here is the one place where its backend is chosen.

| backend   | what it is                                   | for                                   |
|-----------|----------------------------------------------|---------------------------------------|
| reference | the meaning: one loop over gates and advance | any cell                              |
| torch     | torch's own RNN, LSTM, GRU, our weights      | the plain cells, on any device        |
| fused     | our kernels                                  | the plain cells, on the CPU           |

`auto` takes the first of fused, torch and reference whose conditions all hold. Conditions are plain facts that can be
printed; no exception is ever caught to decide. A backend that is forced and cannot run raises BackendError.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, get_args

from torch import Tensor, autocast, is_autocast_enabled, is_grad_enabled
from torch import bfloat16 as BFLOAT16
from torch import float32 as FLOAT32
from torch import float64 as FLOAT64

from unrolled import shapes
from unrolled.cells import Cell
from unrolled.errors import BackendError, ConfigError
from unrolled.kernels import freeze, native, operators  # noqa: F401  (operators: what torch.compile knows)
from unrolled.kernels.freeze import frozen
from unrolled.scan import fused, reference, torch
from unrolled.scan.zoneout import Zoneout
from unrolled.state import State, leaves, like

__all__ = ["BACKENDS", "Backend", "Condition", "Zoneout", "choose", "conditions", "frozen", "scan"]

Backend = Literal["auto", "reference", "torch", "fused"]
BACKENDS = ("fused", "torch", "reference")  # in the order in which auto tries them
_NAMES = get_args(Backend)


class Condition(NamedTuple):
    """One thing a backend needs, and whether it is so."""

    needs: str
    holds: bool


# What a choice depends on: the cell, and whether there is a recurrent mask, an edit of the gates, a backend asked
# for by name. Plain arguments and loops: a single step of a small cell takes as long as ten such lines.
_Holds = Callable[[Cell[Any, Any], bool, bool, bool, bool], bool]


def _is_plain(cell: Cell[Any, Any], masked: bool, edited: bool, zoned: bool, forced: bool) -> bool:
    """Whether the cell is exactly one of ours, with its parameters: an edited copy must not be computed by its twin."""
    parameters = torch.CELLS.get(type(cell))
    return parameters is not None and cell._parameters.keys() >= parameters


def _unmasked(cell: Cell[Any, Any], masked: bool, edited: bool, zoned: bool, forced: bool) -> bool:
    return not masked


def _unedited(cell: Cell[Any, Any], masked: bool, edited: bool, zoned: bool, forced: bool) -> bool:
    return not edited


def _unzoned(cell: Cell[Any, Any], masked: bool, edited: bool, zoned: bool, forced: bool) -> bool:
    return not zoned


def _on_cpu(cell: Cell[Any, Any], masked: bool, edited: bool, zoned: bool, forced: bool) -> bool:
    weight = cell._parameters.get("weight_h")
    return weight is not None and weight.is_cpu


def _in_float32(cell: Cell[Any, Any], masked: bool, edited: bool, zoned: bool, forced: bool) -> bool:
    weight = cell._parameters.get("weight_h")
    if weight is None or weight.dtype is FLOAT32:
        return weight is not None
    if weight.dtype is BFLOAT16:
        return not (is_grad_enabled() and weight.requires_grad)
    return forced and weight.dtype is FLOAT64


_TWINS = ", ".join(cell.__name__ for cell in torch.CELLS)
_PLAIN = (f"a cell that is exactly one of {_TWINS} (this is {{}})", _is_plain)
_UNEDITED = ("gates that are not edited", _unedited)
_UNZONED = ("no zoneout", _unzoned)

# What each backend needs: of the machine, and of a call. In the order in which auto tries them.
_MACHINE: dict[str, tuple[tuple[str, Callable[[], bool]], ...]] = {
    "fused": (("kernels, compiled where the package was installed by a C++20 compiler", native.compiled),),
    "torch": (),
    "reference": (),
}
_CALL: dict[str, tuple[tuple[str, _Holds], ...]] = {
    "fused": (
        _PLAIN,
        _UNEDITED,
        _UNZONED,
        ("weights on the CPU", _on_cpu),
        (
            "weights in float32 (or in bfloat16 where no gradient is wanted, or in float64 when asked for by name)",
            _in_float32,
        ),
    ),
    "torch": (_PLAIN, ("no recurrent dropout in this call", _unmasked), _UNEDITED, _UNZONED),
    "reference": (),
}


def _can(backend: str, cell: Cell[Any, Any], masked: bool, edited: bool, zoned: bool, forced: bool) -> bool:
    """Whether all conditions hold."""
    for _, here in _MACHINE[backend]:
        if not here():
            return False
    for _, holds in _CALL[backend]:  # noqa: SIM110
        if not holds(cell, masked, edited, zoned, forced):
            return False
    return True


def conditions(
    backend: str,
    cell: Cell[Any, Any] | None = None,
    *,
    masked: bool = False,
    edited: bool = False,
    zoned: bool = False,
    forced: bool = False,
) -> list[Condition]:
    """Return what `backend` needs to run `cell` (with or without a recurrent mask, with or without an edit).

    Without a cell, only what it needs of the machine. `forced`: whether it is asked for by name.
    """
    found = [Condition(needs, holds()) for needs, holds in _MACHINE[backend]]
    if cell is not None:
        found += [
            Condition(needs.format(type(cell).__name__), holds(cell, masked, edited, zoned, forced))
            for needs, holds in _CALL[backend]
        ]
    return found


def choose(
    backend: str, cell: Cell[Any, Any], *, masked: bool = False, edited: bool = False, zoned: bool = False
) -> Literal["reference", "torch", "fused"]:
    """Return the backend that will run.

    Raises:
        BackendError: `backend` is forced and one of its conditions does not hold; the message names it.
        ConfigError: there is no such backend.
    """
    if backend not in _NAMES:
        raise ConfigError(f'backend must be one of {", ".join(_NAMES)}: got "{backend}"')
    forced = backend != "auto"
    for name in (backend,) if forced else BACKENDS:
        if _can(name, cell, masked, edited, zoned, forced):
            return name  # type: ignore[return-value]
    found = conditions(backend, cell, masked=masked, edited=edited, zoned=zoned, forced=True)
    missing = "; ".join(c.needs for c in found if not c.holds)
    raise BackendError(f'backend "{backend}" cannot run here: it needs {missing}. Use backend "auto"')


def scan(
    cell: Cell[Any, Any],
    x: Tensor,
    state: State = None,
    lengths: Tensor | None = None,
    *,
    reverse: bool = False,
    mask: Tensor | None = None,
    edit: Callable[[Any], Any] | None = None,
    zoneout: Zoneout | None = None,
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
    if x.dim() != 3 or x.shape[2] != cell.input_size:
        shapes.check("x", x, "BTD", D=cell.input_size)
    B, T, _ = x.shape
    if lengths is not None:
        shapes.check_lengths(lengths, B, T)
    if mask is not None:
        if not cell.feedback:
            raise ConfigError(f"{type(cell).__name__} feeds nothing back into its gates: remove recurrent_dropout")
        shapes.check("mask", mask, "BH", B=B, H=cell.hidden_size)
    if state is None:
        state = cell.initial(x)
    else:
        cell.check(state, B)
    kept = freeze.of(cell) if edit is None and zoneout is None and backend in ("auto", "fused") else None
    if kept is not None:  # it was chosen when it was packed
        y, h, c = kept.run(reverse, x, lengths, mask, state.h, state.c if kept.lstm else None)
        return y, cell.State(h) if c is None else cell.State(h, c)
    chosen = choose(backend, cell, masked=mask is not None, edited=edit is not None, zoned=zoneout is not None)
    if chosen == "fused":
        return fused.scan(cell, x, state, lengths, reverse=reverse, mask=mask)
    if is_autocast_enabled(x.device.type):  # states and sums stay in float32, as they do in the fused scan
        full = like(state, [leaf.float() for leaf in leaves(state)])
        mask = mask if mask is None else mask.float()
        with autocast(x.device.type, enabled=False):
            return scan(
                cell, x.float(), full, lengths, reverse=reverse, mask=mask, edit=edit, zoneout=zoneout, backend=chosen
            )
    if chosen == "torch":
        return torch.scan(cell, x, state, lengths, reverse=reverse)
    return reference.scan(cell, x, state, lengths, reverse=reverse, mask=mask, edit=edit, zoneout=zoneout)
