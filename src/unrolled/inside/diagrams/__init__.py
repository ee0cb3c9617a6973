"""Diagrams of the cells and of attention, as data: nodes, wires, the tensor of each node and the formula it obeys.

One JSON file an architecture. A node is

    tensor       a tensor of the trace, "f" for lstm.l0.f where the diagram is of lstm.l0; with `gate`, that place of its
                 axis G; with `before`, of the step before, which at the beginning is `first_h`, or 0
    formula      how it follows from other nodes (formula.py); where it has both, a test holds them equal
    learned      the nodes that a learned matrix makes it from; the matrix is a weight, and no tensor of a trace
    axes         the letters of its tensor, of one gate or head
    label, kind, place    what is drawn, how (KINDS), and where, in columns and rows

A wire leads to a node from every name in its formula, and from all that it is learned from. `morphs.json` says which nodes
one architecture adds to another, merges and drops.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from unrolled.errors import ConfigError, nearest
from unrolled.inside.diagrams.formula import Formula, Value, read

__all__ = ["DIAGRAMS", "KINDS", "Diagram", "Morph", "Node", "Value", "Wire", "load", "morphs"]

DIAGRAMS = ("elman", "lstm", "gru", "fixed_vector", "attention", "dot_attention", "self_attention")
KINDS = ("input", "term", "sum", "gate", "candidate", "operation", "state")


class Node(NamedTuple):
    """One value of a diagram; see above."""

    name: str
    label: str
    kind: str
    place: tuple[float, float]
    axes: str = ""
    tensor: str | None = None
    gate: int | None = None
    before: bool = False
    formula: str | None = None
    learned: tuple[str, ...] = ()

    @property
    def reads(self) -> frozenset[str]:
        """The nodes that it follows from."""
        return frozenset(self.learned) | frozenset(_read(self.formula).names() if self.formula else ())


class Wire(NamedTuple):
    """From one node to another, by way of some points, in columns and rows."""

    source: str
    target: str
    via: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class Diagram:
    """An architecture's nodes and wires."""

    name: str
    title: str
    source: str
    nodes: Mapping[str, Node]
    wires: tuple[Wire, ...]

    def values(self, trace: Mapping[str, Tensor], layer: str, head: int | None = None) -> dict[str, Value]:
        """Return what every node comes to at all steps; nodes with neither tensor nor formula are left out.

        Where a node has both, its formula is computed: from what the trace holds of the nodes it reads.

        Args:
            trace: named tensors. layer: whose: "lstm.l0", "decoder.attention". head: which, where there are several.
        """
        given = {
            name: Value(self._tensor(trace, layer, node, head), node.axes)
            for name, node in self.nodes.items()
            if node.tensor
        }
        found: dict[str, Value] = {}
        for name, node in self._in_order():
            if node.formula:
                found[name] = _read(node.formula)({**found, **given})
            elif node.tensor:
                found[name] = given[name]
        return found

    def given(self, trace: Mapping[str, Tensor], layer: str, head: int | None = None) -> dict[str, Value]:
        """Return what the trace itself holds of the nodes that have a formula and a tensor: equal to `values`."""
        return {
            name: Value(self._tensor(trace, layer, node, head), node.axes)
            for name, node in self.nodes.items()
            if node.tensor and node.formula
        }

    def element(self, name: str, layer: str, head: int | None = None) -> str | None:
        """Return the tensor of a node as it is called in a trace, "lstm.l0.f"; None where it has none."""
        node = self.nodes[name]
        return None if node.tensor is None else _named(layer, node.tensor)

    def _in_order(self) -> Iterator[tuple[str, Node]]:
        """The nodes, each after those it reads."""
        waiting, seen = dict(self.nodes), set[str]()
        while waiting:
            ready = [name for name, node in waiting.items() if node.reads <= seen]
            if not ready:
                raise ValueError(f"diagram {self.name}: {', '.join(waiting)} wait for each other")
            for name in ready:
                seen.add(name)
                yield name, waiting.pop(name)

    def _tensor(self, trace: Mapping[str, Tensor], layer: str, node: Node, head: int | None) -> Tensor:
        assert node.tensor is not None
        tensor = trace[_named(layer, node.tensor)]
        if node.before:
            return _shifted(tensor, _first(trace, layer, node.tensor), reverse=layer.endswith(".reverse"))
        if node.gate is not None:
            tensor = tensor.unbind(-2)[node.gate]
        return tensor if head is None or tensor.dim() == len(node.axes) else tensor[head]


class Morph(NamedTuple):
    """How one architecture becomes the next.

    keeps: node of the old -> what it is called in the new. merges: node of the new -> those of the old that it takes the
    place of. adds: of the new. drops: of the old.
    """

    old: str
    new: str
    problem: str
    fix: str
    keeps: Mapping[str, str]
    merges: Mapping[str, tuple[str, ...]]
    adds: tuple[str, ...]
    drops: tuple[str, ...]


@cache
def load(name: str) -> Diagram:
    """Return a diagram.

    Raises:
        ConfigError: there is none of that name. ValueError: its file contradicts itself.
    """
    if name not in DIAGRAMS:
        raise ConfigError(f'there is no diagram "{name}"{nearest(name, DIAGRAMS)}; there are {", ".join(DIAGRAMS)}')
    found = _json(name)
    nodes = {
        own: Node(own, **{**entry, "place": tuple(entry["place"]), "learned": tuple(entry.get("learned", ()))})
        for own, entry in found["nodes"].items()
    }
    wires = tuple(
        Wire(source, target, tuple((x, y) for x, y in via)) for source, target, *(via) in map(_flat, found["wires"])
    )
    _check(name, nodes, wires)
    return Diagram(name, found["title"], found["source"], nodes, wires)
