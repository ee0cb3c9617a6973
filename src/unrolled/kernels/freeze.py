"""Frozen weights, packed once for many calls: for streams and decoding, step by step.

A scan or a linear layer packs its weights in every call, because they may have changed since the last one. Over a
sequence that costs little; for a single step it is most of the time. Inside

    with frozen(model):
        y, state = layer(x, state)

calls without gradients use weights that were packed at the start. The bits of the results are the same. A block is seen
by the calls inside it alone, not by other threads; an inner block takes what an outer one has packed. `keep(model)`, as
of a loaded run, packs once for all later blocks of all threads, as long as the weights are the same
(docs/decisions/0036-a-step-in-one-call.md).

With precision="int8" recurrences and linear layers multiply int8 numbers and sum them in int32 (csrc/base/int8.h): a
quarter of the memory, and answers that differ a little (docs/decisions/0037-int8.md, 0040-the-precision-of-a-call.md).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from threading import Lock
from types import TracebackType
from typing import Any, Literal, NamedTuple
from weakref import WeakKeyDictionary, WeakSet

import torch
from torch import Tensor, nn

from unrolled.eager import eager
from unrolled.errors import BackendError
from unrolled.kernels.linear import LinearWeights
from unrolled.kernels.native import NO_KERNELS, kernels
from unrolled.kernels.packed import Frozen, FrozenLinear, FrozenScan, Key, Packable
from unrolled.kernels.scan import CellWeights

__all__ = [
    "OWNERS",
    "Block",
    "Frozen",
    "FrozenLinear",
    "FrozenScan",
    "Packable",
    "Precision",
    "frozen",
    "in_float32",
    "keep",
    "linear_of",
    "of",
    "packed_weights",
]

log = logging.getLogger("unrolled.kernels")

Precision = Literal["float32", "int8"]

OWNERS: dict[type[nn.Module], Callable[[Any], Iterator[Packable]]] = {}
"""The modules that can be frozen, each with a function that yields their packable weights.

