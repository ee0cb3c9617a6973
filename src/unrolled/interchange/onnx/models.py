"""The models as graphs: from vectors to logits, with the state of those that answer step by step.

A model that answers each step and depends on earlier steps only has its state as inputs and outputs. Before the first
step every leaf is 0 (and a cache has no steps). One that answers once, or reads in both directions, reads a whole
sequence in a call, and has none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from torch import nn

from unrolled.interchange.onnx import layers as layers  # registers their emitters
from unrolled.interchange.onnx.attention import Cache, KeyValue, cross_keys
from unrolled.interchange.onnx.emit import Steps, emit, find
from unrolled.interchange.onnx.graph import PAST, SOURCE, Graph, Value
from unrolled.interchange.onnx.recurrent import summary
from unrolled.interchange.onnx.seq2seq import Attended, DecoderState, has_keys, keys
from unrolled.interchange.onnx.states import Leaf
from unrolled.layers import (
    Block,
    Blocks,
    CrossAttention,
    Memory,
    Recurrent,
    SelfAttention,
    Stacked,
    TiedHead,
    WindowState,
)
from unrolled.models import Model
from unrolled.models.decoder import SEP
from unrolled.models.feedforward import FeedforwardModel
from unrolled.models.gpt import GPTModel
from unrolled.models.model import ModelState
from unrolled.models.recurrent import RecurrentModel
from unrolled.models.seq2seq import AttentionModel, EncoderDecoderModel
from unrolled.models.transformer import TransformerModel
from unrolled.state import State

__all__ = ["ModelEmitter", "emitter", "has_state"]


class ModelEmitter(NamedTuple):
    """A model as a graph.

    Args:
        forward: (graph, model, ids or features, state, memory, steps) -> logits and the next state.
        state: model -> its state, as leaves with shapes.
        encode: (graph, model, source, steps) -> the memory of a source, and the initial state or None.
        memory: model -> the memory, as leaves with shapes.
    """

    forward: Callable[[Graph, Any, Value, State, Any, Steps | None], tuple[Value, State]]
    state: Callable[[Any], State]
    encode: Callable[[Graph, Any, Value, Steps], tuple[Any, State]] | None = None
    memory: Callable[[Any], Any] = lambda model: ()


def emitter(graph: Graph, model: Model) -> ModelEmitter:
    """Return the emitter of a model.

    Raises:
        ExportError: there is none for exactly this type.
    """
    return find(MODELS, graph, model)


def has_state(model: Model) -> bool:
    """Return whether the graph of a model has its state as inputs and outputs."""
    return model.answer == "each" and model.causal


def _vectors(graph: Graph, embedding: nn.Module | None, inputs: Value) -> Value:
    """Return ids as vectors; features as they are."""
    x: Value = inputs if embedding is None else emit(graph, embedding, inputs)
    return x


def _logits(graph: Graph, model: Model, y: Value) -> Value:
    head: nn.Module = model.head  # type: ignore[assignment]
    shared = (model.embedding,) if isinstance(head, TiedHead) else ()
    logits: Value = emit(graph, head, y, *shared)
    return logits


def _cell_states(layers: Stacked) -> tuple[State, ...]:
    """Return the states of causal recurrent layers, as leaves with shapes."""
    cells = [layer.cell for layer in layers.layers if isinstance(layer, Recurrent)]
    return tuple(cell.State(*(Leaf(shape) for shape in cell.state_shapes())) for cell in cells)


def _recurrent(
    graph: Graph, model: RecurrentModel, inputs: Value, state: ModelState | None, memory: Any, steps: Steps | None
) -> tuple[Value, State]:
    x = _vectors(graph, model.embedding, inputs)
    y, after = emit(graph, model.layers, x, None if state is None else state.layers, steps)
    if model.answer == "once":
        y = summary(graph, model.layers, after) if model.pool is None else emit(graph, model.pool, y, steps)
    return _logits(graph, model, y), ModelState(after, ())


def _feedforward(
    graph: Graph, model: FeedforwardModel, inputs: Value, state: ModelState | None, memory: Any, steps: Steps | None
) -> tuple[Value, State]:
    x, after = _vectors(graph, model.embedding, inputs), None
    if model.window is None:
        assert model.bag is not None
        y = emit(graph, model.bag, x, steps)
    else:
        y, after = emit(graph, model.window, x, None if state is None else state.layers, steps)
    return _logits(graph, model, emit(graph, model.mlp, y)), ModelState(after, ())


def _window_state(model: FeedforwardModel) -> State:
    assert model.window is not None
    steps = model.window.length - 1 - model.window.ahead
    return ModelState(WindowState(Leaf((steps, model.window.input_size))), ())  # type: ignore[arg-type]


def _encoder_decoder(
    graph: Graph, model: EncoderDecoderModel, inputs: Value, state: DecoderState, memory: Any, steps: Steps | None
) -> tuple[Value, State]:
    x = _vectors(graph, model.embedding, inputs)
    if isinstance(model.decoder, Stacked):
        y, layers = emit(graph, model.decoder, x, state.layers, None)
        return _logits(graph, model, y), DecoderState(layers)
    outputs, memory_keys, lengths, _ = memory
    attended = Attended(outputs, memory_keys, Steps(graph, lengths, outputs.size(1)))
    y, after = emit(graph, model.decoder, x, attended, state)
    return _logits(graph, model, y), after


def _encode_recurrent(
    graph: Graph, model: EncoderDecoderModel, source: Value, steps: Steps
) -> tuple[Memory | tuple[()], DecoderState]:
    x = _vectors(graph, model.source_embedding or model.embedding, source)
    outputs, states = emit(graph, model.encoder, x, None, steps)
    both = model.config.bidirectional
    layers = tuple(
        emit(graph, bridge, state if both else (state,)) for bridge, state in zip(model.bridge, states, strict=True)
    )
    if isinstance(model.decoder, Stacked):
        return (), DecoderState(layers)
    memory = Memory(outputs, keys(graph, model.decoder.score, outputs), steps.lengths, ())  # type: ignore[arg-type]
    if not getattr(model.decoder, "input_feeding", False):
        return memory, DecoderState(layers)
    size = graph.concat([source.size(0), np.array([model.decoder.output_size])], axis=0)
    return memory, DecoderState(layers, graph.op("Expand", 0.0, size))


def _decoder_state(model: EncoderDecoderModel) -> DecoderState:
    if isinstance(model.decoder, Stacked):
        return DecoderState(_cell_states(model.decoder))
    fed: Any = Leaf((model.decoder.output_size,)) if getattr(model.decoder, "input_feeding", False) else ()
    return DecoderState(_cell_states(model.decoder.layers), fed)


def _attention_memory(model: AttentionModel) -> Memory:
    """Return the memory of a source as leaves: outputs, the keys of the score if it has any, lengths."""
    assert not isinstance(model.decoder, Stacked)
    score = model.decoder.score
    key: Any = Leaf((SOURCE, score.key.out_features)) if has_keys(score) else ()  # type: ignore[union-attr,arg-type]
    return Memory(Leaf((SOURCE, score.memory_size)), key, Leaf((), "int64"), ())  # type: ignore[arg-type]


def _transformer(
    graph: Graph, model: TransformerModel, inputs: Value, state: Cache | None, memory: Any, steps: Steps | None
) -> tuple[Value, State]:
    x = _vectors(graph, model.embedding, inputs)
    if model.decoder is not None:
        _, every, lengths, _ = memory
        source = every, Steps(graph, lengths, every[0].key.size(2))
        y, after = emit(graph, model.decoder, x, state, steps, source)
        return _logits(graph, model, y), after
    y, _ = emit(graph, model.blocks, x, None, steps)
    if model.pool is not None:
        y = emit(graph, model.pool, y, steps)
    return _logits(graph, model, y), None


def _encode_transformer(graph: Graph, model: TransformerModel, source: Value, steps: Steps) -> tuple[Memory, None]:
    assert model.decoder is not None
    x = _vectors(graph, model.source_embedding or model.embedding, source)
    outputs, _ = emit(graph, model.blocks, x, None, steps)
    every = tuple(cross_keys(graph, block.cross, outputs) for block in model.decoder.blocks)  # type: ignore[arg-type]
    return Memory((), every, steps.lengths, ()), None  # type: ignore[arg-type]


def _transformer_memory(model: TransformerModel) -> Memory:
    assert model.decoder is not None
    crosses = [block.cross for block in model.decoder.blocks if isinstance(block, Block)]
    every = tuple(_key_value(cross, SOURCE) for cross in crosses if cross is not None)
    return Memory((), every, Leaf((), "int64"), ())  # type: ignore[arg-type]


def _gpt(
    graph: Graph, model: GPTModel, inputs: Value, state: Cache | None, memory: Any, steps: Steps | None
) -> tuple[Value, State]:
    y, after = emit(graph, model.blocks, _vectors(graph, model.embedding, inputs), state, steps)
    return _logits(graph, model, y), after


def _encode_gpt(graph: Graph, model: GPTModel, source: Value, steps: Steps) -> tuple[tuple[()], Cache]:
    """Read a source and <sep>, which follows its last real token."""
    last = graph.op("Equal", graph.range(steps.size + np.array([1])).unsqueeze(0), steps.lengths.unsqueeze(1))
    padded = graph.op("Pad", source, np.array([0, 0, 0, 1]))
    with_sep = graph.where(last, SEP, padded)
    longer = Steps(graph, steps.lengths + 1, steps.size + np.array([1]))
    x = _vectors(graph, model.source_embedding or model.embedding, with_sep)
    _, after = emit(graph, model.blocks, x, None, longer)
    return (), after


def _cache(blocks: Blocks) -> Cache:
    """Return the state of causal blocks as leaves with shapes."""
    mixers = [block.mixer for block in blocks.blocks if isinstance(block, Block)]
    every = tuple(_key_value(mixer, PAST) for mixer in mixers if isinstance(mixer, SelfAttention))
    return Cache(Leaf((PAST,), "bool"), every)  # type: ignore[arg-type]


def _key_value(layer: SelfAttention | CrossAttention, time: str) -> KeyValue:
    leaf: Any = Leaf((layer.kv_heads, time, layer.output.in_features // layer.num_heads))
    return KeyValue(leaf, leaf)


MODELS: dict[type[Model], ModelEmitter] = {
    FeedforwardModel: ModelEmitter(_feedforward, _window_state),
    RecurrentModel: ModelEmitter(_recurrent, lambda model: ModelState(_cell_states(model.layers), ())),
    EncoderDecoderModel: ModelEmitter(_encoder_decoder, _decoder_state, _encode_recurrent),
    AttentionModel: ModelEmitter(_encoder_decoder, _decoder_state, _encode_recurrent, _attention_memory),
    TransformerModel: ModelEmitter(
        _transformer, lambda model: _cache(model.decoder), _encode_transformer, _transformer_memory
    ),
    GPTModel: ModelEmitter(_gpt, lambda model: _cache(model.blocks), _encode_gpt),
}
