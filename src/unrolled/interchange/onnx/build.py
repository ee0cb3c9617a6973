"""The graphs of a run: from its inputs to logits, answers and the next state.

    classify, regress        model.onnx      ids, lengths (or images) → logits, answers
    tag, generate            model.onnx      ids, lengths, past.* → logits, answers, present.*
    translate                encoder.onnx    ids, lengths → memory.*, present.*
                             decoder.onnx    ids, memory.*, past.* → logits, present.*

`present.X` of a call is `past.X` of the next. A graph of a model that reads both ways has no state.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from unrolled.data.encoding.pixels import Pixels
from unrolled.interchange.onnx.emit import Steps
from unrolled.interchange.onnx.graph import BATCH, PAST, SOURCE, TIME, Graph, Shape, Value
from unrolled.interchange.onnx.models import emitter, has_state
from unrolled.interchange.onnx.states import filled, named
from unrolled.models import Pairs
from unrolled.runs.classification import Classifier
from unrolled.runs.multi_label import MultiLabelRun
from unrolled.runs.regression import RegressionRun
from unrolled.runs.run import Run
from unrolled.runs.tagging import TaggingRun

__all__ = ["MEMORY", "NEXT", "PREVIOUS", "graphs"]

PREVIOUS, NEXT, MEMORY = "past.", "present.", "memory."
PRESENT = "present_time"
"""Name of the axis of a cache after a call."""


def graphs(run: Run, opset: int) -> dict[str, Graph]:
    """Return the graphs of a run by name: "model", or "encoder" and "decoder".

    Raises:
        ExportError: a layer or cell that has no translation.
    """
    if isinstance(run.model.inputs, Pairs):
        return {"encoder": _encoder(run, opset), "decoder": _decoder(run, opset)}
    return {"model": _whole(run, opset)}


def _whole(run: Run, opset: int) -> Graph:
    """Return the graph of a model without a source."""
    graph = Graph(run.model, opset)
    own = emitter(graph, run.model)
    inputs, steps = _images(graph, run.preprocessor) if isinstance(run.preprocessor, Pixels) else _ids(graph, TIME)
    state = _inputs(graph, PREVIOUS, own.state(run.model)) if has_state(run.model) else None
    logits, after = own.forward(graph, run.model, inputs, state, (), steps)
    time: Shape = (TIME,) if run.model.answer == "each" else ()
    shape = (BATCH, *time, run.model.num_outputs)
    graph.output("logits", logits, np.float32, shape)
    _answers(graph, run, logits, shape)
    if state is not None:
        _outputs(graph, NEXT, own.state(run.model), after)
    return graph


def _encoder(run: Run, opset: int) -> Graph:
    """Return the graph that reads a source."""
    graph = Graph(run.model, opset)
    own = emitter(graph, run.model)
    assert own.encode is not None
    source, steps = _ids(graph, SOURCE)
    assert steps is not None
    memory, state = own.encode(graph, run.model, source, steps)
    _outputs(graph, MEMORY, own.memory(run.model), memory)
    if state is not None:
        _outputs(graph, NEXT, own.state(run.model), state)
    return graph


def _decoder(run: Run, opset: int) -> Graph:
    """Return the graph that reads T ≥ 1 tokens of a target."""
    graph = Graph(run.model, opset)
    own = emitter(graph, run.model)
    ids = graph.input("ids", np.int64, (BATCH, TIME))
    memory, state = (
        _inputs(graph, prefix, leaves)
        for prefix, leaves in ((MEMORY, own.memory(run.model)), (PREVIOUS, own.state(run.model)))
    )
    logits, after = own.forward(graph, run.model, ids, state, memory, None)
    graph.output("logits", logits, np.float32, (BATCH, TIME, run.model.num_outputs))
    _outputs(graph, NEXT, own.state(run.model), after)
    return graph


def _ids(graph: Graph, time: str) -> tuple[Value, Steps | None]:
    ids = graph.input("ids", np.int64, (BATCH, time))
    lengths = graph.input("lengths", np.int64, (BATCH,))
    return ids, Steps(graph, lengths, ids.size(1))


def _images(graph: Graph, pixels: Pixels) -> tuple[Value, Steps | None]:
    """Return images (B, H, W, C) as steps (B, T, D); see `Pixels.steps`."""
    H, W, C = pixels.shape
    images = graph.input("images", np.dtype(pixels.dtype).type, (BATCH, H, W, C))
    x = (images.cast(np.float32) - np.array(pixels.mean, np.float32)) / np.array(pixels.std, np.float32)
    if pixels.permutation is not None:
        x = graph.op("Gather", x.reshape(0, H * W, C), np.array(pixels.permutation), axis=1).reshape(0, H, W, C)
    if pixels.by == "column":
        x = x.transpose(0, 2, 1, 3)
    return x.reshape(0, pixels.num_steps, pixels.step_size), None


def _answers(graph: Graph, run: Run, logits: Value, shape: Shape) -> None:
    """Add the outputs that the task answers with."""
    if isinstance(run, Classifier | TaggingRun):
        scaled = logits if run.temperature == 1 else logits / run.temperature
        graph.output("probabilities", scaled.softmax(), np.float32, shape)
    elif isinstance(run, MultiLabelRun):
        graph.output("probabilities", logits.sigmoid(), np.float32, shape)
    elif isinstance(run, RegressionRun):
        mean, deviation = (np.array(number, np.float64) for number in run.scale)
        graph.output("value", logits.squeeze(1).cast(np.float64) * deviation + mean, np.float64, (BATCH,))


def _inputs(graph: Graph, prefix: str, leaves: Any) -> Any:
    """Add the leaves of a state to the inputs of a graph, and return them as values."""
    every = [
        graph.input(prefix + name, np.dtype(leaf.dtype).type, (BATCH, *leaf.shape)) for name, leaf in named(leaves)
    ]
    return filled(leaves, every)


def _outputs(graph: Graph, prefix: str, leaves: Any, values: Any) -> None:
    """Add values to the outputs of a graph, under the names of their leaves."""
    for (name, leaf), (_, value) in zip(named(leaves), named(values), strict=True):
        shape = tuple(PRESENT if axis == PAST else axis for axis in leaf.shape)
        graph.output(prefix + name, value, np.dtype(leaf.dtype).type, (BATCH, *shape))
