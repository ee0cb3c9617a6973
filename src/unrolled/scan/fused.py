"""Our kernels (csrc/) as the twin of the plain cells: Elman, LSTM and GRU on the CPU, forward and backward.

A call goes straight to the compiled function, through autograd where a gradient is wanted. Under torch.compile and
torch.export it is an operator that they know (`torch.ops.unrolled.scan`).

A row's outputs, states and input gradients have the same bits whatever the batch, the padding, the chunks of time and
the number of threads: every sum is one chain in one order (k ascending, x before h, then bias). Weight gradients have
the same bits for any number of threads.

Instruction sets: the best that this processor has, or the one that the environment variable UNROLLED_ISA names.
float64 is computed by the portable kernels, and is there for checking gradients. bfloat16 weights and inputs are for
calls without gradients: sums, gates and states stay in float32, and so does the state that is returned.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from unrolled.cells import Cell, ElmanCell, LSTMCell
from unrolled.errors import BackendError
from unrolled.scan import freeze
from unrolled.scan.freeze import CellWeights, Part
from unrolled.scan.native import compiled, dense, index, isa, isas, multiplies_bfloat16, rows, threads, use_isa
from unrolled.scan.native import kernels as _kernels
from unrolled.scan.torch import CELLS
from unrolled.state import State

__all__ = ["compiled", "isa", "isas", "linear", "product", "scan", "use_isa"]


def scan(
    cell: Cell[Any, Any], x: Tensor, state: State, lengths: Tensor | None, *, reverse: bool, mask: Tensor | None
) -> tuple[Tensor, State]:
    """Run the cell over x (B, T, D) from `state` -> y (B, T, H) and the state after each row's last real step."""
    weights = cell._parameters
    h0, c0 = state.h, state.c if isinstance(cell, LSTMCell) else None
    tensors = (
        x, lengths, weights["weight_x"], weights["weight_h"], weights["bias"], weights.get("bias_n"), mask, h0, c0,
    )  # fmt: skip
    if torch.is_autocast_enabled("cpu"):  # states and sums stay in float32
        with torch.autocast("cpu", enabled=False):
            y, h, c = run(recurrence_of(cell), reverse, *(_full(t) for t in tensors))  # type: ignore[arg-type]
    else:
        y, h, c = run(recurrence_of(cell), reverse, *tensors)  # type: ignore[arg-type]
    return y, cell.State(h) if c is None else cell.State(h, c)


def recurrence_of(cell: Cell[Any, Any]) -> int:
    """Which of the kernels' recurrences the cell is."""
    assert _kernels is not None
    if isinstance(cell, ElmanCell):
        return int(_kernels.ELMAN_RELU if cell.nonlinearity == "relu" else _kernels.ELMAN)
    return int(_kernels.LSTM if isinstance(cell, LSTMCell) else _kernels.GRU)


def _recurrences(cell: Cell[Any, Any]) -> Iterator[Part]:
    found: dict[str, Any] = cell._parameters
    if found.keys() >= CELLS[type(cell)]:
        weights = CellWeights(
            recurrence_of(cell), found["weight_x"], found["weight_h"], found["bias"], found.get("bias_n")
        )
        yield Part("weight_h", weights, tuple(p for p in weights[1:] if isinstance(p, Tensor)))


