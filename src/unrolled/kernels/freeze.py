"""Frozen weights, packed once for many calls: for streams and decoding, step by step.

A scan or a linear layer packs its weights in every call, because they may have changed since the last one. Over a
sequence that costs little; for a single step it is most of the time. Inside

    with frozen(model):
        y, state = layer(x, state)

calls without gradients use weights that were packed at the start of the block. The bits of the results are the same.
An inner block takes what an outer one has packed; `keep(model)`, as of a loaded run, packs once for all later blocks,
as long as the weights are the same (docs/decisions/0036-a-step-in-one-call.md).
With precision="int8" linear layers multiply int8 numbers and sum them in int32 (csrc/base/int8.h): a quarter of the
memory, and answers that differ a little.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Any, Literal, NamedTuple, Protocol
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from unrolled.eager import eager
from unrolled.errors import BackendError
from unrolled.kernels.linear import LinearWeights
from unrolled.kernels.native import NO_KERNELS, Recurrence, dense, index, kernels, rows, threads
from unrolled.kernels.scan import CellWeights

__all__ = [
    "OWNERS",
    "Frozen",
    "FrozenLinear",
    "FrozenScan",
    "Packable",
    "frozen",
    "keep",
    "linear_of",
    "of",
    "packed_weights",
]


class Weights(Protocol):
    """Weights of several layers that are computed in one call; see `layers/block_step.py`."""

    def pack(self, parameters: dict[str, Tensor]) -> Frozen:
        """Return the packed weights, with these parameters."""
        ...


class Packable(NamedTuple):
    """Weights of a module that can be packed: the name by which calls find them, and the parameters they consist of.

    The parameters are those of the module, by name.
    """

    name: str
    weights: CellWeights | LinearWeights | Weights
    parameters: dict[str, Tensor]


OWNERS: dict[type[nn.Module], Callable[[Any], Iterator[Packable]]] = {}
"""The modules that can be frozen, each with a function that yields their packable weights."""

_frozen: dict[tuple[int, str], tuple[Frozen, ...]] = {}  # by id of a module that outlives the block; the last is used
_kept: WeakKeyDictionary[nn.Module, dict[tuple[int, str], Frozen]] = WeakKeyDictionary()  # see `keep`
_lock = Lock()


class Frozen:
    """Packed weights, with the parameters and their versions at the time of packing."""

    int8 = False
    """Whether the linear layers among them are packed in int8."""

    def __init__(self, parameters: dict[str, Tensor]) -> None:
        self.by_name = tuple(parameters.items())
        # The number of writes to each; torch does not count those to a tensor made under inference_mode.
        self.parameters = [p for p in parameters.values() if not p.is_inference()]
        self.versions = [p._version for p in self.parameters]
        self.isa = index(torch.float32)

    def belongs_to(self, module: nn.Module) -> bool:
        """Return True if these are the module's parameters now; torch.func.functional_call replaces them for a call."""
        for name, parameter in self.by_name:  # noqa: SIM110  (a generator takes twice as long)
            if module._parameters.get(name) is not parameter:
                return False
        return True

    def is_packed_from(self, packable: Packable) -> bool:
        """Return True if these are the weights of `packable`, unchanged; never if a change would not be noticed."""
        parameters = packable.parameters
        return (
            len(self.by_name) == len(parameters) == len(self.parameters)
            and all(parameters.get(name) is parameter for name, parameter in self.by_name)
            and [p._version for p in self.parameters] == self.versions
            and self.isa == index(torch.float32)
            and self.has_form_of(packable.weights)
        )

    def has_form_of(self, weights: Any) -> bool:
        """Return True if the same parameters mean the same: a cell has not become one of another kind."""
        return True

    def refuse_changed(self) -> None:
        """Refuse a call with weights that have changed since they were packed.

        Raises:
            BackendError: a parameter has been written to.
        """
        if [p._version for p in self.parameters] != self.versions:
            raise BackendError("the weights of a frozen module have changed: change them outside of `frozen`")


