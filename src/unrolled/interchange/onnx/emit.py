"""The registry of emitters: one function for each kind of layer, found by its exact type.

A subclass, a custom cell or layer, may compute anything: it is refused by name, never written as its base.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from torch import nn

from unrolled.errors import ExportError
from unrolled.interchange.onnx.graph import Graph, Value

__all__ = ["Steps", "emit", "emits", "find", "refusal"]

Emitter = TypeVar("Emitter", bound=Callable[..., Any])
T = TypeVar("T")

_EMITTERS: dict[type[nn.Module], Callable[..., Any]] = {}


def emits(*kinds: type[nn.Module]) -> Callable[[Emitter], Emitter]:
    """Register a function (graph, module, …) that appends a module's nodes to a graph."""

    def register(emitter: Emitter) -> Emitter:
        _EMITTERS.update(dict.fromkeys(kinds, emitter))
        return emitter

    return register


def emit(graph: Graph, module: nn.Module, *arguments: Any) -> Any:
    """Append the nodes of a module to a graph and return its outputs.

    Raises:
        ExportError: there is no emitter for exactly this type.
    """
    return find(_EMITTERS, graph, module)(graph, module, *arguments)


def find(table: Mapping[type[Any], T], graph: Graph, module: nn.Module) -> T:
    """Return the entry of a table for a module's exact type.

    Raises:
        ExportError: there is none; names the module.
    """
    if type(module) not in table:
        raise refusal(graph, module)
    return table[type(module)]


def refusal(graph: Graph, module: nn.Module) -> ExportError:
    """Return the error for a module that has no translation."""
    where = f" ({path})" if (path := graph.path(module)) else ""
    return ExportError(
        f"{type(module).__name__}{where} is not one of unrolled's own layers and cells, and has no translation into "
        "ONNX's operators: export the run with --to torch, which records any code, or its weights with --to safetensors"
    )


class Steps:
    """The real steps of a batch.

    Args:
        graph: the graph.
        lengths: (B,) int64.
        size: T, (1,) int64.
    """

    def __init__(self, graph: Graph, lengths: Value, size: Value) -> None:
        self.graph, self.lengths, self.size = graph, lengths, size

    @cached_property
    def real(self) -> Value:
        """The mask of real steps, (B, T)."""
        return self.graph.op("Less", self.graph.range(self.size).unsqueeze(0), self.lengths.unsqueeze(1))

    @cached_property
    def int32(self) -> Value:
        """The lengths as ONNX's recurrent operators take them."""
        return self.lengths.cast(np.int32)
