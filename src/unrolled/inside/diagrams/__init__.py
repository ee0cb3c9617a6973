"""Diagrams of the cells and of attention as data: nodes, wires, and the tensor and formula of each node.

There is one JSON file for each diagram. Keys of a node:

    tensor       name of a tensor of the trace: "f" is lstm.l0.f in the diagram of lstm.l0. With `gate`, that index on
                 its axis G; with `before`, its value after the previous step, `h0` (`c0`) at the first step
    formula      the node computed from other nodes (formula.py); a test checks it against the tensor
    learned      the nodes whose product with a learned matrix the node is; the matrix is not in a trace
    axes         the letters of its tensor's axes, for one gate or head
    label, kind, position    text, style (one of KINDS) and position in columns and rows

A wire leads to a node from every name in its formula and in `learned`.

The diagram of a cell has two layouts instead of positions and wires: "wide", in which time runs to the right, and
"narrow", in which it runs down. Positions are in pixels. A mark is drawn for the node of its name: a word, a
gate or candidate (a box that contains the sum of its terms), an operation (a circle), a function. A wire carries the
value of a node to a mark, or out of the cell; one with `vector` carries all numbers of the node. `morphs.json` lists
the nodes that one diagram adds to another, merges and drops.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

import torch
from torch import Tensor

from unrolled.errors import ConfigError, nearest
from unrolled.inside.diagrams.formula import Formula, Value, read

__all__ = [
    "DIAGRAMS",
    "KINDS",
    "Diagram",
    "Layout",
    "Line",
    "Mark",
    "Morph",
    "Node",
    "Value",
    "Wire",
    "load",
    "morphs",
]

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
    """One value of a diagram; the module's docstring explains its fields."""

    name: str
    label: str
    kind: str
    position: tuple[float, float] = (0, 0)
    axes: str = ""
    tensor: str | None = None
    gate: int | None = None
    before: bool = False
    formula: str | None = None
    learned: tuple[str, ...] = ()

    @property
    def reads(self) -> frozenset[str]:
        """Names of the nodes that it is computed from."""
        return frozenset(self.learned) | frozenset(_read(self.formula).names() if self.formula else ())


class Mark(NamedTuple):
    """Symbol of a layout, at its centre.

    Args:
        kind: word, gate, candidate, operation or function.
        role: role of a gate: keep, write, show or reset.
        name: the words in a box.
        sign: the text in a circle or pill, or in a box that is neither σ nor tanh.
    """

    at: tuple[float, float]
    kind: str
    role: str = ""
    name: str = ""
    sign: str = ""


class Line(NamedTuple):
    """Wire of a layout.

    Args:
        value: the node whose number it carries.
        path: its points.
        target: the mark at its end; None: it leaves the cell.
        label: x, y and anchor of its number.
        letter: letter in front of the number.
        role: role of the gate that it comes from.
        vector: whether it stands for all numbers of the node.
    """

    value: str
    path: tuple[tuple[float, float], ...]
    target: str | None = None
    label: tuple[float, float, str] | None = None
    letter: str = ""
    role: str = ""
    vector: bool = False


class Layout(NamedTuple):
    """Drawing of a cell, in pixels.

    Args:
        belt: the line of the memory.
        missing: the line of the memory that the cell lacks.
        notes: x, y, text and anchor of each note.
    """

    size: tuple[float, float]
    marks: Mapping[str, Mark]
    wires: tuple[Line, ...]
    notes: tuple[tuple[float, float, str, str], ...]
    belt: tuple[tuple[float, float], ...] = ()
    missing: tuple[tuple[float, float], ...] = ()


class Wire(NamedTuple):
    """Line from one node to another.

    Args:
        via: points in between, in columns and rows.
    """

    source: str
    target: str
    via: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class Diagram:
    """Nodes of a cell or of an attention mechanism, with wires or layouts.

    Args:
        source: the papers that introduced the cell or mechanism.
    """

    name: str
    title: str
    source: str
    nodes: Mapping[str, Node]
    wires: tuple[Wire, ...] = ()
    layouts: Mapping[str, Layout] = field(default_factory=dict)

    def values(self, trace: Mapping[str, Tensor], layer: str, head: int | None = None) -> dict[str, Value]:
        """Return the value of every node at all steps, from its tensor or else its formula; others are left out.

        Args:
            trace: named tensors.
            layer: prefix of the tensors, "lstm.l0", "attention".
            head: index, for several heads.
        """
        values: dict[str, Value] = {}
        for name, node in self._in_order():
            if node.tensor:
                values[name] = Value(self._tensor(trace, layer, node, head), node.axes)
            elif node.formula:
                values[name] = _read(node.formula)(values)
        return values

    def deviations(self, trace: Mapping[str, Tensor], layer: str, head: int | None = None) -> dict[str, float]:
        """Return the largest absolute difference between tensor and formula, for each node that has both.

        Scores of masked positions are −∞ in a trace; formulas do not contain the mask, so these are left out.
        """
        values, worst = self.values(trace, layer, head), {}
        for name, node in self.nodes.items():
            if node.tensor and node.formula:
                traced = values[name].tensor
                difference = (_read(node.formula)(values).over(values[name].axes) - traced).abs()
                worst[name] = float(difference[traced.isfinite()].max())
        return worst

    def tensor_name(self, name: str, layer: str) -> str | None:
        """Return the full name of a node's tensor in a trace, "lstm.l0.f", or None where it has none."""
        node = self.nodes[name]
        return None if node.tensor is None else _full_name(layer, node.tensor)

    def _in_order(self) -> Iterator[tuple[str, Node]]:
        """Yield the nodes, each after those it is computed from."""
        waiting, seen = dict(self.nodes), set[str]()
        while waiting:
            ready = [name for name, node in waiting.items() if node.reads <= seen]
            if not ready:
                raise ValueError(f"diagram {self.name}: the formulas of {', '.join(waiting)} form a cycle")
            for name in ready:
                seen.add(name)
                yield name, waiting.pop(name)

    def _tensor(self, trace: Mapping[str, Tensor], layer: str, node: Node, head: int | None) -> Tensor:
        assert node.tensor is not None
        tensor = trace[_full_name(layer, node.tensor)]
        if node.before:
            return _before(tensor, trace[_full_name(layer, f"{node.tensor}0")], reverse=layer.endswith(".reverse"))
        if node.gate is not None:
            tensor = tensor.select(-2, node.gate)
        return tensor if head is None else tensor[head]


