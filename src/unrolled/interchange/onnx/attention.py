"""Attention, positions and blocks.

    mask (B, 1, T, P + T):  a step attends to all steps of the cache that are real, and to the new steps up to its own

The cache of causal attention is appended to in every call, padding included; `mask` (B, P) says which of its steps are
real, and their number is the position of the next step. The steps of a sequence are thus in order, but not necessarily
adjacent, which attention does not see: positions are in the keys.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import NamedTuple

import numpy as np
from torch import nn

from unrolled.interchange.onnx.emit import Steps, emit, emits, refusal
from unrolled.interchange.onnx.graph import Graph, Value
from unrolled.layers import Block, Blocks, CrossAttention, SelfAttention
from unrolled.layers.position import Position, Rotary

__all__ = ["Cache", "KeyValue", "cross_keys"]


class KeyValue(NamedTuple):
    """Keys and values, (B, M, S, K) each."""

    key: Value
    value: Value


class Cache(NamedTuple):
    """The state of causal blocks: the mask of real steps (B, P), and the keys and values of each block."""

    mask: Value
    blocks: tuple[KeyValue, ...]


class _Places(NamedTuple):
    """Positions of the steps, (B, T) or (1, T), and the keys that each attends to, (…, S); None: all."""

    positions: Value
    mask: Value | None


@emits(Blocks)
def _blocks(
    graph: Graph,
    layer: Blocks,
    x: Value,
    state: Cache | None,
    steps: Steps | None,
    source: tuple[tuple[KeyValue, ...], Steps] | None = None,
) -> tuple[Value, Cache | None]:
    """(B, T, input_size) -> (B, T, D), and the cache after it if the blocks are causal."""
    places, mask = _places(graph, x, state, steps, causal=layer.causal)
    x = emit(graph, layer.enter, x)
    if layer.position is not None:
        x = emit(graph, layer.position, x, places.positions)
    after = []
    for i, block in enumerate(layer.blocks):
        past = None if state is None else state.blocks[i]
        memory = None if source is None else (source[0][i], source[1])
        x, kept = emit(graph, block, x, past, places, memory)
        after.append(kept)
    y: Value = emit(graph, layer.norm, x)
    return y, None if mask is None else Cache(mask, tuple(after))


def _places(
    graph: Graph, x: Value, state: Cache | None, steps: Steps | None, *, causal: bool
) -> tuple[_Places, Value | None]:
    """Return the places of the steps of x (B, T, …), and the mask of the cache after them if they are causal."""
    B, T = x.size(0), x.size(1)
    positions = graph.range(T).unsqueeze(0)
    if not causal:
        return _Places(positions, None if steps is None else steps.real.unsqueeze(1, 2)), None
    upto = graph.op("LessOrEqual", positions, positions.transpose(1, 0))  # (T, T)
    new = graph.op("Expand", True, graph.concat([B, T], axis=0)) if steps is None else steps.real
    if state is None:
        return _Places(positions, upto.unsqueeze(0, 1)), new
    P = state.mask.size(1)
    past = graph.op("Expand", state.mask.unsqueeze(1), graph.concat([B, T, P], axis=0))
    own = graph.op("Expand", upto.unsqueeze(0), graph.concat([B, T, T], axis=0))
    before = state.mask.cast(np.int64).sum(1).unsqueeze(1)  # (B, 1)
    mask = graph.concat([past, own], axis=2).unsqueeze(1)
    return _Places(before + positions, mask), graph.concat([state.mask, new], axis=1)


@emits(Block)
def _block(
    graph: Graph,
    block: Block,
    x: Value,
    past: KeyValue | None,
    places: _Places,
    source: tuple[KeyValue, Steps] | None,
) -> tuple[Value, KeyValue]:
    kept: list[KeyValue] = []
    if type(block.mixer) is not SelfAttention:  # no model of the lineage has another
        raise refusal(graph, block.mixer)

    def mix(x: Value) -> Value:
        y, present = emit(graph, block.mixer, x, past, places)
        kept.append(present)
        return y  # type: ignore[no-any-return]

    sublayers: list[Callable[[Value], Value]] = [mix, lambda x: emit(graph, block.feedforward, x)]
    if source is not None:
        assert block.cross is not None
        cross: nn.Module = block.cross
        sublayers.insert(1, lambda x: emit(graph, cross, x, *source))
    for norm, f in zip(block.norms, sublayers, strict=True):
        x = x + f(emit(graph, norm, x)) if block.norm == "pre" else emit(graph, norm, x + f(x))
    return x, kept[0]


@emits(SelfAttention)
def _self_attention(
    graph: Graph, layer: SelfAttention, x: Value, past: KeyValue | None, places: _Places
) -> tuple[Value, KeyValue]:
    N, M = layer.num_heads, layer.kv_heads
    query, key, value = _heads(emit(graph, layer.project, x), N + 2 * M).split(1, [N, M, M])
    if layer.rotary is not None:
        query, key = (emit(graph, layer.rotary, each, places.positions) for each in (query, key))
    present = KeyValue(key, value)
    if past is not None:
        present = KeyValue(*(graph.concat(pair, axis=2) for pair in zip(past, present, strict=True)))
    y: Value = emit(graph, layer.output, _attend(graph, query, present, layer, places.mask))
    return y, present


@emits(CrossAttention)
def _cross_attention(graph: Graph, layer: CrossAttention, x: Value, source: KeyValue, steps: Steps) -> Value:
    query = _heads(emit(graph, layer.query, x), layer.num_heads)
    y: Value = emit(graph, layer.output, _attend(graph, query, source, layer, steps.real.unsqueeze(1, 2)))
    return y


def cross_keys(graph: Graph, layer: CrossAttention, outputs: Value) -> KeyValue:
    """Return keys and values of an encoder's outputs (B, S, D); see `CrossAttention.keys`."""
    M = layer.kv_heads
    return KeyValue(*_heads(emit(graph, layer.project, outputs), 2 * M).split(1, [M, M]))