Subclasses with weights of their own define a method `packable` instead, as models with a tied head do.
"""
TABLES: set[type[nn.Module]] = {nn.Embedding, nn.EmbeddingBag}
"""The modules whose matrices are tables of vectors, not factors of a product."""


class _Active(NamedTuple):
    """The weights that calls of a context use, by the blocks that it is in."""

    packed: Mapping[Key, Frozen]
    block: Block
    outer: _Active | None


_active: ContextVar[_Active | None] = ContextVar("unrolled.frozen", default=None)
_kept: WeakKeyDictionary[nn.Module, dict[tuple[Key, bool], Frozen]] = WeakKeyDictionary()  # see `keep`; by int8, too
_told: WeakSet[nn.Module] = WeakSet()  # of which a log message has named the modules in float32
_lock = Lock()


def of(module: nn.Module, name: str = "weight_h", tensors: Sequence[Tensor | None] = ()) -> FrozenScan | None:
    """Return the packed weights of a recurrence, or None if there are none that a call may use.

    Args:
        module: their owner.
        name: name of the recurrence, see Packable.
        tensors: the other operands of the call.
    """
    packed: FrozenScan | None = packed_weights(module, name, tensors)
    return packed


def linear_of(module: nn.Module, x: Tensor, name: str = "weight") -> FrozenLinear | None:
    """Return the packed weights of a linear layer for a call on x, or None if there are none that it may use."""
    packed: FrozenLinear | None = packed_weights(module, name, (x,))
    return packed


def packed_weights(module: nn.Module, name: str, tensors: Sequence[Tensor | None] = ()) -> Any:
    """Return the packed weights of a module, or None if there are none that a call may use; see `of`."""
    if torch.compiler.is_compiling():  # which cannot read the context
        return None
    active = _active.get()
    if active is None:
        return None
    packed = active.packed.get((id(module), name))
    if packed is None or torch.is_grad_enabled() or torch.is_autocast_enabled("cpu") or not eager(*tensors):
        return None
    return packed if packed.belongs_to(module) else None


class Block:
    """A block of code whose calls use packed weights: see `frozen`. It may be entered again, also by other threads.

    A generator enters it for each of its steps, since a block that spans a `yield` would be seen by the caller.

    Args:
        packed: the weights.
    """

    def __init__(self, packed: Mapping[Key, Frozen]) -> None:
        self.packed = packed
        self._last: _Active | None = None

    def __enter__(self) -> None:
        outer, active = _active.get(), self._last
        if active is None or active.outer is not outer:
            active = self._last = self._inside(outer)
        _active.set(active)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        _active.set(_without(_active.get(), self))

    def _inside(self, outer: _Active | None) -> _Active:
        kept = {} if outer is None else {k: p for k, p in outer.packed.items() if p.agrees_with(self.packed)}
        return _Active(kept | dict(self.packed), self, outer)


def _without(active: _Active | None, block: Block) -> _Active | None:
    """Return the blocks of a context without one, usually the innermost: those of two streams may end in any order."""
    if active is None or active.block is block:
        return None if active is None else active.outer
    return active.block._inside(_without(active.outer, block))


def frozen(module: nn.Module, precision: Precision | None = None) -> Block:
    """Pack the weights of every recurrence and linear layer inside `module` once, for calls without gradients.

    Modules that our kernels do not compute (other devices and dtypes, custom cells) run as usual. Of linear layers,
    those of `unrolled.layers` are packed, which use our product. Only calls inside the block, in this thread (and this
    task of asyncio), use the packed weights.

    Args:
        module: the network.
        precision: "int8" for products in int8; each row of a weight and each row of x (and of h, at each step) has a
            scale of its own. A row with an infinity or NaN has the result NaN. Modules without an int8 kernel compute
            in float32, and a log message names them. None: that of a surrounding block, else float32.

    Raises:
        BackendError: int8 without kernels, without a module that they compute, or with a weight that has an infinity
            or NaN; or there is no such precision. In a call: an optimiser or a load has changed the weights inside the
            block. (Writing through `weight.data` cannot be detected. A call with other parameters than the packed ones
            uses those.)
    """
    if precision not in (None, "float32", "int8"):
        raise BackendError(f'precision: "{precision}" is not known here; use "int8" or "float32"')
    packables = {(id(owner), packable.name): packable for owner in modules_of(module) for packable in _packables(owner)}
    if precision == "int8":
        _refuse_none(packables)
        _tell(module)
    active = _active.get()
    outer: Mapping[Key, Frozen] = {} if active is None else active.packed
    whole = {key: each for key, each in packables.items() if not isinstance(each.weights, CellWeights | LinearWeights)}
    all_packed: dict[Key, Frozen] = {}
    with _lock:
        kept = _kept.get(module)
        for key, packable in (*((key, packables[key]) for key in packables.keys() - whole.keys()), *whole.items()):
            before = outer.get(key)
            int8 = precision == "int8" or (precision is None and before is not None and before.int8)
            usable = (before, kept.get((key, int8)) if kept else None)
            packed = next((each for each in usable if _fits(each, packable, int8, all_packed)), None)
            if packed is None:
                if int8:
                    _refuse_infinite(module, packable)
                packed = _pack(packable, all_packed, int8=int8)
                if kept is not None:
                    other = kept.get((key, not int8))
                    if other is not None and not other.is_packed_from(packable):
                        del kept[key, not int8]
                    kept[key, int8] = packed
            all_packed[key] = packed
    return Block(all_packed)


def _fits(packed: Frozen | None, packable: Packable, int8: bool, others: Mapping[Key, Frozen]) -> bool:
    return packed is not None and packed.int8 == int8 and packed.is_packed_from(packable) and packed.agrees_with(others)


def modules_of(module: nn.Module) -> list[nn.Module]:
    """Return the module and those inside, each once: `module.modules()` in a fraction of its time, in another order."""
    found, rest = {id(module): module}, [module]
    while rest:
        for part in rest.pop()._modules.values():
            if part is not None and id(part) not in found:
                found[id(part)] = part
                rest.append(part)
    return list(found.values())


def keep(module: nn.Module) -> None:
    """Keep what blocks of `frozen(module)` pack for later ones, as long as the module lives.

    Each block compares the parameters and their versions, so that training, `load_state_dict` and writes in place are
    noticed; the packed copy, as large as the weights (in int8 a quarter), is then replaced. A write through
    `weight.data` is not noticed.
    """
    with _lock:
        _kept.setdefault(module, {})


def _packables(owner: nn.Module) -> Iterator[Packable]:
    """Yield the weights of a module that the kernels compute."""
    if kernels is None:
        return
    find = OWNERS.get(type(owner)) or getattr(type(owner), "packable", None)
    for packable in () if find is None else find(owner):
        if all(p.is_cpu and p.dtype is torch.float32 for p in packable.parameters.values()):
            yield packable


def in_float32(module: nn.Module) -> list[str]:
    """Return the modules inside `module` that have matrices and no int8 kernel, as "path (class)"."""
    packed = {id(p) for owner in modules_of(module) for each in _packables(owner) for p in each.parameters.values()}

    def multiplies(owner: nn.Module) -> bool:
        return type(owner) not in TABLES and any(
            p is not None and p.dim() > 1 and id(p) not in packed for p in owner._parameters.values()
        )

    every = module.named_modules()
    return [f"{path or 'the module'} ({type(owner).__name__})" for path, owner in every if multiplies(owner)]


def _refuse_none(packables: Mapping[Key, Packable]) -> None:
    if kernels is None:
        raise BackendError(f"precision int8 needs the compiled kernels: {NO_KERNELS}")
    if not packables:
        raise BackendError(
            "precision int8: there is no recurrence and no linear layer that has an int8 kernel (Elman, GRU, LSTM, and "
            "those of unrolled.layers, in float32 on the CPU)"
        )


def _refuse_infinite(module: nn.Module, packable: Packable) -> None:
    for parameter in packable.parameters.values():
        if not parameter.isfinite().all():
            name = next((path for path, each in module.named_parameters() if each is parameter), "a weight")
            raise BackendError(f"precision int8: {name} has an infinity or NaN, so it has no scale")


def _tell(module: nn.Module) -> None:
    """Log the modules that int8 does not compute, once for each network."""
    if module not in _told:
        _told.add(module)
        if others := in_float32(module):
            log.warning("precision int8: these have no int8 kernel and compute in float32: %s", ", ".join(others))


def _pack(packable: Packable, packed: Mapping[Key, Frozen], *, int8: bool) -> Frozen:
    if isinstance(packable.weights, CellWeights):
        return FrozenScan(packable.weights, packable.parameters, int8=int8)
    if isinstance(packable.weights, LinearWeights):
        return FrozenLinear(packable.weights, packable.parameters, int8=int8)
    whole = packable.weights.pack(packable.parameters, packed)
    whole.int8 = int8
    return whole
