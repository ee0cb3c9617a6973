"""The recurrences of the kernels (csrc/kernels/): forward, backward and the autograd node.

A call runs the compiled function directly, or through autograd if a gradient is needed. Under torch.compile it is an
operator (`torch.ops.unrolled.scan`, see operators.py). Gradients that are to be differentiated, batched, recorded or
transformed, and those of a mask, are computed from the definition in torch's operations.

float64 is computed by the portable kernels, to check gradients. bfloat16 weights and inputs are for calls
without gradients: sums, gates and states stay in float32, and so does the returned state. In training with bfloat16
products (`run(…, bfloat16=True)`) all tensors are float32, and operands are rounded where they enter a product.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F

from unrolled.eager import eager
from unrolled.errors import BackendError
from unrolled.kernels.differentiate import gradients_of
from unrolled.kernels.native import Recurrence, dense, index, kernels, multiplies_bfloat16, rows, threads

__all__ = [
    "CellWeights",
    "Gradients",
    "Inputs",
    "Kernel",
    "backward",
    "by_input",
    "can_run",
    "define",
    "definition",
    "forward",
    "run",
]


class CellWeights(NamedTuple):
    """The weights of one recurrence with G gates in their packed order.

    Args:
        recurrence: see `native.Recurrence`.
        weight_x: (G·H, D).
        weight_h: (G·H, H).
        bias: (G·H,) or None.
        bias_n: (H,), of the GRU, or None.
    """

    recurrence: int
    weight_x: Tensor
    weight_h: Tensor
    bias: Tensor | None
    bias_n: Tensor | None


class Kernel(NamedTuple):
    """The compiled function of one call.

    Args:
        recurrence: see `CellWeights`.
        isa: the instruction set, see `native.index`.
        threads: number of threads.
        reverse: run from the last real step to the first.
    """

    recurrence: int
    isa: int
    threads: int
    reverse: bool


class Inputs(NamedTuple):
    """The tensors of one call.

    Args:
        x: (B, T, D).
        lengths: (B,) int64 or None.
        weight_x, weight_h, bias, bias_n: see `CellWeights`.
        mask: (B, H) or None.
        h0, c0: (B, H), c0 of the LSTM alone.
    """

    x: Tensor
    lengths: Tensor | None
    weight_x: Tensor
    weight_h: Tensor
    bias: Tensor | None
    bias_n: Tensor | None
    mask: Tensor | None
    h0: Tensor
    c0: Tensor | None

    def dense(self) -> Inputs:
        """Return the tensors in the memory layout that the kernels require."""
        return Inputs(rows(self.x), *map(dense, self[1:]))  # type: ignore[arg-type]


Result: TypeAlias = tuple[Tensor, Tensor, Tensor | None]
"""y (B, T, H), h (B, H), and c (B, H) of the LSTM."""

_definition: Callable[[Kernel, Inputs], Result]


def define(function: Callable[[Kernel, Inputs], Result]) -> Callable[[Kernel, Inputs], Result]:
    """Set the definition of the recurrences in torch's operations, from which other gradients are computed.

    The recurrences are defined by cells, which are above the kernels (see scan/fused.py).
    """
    global _definition
    _definition = function
    return function


def definition(kernel: Kernel, inputs: Inputs) -> Result:
    """Return the result of a call by its definition, in torch's operations."""
    return _definition(kernel, inputs)


class Gradients(NamedTuple):
    """The gradients of one call; None where one is not requested or its input does not exist."""

    x: Tensor | None
    weight_x: Tensor | None
    weight_h: Tensor | None
    bias: Tensor | None
    bias_n: Tensor | None
    h0: Tensor | None
    c0: Tensor | None


def can_run(*tensors: Tensor | None) -> bool:
    """Return True if `run` may compute a call on these tensors: a plain eager one, or one that torch.compile traces.

    An exported program must not depend on our operators, so torch's own are exported.
    """
    if torch.compiler.is_compiling():
        return not torch.compiler.is_exporting()
    return eager(*tensors)