def _heads(x: Value, heads: int) -> Value:
    """(B, T, heads · K) -> (B, heads, T, K)."""
    return x.reshape(0, 0, heads, -1).transpose(0, 2, 1, 3)


def _attend(
    graph: Graph, query: Value, memory: KeyValue, layer: SelfAttention | CrossAttention, mask: Value | None
) -> Value:
    """Return the context of every query (B, N, T, K), its heads concatenated: (B, T, N · K).

    Keys and values are (B, M, S, K); the mask is one that is expanded to (B, N, T, S).
    """
    N, M, K = layer.num_heads, layer.kv_heads, layer.output.in_features // layer.num_heads
    key, value = memory.key.transpose(0, 1, 3, 2), memory.value
    query = query * K**-0.5
    if M != N:  # each group of heads by its keys and values: (B, M, N / M, T, K)
        query, key, value = query.reshape(0, M, N // M, -1, K), key.unsqueeze(2), value.unsqueeze(2)
        mask = None if mask is None else mask.unsqueeze(1)
    scores = query @ key
    context = (scores if mask is None else graph.where(mask, scores, -inf)).softmax() @ value
    if M != N:
        context = context.reshape(0, N, -1, K)
    return context.transpose(0, 2, 1, 3).reshape(0, 0, N * K)


@emits(Position)
def _position(graph: Graph, layer: Position, x: Value, positions: Value) -> Value:
    """x_t + p_t."""
    if layer.kind == "learned":
        last = graph.value(np.array(len(layer.weight) - 1))
        return x + graph.op("Gather", graph.weight(layer, "weight"), graph.op("Min", positions, last))
    sin, cos = _turns(graph, positions, layer.size)
    pairs = graph.concat([sin.unsqueeze(3), cos.unsqueeze(3)], axis=3)  # (B, T, ⌈D / 2⌉, 2)
    return x + pairs.reshape(0, 0, -1).slice(2, 0, layer.size)


@emits(Rotary)
def _rotary(graph: Graph, layer: Rotary, x: Value, positions: Value) -> Value:
    """(x_i, x_{i+h}) ← x_i (cos a, sin a) + x_{i+h} (−sin a, cos a), of x (B, heads, T, K)."""
    half, rest = layer.size // 2, layer.size % 2
    first, second, *odd = x.split(3, [half, half, *([1] if rest else [])])
    sin, cos = (each.slice(2, 0, half).unsqueeze(1) for each in _turns(graph, positions, layer.size))
    return graph.concat([first * cos - second * sin, second * cos + first * sin, *odd], axis=3)


def _turns(graph: Graph, positions: Value, size: int) -> tuple[Value, Value]:
    """Return sin and cos of t / 10000^(2i / size) of positions (B, T), (B, T, ⌈size / 2⌉) each, computed in float64."""
    rates = 10_000.0 ** (np.arange(0, size, 2) / size)
    angles = positions.unsqueeze(2).cast(np.float64) / rates
    return graph.op("Sin", angles).cast(np.float32), graph.op("Cos", angles).cast(np.float32)
