"""Weights in the form that the kernels read, packed once for many calls (see freeze.py)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from unrolled.errors import BackendError
from unrolled.kernels.linear import LinearWeights
from unrolled.kernels.native import Recurrence, dense, index, kernels, rows, threads
from unrolled.kernels.scan import CellWeights

__all__ = ["Frozen", "FrozenLinear", "FrozenScan", "Key", "Packable", "Weights"]

Key = tuple[int, str]
"""The id of a module and the name of its weights, see Packable."""


class Weights(Protocol):
    """Weights of several layers that are computed in one call; see `layers/block_step.py`."""

    def pack(self, parameters: dict[str, Tensor], packed: Mapping[Key, Frozen]) -> Frozen:
        """Return the packed weights, with these parameters, from the weights of single layers that are packed."""
        ...


class Packable(NamedTuple):
    """Weights of a module that can be packed: the name by which calls find them, and the parameters they consist of.

    The parameters are those of the module, by name, and of modules inside, by path.
    """

    name: str
    weights: CellWeights | LinearWeights | Weights
    parameters: dict[str, Tensor]


class Frozen:
    """Packed weights, with the parameters and their versions at the time of packing."""

    int8 = False
    """Whether they are int8 numbers."""

    def __init__(self, parameters: dict[str, Tensor]) -> None:
        self.by_name = tuple(parameters.items())
        self.inside = any("." in name for name in parameters)  # parameters of modules inside
        # The number of writes to each; torch does not count those to a tensor made under inference_mode.
        self.parameters = [p for p in parameters.values() if not p.is_inference()]
        self.versions = [p._version for p in self.parameters]
        self.isa = index(torch.float32)

    def belongs_to(self, module: nn.Module) -> bool:
        """Return True if these are the module's parameters now; torch.func.functional_call replaces them for a call."""
        if self.inside:
            return all(_parameter(module, name) is parameter for name, parameter in self.by_name)
        for name, parameter in self.by_name:  # noqa: SIM110  (a generator takes twice as long)
            if module._parameters.get(name) is not parameter:
                return False
        return True

    def agrees_with(self, packed: Mapping[Key, Frozen]) -> bool:
        """Return True if these consist of no single layers that are packed otherwise in `packed`."""
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

    def __init__(self, weights: CellWeights, parameters: dict[str, Tensor], *, int8: bool = False) -> None:
        super().__init__(parameters)
        assert kernels is not None
        self.int8 = int8
        self.recurrence = weights.recurrence
        self.H, self.lstm = weights.weight_h.shape[1], weights.recurrence == Recurrence.LSTM
        dense = (w.detach().contiguous() if isinstance(w, Tensor) else w for w in weights[1:])
        self.packed = kernels.FrozenCell(weights.recurrence, index(torch.float32), *dense, int(int8))

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


def _parameter(module: nn.Module, path: str) -> Tensor | None:
    """Return a parameter of a module, or of one inside it by its path; None if there is none."""
    *outer, name = path.split(".")
    for part in outer:
        inner = module._modules.get(part)
        if inner is None:
            return None
        module = inner
    return module._parameters.get(name)
