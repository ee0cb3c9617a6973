"""Recurrent layers: ONNX's LSTM, GRU or RNN where they mean the same, else a Scan over the equations of the cell."""

from __future__ import annotations

from typing import Any

import numpy as np

from unrolled.cells import Cell
from unrolled.interchange.onnx.cells import CELLS, CellEmitter, Operator
from unrolled.interchange.onnx.emit import Steps, emit, emits, find
from unrolled.interchange.onnx.graph import Graph, Value
from unrolled.layers import Bidirectional, Layer, Recurrent, Stacked
from unrolled.layers.recurrent import BothStates
from unrolled.state import State

__all__ = ["project", "step", "summary", "zeros"]


@emits(Stacked)
def _stacked(graph: Graph, layer: Stacked, x: Value, state: State, steps: Steps | None) -> tuple[Value, State]:
    states = [None] * len(layer.layers) if state is None else state
    after = []
    for each, before in zip(layer.layers, states, strict=True):
        x, last = emit(graph, each, x, before, steps)
        after.append(last)
    return x, tuple(after)


@emits(Bidirectional)
def _bidirectional(
    graph: Graph, layer: Bidirectional, x: Value, state: State, steps: Steps | None
) -> tuple[Value, State]:
    before = BothStates(None, None) if state is None else state
    y_forward, forward = emit(graph, layer.forward_layer, x, before.forward, steps)
    y_backward, backward = emit(graph, layer.backward_layer, x, before.backward, steps)
    return graph.concat([y_forward, y_backward], axis=2), BothStates(forward, backward)


@emits(Recurrent)
def _recurrent(graph: Graph, layer: Recurrent, x: Value, state: State, steps: Steps | None) -> tuple[Value, State]:
    """(B, T, D) -> (B, T, H), and the state after the last real step; y at padding is undefined."""
    emitter = _emitter(graph, layer)
    if emitter.operator is None or layer.zoneout:
        return _scanned(graph, layer, x, state, steps)
    return _operated(graph, layer, emitter.operator(layer.cell), x, state, steps)


def _operated(
    graph: Graph, layer: Recurrent, operator: Operator, x: Value, state: State, steps: Steps | None
) -> tuple[Value, State]:
    """Append ONNX's operator; its inputs are (T, B, D), its states (1, B, H)."""
    cell = layer.cell
    W, R, B = (
        graph.weight(cell, f"{operator.kind}.{name}", weight.unsqueeze(0))
        for name, weight in (("W", operator.weight_x), ("R", operator.weight_h), ("B", operator.bias))
    )
    lengths = None if steps is None else steps.int32
    initial = [] if state is None else [leaf.unsqueeze(0) for leaf in state]
    y, *after = graph.ops(
        operator.kind,
        x.transpose(1, 0, 2),
        W,
        R,
        B,
        lengths,
        *initial,
        outputs=1 + len(cell.State._fields),
        hidden_size=cell.hidden_size,
        direction="reverse" if layer.reverse else "forward",
        **operator.attributes,
    )
    leaves = [leaf.squeeze(0) for leaf in after]
    if steps is not None and state is not None:  # after no step, onnxruntime returns 0 in place of the initial state
        some = graph.op("Greater", steps.lengths, np.array(0)).unsqueeze(1)
        leaves = [graph.where(some, new, old) for new, old in zip(leaves, state, strict=True)]
    return y.squeeze(1).transpose(1, 0, 2), cell.State(*leaves)


def _scanned(graph: Graph, layer: Recurrent, x: Value, state: State, steps: Steps | None) -> tuple[Value, State]:
    """Append a Scan over the cell's equations; a padded step leaves the state as it is."""
    kind = layer.cell.State
    before = zeros(graph, layer.cell, x) if state is None else state
    sequences = [project(graph, layer, x).transpose(1, 0, 2)]
    if steps is not None:
        sequences.append(steps.real.transpose(1, 0).unsqueeze(2))  # (T, B, 1)

    def one(states: list[Value], now: list[Value]) -> tuple[State, list[Value]]:
        x_gates, *real = now
        after = step(graph, layer, x_gates, old := kind(*states))
        if real:
            after = kind(*(graph.where(real[0], *leaves) for leaves in zip(after, old, strict=True)))
        return after, [summary(graph, layer, after)]

    after, (y,) = graph.scan(one, before, sequences, reverse=layer.reverse)
    return y.transpose(1, 0, 2), kind(*after)


def project(graph: Graph, layer: Recurrent, x: Value) -> Value:
    """Return the input's part of the gates, (…, D) -> (…, G·H)."""
    return _emitter(graph, layer).project(graph, layer.cell, x)


def step(graph: Graph, layer: Recurrent, x_gates: Value, state: State) -> State:
    """Return the state after one step, x_gates (B, G·H); with zoneout, new + rate (old − new)."""
    after = _emitter(graph, layer).step(graph, layer.cell, x_gates, state)
    if not layer.zoneout:
        return after
    return type(after)(*(new + (old - new) * layer.zoneout for new, old in zip(after, state, strict=True)))


def summary(graph: Graph, layer: Layer, state: State) -> Value:
    """Return the output at a state, (B, output_size); see `Layer.summary`."""
    if isinstance(layer, Stacked):
        return summary(graph, layer.layers[-1], state[-1])  # type: ignore[arg-type]
    if isinstance(layer, Bidirectional):
        both = zip((layer.forward_layer, layer.backward_layer), state, strict=True)
        return graph.concat([summary(graph, each, own) for each, own in both], axis=1)
    assert isinstance(layer, Recurrent)
    assert layer.cell.emits is not None  # all cells with an emitter have a leaf that is their output
    value: Value = getattr(state, layer.cell.emits)
    return value


def zeros(graph: Graph, cell: Cell[Any, Any], x: Value) -> State:
    """Return the state of a cell before the first step, for the batch of x (B, …)."""
    sizes = (graph.concat([x.size(0), np.array(shape)], axis=0) for shape in cell.state_shapes())
    return cell.State(*(graph.op("Expand", 0.0, size) for size in sizes))


def _emitter(graph: Graph, layer: Recurrent) -> CellEmitter:
    return find(CELLS, graph, layer.cell)
