"""The check of an export: onnxruntime's answers and states next to the run's, before anything is written.

For 3 sizes of batches and 5 lengths, random tokens in sequences of different lengths, padded at random; with a state, a
second call continues the first. The largest difference of a tensor may be 1e-5, or 1e-5 of its largest value if that is
above 1: a float32 has 24 bits. A difference above it may be rounding all the same, where a norm divides by a small
deviation: it is accepted up to ROUNDING times the run's own largest difference from its answers in float64. Padding
and, in a cache, the place of a step are not compared.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from math import inf, isfinite
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from unrolled.data.encoding.pixels import Pixels
from unrolled.errors import ExportError
from unrolled.interchange.onnx.build import MEMORY, NEXT, PREVIOUS
from unrolled.interchange.onnx.graph import BATCH, Graph, Port
from unrolled.interchange.onnx.seq2seq import DecoderState
from unrolled.interchange.onnx.serialize import WEIGHTS_ENDING
from unrolled.interchange.onnx.states import flat, named
from unrolled.layers import AttentionDecoderState, BlocksState, Memory
from unrolled.models import Model, Pairs
from unrolled.models.model import ModelState
from unrolled.runs.preprocessor import Preprocessor
from unrolled.runs.run import Run
from unrolled.state import EncoderDecoderState, State

__all__ = ["BATCHES", "LENGTHS", "TOLERANCE", "Session", "check", "session", "zeros"]

BATCHES, LENGTHS = (1, 2, 5), (1, 2, 5, 16, 33)
TOLERANCE = 1e-5
ROUNDING, MOST = 8, 1e-3
"""Accepted multiple of the run's own rounding error, and its upper bound."""
FURTHER = 2
"""Steps of the second call."""

Array = NDArray[Any]
Arrays = dict[str, Array]


class Session:
    """A graph in onnxruntime.

    Args:
        graph: the graph, for the names and shapes of its inputs and outputs.
        runtime: onnxruntime's session.
    """

    def __init__(self, graph: Graph, runtime: Any) -> None:
        self.runtime, self.ports = runtime, {port.name: port for port in (*graph.inputs, *graph.outputs)}
        self.inputs, self.outputs = graph.inputs, [port.name for port in graph.outputs]

    def __call__(self, feeds: Mapping[str, Array]) -> Arrays:
        """Return the outputs by name."""
        own = {port.name: feeds[port.name] for port in self.inputs}
        return dict(zip(self.outputs, self.runtime.run(self.outputs, own), strict=True))


class Compared(NamedTuple):
    """A tensor of the run and of the graph, at their real steps."""

    name: str
    expected: Array
    actual: Array

    @property
    def difference(self) -> float:
        """The largest difference, in units of the largest value if that is above 1; infinite if a number or a shape is
        not that of the run.
        """
        if self.expected.shape != self.actual.shape:
            return inf
        if not self.expected.size:
            return 0.0
        scale = max(1.0, float(np.abs(self.expected).max()))
        found = float(np.abs(self.expected.astype(np.float64) - self.actual).max()) / scale
        return found if isfinite(found) else inf


def check(run: Run, graphs: Mapping[str, Graph], files: Mapping[str, bytes]) -> float:
    """Return the largest difference between a run and its graphs.

    Args:
        run: the run.
        graphs: its graphs by name.
        files: the files of the graphs.

    Raises:
        ExportError: a difference is too large; names the tensor.
    """
    sessions = {name: Session(graph, session(files, name)) for name, graph in graphs.items()}
    on_cpu = next(run.model.parameters()).is_cpu
    model = run.model if on_cpu else copy.deepcopy(run.model).cpu()
    worst = max(_comparisons(model, run.preprocessor, sessions), key=lambda compared: compared.difference)
    if worst.difference > TOLERANCE:
        both = (_comparisons(each, run.preprocessor, sessions) for each in (model, copy.deepcopy(model).double()))
        own = max(exact._replace(actual=rounded.expected).difference for rounded, exact in zip(*both, strict=True))
        if worst.difference > min(ROUNDING * own, MOST):
            raise ExportError(
                f"onnxruntime's answers are not the run's: {worst.name} differs by {worst.difference:.1e} (at most "
                f"{TOLERANCE:.0e} is allowed), so nothing was written; please report it with the settings of the run"
            )
    return worst.difference


