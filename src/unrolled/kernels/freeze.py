"""Weights that stay as they are for a while, packed once: for streams and decoding, step after step.

A scan or a linear layer packs its weights anew in every call, because they may have changed since the last one. Over a
sequence that costs little; for a single step it is most of the time. Inside

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
from unrolled.kernels.linear import LinearWeights
from unrolled.kernels.native import dense, index, kernels, rows, threads
from unrolled.kernels.scan import CellWeights

__all__ = ["OWNERS", "FrozenLinear", "FrozenScan", "Packable", "frozen", "linear_of", "of"]


class Packable(NamedTuple):
    """What a module lets be packed: by which name its calls ask for it, its weights, what they are made of."""

    name: str
    weights: CellWeights | LinearWeights
    parameters: tuple[Tensor, ...]


OWNERS: dict[type[nn.Module], Callable[[Any], Iterator[Packable]]] = {}
"""The modules that can be frozen, each with the function that yields its parts."""

_frozen: dict[tuple[int, str], tuple[_Frozen, ...]] = {}  # by a module that lives as long as the block; the last counts
_turn = Lock()


class _Frozen:
    """Weights as they were when they were packed."""

    def __init__(self, parameters: tuple[Tensor, ...]) -> None:
        # How often each has been written to; a tensor made under inference_mode does not count that.
        self.parameters = [p for p in parameters if not p.is_inference()]
        self.versions = [p._version for p in self.parameters]

    def refuse_changed(self) -> None:
        """Refuse a call once the weights have been written to.

        Raises:
            BackendError: they have.
        """
        if [p._version for p in self.parameters] != self.versions:
            raise BackendError("the weights of a frozen module have changed: change them outside of `frozen`")


class FrozenScan(_Frozen):
    """One recurrence's weights, packed."""

    def __init__(self, weights: CellWeights, parameters: tuple[Tensor, ...]) -> None:
        super().__init__(parameters)
        assert kernels is not None
        self.H, self.lstm = weights.weight_h.shape[1], weights.recurrence == kernels.LSTM
        dense = (w.detach().contiguous() if isinstance(w, Tensor) else w for w in weights[1:])
        self.packed = kernels.FrozenCell(weights.recurrence, index(torch.float32), *dense)

    def run(
        self, reverse: bool, x: Tensor, lengths: Tensor | None, mask: Tensor | None, h0: Tensor, c0: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """As kernels.scan.run.

        Raises:
            BackendError: the weights have changed since they were packed.
        """
        self.refuse_changed()
        B, T, _ = x.shape
        if lengths is not None and lengths.dtype != torch.int64:
            lengths = lengths.long()
        y, h = x.new_empty(B, T, self.H), x.new_empty(B, self.H)
        c = x.new_empty(B, self.H) if self.lstm else None
        self.packed.forward(threads(), reverse, rows(x), dense(lengths), dense(mask), dense(h0), dense(c0), y, h, c)
        return y, h, c


class FrozenLinear(_Frozen):
    """A linear layer's weights, packed by the first call: not every layer of a network is called in decoding."""

    def __init__(self, weights: LinearWeights, parameters: tuple[Tensor, ...]) -> None:
        super().__init__(parameters)
        assert kernels is not None
        self.D, self.V = weights.weight.shape[1], weights.weight.shape[0]
        detached = (None if w is None else w.detach().contiguous() for w in weights)
        self.packed = kernels.FrozenLinear(index(torch.float32), *detached)

    def run(self, x: Tensor) -> Tensor:
        """As kernels.linear.linear.

        Raises:
            BackendError: the weights have changed since they were packed.
        """
        self.refuse_changed()
        y = x.new_empty(*x.shape[:-1], self.V)
        self.packed.forward(threads(), dense(x.reshape(-1, x.shape[-1])), y.view(-1, self.V))
        return y


def of(module: nn.Module, name: str = "weight_h") -> FrozenScan | None:
    """Return what `frozen` has packed for this recurrence of the module, if this call may use it."""
    found: FrozenScan | None = _found(module, name)
    return found


def linear_of(module: nn.Module) -> FrozenLinear | None:
    """Return what `frozen` has packed for this linear layer, if this call may use it."""
    found: FrozenLinear | None = _found(module, "weight")
    return found


def _found(module: nn.Module, name: str) -> Any:
    found = _frozen.get((id(module), name))
    if not found or torch.is_grad_enabled() or torch.is_autocast_enabled("cpu") or torch.compiler.is_compiling():
        return None
    return found[-1]


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Pack the weights of every recurrence and linear layer inside `module` once, for calls without gradients here.

    What our kernels do not compute (other devices and dtypes, cells of your own) runs as ever. Of linear layers it is
    those of `unrolled.layers`, whose product is ours.

    Raises:
        BackendError: in a call, when an optimiser or a load has changed the weights inside the block. (Writing through
            `weight.data`, or putting another parameter in a weight's place, cannot be noticed.)
    """
    made = {
        (id(part), found.name): _packed(found)
        for part in (module.modules() if kernels is not None else ())
        if type(part) in OWNERS
        for found in OWNERS[type(part)](part)
        if found.parameters[0].is_cpu and found.parameters[0].dtype is torch.float32
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


def _packed(part: Packable) -> _Frozen:
    if isinstance(part.weights, CellWeights):
        return FrozenScan(part.weights, part.parameters)
    return FrozenLinear(part.weights, part.parameters)