class Morph(NamedTuple):
    """Changes that turn one diagram into the next.

    Args:
        problem: problem of the old architecture.
        fix: remedy of the new architecture.
        keeps: old node -> its name in the new diagram.
        merges: new node -> the old nodes that it replaces.
        adds: new nodes.
        drops: old nodes.
        changes: kept nodes with a new formula, by their new names.
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
    """Return a diagram of DIAGRAMS.

    Raises:
        ConfigError: there is no diagram of that name.
        ValueError: its file is inconsistent.
    """
    if name not in DIAGRAMS:
        raise ConfigError(f'there is no diagram "{name}"{nearest(name, DIAGRAMS)}; there are {", ".join(DIAGRAMS)}')
    content = _json(name)
    nodes = {own: _node(own, entry) for own, entry in content["nodes"].items()}
    wires = tuple(
        Wire(source, target, tuple((x, y) for x, y in via)) for source, target, *via in content.get("wires", ())
    )
    layouts = {key: _layout(entry) for key, entry in content.get("layouts", {}).items()}
    diagram = Diagram(name, content["title"], content["source"], nodes, wires, layouts)
    if layouts:
        _check_layouts(diagram)
    else:
        _check(diagram)
    return diagram


def _node(name: str, entry: Mapping[str, Any]) -> Node:
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()}
    return Node(name, **values)


def _layout(entry: Mapping[str, Any]) -> Layout:
    marks = {name: Mark(**mark) for name, mark in entry["marks"].items()}
    wires = tuple(Line(**{"target": None, **wire}) for wire in entry["wires"])
    return Layout(**{**entry, "marks": marks, "wires": wires})


@cache
def morphs() -> tuple[Morph, ...]:
    """Return the changes from each architecture to the next, in the order of the lineage."""
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
    """Raise ValueError where the wires do not match the formulas, or a kind of node is unknown."""
    wired = {(wire.source, wire.target) for wire in diagram.wires}
    needed = {(source, name) for name, node in diagram.nodes.items() for source in node.reads}
    if wired != needed:
        raise ValueError(f"diagram {diagram.name}: wires and formulas differ in {sorted(wired ^ needed)}")
    if unknown := {node.kind for node in diagram.nodes.values()} - set(KINDS):
        raise ValueError(
            f"diagram {diagram.name}: unknown kind {', '.join(sorted(unknown))}; there are {', '.join(KINDS)}"
        )


def _check_layouts(diagram: Diagram) -> None:
    """Raise ValueError where the wires into a mark do not carry the values that its formula reads, biases left out."""
    for kind, layout in diagram.layouts.items():
        for name, mark in layout.marks.items():
            wired = {wire.value for wire in layout.wires if wire.target == name}
            needed = set() if mark.kind == "word" else _inputs(diagram, name, wired)
            if wired != needed:
                raise ValueError(f"diagram {diagram.name}, {kind}: {name} needs wires from {sorted(needed)}")


def _inputs(diagram: Diagram, name: str, wired: Collection[str]) -> set[str]:
    """Return the values that a node reads, biases left out; sums that have no wire are replaced by their terms."""
    inputs = set[str]()
    for value in diagram.nodes[name].reads:
        node = diagram.nodes[value]
        if node.kind == "sum" and value not in wired:
            inputs |= _inputs(diagram, value, wired)
        elif node.learned or node.kind != "term":
            inputs.add(value)
    return inputs


def _full_name(layer: str, tensor: str) -> str:
    return f"{layer}.{tensor}"


def _before(after: Tensor, first: Tensor, *, reverse: bool) -> Tensor:
    """Return the state before each step, (T, H), from the states after each step (T, H) and the initial state (H)."""
    if reverse:
        return torch.cat([after[1:], first.unsqueeze(0)])
    return torch.cat([first.unsqueeze(0), after[:-1]])


@cache
def _read(formula: str) -> Formula:
    return read(formula)


def _json(name: str) -> Any:
    return json.loads(files(__package__).joinpath(f"{name}.json").read_text(encoding="utf-8"))