def session(files: Mapping[str, bytes], name: str) -> Any:
    """Return onnxruntime's session of a graph, on one thread of the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors only
    weights = f"{name}.onnx{WEIGHTS_ENDING}"
    if weights in files:
        options.add_external_initializers_from_files_in_memory([weights], [files[weights]], [len(files[weights])])
    return onnxruntime.InferenceSession(files[f"{name}.onnx"], options, providers=["CPUExecutionProvider"])


def zeros(ports: Mapping[str, Port], prefix: str, batch: int) -> Arrays:
    """Return a state before the first step: every leaf is 0, and a cache has no steps."""
    leaves = [port for name, port in ports.items() if name.startswith(prefix)]
    return {
        name: np.zeros([batch if axis == BATCH else 0 if isinstance(axis, str) else axis for axis in shape], dtype)
        for name, dtype, shape in leaves
    }


@torch.inference_mode()
def _comparisons(model: Model, preprocessor: Preprocessor, sessions: Mapping[str, Session]) -> Iterator[Compared]:
    """Yield the tensors of all batches and lengths, the same in every call."""
    draw = np.random.default_rng(0)
    for batch in BATCHES:
        if isinstance(preprocessor, Pixels):
            yield from _images(model, preprocessor, sessions["model"], draw, batch)
            continue
        compare = _pairs if isinstance(model.inputs, Pairs) else _sequences
        for length in _lengths(model):
            yield from compare(model, sessions, draw, batch, length)


def _lengths(model: Model) -> list[int]:
    """Return the lengths that are compared: at most the model's maximum, less the steps of a second call."""
    most = model.max_source_length if isinstance(model.inputs, Pairs) else model.max_length
    return sorted({min(length, max(1, LENGTHS[-1] if most is None else most - FURTHER)) for length in LENGTHS})


def _images(model: Model, pixels: Pixels, whole: Session, draw: Any, batch: int) -> Iterator[Compared]:
    shape = batch, *pixels.shape
    images = draw.integers(0, 256, shape) if pixels.dtype == "uint8" else draw.normal(pixels.mean, pixels.std, shape)
    images = images.astype(pixels.dtype)
    logits, _ = model(pixels.steps(torch.from_numpy(images)).to(next(model.parameters()).dtype), None, None)
    yield Compared("logits", logits.numpy(), whole({"images": images})["logits"])


def _sequences(model: Model, sessions: Mapping[str, Session], draw: Any, batch: int, length: int) -> Iterator[Compared]:
    """Yield the logits and states of one call and, with a state, of a second one that continues it."""
    whole = sessions["model"]
    past, state = zeros(whole.ports, PREVIOUS, batch), None
    for steps in (length, FURTHER):
        if model.max_length is not None and steps > model.max_length - (0 if state is None else length):
            return
        ids, lengths = _ids(draw, _vocabulary(model), batch, steps, least=1 if state is None else 0)
        logits, state = model(torch.from_numpy(ids), state, torch.from_numpy(lengths))
        outputs = whole({"ids": ids, "lengths": lengths, **past})
        yield Compared("logits", *(_real(each, lengths, model.answer) for each in (logits.numpy(), outputs["logits"])))
        if not past:
            return
        yield from _states(state, outputs)
        past = _previous(outputs)


