"""The parts of the recurrent sequence-to-sequence models: scores, decoders that attend, the bridge.

The memory of a source is what a decoder reads in every step: the encoder's outputs, the keys of the score, the lengths.
"""

from __future__ import annotations

from math import inf
from typing import NamedTuple

from unrolled.interchange.onnx.emit import Steps, emit, emits
from unrolled.interchange.onnx.graph import Graph, Value
from unrolled.interchange.onnx.recurrent import project, step, summary
from unrolled.interchange.onnx.states import filled, flat
from unrolled.layers import Additive, Bahdanau, Dot, General, Luong, Recurrent
from unrolled.layers.scores import Score
from unrolled.models.seq2seq import Bridge
from unrolled.state import State

__all__ = ["Attended", "DecoderState", "has_keys", "keys"]


class Attended(NamedTuple):
    """A source: the encoder's outputs (B, S, D), the keys of the score (B, S, A), if it has any, and the lengths."""

    outputs: Value
    keys: Value | tuple[()]
    steps: Steps


class DecoderState(NamedTuple):
    """The state of a decoder: that of its layers and, with input feeding, y of the last step, (B, H)."""

    layers: State
    fed: Value | tuple[()] = ()


def has_keys(score: Score) -> bool:
    """Return whether a score has keys, computed once for a source."""
    return type(score) in (Additive, General)


def keys(graph: Graph, score: Score, outputs: Value) -> Value | tuple[()]:
    """Return the keys of a score from the encoder's outputs; see `Score.keys`."""
    if not has_keys(score):
        return ()
    result: Value = emit(graph, score.key, outputs)  # type: ignore[arg-type]
    return result


@emits(Additive)
def _additive(graph: Graph, score: Additive, query: Value, memory: Attended) -> Value:
    """v · tanh(W_q query + key_j), (B, T, H) -> (B, T, S)."""
    assert isinstance(memory.keys, Value)
    a = (emit(graph, score.query, query).unsqueeze(2) + memory.keys.unsqueeze(1)).tanh()
    result: Value = a @ graph.weight(score, "v")
    return result


@emits(Dot)
def _dot(graph: Graph, score: Dot, query: Value, memory: Attended) -> Value:
    """query · o_j."""
    return query @ memory.outputs.transpose(0, 2, 1)


@emits(General)
def _general(graph: Graph, score: General, query: Value, memory: Attended) -> Value:
    """query · key_j."""
    assert isinstance(memory.keys, Value)
    return query @ memory.keys.transpose(0, 2, 1)


def _context(graph: Graph, score: Score, query: Value, memory: Attended) -> Value:
    """Return the context of queries (B, T, H), (B, T, D); see `Score.forward`."""
    scores: Value = emit(graph, score, query, memory)
    return graph.where(memory.steps.real.unsqueeze(1), scores, -inf).softmax() @ memory.outputs


@emits(Bahdanau)
def _bahdanau(
    graph: Graph, decoder: Bahdanau, x: Value, memory: Attended, state: DecoderState
) -> tuple[Value, DecoderState]:
    """Attend before each step of the lowest layer; a Scan over (T, B, D)."""
    lowest, *others = decoder.layers.layers
    assert isinstance(lowest, Recurrent)
    kind = lowest.cell.State
    real = memory.steps.real.unsqueeze(1)  # computed before the loop

    def one(states: list[Value], now: list[Value]) -> tuple[State, list[Value]]:
        own = kind(*states)
        scores = emit(graph, decoder.score, summary(graph, lowest, own).unsqueeze(1), memory)
        context = (graph.where(real, scores, -inf).softmax() @ memory.outputs).squeeze(1)
        after = step(graph, lowest, project(graph, lowest, graph.concat([now[0], context], axis=1)), own)
        return after, [summary(graph, lowest, after)]

    own, (y,) = graph.scan(one, state.layers[0], [x.transpose(1, 0, 2)])
    y, above = y.transpose(1, 0, 2), []
    for layer, before in zip(others, state.layers[1:], strict=True):
        y, after = emit(graph, layer, y, before, None)
        above.append(after)
    return y, DecoderState((kind(*own), *above))


@emits(Luong)
def _luong(graph: Graph, decoder: Luong, x: Value, memory: Attended, state: DecoderState) -> tuple[Value, DecoderState]:
    """Attend after each step of the layers: for all steps at once, or in a Scan with input feeding."""
    if not decoder.input_feeding:
        s, layers = emit(graph, decoder.layers, x, state.layers, None)
        context = _context(graph, decoder.score, s, memory)
        return emit(graph, decoder.combine, graph.concat([context, s], axis=2)).tanh(), DecoderState(layers)
    real = memory.steps.real.unsqueeze(1)  # computed before the loop

    def one(states: list[Value], now: list[Value]) -> tuple[list[Value], list[Value]]:
        *own, fed = states
        y, after = graph.concat([now[0], fed], axis=1), []
        for layer, before in zip(decoder.layers.layers, filled(state.layers, own), strict=True):
            assert isinstance(layer, Recurrent)
            after.append(step(graph, layer, project(graph, layer, y), before))
            y = summary(graph, layer, after[-1])
        scores = emit(graph, decoder.score, y.unsqueeze(1), memory)
        context = (graph.where(real, scores, -inf).softmax() @ memory.outputs).squeeze(1)
        y = emit(graph, decoder.combine, graph.concat([context, y], axis=1)).tanh()
        return [*flat(tuple(after)), y], [y]

    assert isinstance(state.fed, Value)
    (*own, fed), (y,) = graph.scan(one, [*flat(state.layers), state.fed], [x.transpose(1, 0, 2)])
    return y.transpose(1, 0, 2), DecoderState(filled(state.layers, own), fed)


@emits(Bridge)
def _bridge(graph: Graph, bridge: Bridge, states: tuple[State, ...]) -> State:
    """Return the initial state of a decoder's layer from the final states of the encoder's, leaves (B, H)."""
    both = ((linear, [getattr(state, name) for state in states]) for name, linear in bridge.fields.items())
    return bridge.kind(*(emit(graph, linear, graph.concat(values, axis=1)).tanh() for linear, values in both))