class FrozenScan(Frozen):
    """The packed weights of one recurrence."""

    def __init__(self, weights: CellWeights, parameters: dict[str, Tensor]) -> None:
        super().__init__(parameters)
        assert kernels is not None
        self.recurrence = weights.recurrence
        self.H, self.lstm = weights.weight_h.shape[1], weights.recurrence == Recurrence.LSTM
        dense = (w.detach().contiguous() if isinstance(w, Tensor) else w for w in weights[1:])
        self.packed = kernels.FrozenCell(weights.recurrence, index(torch.float32), *dense)

    def has_form_of(self, weights: Any) -> bool:
        """Return True if the recurrence is the same; see Frozen."""
        return bool(self.recurrence == weights.recurrence)

    def run(
        self, reverse: bool, x: Tensor, lengths: Tensor | None, mask: Tensor | None, h0: Tensor, c0: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Run the recurrence; see `kernels.scan.run`.

        Raises:
            BackendError: the weights have changed since they were packed.
        """
        self.refuse_changed()
        B, T, _ = x.shape
        if lengths is not None and lengths.dtype != torch.int64:
            lengths = lengths.long()
        time_first = x.stride(0) < x.stride(1)  # see `kernels.scan.forward`
        y = x.new_empty(T, B, self.H).transpose(0, 1) if time_first else x.new_empty(B, T, self.H)
        h = x.new_empty(B, self.H)
        c = x.new_empty(B, self.H) if self.lstm else None
        self.packed.forward(threads(), reverse, rows(x), dense(lengths), dense(mask), dense(h0), dense(c0), y, h, c)
        return y, h, c


class FrozenLinear(Frozen):
    """The packed weights of a linear layer, packed by the first call: decoding does not call every layer of a model."""

    def __init__(self, weights: LinearWeights, parameters: dict[str, Tensor], *, int8: bool = False) -> None:
        super().__init__(parameters)
        assert kernels is not None
        self.int8 = int8
        self.D, self.V = weights.weight.shape[1], weights.weight.shape[0]
        detached = (None if w is None else w.detach().contiguous() for w in weights)
        self.packed = kernels.FrozenLinear(index(torch.float32), *detached, int(int8))

    def run(self, x: Tensor) -> Tensor:
        """Return W x + b; see `kernels.linear.linear`.

        Raises:
            BackendError: the weights have changed since they were packed.
        """
        self.refuse_changed()
        y = x.new_empty(*x.shape[:-1], self.V)
        self.packed.forward(threads(), dense(x.reshape(-1, x.shape[-1])), y.view(-1, self.V))
        return y


def of(module: nn.Module, name: str = "weight_h", tensors: Sequence[Tensor | None] = ()) -> FrozenScan | None:
    """Return the packed weights of a recurrence, or None if there are none that a call may use.

    Args:
        module: their owner.
        name: name of the recurrence, see Packable.
        tensors: the other operands of the call.
    """
    packed: FrozenScan | None = packed_weights(module, name, tensors)
    return packed


def linear_of(module: nn.Module, x: Tensor) -> FrozenLinear | None:
    """Return the packed weights of a linear layer for a call on x, or None if there are none that it may use."""
    packed: FrozenLinear | None = packed_weights(module, "weight", (x,))
    return packed


def packed_weights(module: nn.Module, name: str, tensors: Sequence[Tensor | None] = ()) -> Any:
    """Return the packed weights of a module, or None if there are none that a call may use; see `of`."""
    packed = _frozen.get((id(module), name))
    if not packed or torch.is_grad_enabled() or torch.is_autocast_enabled("cpu") or not eager(*tensors):
        return None
    return packed[-1] if packed[-1].belongs_to(module) else None


@contextmanager
def frozen(module: nn.Module, precision: Literal["int8"] | None = None) -> Iterator[None]:
    """Pack the weights of every recurrence and linear layer inside `module` once, for calls without gradients.

    Modules that our kernels do not compute (other devices and dtypes, custom cells) run as usual. Of linear layers,
    those of `unrolled.layers` are packed, which use our product.

    Args:
        module: the network.
        precision: "int8" for linear layers whose products are in int8; each row of a weight and each row of x has a
            scale of its own. A row of x with an infinity or NaN has the result NaN. None for float32, or for the
            precision of a surrounding block. Blocks are shared by threads: while one holds a network in int8, calls of
            other threads on the same network compute in int8, too.

    Raises:
        BackendError: int8 without kernels, without a linear layer of `unrolled.layers` in float32 on the CPU, with a
            recurrence (it has no int8 kernel), or with a weight that has an infinity or NaN. In a call: an optimiser
            or a load has changed the weights inside the block. (Writing through `weight.data` cannot be detected. A
            call with other parameters than the packed ones uses those.)
    """
    if precision is not None:
        _refuse_int8(module, precision)
    packables = {(id(owner), packable.name): packable for owner in modules_of(module) for packable in _packables(owner)}
    with _lock:
        kept = _kept.get(module)
        all_packed = {}
        for key, packable in packables.items():
            outer = _frozen.get(key, ())[-1:]
            int8 = precision == "int8" or any(packed.int8 for packed in outer)
            packed_before = (*outer, *([kept[key]] if kept and key in kept else ()))
            usable = (packed for packed in packed_before if packed.int8 == int8 and packed.is_packed_from(packable))
            all_packed[key] = next(usable, None) or _pack(packable, int8=int8)
            _frozen[key] = (*_frozen.get(key, ()), all_packed[key])
        if kept is not None:
            _kept[module] = all_packed
    try:
        yield
    finally:  # blocks of two streams may end in any order: each removes its own
        with _lock:
            for key, packed in all_packed.items():
                rest = list(_frozen.pop(key))
                rest.remove(packed)  # once: an inner block has added the same
                if rest:
                    _frozen[key] = tuple(rest)


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
    noticed; the packed copy, as large as the weights, is then replaced. A write through `weight.data` is not noticed.
    """
    with _lock:
        _kept.setdefault(module, {})


def _packables(owner: nn.Module) -> Iterator[Packable]:
    """Yield the weights of a module that the kernels compute."""
    if kernels is not None and type(owner) in OWNERS:
        for packable in OWNERS[type(owner)](owner):
            if all(p.is_cpu and p.dtype is torch.float32 for p in packable.parameters.values()):
                yield packable


def _refuse_int8(module: nn.Module, precision: str) -> None:
    if precision != "int8":
        raise BackendError(f'precision: "{precision}" is not known here; use "int8", or None for float32')
    if kernels is None:
        raise BackendError(f"precision int8 needs the compiled kernels: {NO_KERNELS}")
    named = list(module.named_modules())
    packables = [(path or type(owner).__name__, each) for path, owner in named for each in _packables(owner)]
    recurrences = [path for path, packable in packables if isinstance(packable.weights, CellWeights)]
    if recurrences:
        raise BackendError(
            f"precision int8: recurrences have no int8 kernel, and there are {', '.join(recurrences)}; freeze their "
            "linear layers alone, or leave the precision out"
        )
    if not packables:
        raise BackendError("precision int8: no linear layer of unrolled.layers in float32 on the CPU was found")
    others = [path for path, owner in named if isinstance(owner, nn.Linear) and type(owner) not in OWNERS]
    if others:
        raise BackendError(f"precision int8: only linear layers of unrolled.layers have it, not {', '.join(others)}")
    for path, packable in packables:
        for name, parameter in packable.parameters.items():
            if not parameter.isfinite().all():
                raise BackendError(f"precision int8: {name} of {path} has an infinity or NaN, so it has no scale")


def _pack(packable: Packable, *, int8: bool) -> Frozen:
    if isinstance(packable.weights, CellWeights):
        return FrozenScan(packable.weights, packable.parameters)
    if isinstance(packable.weights, LinearWeights):
        return FrozenLinear(packable.weights, packable.parameters, int8=int8)
    packed = packable.weights.pack(packable.parameters)
    packed.int8 = int8
    return packed