def _pairs(model: Model, sessions: Mapping[str, Session], draw: Any, batch: int, length: int) -> Iterator[Compared]:
    """Yield the memory of sources, and the logits and states of two calls of the decoder."""
    encoder, decoder = sessions["encoder"], sessions["decoder"]
    assert isinstance(model.inputs, Pairs)
    ids, lengths = _ids(draw, model.inputs.source_size, batch, length)
    state = model.encode(torch.from_numpy(ids), torch.from_numpy(lengths))
    outputs = encoder({"ids": ids, "lengths": lengths})
    memory = {name: value for name, value in outputs.items() if name.startswith(MEMORY)}
    if memory:
        yield from _memories(state.memory, encoder, memory, lengths)
    past = zeros(decoder.ports, PREVIOUS, batch) | _previous(outputs)
    yield from _states(state, outputs)
    remaining = int(model.remaining_length(torch.from_numpy(lengths)).min())
    for steps in (3, 1):
        if steps > remaining:
            return
        remaining -= steps
        ids, _ = _ids(draw, model.inputs.vocabulary_size, batch, steps)
        logits, state = model(torch.from_numpy(ids), state)
        outputs = decoder({"ids": ids, **memory, **past})
        yield Compared("logits", logits.numpy(), outputs["logits"])
        yield from _states(state, outputs)
        past = _previous(outputs)


def _previous(outputs: Mapping[str, Array]) -> Arrays:
    """Return the state after a call as that before the next."""
    return {name.replace(NEXT, PREVIOUS, 1): value for name, value in outputs.items() if name.startswith(NEXT)}


def _vocabulary(model: Model) -> int:
    assert model.embedding is not None
    return model.embedding.num_embeddings


def _ids(draw: Any, vocabulary: int, batch: int, steps: int, *, least: int = 1) -> tuple[Array, Array]:
    """Draw ids (B, T) and lengths (B,) from `least` to T, of which the first is T."""
    lengths = draw.integers(least, steps + 1, batch)
    lengths[0] = steps
    return draw.integers(1, vocabulary, (batch, steps)), lengths


def _real(values: Array, lengths: Array, answer: str) -> Array:
    """Return the values (B, T, …) of real steps, (total, …); of a model that answers once all."""
    return values if answer == "once" else values[np.arange(values.shape[1]) < lengths[:, np.newaxis]]


def _memories(memory: Memory, encoder: Session, outputs: Mapping[str, Array], lengths: Array) -> Iterator[Compared]:
    """Yield the tensors of a memory at the real steps of the sources."""
    tensors = flat(memory._replace(summary=()))
    for (name, actual), expected in zip(outputs.items(), tensors, strict=True):
        shape = encoder.ports[name].shape
        dynamic = [axis for axis, size in enumerate(shape) if axis and isinstance(size, str)]
        both = (np.moveaxis(each, dynamic[0], 1) if dynamic else each for each in (expected.numpy(), actual))
        yield Compared(name, *(_real(each, lengths, "each" if dynamic else "once") for each in both))


def _states(state: State, outputs: Mapping[str, Array]) -> Iterator[Compared]:
    """Yield the leaves of a state; of a cache the keys and values of real steps."""
    state = _own(state)
    if state is None:
        return
    if not isinstance(state, BlocksState):
        for name, leaf in named(state):
            yield Compared(NEXT + name, leaf.numpy(), outputs[NEXT + name])
        return
    mask = outputs[f"{NEXT}mask"]
    yield Compared(f"{NEXT}mask", state.steps.numpy(), mask.sum(axis=1))
    for i, block in enumerate(state.blocks):
        for name in ("key", "value"):
            actual = outputs[f"{NEXT}blocks.{i}.{name}"].swapaxes(1, 2)[mask]
            kept = torch.arange(block.key.shape[2]) < block.length[:, None]
            yield Compared(f"{NEXT}blocks.{i}.{name}", getattr(block, name).transpose(1, 2)[kept].numpy(), actual)


def _own(state: State) -> State:
    """Return the state of a model under the names that its graph has for it."""
    if isinstance(state, EncoderDecoderState):
        state = state.decoder
        if isinstance(state, AttentionDecoderState):
            return DecoderState(state.layers, state.fed)
        return state if state is None or isinstance(state, BlocksState) else DecoderState(state)
    if isinstance(state, ModelState) and isinstance(state.layers, BlocksState):
        return state.layers
    return state
