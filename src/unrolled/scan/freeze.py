"""Weights that stay as they are for a while, packed once: for streams and decoding, step after step.

A scan packs its weights anew in every call, because they may have changed since the last one. Over a sequence that
costs little; for a single step it is most of the time. Inside

    with frozen(model):
        y, state = layer(x, state)

calls without gradients take weights that were packed at its beginning. The bits are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from unrolled.errors import BackendError
from unrolled.scan.native import dense, index, kernels, rows, threads

__all__ = ["OWNERS", "CellWeights", "Frozen", "Recurrence", "frozen", "of"]


class CellWeights(NamedTuple):
    """The weights of one recurrence, as the kernels take them; see fused.run."""

    recurrence: int
    weight_x: Tensor
    weight_h: Tensor
    bias: Tensor | None
    bias_n: Tensor | None


class Recurrence(NamedTuple):
    """A recurrence of a module: what its recurrent weights are called there, its weights, what they are made of."""

    name: str
    weights: CellWeights
    parameters: tuple[Tensor, ...]


OWNERS: dict[type[nn.Module], Callable[[Any], Iterator[Recurrence]]] = {}
"""The modules that can be frozen, each with the function that yields its recurrences."""

_frozen: dict[tuple[int, str], tuple[Frozen, ...]] = {}  # by a module that lives as long as the block; the last counts
_turn = Lock()


class Frozen:
    """One recurrence's weights, packed."""

    def __init__(self, weights: CellWeights, parameters: tuple[Tensor, ...]) -> None:
        assert kernels is not None
        # How often each has been written to; a tensor made under inference_mode does not count that.
        self.parameters = [p for p in parameters if not p.is_inference()]
        self.versions = [p._version for p in self.parameters]
        self.H, self.lstm = weights.weight_h.shape[1], weights.recurrence == kernels.LSTM
        dense = (w.detach().contiguous() if isinstance(w, Tensor) else w for w in weights[1:])
        self.packed = kernels.Frozen(weights.recurrence, index(torch.float32), *dense)

    def run(
        self, reverse: bool, x: Tensor, lengths: Tensor | None, mask: Tensor | None, h0: Tensor, c0: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """As fused.run.

        Raises:
            BackendError: the weights have changed since they were packed.
        """
        if [p._version for p in self.parameters] != self.versions:
            raise BackendError("the weights of a frozen module have changed: change them outside of `frozen`")
        B, T, _ = x.shape
        if lengths is not None and lengths.dtype != torch.int64:
            lengths = lengths.long()
        y, h = x.new_empty(B, T, self.H), x.new_empty(B, self.H)
        c = x.new_empty(B, self.H) if self.lstm else None
        self.packed.forward(threads(), reverse, rows(x), dense(lengths), dense(mask), dense(h0), dense(c0), y, h, c)
        return y, h, c


def of(module: nn.Module, name: str = "weight_h") -> Frozen | None:
    """Return what `frozen` has packed for this recurrence of the module, if this call may use it."""
    found = _frozen.get((id(module), name))
    if not found or torch.is_grad_enabled() or torch.is_autocast_enabled("cpu") or torch.compiler.is_compiling():
        return None
    return found[-1]


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Pack the weights of every recurrence inside `module` once, for the calls without gradients in this block.

    What our kernels do not compute (other devices and dtypes, cells of your own) runs as ever.

    Raises:
        BackendError: in a call, when an optimiser or a load has changed the weights inside the block. (Writing through
            `weight.data`, or putting another parameter in a weight's place, cannot be noticed.)
    """
    made = {
        (id(part), found.name): Frozen(found.weights, found.parameters)
        for part in (module.modules() if kernels is not None else ())
        if type(part) in OWNERS
        for found in OWNERS[type(part)](part)
        if found.weights.weight_h.is_cpu and found.weights.weight_h.dtype is torch.float32
    }
    with _turn:
        for key, packed in made.items():
            _frozen[key] = (*_frozen.get(key, ()), packed)
    try:
        yield
    finally:  # blocks of two streams may end in any order: each takes away its own
        with _turn:
            for key, packed in made.items():
                if rest := tuple(other for other in _frozen.pop(key) if other is not packed):
                    _frozen[key] = rest
