"""Our kernels (csrc/) as the twin of the plain cells: Elman, LSTM and GRU on the CPU, forward and backward.

A call goes straight to the compiled function, through autograd where a gradient is wanted. Under torch.compile and
torch.export it is an operator that they know (`torch.ops.unrolled.scan`).

A row's outputs, states and input gradients have the same bits whatever the batch, the padding, the chunks of time and
the number of threads: every sum is one chain in one order (k ascending, x before h, then bias). Weight gradients have
the same bits for any number of threads.

Instruction sets: the best that this processor has, or the one that the environment variable UNROLLED_ISA names.
float64 is computed by the portable kernels, and is there for checking gradients.
"""

from __future__ import annotations

import importlib.util
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from unrolled.cells import Cell, ElmanCell, ElmanState, GRUCell, GRUState, LSTMCell, LSTMState
from unrolled.errors import BackendError, ConfigError
from unrolled.state import State

__all__ = ["CELLS", "compiled", "isa", "isas", "scan", "use_isa"]

CELLS = (ElmanCell, LSTMCell, GRUCell)

_kernels: ModuleType | None = (
    importlib.import_module("unrolled._kernels") if importlib.util.find_spec("unrolled._kernels") else None
)

_forked, _said = False, False  # whether this is a forked child, and whether it has said that it works alone


def compiled() -> bool:
    """Whether the kernels were compiled when the package was installed."""
    return _kernels is not None


def isas() -> dict[str, bool]:
    """Return the compiled instruction sets, best first, each with whether this processor has it."""
    return {} if _kernels is None else dict(_kernels.isas())


def scan(
    cell: Cell[Any, Any], x: Tensor, state: State, lengths: Tensor | None, *, reverse: bool, mask: Tensor | None
) -> tuple[Tensor, State]:
    """Run the cell over x (B, T, D) from `state` -> y (B, T, H) and the state after each row's last real step."""
    if _kernels is None:
        raise BackendError("the fused backend needs compiled kernels; scan/__init__.py decides who runs")
    weights = cell._parameters
    weight_x, weight_h = weights["weight_x"], weights["weight_h"]
    bias, bias_n = weights.get("bias"), weights.get("bias_n")
    h0, c0 = state.h, state.c if isinstance(state, LSTMState) else None
    assert weight_x is not None
    assert weight_h is not None
    if isinstance(cell, ElmanCell):
        recurrence = _kernels.ELMAN_RELU if cell.nonlinearity == "relu" else _kernels.ELMAN
    else:
        recurrence = _kernels.LSTM if c0 is not None else _kernels.GRU
    tensors = (x, lengths, weight_x, weight_h, bias, bias_n, mask, h0, c0)

    if torch.is_autocast_enabled("cpu"):  # states and sums stay in float32
        with torch.autocast("cpu", enabled=False):
            return run(recurrence, reverse, *(_full(t) for t in tensors))  # type: ignore[arg-type]
    return run(recurrence, reverse, *tensors)


def run(
    recurrence: int,
    reverse: bool,
    x: Tensor,
    lengths: Tensor | None,
    weight_x: Tensor,
    weight_h: Tensor,
    bias: Tensor | None,
    bias_n: Tensor | None,
    mask: Tensor | None,
    h0: Tensor,
    c0: Tensor | None,
) -> tuple[Tensor, State]:
    """Run weights that stand in no cell: one of the kernels' recurrences, G gates in their packed order.

    Args:
        recurrence: `_kernels.ELMAN`, `ELMAN_RELU`, `GRU` or `LSTM`. reverse: from the last real step to the first.
        x: (B, T, D). lengths: (B,) or None. weight_x: (G·H, D). weight_h: (G·H, H). bias: (G·H,) or None.
        bias_n: (H,), the GRU's, or None. mask: (B, H) or None. h0, c0: (B, H), c0 for the LSTM alone.

    Returns:
        y (B, T, H), and the state.
    """
    assert _kernels is not None
    if lengths is not None and lengths.dtype != torch.int64:
        lengths = lengths.long()
    isa = _PORTABLE if x.dtype == torch.float64 else _isa
    threads = _threads()
    inputs = (x, lengths, weight_x, weight_h, bias, bias_n, mask, h0, c0)
    if torch.compiler.is_compiling():
        y, h, c, _ = torch.ops.unrolled.scan(recurrence, isa, threads, reverse, *inputs)
    elif torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in inputs):
        y, h, c = _Scan.apply(recurrence, isa, threads, reverse, *inputs)  # type: ignore[no-untyped-call]
    else:
        y, h, c, _ = _forward(recurrence, isa, threads, reverse, *inputs, keep=False)
    if c0 is not None:
        return y, LSTMState(h, c)
    return y, GRUState(h) if recurrence == _kernels.GRU else ElmanState(h)


