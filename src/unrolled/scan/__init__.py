"""A scan: a cell over time. Its backend is chosen here and nowhere else.

| backend   | computes                                     | for                                   |
|-----------|----------------------------------------------|---------------------------------------|
| reference | the definition: a loop of gates and advance  | any cell                              |
| torch     | torch's own RNN, LSTM, GRU, our weights;     | the plain cells and the linear cells, |
|           | the parallel forms of linear cells           | on any device                         |
| fused     | our kernels                                  | the plain cells, on the CPU           |

`auto` uses the first of fused, torch and reference whose conditions all hold. Elsewhere than on x86-64 torch is before
fused, unless a measurement has shown the kernels to be faster for the cell (measured.py). Conditions are checked before
the call and can be printed; the choice never depends on a caught exception. A forced backend that cannot run raises
BackendError.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, get_args

from torch import Tensor, autocast, is_autocast_enabled, is_grad_enabled
from torch import bfloat16 as BFLOAT16
from torch import float32 as FLOAT32
from torch import float64 as FLOAT64
from torch.compiler import is_compiling

from unrolled import shapes
from unrolled.cells import Cell
from unrolled.eager import is_transformed
from unrolled.errors import BackendError, ConfigError
from unrolled.kernels import freeze, native, operators  # noqa: F401  (registers the operators of torch.compile)
from unrolled.kernels.freeze import Precision, frozen
from unrolled.kernels.scan import can_run
from unrolled.scan import fused, parallel, reference, torch
from unrolled.scan.measured import fused_first
from unrolled.scan.zoneout import Zoneout
from unrolled.state import State, leaves, like

__all__ = ["BACKENDS", "Backend", "Condition", "Precision", "Zoneout", "choose", "conditions", "frozen", "scan"]

Backend = Literal["auto", "reference", "torch", "fused"]
BACKENDS = ("fused", "torch", "reference")  # in the order in which auto tries them where the kernels are first
_TORCH_FIRST = ("torch", "fused", "reference")
_NAMES = get_args(Backend)


class Condition(NamedTuple):
    """A condition of a backend: its text, and whether it holds."""

    needs: str
    holds: bool


# A choice depends on the cell, on whether there is a recurrent mask, an edit of the gates, a zoneout, a forced backend,
# and on what records or transforms the call. These are plain arguments and loops for speed: a single step of a small
# cell takes as long as ten such lines.
_Holds = Callable[[Cell[Any, Any], bool, bool, bool, bool], bool]


def _untransformed(*tensors: Tensor | None) -> bool:
    return is_compiling() or not is_transformed()  # torch.compile traces transforms itself


def _is_plain(cell: Cell[Any, Any], masked: bool, edited: bool, zoned: bool, forced: bool) -> bool:
    """Return True if the cell is exactly one of ours, with its parameters; a changed subclass has no fast backend."""
    parameters = torch.CELLS.get(type(cell))
    return parameters is not None and cell._parameters.keys() >= parameters


def _has_twin(cell: Cell[Any, Any], masked: bool, edited: bool, zoned: bool, forced: bool) -> bool:
    """Return True if torch runs exactly this cell: a plain one, or a linear one by its parallel form."""
    parameters = torch.CELLS.get(type(cell)) or parallel.CELLS.get(type(cell))
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
_TWINS_OF_TORCH = ", ".join(cell.__name__ for cell in (*torch.CELLS, *parallel.CELLS))
_TWIN = (f"a cell that is exactly one of {_TWINS_OF_TORCH} (this is {{}})", _has_twin)
_UNEDITED = ("gates that are not edited", _unedited)
_UNZONED = ("no zoneout", _unzoned)

# The conditions of each backend on the machine, around a call, and on a call. In the order in which auto tries them.
_MACHINE: dict[str, tuple[tuple[str, Callable[[], bool]], ...]] = {
    "fused": (("kernels, compiled when the package is installed with a C++20 compiler", native.compiled),),
    "torch": (),
    "reference": (),
}
_AROUND: dict[str, tuple[tuple[str, Callable[..., bool]], ...]] = {
    "fused": (("a plain eager call or torch.compile: no tracer, transform, mode or tensor subclass", can_run),),
    "torch": (("no transform of torch.func and no forward-mode AD", _untransformed),),
    "reference": (),
}
_CALL: dict[str, tuple[tuple[str, _Holds], ...]] = {
    "fused": (
        _PLAIN,
        _UNEDITED,
        _UNZONED,
        ("weights on the CPU", _on_cpu),
        (
            "weights in float32 (or in bfloat16 without gradients, or in float64 if the backend is forced)",
            _in_float32,
        ),
    ),
    "torch": (_TWIN, ("no recurrent dropout in this call", _unmasked), _UNEDITED, _UNZONED),
    "reference": (),
}


def _can(
    backend: str,
    cell: Cell[Any, Any],
    masked: bool,
    edited: bool,
    zoned: bool,
    forced: bool,
    tensors: Sequence[Tensor | None],
) -> bool:
    """Return True if all conditions hold."""
    for _, on_machine in _MACHINE[backend]:
        if not on_machine():
            return False
    for _, around in _AROUND[backend]:
        if not around(*cell._parameters.values(), *tensors):
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
    tensors: Sequence[Tensor | None] = (),
) -> list[Condition]:
    """Return the conditions of `backend`: those on the machine and, with a cell, those on a call.

    Args:
        cell: the cell to run.
        masked, edited, zoned: whether the call has a recurrent mask, an edit, a zoneout.
        forced: whether the backend is requested by name.
        tensors: tensors of the call.
    """
    result = [Condition(needs, holds()) for needs, holds in _MACHINE[backend]]
    if cell is not None:
        result += [Condition(needs, holds(*cell._parameters.values(), *tensors)) for needs, holds in _AROUND[backend]]
        result += [
            Condition(needs.format(type(cell).__name__), holds(cell, masked, edited, zoned, forced))
            for needs, holds in _CALL[backend]
        ]
    return result


def choose(
    backend: str,
    cell: Cell[Any, Any],
    *,
    masked: bool = False,
    edited: bool = False,
    zoned: bool = False,
    tensors: Sequence[Tensor | None] = (),
) -> Literal["reference", "torch", "fused"]:
    """Return the backend of a call.

    Args:
        backend: "auto", "reference", "torch" or "fused".
        cell, masked, edited, zoned, tensors: see `conditions`.

    Raises:
        BackendError: `backend` is forced and some of its conditions do not hold; the message names them.
        ConfigError: there is no such backend.
    """
    if backend not in _NAMES:
        raise ConfigError(f'backend must be one of {", ".join(_NAMES)}: got "{backend}"')
    forced = backend != "auto"
    for name in (backend,) if forced else BACKENDS if fused_first(cell) else _TORCH_FIRST:
        if _can(name, cell, masked, edited, zoned, forced, tensors):
            return name  # type: ignore[return-value]
    every = conditions(backend, cell, masked=masked, edited=edited, zoned=zoned, forced=True, tensors=tensors)
    missing = "; ".join(condition.needs for condition in every if not condition.holds)
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
        cell: the mathematics of one step.
        x: (B, T, D), padding right.
        state: the state before the first step; None: all zeros.
        lengths: (B,) integers, the number of real steps of each sequence; None: all T.
        reverse: run each sequence from its last real step to its first.
        mask: (B, H), multiplies the state where it enters the gates (recurrent dropout: one mask for all steps).
        edit: a function that changes the gates of every step before they act, for example sets the forget gate to 1.
        zoneout: its rate and mode, see Zoneout; None: none.
        backend: "auto", "reference", "torch" or "fused".

    Returns:
        y (B, T, output_size), zero at padded steps, and the state after each sequence's last real step (for a sequence
        of length 0, its initial state).

    Raises:
        ShapeError: x, state, lengths or mask of another shape.
        BackendError: a forced backend cannot run.
        ConfigError: there is no such backend, or a mask for a cell that feeds nothing back into its gates.
    """
    if x.dim() != 3 or x.shape[2] != cell.input_size:
        shapes.check("x", x, "BTD", D=cell.input_size)
    B, T, _ = x.shape
    if lengths is not None:
        shapes.check_lengths(lengths, B, T)
    if mask is not None:
        if not cell.masked:
            raise ConfigError(f"{type(cell).__name__} feeds nothing back into its gates: remove recurrent_dropout")
        shapes.check("mask", mask, "BH", B=B, H=cell.hidden_size)
    if state is None:
        state = cell.initial(x)
    else:
        cell.check(state, B)
    may_be_fused = backend == "fused" or (backend == "auto" and fused_first(cell))
    may_be_packed = may_be_fused and edit is None and zoneout is None
    packed = freeze.of(cell, tensors=(x, mask, *state)) if may_be_packed else None
    if packed is not None:  # the other conditions were checked when the weights were packed
        y, h, c = packed.run(reverse, x, lengths, mask, state.h, state.c if packed.lstm else None)
        return y, cell.State(h) if c is None else cell.State(h, c)
    chosen = choose(
        backend,
        cell,
        masked=mask is not None,
        edited=edit is not None,
        zoned=zoneout is not None,
        tensors=(x, mask, *state),
    )
    if chosen == "fused":
        return fused.scan(cell, x, state, lengths, reverse=reverse, mask=mask)
    if not x.is_meta and is_autocast_enabled(
        x.device.type
    ):  # states and sums stay in float32, as they do in the fused scan
        wide = like(state, [leaf.float() for leaf in leaves(state)])
        mask = mask if mask is None else mask.float()
        with autocast(x.device.type, enabled=False):
            return scan(
                cell, x.float(), wide, lengths, reverse=reverse, mask=mask, edit=edit, zoneout=zoneout, backend=chosen
            )
    if chosen == "torch":
        run = parallel.scan if cell.is_linear else torch.scan
        return run(cell, x, state, lengths, reverse=reverse)
    return reference.scan(cell, x, state, lengths, reverse=reverse, mask=mask, edit=edit, zoneout=zoneout)
