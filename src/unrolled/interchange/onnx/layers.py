"""Layers without recurrence or attention: linear layers, activations, norms, embeddings, bags and windows."""

from __future__ import annotations

from math import inf

import numpy as np
from torch import nn

from unrolled.interchange.onnx.emit import Steps, emit, emits
from unrolled.interchange.onnx.graph import Graph, Value
from unrolled.layers import MLP, Bag, Dropout, Embedding, Head, TiedHead, Window
from unrolled.layers.block import Feedforward, Gated
from unrolled.layers.mlp import Linear
from unrolled.layers.window import WindowState
from unrolled.state import State


@emits(Linear, Head)
def _linear(graph: Graph, layer: Linear, x: Value) -> Value:
    """W x + b."""
    y = x @ graph.weight(layer, "weight.T", layer.weight.T)
    return y if layer.bias is None else y + graph.weight(layer, "bias")


@emits(TiedHead)
def _tied_head(graph: Graph, head: TiedHead, y: Value, embedding: Embedding) -> Value:
    """E P y + b."""
    vectors = graph.weight(embedding, "weight").transpose(1, 0)
    projected: Value = emit(graph, head.project, y)
    return projected @ vectors + graph.weight(head, "bias")


@emits(Embedding)
def _embedding(graph: Graph, layer: Embedding, ids: Value) -> Value:
    return graph.op("Gather", graph.weight(layer, "weight"), ids)


@emits(Dropout, nn.Identity)
def _identity(graph: Graph, layer: nn.Module, x: Value) -> Value:
    """x: nothing is dropped in evaluation."""
    return x


@emits(nn.Tanh)
def _tanh(graph: Graph, layer: nn.Tanh, x: Value) -> Value:
    return x.tanh()


@emits(nn.ReLU)
def _relu(graph: Graph, layer: nn.ReLU, x: Value) -> Value:
    return graph.op("Relu", x)


@emits(nn.SiLU)
def _silu(graph: Graph, layer: nn.SiLU, x: Value) -> Value:
    return x * x.sigmoid()


@emits(nn.GELU)
def _gelu(graph: Graph, layer: nn.GELU, x: Value) -> Value:
    """x Φ(x) = x (1 + erf(x / √2)) / 2: the operator Gelu is newer than most runtimes."""
    return x * (graph.op("Erf", x * 0.5**0.5) + 1.0) * 0.5


@emits(nn.LayerNorm)
def _layer_norm(graph: Graph, layer: nn.LayerNorm, x: Value) -> Value:
    weights = graph.weight(layer, "weight"), graph.weight(layer, "bias")
    return graph.op("LayerNormalization", x, *weights, axis=-1, epsilon=layer.eps)


@emits(nn.RMSNorm)
def _rms_norm(graph: Graph, layer: nn.RMSNorm, x: Value) -> Value:
    """x / √(mean(x²) + ε) ⊙ g: the operator RMSNormalization is newer than most runtimes."""
    assert layer.eps is not None
    mean = graph.op("ReduceMean", x * x, np.array([-1]))
    return x / graph.op("Sqrt", mean + layer.eps) * graph.weight(layer, "weight")


@emits(Gated)
def _gated(graph: Graph, layer: Gated, x: Value) -> Value:
    """φ(a) ⊙ b."""
    a, b = graph.ops("Split", x, outputs=2, axis=-1, num_outputs=2)
    gate: Value = emit(graph, layer.phi, a)
    return gate * b


@emits(nn.Sequential, Feedforward)
def _sequential(graph: Graph, layers: nn.Sequential, x: Value) -> Value:
    for layer in layers:
        x = emit(graph, layer, x)
    return x


@emits(MLP)
def _mlp(graph: Graph, layer: MLP, x: Value) -> Value:
    y: Value = emit(graph, layer.steps, x)
    return y


@emits(Bag)
def _bag(graph: Graph, layer: Bag, x: Value, steps: Steps | None) -> Value:
    """Return the pool of all steps, (B, T, D) -> (B, D)."""
    mean = layer.pool == "mean"
    if steps is not None:
        x = graph.where(steps.real.unsqueeze(2), x, 0.0 if mean else -inf)
    if not mean:
        return graph.op("ReduceMax", x, np.array([1]), keepdims=0)
    count = x.size(1) if steps is None else steps.lengths.unsqueeze(1)
    return x.sum(1) / count.cast(np.float32)


@emits(Window)
def _window(graph: Graph, layer: Window, x: Value, state: State, steps: Steps | None) -> tuple[Value, WindowState]:
    """Return the window of each step, (B, T, D) -> (B, T, n·D), and the earlier inputs that later steps need."""
    n, a, D = layer.length, layer.ahead, layer.input_size
    assert steps is not None
    if a:  # a window ahead must not hold padding
        x = graph.where(steps.real.unsqueeze(2), x, 0.0)
    B, T = x.size(0), x.size(1)
    back = _zeros(graph, B, n - 1 - a, D) if state is None else state.inputs
    inputs = graph.concat([back, x, *([_zeros(graph, B, a, D)] if a else [])], axis=1)
    y = graph.concat([inputs.slice(1, k, T + np.array([k])) for k in range(n)], axis=2)
    last = steps.lengths.unsqueeze(1) + np.arange(n - 1 - a)  # (B, n − 1 − a)
    return y, WindowState(graph.op("GatherND", inputs, last.unsqueeze(2), batch_dims=1))  # type: ignore[arg-type]


def _zeros(graph: Graph, B: Value, *shape: int) -> Value:
    return graph.op("Expand", 0.0, graph.concat([B, np.array(shape)], axis=0))
