"""Diagrams of the cells and of attention, as data: nodes, wires, the tensor of each node and the formula it obeys.

One JSON file an architecture. A node is

    tensor       a tensor of the trace, "f" for lstm.l0.f where the diagram is of lstm.l0; with `gate`, that place of
                 its axis G; with `before`, of the step before, which at the beginning is `h0` (`c0`)
    formula      how it follows from other nodes (formula.py); where it has both, a test holds them equal
    learned      the nodes that a learned matrix makes it from; the matrix is a weight, and no tensor of a trace
    axes         the letters of its tensor, of one gate or head
    label, kind, place    what is drawn, how (KINDS), and where, in columns and rows

A wire leads to a node from every name in its formula, and from all that it is learned from. `morphs.json` says which
nodes one architecture adds to another, merges and drops.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

import torch
from torch import Tensor

from unrolled.errors import ConfigError, nearest
from unrolled.inside.diagrams.formula import Formula, Value, read

__all__ = ["DIAGRAMS", "KINDS", "Diagram", "Morph", "Node", "Value", "Wire", "load", "morphs"]

DIAGRAMS = (
    "elman",
    "lstm",
    "gru",
    "fixed_vector",
    "attention",
    "general_attention",
    "dot_attention",
    "self_attention",
    "cross_attention",
)
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
        """Return every node at all steps: as the trace has it, else by its formula. Left out is what has neither.

        Args:
            trace: named tensors. layer: whose: "lstm.l0", "attention". head: which, where there are several.
        """
        found: dict[str, Value] = {}
        for name, node in self._in_order():
            if node.tensor:
                found[name] = Value(self._tensor(trace, layer, node, head), node.axes)
            elif node.formula:
                found[name] = _read(node.formula)(found)
        return found

    def deviations(self, trace: Mapping[str, Tensor], layer: str, head: int | None = None) -> dict[str, float]:
        """Return how far the formula of each node that has a tensor is from that tensor, at its worst place.

        Where a step may not look its score is −∞ in a trace, and no formula says so: such places are left out.
        """
        found, worst = self.values(trace, layer, head), {}
        for name, node in self.nodes.items():
            if node.tensor and node.formula:
                given = found[name].tensor
                apart = (_read(node.formula)(found).over(found[name].axes) - given).abs()
                worst[name] = float(apart[given.isfinite()].max())
        return worst

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
            return _before(tensor, trace[_named(layer, f"{node.tensor}0")], reverse=layer.endswith(".reverse"))
        if node.gate is not None:
            tensor = tensor.select(-2, node.gate)
        return tensor if head is None else tensor[head]


class Morph(NamedTuple):
    """How one architecture becomes the next.

    keeps: node of the old -> what it is called in the new. merges: node of the new -> those of the old that it takes
    the place of. adds: of the new. drops: of the old. changes: of the new, those kept that have another formula.
    """

    old: str
    new: str
    problem: str
    fix: str
    keeps: Mapping[str, str]
    merges: Mapping[str, tuple[str, ...]]
    adds: tuple[str, ...]
    drops: tuple[str, ...]
    changes: tuple[str, ...]


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
    wires = tuple(Wire(source, target, tuple((x, y) for x, y in via)) for source, target, *via in found["wires"])
    diagram = Diagram(name, found["title"], found["source"], nodes, wires)
    _check(diagram)
    return diagram


@cache
def morphs() -> tuple[Morph, ...]:
    """Return how the architectures become each other, in the order of the lineage."""
    return tuple(
        Morph(
            **{
                **entry,
                "merges": {new: tuple(old) for new, old in entry["merges"].items()},
                **{key: tuple(entry[key]) for key in ("adds", "drops", "changes")},
            }
        )
        for entry in _json("morphs")
    )


def _check(diagram: Diagram) -> None:
    """Refuse a file whose wires are not what its formulas read, or that has a kind nobody draws."""
    laid = {(wire.source, wire.target) for wire in diagram.wires}
    read = {(source, name) for name, node in diagram.nodes.items() for source in node.reads}
    if laid != read:
        raise ValueError(f"diagram {diagram.name}: wires and formulas differ in {sorted(laid ^ read)}")
    if unknown := {node.kind for node in diagram.nodes.values()} - set(KINDS):
        raise ValueError(f"diagram {diagram.name}: no kind {', '.join(sorted(unknown))}; there are {', '.join(KINDS)}")


def _named(layer: str, tensor: str) -> str:
    return f"{layer}.{tensor}"


def _before(after: Tensor, first: Tensor, *, reverse: bool) -> Tensor:
    """What each step began with: after (T, H) and first (H) -> (T, H)."""
    if reverse:
        return torch.cat([after[1:], first.unsqueeze(0)])
    return torch.cat([first.unsqueeze(0), after[:-1]])


@cache
def _read(formula: str) -> Formula:
    return read(formula)


def _json(name: str) -> Any:
    return json.loads(files(__package__).joinpath(f"{name}.json").read_text(encoding="utf-8"))