def _full(tensor: Tensor | None) -> Tensor | None:
    """The tensor in float32, where autocast has made it narrower."""
    return tensor.float() if tensor is not None and tensor.dtype in (torch.bfloat16, torch.float16) else tensor


def _dense(tensor: Tensor | None) -> Tensor | None:
    return tensor if tensor is None or tensor.is_contiguous() else tensor.contiguous()


def _rows(tensor: Tensor) -> Tensor:
    """The tensor (B, T, n) with its last axis side by side in memory."""
    return tensor if tensor.is_contiguous() or tensor.stride(2) == 1 else tensor.contiguous()


# --- the instruction set and the threads ---------------------------------------------------------------------------


def _index(name: str) -> int:
    known = isas()
    here = [isa for isa, is_here in known.items() if is_here]
    if not known.get(name, False):
        why = "this processor does not have it" if name in known else "there are no such kernels"
        raise ConfigError(f'UNROLLED_ISA: "{name}" cannot be used, {why}; here are {", ".join(here) or "none"}')
    return list(known).index(name)


def _best() -> int:
    forced = os.environ.get("UNROLLED_ISA")
    if forced:
        return _index(forced)
    return list(isas().values()).index(True) if compiled() else -1


_isa = _best()
_PORTABLE = list(isas()).index("portable") if compiled() else -1


def isa() -> str | None:
    """Return the instruction set in use, None without kernels."""
    return list(isas())[_isa] if compiled() else None


@contextmanager
def use_isa(name: str) -> Iterator[None]:
    """Use another instruction set for a while, in every thread: for tests and measurements.

    Raises:
        ConfigError: the kernels or the processor do not have it.
    """
    global _isa
    before, _isa = _isa, _index(name)
    try:
        yield
    finally:
        _isa = before


def _threads() -> int:
    """As many as torch uses; one in a forked child, because OpenMP's threads do not survive a fork."""
    global _said
    if not _forked:
        return torch.get_num_threads()
    if not _said:
        _said = True
        warnings.warn("unrolled: a forked process runs its scans on one thread; spawn it to use more", stacklevel=4)
    return 1


def _after_fork() -> None:
    global _forked
    _forked = True


os.register_at_fork(after_in_child=_after_fork)


# --- the calls ----------------------------------------------------------------------------------------------------


def _forward(
    recurrence: int, isa: int, threads: int, reverse: bool, x: Tensor, lengths: Tensor | None, weight_x: Tensor,
    weight_h: Tensor, bias: Tensor | None, bias_n: Tensor | None, mask: Tensor | None, h0: Tensor, c0: Tensor | None,
    keep: bool = True, clean: bool = False,
) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:  # fmt: skip
    """y, h, c (LSTM) and, to keep for backward, the gates (LSTM, GRU); `clean`: with zeros at padded steps."""
    assert _kernels is not None
    B, T, _ = x.shape
    H = h0.shape[1]
    y, h = x.new_empty(B, T, H), x.new_empty(B, H)
    c = None if c0 is None else x.new_empty(B, H)
    numbers = (4 if recurrence == _kernels.GRU else 5 if c0 is not None else 0) if keep else 0
    saved = (x.new_zeros if clean else x.new_empty)(T, B, numbers * H) if numbers else None
    _kernels.forward(
        recurrence, isa, threads, reverse, _rows(x), _dense(lengths), _dense(weight_x), _dense(weight_h), _dense(bias),
        _dense(bias_n), _dense(mask), _dense(h0), _dense(c0), y, h, c, saved,
    )  # fmt: skip
    return y, h, c, saved


