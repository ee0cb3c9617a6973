"""Frozen weights, packed once for many calls: for streams and decoding, step by step.

A scan or a linear layer packs its weights in every call, because they may have changed since the last one. Over a
sequence that costs little; for a single step it is most of the time. Inside

    with frozen(model):
        y, state = layer(x, state)

calls without gradients use weights that were packed at the start of the block. The bits of the results are the same.
With precision="int8" linear layers multiply int8 numbers and sum them in int32 (csrc/base/int8.h): a quarter of the
memory, and answers that differ a little.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from unrolled.eager import eager
from unrolled.errors import BackendError
from unrolled.kernels.linear import LinearWeights
from unrolled.kernels.native import NO_KERNELS, Recurrence, dense, index, kernels, rows, threads
from unrolled.kernels.scan import CellWeights

__all__ = ["OWNERS", "FrozenLinear", "FrozenScan", "Packable", "frozen", "linear_of", "of"]


class Packable(NamedTuple):
    """Weights of a module that can be packed: the name by which calls find them, and the parameters they consist of.

    The parameters are those of the module, by name.
    """

    name: str
    weights: CellWeights | LinearWeights
    parameters: dict[str, Tensor]


OWNERS: dict[type[nn.Module], Callable[[Any], Iterator[Packable]]] = {}
"""The modules that can be frozen, each with a function that yields their packable weights."""

_frozen: dict[tuple[int, str], tuple[_Frozen, ...]] = {}  # by id of a module that outlives the block; the last is used
_lock = Lock()


class _Frozen:
    """Packed weights, with the parameters and their versions at the time of packing."""

    def __init__(self, parameters: dict[str, Tensor]) -> None:
        self.by_name = tuple(parameters.items())
        # The number of writes to each; torch does not count those to a tensor made under inference_mode.
        self.parameters = [p for p in parameters.values() if not p.is_inference()]
        self.versions = [p._version for p in self.parameters]

    def belongs_to(self, module: nn.Module) -> bool:
        """Return True if these are the module's parameters now; torch.func.functional_call replaces them for a call."""
        for name, parameter in self.by_name:  # noqa: SIM110  (a generator takes twice as long)
            if module._parameters.get(name) is not parameter:
                return False
        return True

    def refuse_changed(self) -> None:
        """Refuse a call with weights that have changed since they were packed.

        Raises:
            BackendError: a parameter has been written to.
        """
        if [p._version for p in self.parameters] != self.versions:
            raise BackendError("the weights of a frozen module have changed: change them outside of `frozen`")


class FrozenScan(_Frozen):
    """The packed weights of one recurrence."""

    def __init__(self, weights: CellWeights, parameters: dict[str, Tensor]) -> None:
        super().__init__(parameters)
        assert kernels is not None
        self.H, self.lstm = weights.weight_h.shape[1], weights.recurrence == Recurrence.LSTM
        dense = (w.detach().contiguous() if isinstance(w, Tensor) else w for w in weights[1:])
        self.packed = kernels.FrozenCell(weights.recurrence, index(torch.float32), *dense)

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


class FrozenLinear(_Frozen):
    """The packed weights of a linear layer, packed by the first call: decoding does not call every layer of a model."""

    def __init__(self, weights: LinearWeights, parameters: dict[str, Tensor], int8: bool = False) -> None:
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
    packed: FrozenScan | None = _packed_weights(module, name, tensors)
    return packed


def linear_of(module: nn.Module, x: Tensor) -> FrozenLinear | None:
    """Return the packed weights of a linear layer for a call on x, or None if there are none that it may use."""
    packed: FrozenLinear | None = _packed_weights(module, "weight", (x,))
    return packed


def _packed_weights(module: nn.Module, name: str, tensors: Sequence[Tensor | None]) -> Any:
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
            precision of a surrounding block.

    Raises:
        BackendError: int8 without kernels, without a linear layer of `unrolled.layers` in float32 on the CPU, with a
            recurrence (it has no int8 kernel), or with a weight that has an infinity or NaN. In a call: an optimiser
            or a load has changed the weights inside the block. (Writing through `weight.data` cannot be detected. A
            call with other parameters than the packed ones uses those.)
    """
    if precision is not None:
        _refuse_int8(module, precision)
    all_packed = {
        (id(owner), packable.name): _pack(packable, precision)
        for _, owner, packable in _packables(module)
        if not (precision is None and _is_int8(owner, packable.name))
    }
    with _lock:
        for key, packed in all_packed.items():
            _frozen[key] = (*_frozen.get(key, ()), packed)
    try:
        yield
    finally:  # blocks of two streams may end in any order: each removes its own
        with _lock:
            for key, packed in all_packed.items():
                if rest := tuple(other for other in _frozen.pop(key) if other is not packed):
                    _frozen[key] = rest


def _packables(module: nn.Module) -> Iterator[tuple[str, nn.Module, Packable]]:
    """Yield the weights that the kernels compute, each with the path of its owner in the module, and the owner."""
    for path, owner in module.named_modules() if kernels is not None else ():
        if type(owner) in OWNERS:
            for packable in OWNERS[type(owner)](owner):
                if all(p.is_cpu and p.dtype is torch.float32 for p in packable.parameters.values()):
                    yield path or type(owner).__name__, owner, packable


def _is_int8(owner: nn.Module, name: str) -> bool:
    """Return True if a surrounding block has packed these weights in int8."""
    packed = _frozen.get((id(owner), name), ())[-1:]
    return any(isinstance(one, FrozenLinear) and one.int8 and one.belongs_to(owner) for one in packed)


def _refuse_int8(module: nn.Module, precision: str) -> None:
    if precision != "int8":
        raise BackendError(f'precision: "{precision}" is not known here; use "int8", or None for float32')
    if kernels is None:
        raise BackendError(f"precision int8 needs the compiled kernels: {NO_KERNELS}")
    packables = list(_packables(module))
    recurrences = [path for path, _, packable in packables if isinstance(packable.weights, CellWeights)]
    if recurrences:
        raise BackendError(
            f"precision int8: recurrences have no int8 kernel, and there are {', '.join(recurrences)}; freeze their "
            "linear layers alone, or leave the precision out"
        )
    if not packables:
        raise BackendError("precision int8: no linear layer of unrolled.layers in float32 on the CPU was found")
    for path, _, packable in packables:
        for name, parameter in packable.parameters.items():
            if not parameter.isfinite().all():
                raise BackendError(f"precision int8: {name} of {path} has an infinity or NaN, so it has no scale")


def _pack(packable: Packable, precision: str | None) -> _Frozen:
    if isinstance(packable.weights, CellWeights):
        return FrozenScan(packable.weights, packable.parameters)
    return FrozenLinear(packable.weights, packable.parameters, precision == "int8")
