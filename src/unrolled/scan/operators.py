"""The fused scan as torch.compile and torch.export see it: operators that call the same two functions.

An operator returns tensors only, so an empty one stands in the place of None.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from unrolled.scan.fused import _backward, _forward, _in_place_of_inputs, _ScanBackward
from unrolled.scan.native import kernels as _kernels

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