def _backward(
    numbers: tuple[Any, ...], inputs: tuple[Tensor | None, ...], y: Tensor, saved: Tensor | None, dy: Tensor | None,
    dh: Tensor | None, dc: Tensor | None, need_x: bool, need_weights: bool,
) -> tuple[Tensor | None, ...]:  # fmt: skip
    """dx, dweight_x, dweight_h, dbias, dbias_n, dh0, dc0; None for what is not asked for or does not exist."""
    assert _kernels is not None
    x, lengths, weight_x, weight_h, bias, bias_n, mask, h0, c0 = inputs
    assert x is not None
    B, T, D = x.shape
    dx = x.new_empty(B, T, D) if need_x else None
    weights = (weight_x, weight_h, bias, bias_n)
    dweights = [x.new_empty(w.shape) if need_weights and w is not None else None for w in weights]
    dh0, dc0 = (None if state is None else x.new_empty(state.shape) for state in (h0, c0))
    _kernels.backward(
        *numbers, _rows(x), _dense(lengths), _dense(weight_x), _dense(weight_h), _dense(bias), _dense(bias_n),
        _dense(mask), _dense(h0), _dense(c0), y, saved, None if dy is None else _rows(dy), _dense(dh), _dense(dc),
        dx, *dweights, dh0, dc0,
    )  # fmt: skip
    return dx, *dweights, dh0, dc0


class _Scan(torch.autograd.Function):
    """The scan as autograd sees it: (4 numbers, 9 tensors or None) -> y, h, c."""

    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> tuple[Tensor, Tensor, Tensor | None]:
        y, h, c, saved = _forward(*arguments)
        ctx.numbers = arguments[:4]
        ctx.save_for_backward(*arguments[4:], y, saved)
        ctx.set_materialize_grads(False)
        return y, h, c

    @staticmethod
    def backward(ctx: Any, dy: Tensor | None, dh: Tensor | None, dc: Tensor | None) -> tuple[Any, ...]:
        *inputs, y, saved = ctx.saved_tensors
        needed = ctx.needs_input_grad[4:]
        arguments = (ctx.numbers, tuple(inputs), y, saved, dy, dh, dc, needed[0], any(needed[2:6]))
        # With create_graph, somebody may differentiate this: they must hear that it cannot be done.
        again = torch.is_grad_enabled()
        found = _ScanBackward.apply(*inputs, arguments) if again else _backward(*arguments)  # type: ignore[no-untyped-call]
        return (None,) * 4 + _in_place_of_inputs(found, needed)


class _ScanBackward(torch.autograd.Function):
    """The gradients of a scan, which have no gradients themselves."""

    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> tuple[Tensor | None, ...]:
        return _backward(*arguments[-1])

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> None:
        raise BackendError('the fused scan has no second derivatives; use backend "reference" (or "torch") for them')


def _in_place_of_inputs(found: tuple[Any, ...], needed: tuple[bool, ...]) -> tuple[Any, ...]:
    """The gradients in the order of the inputs: x, lengths, four weights, mask, h0, c0."""
    if needed[6]:
        raise BackendError('the fused scan has no gradient of the recurrent mask; use backend "reference" for it')
    dx, dweight_x, dweight_h, dbias, dbias_n, dh0, dc0 = found
    every = (dx, None, dweight_x, dweight_h, dbias, dbias_n, None, dh0, dc0)
    return tuple(d if need else None for d, need in zip(every, needed, strict=True))


