"""The scan for torch.compile: operators that call the same two functions.

An operator returns tensors only, so an empty tensor stands for None. Its number of threads is that of the time of the
call, which torch.compile cannot trace. `keep` is whether a gradient may follow, so that gates are saved.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from unrolled.errors import BackendError
from unrolled.kernels.native import Recurrence, dense, threads
from unrolled.kernels.scan import Inputs, Kernel, backward, by_input, forward

_INPUTS = (
    "int recurrence, int isa, bool reverse, Tensor x, Tensor? lengths, Tensor weight_x, Tensor weight_h, "
    "Tensor? bias, Tensor? bias_n, Tensor? mask, Tensor h0, Tensor? c0"
)
torch.library.define("unrolled::scan", f"({_INPUTS}, bool keep) -> (Tensor y, Tensor h, Tensor c, Tensor saved)")
torch.library.define(
    "unrolled::scan_backward",
    f"({_INPUTS}, Tensor y, Tensor saved, Tensor? dy, Tensor? dh, Tensor? dc, bool need_x, bool need_weights) "
    "-> (Tensor dx, Tensor dweight_x, Tensor dweight_h, Tensor dbias, Tensor dbias_n, Tensor dh0, Tensor dc0)",
)


def _split(arguments: tuple[Any, ...]) -> tuple[Kernel, Inputs, tuple[Any, ...]]:
    """Split the arguments of an operator into the kernel, the inputs and the rest."""
    recurrence, isa, reverse = arguments[:3]
    return Kernel(recurrence, isa, threads(), reverse), Inputs(*arguments[3:12]), arguments[12:]


def _tensors(results: tuple[Tensor | None, ...], like: Tensor) -> tuple[Tensor, ...]:
    return tuple(like.new_empty(0) if result is None else result for result in results)


@torch.library.impl("unrolled::scan", "CPU")
def _forward(*arguments: Any) -> tuple[Tensor, ...]:
    kernel, inputs, (keep,) = _split(arguments)
    return _tensors(forward(kernel, inputs, keep=keep, clean=True), inputs.x)


@torch.library.impl("unrolled::scan_backward", "CPU")
def _backward(*arguments: Any) -> tuple[Tensor, ...]:
    kernel, inputs, (y, saved, dy, dh, dc, need_x, need_weights) = _split(arguments)
    gradients = backward(
        kernel,
        inputs,
        y,
        saved if saved.numel() or saved.dim() > 1 else None,
        dy,
        dh,
        None if inputs.c0 is None else dc,
        need_x=need_x,
        need_weights=need_weights,
    )
    return _tensors(gradients._replace(x=dense(gradients.x)), y)


@torch.library.register_fake("unrolled::scan")  # type: ignore[untyped-decorator]
def _forward_shapes(*arguments: Any) -> tuple[Tensor, ...]:
    kernel, inputs, (keep,) = _split(arguments)
    x, h0, c0 = inputs.x, inputs.h0, inputs.c0
    B, T, _ = x.shape
    H = h0.shape[1]
    numbers = (5 if c0 is not None else 4 if kernel.recurrence == Recurrence.GRU else 0) if keep else 0
    return (
        x.new_empty(B, T, H),
        x.new_empty(B, H),
        x.new_empty(0) if c0 is None else x.new_empty(B, H),
        x.new_empty(T, B, numbers * H) if numbers else x.new_empty(0),
    )


@torch.library.register_fake("unrolled::scan_backward")  # type: ignore[untyped-decorator]
def _backward_shapes(*arguments: Any) -> tuple[Tensor, ...]:
    _, inputs, (*_, need_x, need_weights) = _split(arguments)
    weights = inputs[2:6] if need_weights else (None,) * 4
    needed = (inputs.x if need_x else None, *weights, inputs.h0, inputs.c0)
    return tuple(inputs.x.new_empty(0) if like is None else inputs.x.new_empty(like.shape) for like in needed)


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    ctx.kernel = inputs[:3]
    ctx.save_for_backward(*inputs[3:12], output[0], output[3])


def _differentiate(ctx: Any, dy: Tensor | None, dh: Tensor | None, dc: Tensor | None, _: Any) -> tuple[Any, ...]:
    *inputs, y, saved = ctx.saved_tensors
    needed = ctx.needs_input_grad[3:12]
    gradients = torch.ops.unrolled.scan_backward(
        *ctx.kernel, *inputs, y, saved, dy, dh, dc, needed[0], any(needed[2:6])
    )
    return (None,) * 3 + by_input(gradients, needed) + (None,)


def _refuse(ctx: Any, *gradients: Any) -> None:
    raise BackendError("a compiled scan has no second derivatives: call the layer without torch.compile for them")


torch.library.register_autograd("unrolled::scan", _differentiate, setup_context=_save)
torch.library.register_autograd("unrolled::scan_backward", _refuse)