def run(
    weights: CellWeights,
    reverse: bool,
    x: Tensor,
    lengths: Tensor | None,
    mask: Tensor | None,
    h0: Tensor,
    c0: Tensor | None,
    *,
    bfloat16: bool = False,
) -> Result:
    """Run a recurrence over x, in a call for which `can_run` holds.

    Args:
        weights: weights of the recurrence.
        reverse: run from the last real step to the first.
        x: inputs (B, T, D).
        lengths: (B,) or None.
        mask: (B, H) or None.
        h0, c0: (B, H), c0 of the LSTM alone.
        bfloat16: round the operands of products to bfloat16, forward and backward; all tensors are float32. Where the
            processor or the instruction set does not multiply bfloat16, nothing is rounded.

    Returns:
        y (B, T, H), h (B, H), and c (B, H) of the LSTM.
    """
    if lengths is not None and lengths.dtype != torch.int64:
        lengths = lengths.long()
    inputs = Inputs(x, lengths, *weights[1:], mask, h0, c0)
    if weights.weight_x.dtype is torch.bfloat16:
        return _bfloat16(weights.recurrence, reverse, inputs)
    if torch.compiler.is_compiling():
        y, h, c, _ = torch.ops.unrolled.scan(weights.recurrence, index(x.dtype), reverse, *inputs, _learns(inputs))
        return y, h, None if c0 is None else c
    kernel = Kernel(weights.recurrence, index(x.dtype), threads(), reverse)
    bfloat16 = bfloat16 and x.dtype is torch.float32 and multiplies_bfloat16()
    if _learns(inputs):
        return _Scan.apply(kernel, bfloat16, *inputs)  # type: ignore[no-untyped-call, no-any-return]
    y, h, c, _ = forward(kernel, inputs, keep=False, bfloat16=bfloat16)
    return y, h, c


def _learns(inputs: Inputs) -> bool:
    """Return True if a gradient may be requested."""
    return torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in inputs)


def _bfloat16(recurrence: int, reverse: bool, inputs: Inputs) -> Result:
    """Run with bfloat16 x and weights, without gradients: y in bfloat16; sums, gates and states in float32."""
    x, _, weight_x, weight_h, *others = inputs
    if multiplies_bfloat16():
        x, weight_x, weight_h = _aligned_pairs(x.bfloat16()), _aligned_pairs(weight_x), _aligned_pairs(weight_h)
    else:  # the product of two bfloat16 numbers is exact in float32
        x, weight_x, weight_h = x.float(), weight_x.float(), weight_h.float()
    wide = (None if t is None else t.float() for t in others)
    kernel = Kernel(recurrence, index(torch.float32), threads(), reverse)
    y, h, c, _ = forward(kernel, Inputs(x, inputs.lengths, weight_x, weight_h, *wide), keep=False)  # type: ignore[arg-type]
    return y.bfloat16(), h, c


def _aligned_pairs(tensor: Tensor) -> Tensor:
    """Return a bfloat16 tensor whose last axis is made of whole, aligned pairs."""
    if tensor.shape[-1] % 2:
        return F.pad(tensor, (0, 1))
    *outer, last = tensor.stride()
    if last == 1 and not any(stride % 2 for stride in outer) and tensor.data_ptr() % 4 == 0:
        return tensor
    return tensor.clone(memory_format=torch.contiguous_format)


def forward(
    kernel: Kernel, inputs: Inputs, *, keep: bool = True, clean: bool = False, bfloat16: bool = False
) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
    """Return y, h, c (LSTM) and, with `keep`, the gates that backward needs (LSTM, GRU).

    Args:
        clean: for an operator, whose results have fixed values and layouts: fill the gates of padded steps with zeros
            instead of leaving them unwritten, and return y in C order whatever the layout of x.
        bfloat16: see `run`.
    """
    assert kernels is not None
    (B, T, _), x, h0 = inputs.x.shape, inputs.x, inputs.h0
    H = h0.shape[1]
    time_first = not clean and x.stride(0) < x.stride(1)  # in the layout of x, which a caller may have transposed
    y = x.new_empty(T, B, H).transpose(0, 1) if time_first else x.new_empty(B, T, H)
    h = h0.new_empty(B, H)
    c = None if inputs.c0 is None else h0.new_empty(B, H)
    numbers = (4 if kernel.recurrence == Recurrence.GRU else 5 if c is not None else 0) if keep else 0
    filled = clean and inputs.lengths is not None
    saved = (x.new_zeros if filled else x.new_empty)(T, B, numbers * H) if numbers else None
    inputs = inputs.dense()
    if bfloat16:
        narrow = {name: _aligned_pairs(getattr(inputs, name).bfloat16()) for name in ("x", "weight_x", "weight_h")}
        inputs = inputs._replace(**narrow)
    kernels.forward(*kernel, *inputs, y, h, c, saved)
    return y, h, c, saved