# --- what torch.compile knows: the same two functions as operators, an empty tensor in place of None -----------------

_INPUTS = (
    "int recurrence, int isa, int threads, bool reverse, Tensor x, Tensor? lengths, Tensor weight_x, Tensor weight_h, "
    "Tensor? bias, Tensor? bias_n, Tensor? mask, Tensor h0, Tensor? c0"
)
torch.library.define("unrolled::scan", f"({_INPUTS}) -> (Tensor y, Tensor h, Tensor c, Tensor saved)")
torch.library.define(
    "unrolled::scan_backward",
    f"({_INPUTS}, Tensor y, Tensor saved, Tensor? dy, Tensor? dh, Tensor? dc, bool need_x, bool need_weights) "
    "-> (Tensor dx, Tensor dweight_x, Tensor dweight_h, Tensor dbias, Tensor dbias_n, Tensor dh0, Tensor dc0)",
)


@torch.library.impl("unrolled::scan", "CPU")
def _operator(*arguments: Any) -> tuple[Tensor, ...]:
    x = arguments[4]
    return tuple(x.new_empty(0) if out is None else out for out in _forward(*arguments, True, True))  # type: ignore[call-arg]


@torch.library.impl("unrolled::scan_backward", "CPU")
def _operator_backward(*arguments: Any) -> tuple[Tensor, ...]:
    numbers, inputs, (y, saved, dy, dh, dc, need_x, need_weights) = arguments[:4], arguments[4:13], arguments[13:]
    has_c = inputs[8] is not None
    found = _backward(
        numbers, inputs, y, saved if saved.numel() or saved.dim() > 1 else None, dy, dh, dc if has_c else None,
        need_x, need_weights,
    )  # fmt: skip
    return tuple(y.new_empty(0) if out is None else out for out in found)


@torch.library.register_fake("unrolled::scan")  # type: ignore[untyped-decorator]
def _shapes(*arguments: Any) -> tuple[Tensor, ...]:
    recurrence, x, h0, c0 = arguments[0], arguments[4], arguments[11], arguments[12]
    B, T, _ = x.shape
    H = h0.shape[1]
    numbers = 5 if c0 is not None else 4 if _kernels is not None and recurrence == _kernels.GRU else 0
    return (
        x.new_empty(B, T, H),
        x.new_empty(B, H),
        x.new_empty(0) if c0 is None else x.new_empty(B, H),
        x.new_empty(T, B, numbers * H) if numbers else x.new_empty(0),
    )


@torch.library.register_fake("unrolled::scan_backward")  # type: ignore[untyped-decorator]
def _backward_shapes(*arguments: Any) -> tuple[Tensor, ...]:
    x, _, weight_x, weight_h, bias, bias_n, _, h0, c0 = arguments[4:13]
    need_x, need_weights = arguments[-2:]
    wanted = (x if need_x else None, *((weight_x, weight_h, bias, bias_n) if need_weights else (None,) * 4), h0, c0)
    return tuple(x.new_empty(0) if like is None else x.new_empty(like.shape) for like in wanted)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    ctx.numbers = inputs[:4]
    ctx.save_for_backward(*inputs[4:], output[0], output[3])


def _differentiate(ctx: Any, dy: Tensor | None, dh: Tensor | None, dc: Tensor | None, _: Any) -> tuple[Any, ...]:
    *inputs, y, saved = ctx.saved_tensors
    needed = ctx.needs_input_grad[4:]
    found = torch.ops.unrolled.scan_backward(*ctx.numbers, *inputs, y, saved, dy, dh, dc, needed[0], any(needed[2:6]))
    return (None,) * 4 + _in_place_of_inputs(found, needed)


torch.library.register_autograd("unrolled::scan", _differentiate, setup_context=_keep)
torch.library.register_autograd("unrolled::scan_backward", _ScanBackward.backward)
