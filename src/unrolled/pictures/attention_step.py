"""One attention step in detail: from a query to scores, weights and a context vector, with their real numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from unrolled import svg
from unrolled.errors import ConfigError, nearest
from unrolled.inside import Trace
from unrolled.inside.diagrams import Diagram, Value, load
from unrolled.palette import INK, LINE, MEMORY, SOFT
from unrolled.pictures.attention import Weights, source_weights, transformer_weights
from unrolled.pictures.boxes import diagram_drawing
from unrolled.pictures.figure import WIDTH, Figure, Request, heading, resolve_index
from unrolled.pictures.matrix import number
from unrolled.svg import Drawing, Scale

__all__ = ["can_draw", "draw"]

ROWS = 10  # positions listed in the table
STRIP = 84  # pixels of a vector in its box


class AttentionStep(NamedTuple):
    """Diagram of an attention step, the layer and head that it belongs to, and the weights."""

    diagram: Diagram
    layer: str
    head: int | None
    weights: Weights


def can_draw(trace: Trace) -> bool:
    """Return whether the trace has any attention."""
    return bool(source_weights(trace) or transformer_weights(trace))


def _selected(trace: Trace, request: Request) -> AttentionStep:
    """Return the requested attention; by default that of the highest layer, to the source where there is one.

    Raises:
        ConfigError: the requested layer has no attention.
    """
    candidates = source_weights(trace) or transformer_weights(trace)
    if request.layer is not None:
        every = [*transformer_weights(trace), *candidates]
        names = list(dict.fromkeys(each.tensor.removesuffix(".weights") for each in every))
        if request.layer not in names:
            near = nearest(request.layer, names)
            raise ConfigError(f'layer "{request.layer}" has no attention{near}; these have: {", ".join(names)}')
        candidates = [each for each in every if each.tensor == f"{request.layer}.weights"]
    highest = [each for each in candidates if each.tensor == candidates[-1].tensor]
    weights = highest[resolve_index(request.head, len(highest), "head", 0)]
    layer = weights.tensor.removesuffix(".weights")
    if weights.lead:
        diagram = load("cross_attention" if layer.endswith(".cross") else "self_attention")
        return AttentionStep(diagram, layer, weights.lead[0], weights)
    # The dot score has no learned keys: its keys are the encoder's outputs.
    is_dot = torch.equal(trace[f"{layer}.key"], trace[f"{layer}.outputs"])
    name = "attention" if f"{layer}.v" in trace else "dot_attention" if is_dot else "general_attention"
    return AttentionStep(load(name), layer, None, weights)


def draw(traces: Sequence[Trace], request: Request) -> Figure:
    """Draw one attention step of each trace: the requested one, or the one with the largest weight."""
    drawings: list[Drawing] = []
    titles: dict[str, None] = {}
    for trace in traces:
        selected = _selected(trace, request)
        weights = selected.weights.view().values()
        step = resolve_index(request.step, len(weights), "step", int(weights.max(axis=1).argmax()))
        titles[selected.diagram.title] = None
        more = f"{selected.weights.title}, step {step} ({selected.weights.queries[step]})"
        drawings += [
            heading(trace, traces, more),
            _diagram(trace, selected, step),
            _table(trace, selected, step),
            Drawing(0, 8, ""),
        ]
    caption = (
        "One attention step. The query of this step is compared with every key, which gives one score for each "
        "position. Softmax turns the scores into weights that sum to 1. The weighted sum of the values (of a recurrent "
        "decoder: of the encoder's outputs) is the context vector. A coloured strip is a vector, from its own smallest "
        "number (light) to its largest (dark). The table "
        f"lists the {ROWS} positions with the largest weights. The numbers have no unit."
    )
    return Figure(" · ".join(titles), svg.stack(drawings, 6), caption)


def _diagram(trace: Trace, selected: AttentionStep, step: int) -> Drawing:
    values = selected.diagram.values(trace, selected.layer, selected.head)
    strips, names = {}, {}
    for node, value in values.items():
        array = _at_step(value, step)
        tensor = selected.diagram.tensor_name(node, selected.layer)
        lead = "" if selected.head is None else f"{selected.head},"
        index = f"[{lead}{step}]" if "T" in value.axes else f"[{selected.head}]" if selected.head is not None else ""
        low, high = number(float(array.min())), number(float(array.max()))
        names[node] = f"{tensor}{index}, {array.size} numbers from {low} to {high}"
        flat = array.reshape(len(array), -1)
        strip = flat if flat.shape[1] > 1 else flat.T
        finite = strip[np.isfinite(strip)]
        scale = Scale(float(finite.min()), float(finite.max()))
        raster = svg.raster(0, 0, STRIP, 16, strip, scale, label=names[node])
        strips[node] = Drawing(STRIP, 16, raster + svg.box(0, 0, STRIP, 16, "none", stroke=LINE))
    return diagram_drawing(selected.diagram, {}, names, strips)


def _at_step(value: Value, step: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Return the value of a node at one step, or the whole value where it has no axis T."""
    tensor = value.tensor.select(value.axes.index("T"), step) if "T" in value.axes else value.tensor
    array: np.ndarray[tuple[int, ...], np.dtype[np.float32]] = tensor.numpy()
    return array


def _table(trace: Trace, selected: AttentionStep, step: int) -> Drawing:
    """Draw a table of the positions with the largest weights: position, token, score, weight as number and bar."""
    scores = trace[selected.layer + ".score"][selected.weights.lead][step].numpy()
    weights = selected.weights.view().values()[step]
    largest = sorted(np.argsort(-weights, kind="stable")[:ROWS].tolist())
    most = float(weights.max())
    lead = "".join(f"{each}," for each in selected.weights.lead)
    titles = ((0, "position"), (60, "token"), (230, "score"), (310, "weight"))
    body = [svg.text(x, 12, words, size=10, fill=SOFT) for x, words in titles]
    for i, position in enumerate(largest):
        y, weight = 30 + 18 * i, float(weights[position])
        name = f"{selected.weights.tensor}[{lead}{step},{position}] = {number(weight)}"
        body += [
            svg.text(0, y, str(position), size=11, fill=INK),
            svg.text(60, y, selected.weights.keys[position], size=11, fill=INK, most=160),
            svg.text(230, y, number(float(scores[position])), size=11, fill=INK),
            svg.text(310, y, number(weight), size=11, fill=INK, bold=True),
            svg.box(360, y - 9, 1 + (WIDTH - 370) * weight / most, 10, MEMORY, name=name),
        ]
    return Drawing(WIDTH, 24 + 18 * len(largest), "\n".join(body))