def backward(
    kernel: Kernel,
    inputs: Inputs,
    y: Tensor,
    saved: Tensor | None,
    dy: Tensor | None,
    dh: Tensor | None,
    dc: Tensor | None,
    *,
    need_x: bool,
    need_weights: bool,
    need_states: bool = True,
    bfloat16: bool = False,
) -> Gradients:
    """Return the gradients of a call.

    Args:
        y, saved: from `forward`. dy (B, T, H), dh, dc (B, H): gradients of its outputs; None is zero.
        need_x, need_weights, need_states: whether these gradients are requested.
        bfloat16: see `run`.
    """
    assert kernels is not None
    inputs = inputs.dense()
    x, weights, states = inputs.x, inputs[2:6], inputs[7:9]
    dx = torch.empty_like(x) if need_x else None  # in the layout of x
    dweights = [x.new_empty(w.shape) if need_weights and w is not None else None for w in weights]
    dstates = [x.new_empty(state.shape) if need_states and state is not None else None for state in states]
    gradients = Gradients(dx, *dweights, *dstates)
    dy = None if dy is None else rows(dy)
    kernels.backward(*kernel, *inputs, y, saved, dy, dense(dh), dense(dc), *gradients, bfloat16)
    return gradients


class _Scan(torch.autograd.Function):
    """The autograd node of a scan: Kernel, whether products are of bfloat16, and the tensors of Inputs -> y, h, c."""

    @staticmethod
    def forward(ctx: Any, kernel: Kernel, bfloat16: bool, *tensors: Any) -> tuple[Tensor, Tensor, Tensor | None]:
        inputs = Inputs(*tensors)
        y, h, c, saved = forward(kernel, inputs, bfloat16=bfloat16)
        ctx.kernel, ctx.bfloat16 = kernel, bfloat16
        ctx.save_for_backward(*inputs, y, saved)
        ctx.set_materialize_grads(False)
        return y, h, c

    @staticmethod
    def backward(ctx: Any, dy: Tensor | None, dh: Tensor | None, dc: Tensor | None) -> tuple[Any, ...]:
        *inputs, y, saved = ctx.saved_tensors
        needed = ctx.needs_input_grad[2:]
        if torch.is_grad_enabled() or Inputs(*needed).mask or not eager(dy, dh, dc):
            return (None,) * 2 + gradients_of(
                lambda *tensors: _definition(ctx.kernel, Inputs(*tensors)), inputs, needed, (dy, dh, dc)
            )
        gradients = backward(
            ctx.kernel, Inputs(*inputs), y, saved, dy, dh, dc,
            need_x=needed[0], need_weights=any(needed[2:6]), need_states=any(needed[7:9]),
            bfloat16=ctx.bfloat16,
        )  # fmt: skip
        return (None,) * 2 + by_input(gradients, needed)


def by_input(gradients: tuple[Any, ...], needed: tuple[bool, ...]) -> tuple[Any, ...]:
    """Return gradients in the order of `Inputs`, None where they are not needed.

    Raises:
        BackendError: the gradient of the mask is needed, which the kernels do not compute (under torch.compile).
    """
    found = Gradients(*gradients)
    every = Inputs(found.x, None, *found[1:5], None, *found[5:])  # type: ignore[arg-type]
    if Inputs(*needed).mask:  # type: ignore[arg-type]
        raise BackendError('the fused scan has no gradient of the recurrent mask; use backend "reference" for it')
    return tuple(d if need else None for d, need in zip(every, needed, strict=True))
