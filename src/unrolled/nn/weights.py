"""The weights of torch's recurrent modules: their shapes, and the calls of our kernels with them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from unrolled.eager import in_memory
from unrolled.kernels import freeze, layer
from unrolled.kernels import scan as recurrences
from unrolled.kernels.layer import Layer, in_our_form
from unrolled.kernels.native import Recurrence, compiled
from unrolled.kernels.packed import Packable

__all__ = ["GATES", "available", "have_shapes", "in_our_form", "packable", "scan", "takes"]

GATES = {Recurrence.ELMAN: 1, Recurrence.ELMAN_RELU: 1, Recurrence.GRU: 3, Recurrence.LSTM: 4}


def packable(module: nn.Module, recurrence: int | None, names: Sequence[str]) -> Iterator[Packable]:
    """Yield a recurrence for `frozen`, if there are kernels for it and its weights are parameters.

    Args:
        module: the owner of the weights.
        names: names of the weights, see `in_our_form`.
    """
    parameters = {name: getattr(module, name) for name in names}
    if recurrence is not None and all(isinstance(p, nn.Parameter) for p in parameters.values()):
        yield Packable(names[1], in_our_form(recurrence, [*parameters.values()]), parameters)


def available() -> bool:
    """Return True if our kernels can compute a call here and now, if `takes` holds for its tensors.

    They are compiled, there is no autocast, and `kernels.scan.can_run` holds: nothing records or transforms the call.
    To be called before anything is read from the tensors, since a tracer records their sizes, too.
    """
    return compiled() and not torch.is_autocast_enabled("cpu") and recurrences.can_run()


def takes(weights: Sequence[Tensor | None], tensors: Sequence[Tensor]) -> bool:
    """Return True if our kernels take these weights, input and states.

    They take float32, and bfloat16 without gradients, on the CPU.
    """
    dtype = tensors[0].dtype
    if dtype is not torch.float32 and dtype is not torch.bfloat16:
        return False
    operands = (*weights, *tensors)
    for t in operands:
        if not isinstance(t, Tensor) or t.dtype is not dtype or not t.is_cpu:
            return False
    if dtype is torch.bfloat16 and torch.is_grad_enabled() and any(t.requires_grad for t in operands):  # type: ignore[union-attr]
        return False
    return torch.compiler.is_compiling() or in_memory(*operands)


def have_shapes(weights: Sequence[Tensor | None], gates: int, D: int, H: int) -> bool:
    """Return True if these are torch's weights of G gates; a caller may have replaced them, or changed the sizes."""
    weight_ih, weight_hh, *biases = weights
    if weight_ih is None or weight_hh is None or weight_ih.shape != (gates * H, D) or weight_hh.shape != (gates * H, H):
        return False
    return all(bias is not None and bias.shape == (gates * H,) for bias in biases)


def scan(
    module: nn.Module,
    name: str,
    recurrence: int,
    weights: Sequence[Tensor],
    reverse: bool,
    x: Tensor,
    lengths: Tensor | None,
    initial: Sequence[Tensor],
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run one direction of a layer, or a cell, from its initial state -> y and the final state, (h,) or (h, c).

    Args:
        module, name: the owner of the weights and the name of its weight_hh, by which frozen weights are found.
        recurrence, weights: see `in_our_form`.
        reverse, x, lengths: see `kernels.scan.run`.
        initial: (h,) or (h, c).
    """
    h0, c0 = initial[0], initial[1] if len(initial) == 2 else None
    if (packed := freeze.of(module, name, (x, *initial))) is not None:
        y, h, c = packed.run(reverse, x, lengths, None, h0, c0)
    elif x.dtype is torch.float32 and not torch.compiler.is_compiling():
        real = lengths if lengths is None else lengths.long()
        y, h, c = layer.run(recurrence, reverse, real, Layer.of(x, weights, h0, c0))
    else:
        y, h, c = recurrences.run(in_our_form(recurrence, weights), reverse, x, lengths, None, h0, c0)
    return y, tuple(s.to(x.dtype) for s in ((h,) if c is None else (h, c)))  # bfloat16's state is float32
