"""One attention step in detail: from a query to scores, weights and a context vector, with their real numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from unrolled import svg
from unrolled.errors import ConfigError, nearest
from unrolled.inside import Trace
from unrolled.inside.diagrams import Diagram, load
from unrolled.palette import BELT, INK, LINE, MEMORY, PAPER, SOFT
from unrolled.pictures import sentences, wiring
from unrolled.pictures.attention import Weights, source_weights, transformer_weights
from unrolled.pictures.figure import WIDTH, Figure, Request, heading, resolve_index
from unrolled.pictures.layers import most_varied
from unrolled.pictures.matrix import View, number
from unrolled.pictures.sentences import signed
from unrolled.pictures.wiring import colour_of
from unrolled.svg import Drawing, Scale

__all__ = ["can_draw", "draw"]

ROWS, UNITS = 10, 6  # positions drawn, and numbers of a vector
TOP, ROW = 80.0, 36.0  # pixels above the first position, and of a position
SEEN = 0.01  # the smallest weight that has a wire
Row = NDArray[np.float32]


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
        several = "" if selected.head is None else f"head {selected.head} of {selected.layer}"
        drawings += [heading(trace, traces, several, request.width), _step(trace, selected, step, request)]
    caption = (
        "The query is compared with every position, which gives one score each. Softmax turns the scores into weights "
        "that sum to 1, and the context is the sum of the values, each times its weight."
    )
    return Figure(" · ".join(titles), svg.stack(drawings, 8), caption)


class Columns(NamedTuple):
    """Pixels from the left: the middle of the tokens, both ends of the scores and of the weights, and the sum."""

    token: float
    score: tuple[float, float]
    weight: tuple[float, float]
    sum: float


WIDE = Columns(50, (130, 330), (370, 500), 640)
NARROW = Columns(34, (78, 158), (172, 244), 300)


def _step(trace: Trace, selected: AttentionStep, step: int, request: Request) -> Drawing:
    """Draw the query above, a line for each position, and the context that the lines run into."""
    columns = NARROW if request.is_narrow else WIDE
    weights, scores = selected.weights.view().values()[step], trace[f"{selected.layer}.score"]
    score = scores[selected.weights.lead][step].numpy()
    shown = sorted(np.argsort(-weights, kind="stable")[:ROWS].tolist())
    floor = TOP + ROW * len(shown)
    middle = (TOP + floor) / 2
    body = [_query(trace, selected, step, columns), _names(columns)]
    finite = np.abs(score[np.isfinite(score)])
    largest = float(finite.max(initial=1e-9))
    for i, position in enumerate(shown):
        body.append(_line(selected, step, position, TOP + ROW * (i + 0.5), middle, columns, score, weights, largest))
    body.append(wiring.operation(columns.sum, middle, "Σ"))
    body.append(_context(trace, selected, step, (columns.sum, middle), floor, request))
    left_out = len(weights) - len(shown)
    if left_out:
        body.append(svg.text(0, floor + 16, f"and {left_out} positions with smaller weights", fill=SOFT))
    width = request.width if request.is_narrow else WIDTH
    return Drawing(width, floor + (74 if request.is_narrow else 24), "\n".join(body))


def _query(trace: Trace, selected: AttentionStep, step: int, columns: Columns) -> str:
    """Draw the query with some of its numbers, and a wire that leads it to the scores."""
    middle = sum(columns.score) / 2
    token = selected.weights.queries[step]
    x = columns.token + 34
    return "\n".join(
        [
            svg.text(0, 12, f"query of step {step}, “{token}”", fill=INK, bold=True, most=columns.sum),
            wiring.bus([(columns.token + 40, 34), (middle, 34), (middle, 54)], arrow=True),
            svg.box(x - 76 + 8, 20, 84, 28, PAPER, stroke=INK, radius=8),
            _numbers(trace, selected, "query", step, x - 26, 28),
        ]
    )


def _names(columns: Columns) -> str:
    """Draw the names of the columns."""
    places = ((sum(columns.score) / 2, "score"), (columns.weight[0] + 34, "weight"))
    return "\n".join(svg.text(x, 72, words, anchor="middle", fill=SOFT, italic=True) for x, words in places)


def _line(
    selected: AttentionStep, step: int, position: int, y: float, middle: float, columns: Columns, scores: Row,
    weights: Row, largest: float,
) -> str:  # fmt: skip
    """Draw a position: its token, its score from the middle, its weight, and a wire to the sum."""
    score, weight = float(scores[position]), float(weights[position])
    (left, right), (low, high) = columns.score, columns.weight
    zero = (left + right) / 2
    index = ",".join(map(str, (*selected.weights.lead, step, position)))
    body = [
        wiring.word(columns.token, y, selected.weights.keys[position], most=2 * columns.token, size=12),
        svg.line([(zero, y - ROW / 2), (zero, y + ROW / 2)], stroke=LINE),
    ]
    if np.isfinite(score):
        length = (right - left) / 2 * abs(score) / largest
        name = f"{selected.layer}.score[{index}] = {number(score)}"
        body.append(svg.box(zero - length * (score < 0), y - 7, length, 14, colour_of(score), radius=2, name=name))
        outside = (zero + 5, "start") if score < 0 else (zero - 5, "end")
        body.append(svg.text(outside[0], y + 4, signed(score), anchor=outside[1], size=11.5, fill=INK))
    else:
        body.append(svg.text(zero + 5, y + 4, "masked", size=11.5, fill=SOFT))
    length = max(1.0, (high - low - 36) * weight)
    name = f"{selected.weights.tensor}[{index}] = {number(weight)}"
    body.append(svg.box(low, y - 7, length, 14, MEMORY, radius=2, name=name))
    body.append(svg.text(low + length + 4, y + 4, sentences.number(weight), size=11.5, fill=INK, bold=True))
    if weight >= SEEN:
        body.append(svg.line([(low + length + 38, y), (columns.sum, middle)], stroke=MEMORY, width=0.8 + 6 * weight))
    return "\n".join(body)


def _context(
    trace: Trace, selected: AttentionStep, step: int, at: tuple[float, float], floor: float, request: Request
) -> str:
    """Draw the context with some of its numbers: right of the sum, or below it."""
    x, y = at
    if request.is_narrow:
        box, wire = (x - 84, floor + 24), [(x, y + 17), (x, floor + 24)]
        words = svg.text(box[0] - 6, box[1] + 19, "context", anchor="end", fill=INK, bold=True)
    else:
        box, wire = (x + 36, y - 14), [(x + 17, y), (x + 36, y)]
        words = svg.text(box[0] + 42, box[1] - 8, "context", anchor="middle", fill=INK, bold=True)
    return "\n".join(
        [
            wiring.bus(wire, arrow=True),
            svg.box(*box, 84, 28, BELT, stroke=MEMORY, radius=8),
            _numbers(trace, selected, "context", step, box[0] + 42, box[1] + 8),
            words,
        ]
    )


def _numbers(trace: Trace, selected: AttentionStep, node: str, step: int, x: float, y: float) -> str:
    """Draw the numbers of a vector that vary most over the steps, centred at x."""
    tensor = f"{selected.layer}.{node}"
    lead = selected.weights.lead
    values = trace[tensor][lead]
    view = View(trace, tensor, [step], most_varied(values, UNITS), lead)
    scale = Scale.signed(max(1e-9, float(values.abs().max())))
    wide = 12 * len(view.columns)
    label = f"{tensor}[{','.join(map(str, (*lead, step)))}], {len(view.columns)} of {values.shape[1]} numbers"
    return svg.raster(x - wide / 2, y, wide, 12, view.values(), scale, label=label, **view.data())