freeze.OWNERS.update(dict.fromkeys(CELLS, _recurrences))


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
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Run weights that stand in no cell: one of the kernels' recurrences, G gates in their packed order.

    Args:
        recurrence: `_kernels.ELMAN`, `ELMAN_RELU`, `GRU` or `LSTM`. reverse: from the last real step to the first.
        x: (B, T, D). lengths: (B,) or None. weight_x: (G·H, D). weight_h: (G·H, H). bias: (G·H,) or None.
        bias_n: (H,), the GRU's, or None. mask: (B, H) or None. h0, c0: (B, H), c0 for the LSTM alone.

    Returns:
        y (B, T, H), h (B, H), and c (B, H) of the LSTM.
    """
    if lengths is not None and lengths.dtype != torch.int64:
        lengths = lengths.long()
    if weight_x.dtype is torch.bfloat16:
        return _narrow(recurrence, reverse, x, lengths, weight_x, weight_h, bias, bias_n, mask, h0, c0)
    numbers = (recurrence, index(x.dtype), threads(), reverse)
    inputs = (x, lengths, weight_x, weight_h, bias, bias_n, mask, h0, c0)
    if torch.compiler.is_compiling():
        y, h, c, _ = torch.ops.unrolled.scan(*numbers, *inputs)
        return y, h, None if c0 is None else c
    if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in inputs):
        return _Scan.apply(*numbers, *inputs)  # type: ignore[no-untyped-call, no-any-return]
    y, h, c, _ = _forward(*numbers, *inputs, keep=False)  # type: ignore[arg-type]
    return y, h, c


def _narrow(
    recurrence: int, reverse: bool, x: Tensor, lengths: Tensor | None, weight_x: Tensor, weight_h: Tensor,
    bias: Tensor | None, bias_n: Tensor | None, mask: Tensor | None, h0: Tensor, c0: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor | None]:  # fmt: skip
    """As run, with bfloat16 x and weights, without gradients: y in bfloat16; sums, gates and states in float32."""
    assert _kernels is not None
    bias, bias_n, mask, c0 = (None if t is None else t.float() for t in (bias, bias_n, mask, c0))
    if multiplies_bfloat16():
        x, weight_x, weight_h = _pairs(x.bfloat16()), _pairs(weight_x), _pairs(weight_h)
    else:  # products of two bfloat16 are exact in float32
        x, weight_x, weight_h = x.float(), weight_x.float(), weight_h.float()
    inputs = (x, lengths, weight_x, weight_h, bias, bias_n, mask, h0.float(), c0)
    y, h, c, _ = _forward(recurrence, index(torch.float32), threads(), reverse, *inputs, keep=False)
    return y.bfloat16(), h, c


def _pairs(tensor: Tensor) -> Tensor:
    """The bfloat16 tensor in whole, aligned pairs along its last axis."""
    if tensor.shape[-1] % 2:
        return F.pad(tensor, (0, 1))
    *outer, last = tensor.stride()
    if last == 1 and not any(stride % 2 for stride in outer) and tensor.data_ptr() % 4 == 0:
        return tensor
    return tensor.clone(memory_format=torch.contiguous_format)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Return W x + b, x (…, D) -> (…, V), in the same order of sums: a row has the same bits in any company.

    With float32 on the CPU; anything else is torch's product. So is what is to have gradients, where no vector
    instructions were compiled.
    """
    if (
        _kernels is None
        or not (x.is_cpu and x.dtype is torch.float32 and weight.dtype is torch.float32)
        or torch.is_autocast_enabled("cpu")
        or torch.compiler.is_compiling()
    ):
        return F.linear(x, weight, bias)
    if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in (x, weight, bias)):
        return F.linear(x, weight, bias) if isa() == "portable" else _Linear.apply(x, weight, bias)  # type: ignore[no-untyped-call]
    return product(x, weight, bias)


def product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """As `linear`, by our kernel and without gradients."""
    assert _kernels is not None
    y = x.new_empty(*x.shape[:-1], weight.shape[0])
    _kernels.linear(index(x.dtype), threads(), dense(_flat(x)), dense(weight), dense(bias), y.view(-1, weight.shape[0]))
    return y


def _flat(x: Tensor) -> Tensor:
    """(…, D) -> (N, D)."""
    return x if x.dim() == 2 else x.reshape(-1, x.shape[-1])


class _Linear(torch.autograd.Function):
    """A linear layer as autograd sees it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return product(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        need_x, need_weight, need_bias = ctx.needs_input_grad
        if torch.is_grad_enabled():  # somebody may differentiate this
            rows = _flat(dy)
            return (
                dy @ weight if need_x else None,
                rows.T @ _flat(x) if need_weight else None,
                rows.sum(0) if need_bias else None,
            )
        assert _kernels is not None
        dx = torch.empty_like(x, memory_format=torch.contiguous_format) if need_x else None
        dweight = torch.empty_like(weight, memory_format=torch.contiguous_format) if need_weight else None
        dbias = weight.new_empty(weight.shape[0]) if need_bias else None
        _kernels.linear_backward(
            index(x.dtype), threads(), dense(_flat(x)), dense(weight), dense(_flat(dy)),
            None if dx is None else _flat(dx), dweight, dbias,
        )  # fmt: skip
        return dx, dweight, dbias


def _full(tensor: Tensor | None) -> Tensor | None:
    """The tensor in float32, where autocast has made it narrower."""
    return tensor.float() if tensor is not None and tensor.dtype in (torch.bfloat16, torch.float16) else tensor


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
    y, h = x.new_empty(B, T, H), h0.new_empty(B, H)
    c = None if c0 is None else h0.new_empty(B, H)
    numbers = (4 if recurrence == _kernels.GRU else 5 if c0 is not None else 0) if keep else 0
    saved = (x.new_zeros if clean else x.new_empty)(T, B, numbers * H) if numbers else None
    _kernels.forward(
        recurrence, isa, threads, reverse, rows(x), dense(lengths), dense(weight_x), dense(weight_h), dense(bias),
        dense(bias_n), dense(mask), dense(h0), dense(c0), y, h, c, saved,
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
        *numbers, rows(x), dense(lengths), dense(weight_x), dense(weight_h), dense(bias), dense(bias_n),
        dense(mask), dense(h0), dense(c0), y, saved, None if dy is None else rows(dy), dense(dh), dense(dc),
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
