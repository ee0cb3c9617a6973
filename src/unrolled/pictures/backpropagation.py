"""Backpropagation through time: the unrolled network, with the gradient of an answer on its way back."""

from __future__ import annotations

from collections.abc import Sequence
from math import log10
from typing import NamedTuple

from unrolled import svg
from unrolled.inside import Trace
from unrolled.palette import CARD, INK, MEMORY, SOFT, WIRE
from unrolled.pictures import sentences, wiring
from unrolled.pictures.figure import Figure, Request, heading, resolve_index
from unrolled.pictures.layers import Layer, recurrent, requested_layer
from unrolled.pictures.matrix import number
from unrolled.svg import Drawing

__all__ = ["can_draw", "draw"]

COLUMN, ROW, ROWS = 108.0, 74.0, 9  # pixels from step to step in both layouts, and most steps in the narrow one
WIDE, HIGH = 62.0, 40.0  # pixels of a cell
DECADES = 3  # a gradient that is smaller by more powers of ten is drawn as lost


class Step(NamedTuple):
    """Step of the network.

    norm: of the gradient with respect to its h. part: relative to the last step. element: the name of that number.
    """

    token: str
    norm: float
    part: float
    element: str


def can_draw(trace: Trace) -> bool:
    """Return whether the gradient of a recurrent layer was computed."""
    return any(f"{layer.name}.gradient" in trace for layer in recurrent(trace))


def draw(traces: Sequence[Trace], request: Request) -> Figure:
    """Draw a network for each trace, one below the other; `request.step` is the answer, by default the last."""
    drawings, texts = [], []
    for trace in traces:
        layer = _layer(trace, request)
        answers = len(trace[f"{layer.name}.gradient"])
        answer = resolve_index(request.step, answers, "answer", answers - 1)
        steps = _steps(trace, layer, answer)
        words = trace.about.answers[answer]
        drawn = (_narrow if request.is_narrow else _wide)(steps, words, request.width)
        drawings += [heading(trace, traces, layer.name), drawn, Drawing(0, 8, "")]
        texts.append(sentences.way_back(trace.about.model_name, steps[0].token, steps[0].part))
    caption = (
        "Grey, forwards: the states. Violet, backwards from the answer: the norm of the gradient of its ln p with "
        "respect to the state of each step, relative to the last step; the width is its logarithm. All cells share "
        "one set of weights, whose gradient is the sum over all steps. "
    )
    return Figure("Backpropagation through time", svg.stack(drawings, 6), caption + " ".join(texts))


def _layer(trace: Trace, request: Request) -> Layer:
    """Return the requested layer, by default the highest one with a gradient that reads forwards if there is one."""
    if request.layer is not None:
        return requested_layer(trace, request)
    layers = [layer for layer in recurrent(trace) if f"{layer.name}.gradient" in trace]
    return ([layer for layer in layers if not layer.name.endswith(".reverse")] or layers)[-1]


def _steps(trace: Trace, layer: Layer, answer: int) -> list[Step]:
    """Return the steps in the order of computation, without those after the answer, whose gradient is 0."""
    tensor = f"{layer.name}.gradient"
    norms = trace[tensor][answer].tolist()
    order = [*range(len(norms))]
    if layer.name.endswith(".reverse"):
        order.reverse()
    while len(order) > 1 and norms[order[-1]] == 0:
        order.pop()
    largest = norms[order[-1]] or 1.0
    return [
        Step(layer.tokens[t], norms[t], norms[t] / largest, f"{tensor}[{answer},{t}] = {number(norms[t])}")
        for t in order
    ]


def _shown(steps: Sequence[Step], count: int) -> list[Step | None]:
    """Return at most `count` steps: the last ones and the first, with None for those between."""
    return [*steps] if len(steps) <= count else [steps[0], None, *steps[len(steps) - count + 2 :]]


def _wide(steps: Sequence[Step], answer: str, width: float) -> Drawing:
    """Draw the network with time to the right."""
    shown = _shown(steps, int((width - 96) // COLUMN))
    largest, body, y = max(each.norm for each in steps), [], 30.0
    for column, step in enumerate(shown):
        x = 40 + column * COLUMN
        right = x + COLUMN - WIDE / 2
        last = column == len(shown) - 1
        left = x + (-WIDE / 2 if step is None else WIDE / 2)
        body.append(wiring.bus([(left, y - 9), (right, y - 9)]))
        body.append(_back((right, y + 8), (left, y + 8), step, largest))
        if step is None:
            body.append(_gap(x, y + 60, len(steps) - len(shown) + 1))
            continue
        body += _cell(x, y, step)
        body += [
            wiring.bus([(x, y + 62), (x, y + HIGH / 2)]),
            wiring.word(x, y + 76, step.token, most=COLUMN - 10),
        ]
        if last:
            body.append(_answer(right + 34, y, answer, 76))
    return Drawing(width, y + 92, "\n".join(body))


def _narrow(steps: Sequence[Step], answer: str, width: float) -> Drawing:
    """Draw the network with time down."""
    shown = _shown(steps, ROWS)
    largest, body, x = max(each.norm for each in steps), [], width - 100
    for row, step in enumerate(shown):
        y = 24 + row * ROW
        below = y + ROW - HIGH / 2
        body.append(wiring.bus([(x - 13, y - HIGH / 2 if step is None else y + HIGH / 2), (x - 13, below)]))
        body.append(_back((x + 10, below), (x + 10, y - HIGH / 2 if step is None else y + HIGH / 2), step, largest))
        if step is None:
            body.append(_gap(x - 60, y + 2, len(steps) - len(shown) + 1))
            continue
        body += _cell(x, y, step)
        body += [wiring.bus([(70, y), (x - WIDE / 2, y)]), wiring.word(62, y, step.token, most=116)]
    y = 24 + len(shown) * ROW
    return Drawing(width, y + 24, "\n".join([*body, _answer(x, y - 4, answer, 160)]))


def _back(start: tuple[float, float], end: tuple[float, float], step: Step | None, largest: float) -> str:
    """Draw the gradient on its way back into a step; None: into steps that are left out."""
    if step is None or step.norm <= largest / 10**DECADES:
        return svg.line([start, end], stroke=WIRE, width=1.5, dash="3 3", name=step.element if step else "")
    decades = 1 + log10(step.norm / largest) / DECADES
    return wiring.wire([start, end], decades, role="memory", joins=True, name=step.element)


def _cell(x: float, y: float, step: Step) -> list[str]:
    box = svg.box(x - WIDE / 2, y - HIGH / 2, WIDE, HIGH, CARD, stroke=INK, radius=10, name=step.element)
    return [box, svg.text(x, y + 5, sentences.percent(step.part), anchor="middle", size=13, fill=MEMORY, bold=True)]


def _gap(x: float, y: float, count: int) -> str:
    return f"{svg.text(x, y + 2, '…', anchor='middle', size=18, fill=SOFT)}\n" + svg.text(
        x, y + 20, f"{count} steps", anchor="middle", size=11, fill=SOFT
    )


def _answer(x: float, y: float, words: str, most: float) -> str:
    """Draw the answer, as an outlined pill."""
    shown = svg.shorten(words, most - 12, 13)
    wide = max(44.0, svg.columns(shown) * svg.UNIT * 13 / 12 + 14)
    pill = svg.box(x - wide / 2, y - 17, wide, 34, CARD, stroke=MEMORY, radius=17)
    return f"{pill}\n{svg.text(x, y + 5, shown, anchor='middle', size=13, fill=INK, bold=True)}"
