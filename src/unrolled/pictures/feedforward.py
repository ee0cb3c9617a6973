"""A feedforward network at one answer: its input, the most active units of each layer, and its largest logits."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from unrolled import svg
from unrolled.inside import Trace
from unrolled.palette import CARD, INK, LINE, SOFT
from unrolled.pictures.figure import (
    Figure,
    Request,
    heading,
    marked,
    panels,
    resolve_index,
    translated,
    truth_of,
    verdict,
)
from unrolled.pictures.matrix import legend, number
from unrolled.pictures.wiring import colour_of
from unrolled.svg import Drawing, Scale

__all__ = ["can_draw", "draw"]

UNITS = 12  # drawn of a layer
NUMBERS = 64  # drawn of an input that is not an image
TALL, RADIUS, GAP, IMAGE = 340, 10, 160, 180  # pixels
INPUT, ANSWERS = 260, 180


def can_draw(trace: Trace) -> bool:
    """Return whether the trace has layers of a feedforward network."""
    return bool(_layers(trace))


def _layers(trace: Trace) -> list[str]:
    return [name for name in trace if re.fullmatch(r"feedforward\.l\d+\.h", name)]


def draw(traces: Sequence[Trace], request: Request) -> Figure:
    """Draw each network at one answer: the requested one, or the last."""
    units = [trace[name] for trace in traces for name in _layers(trace)]
    largest = max(1e-9, *(float(values.abs().max()) for values in units))
    activations = Scale(0, largest) if all(float(values.min()) >= 0 for values in units) else Scale.signed(largest)
    inputs = Scale.signed(max(1e-9, *(float(trace["feedforward.x"].abs().max()) for trace in traces)))
    drawings: list[Drawing] = []
    for trace in traces:
        answer = resolve_index(request.step, len(trace.about.answers), "answer", len(trace.about.answers) - 1)
        drawings += [
            heading(trace, traces, most=request.width),
            _network(trace, answer, inputs, activations, request),
            Drawing(0, 8, ""),
        ]
    legends = [legend(activations, "activation of a unit", most=request.width)]
    if not all("image" in trace for trace in traces):
        legends.append(legend(inputs, "input", most=request.width))
    caption = (
        f"The input goes through layers of units: shown are the {UNITS} of each with the largest activation, by their "
        "index. The answer is the largest logit; a bar to the left is below 0. Lines show that all units of two layers "
        f"are connected, not how strongly.{marked(traces, request)}"
    )
    keys = panels(legends, 20, request.width)
    return Figure("A feedforward network", svg.stack([*drawings, keys], 2), caption)


def _network(trace: Trace, answer: int, inputs: Scale, activations: Scale, request: Request) -> Drawing:
    wires: list[str] = []
    down = request.is_narrow
    at = float(INPUT if not down else IMAGE + 60)
    ends = [(request.width / 2, IMAGE + 8.0) if down else (IMAGE + 4.0, TALL / 2)]
    moved = ((request.width - IMAGE) / 2, (IMAGE - TALL) / 2) if down else (0.0, 0.0)
    body = [translated(Drawing(0, 0, _input(trace, answer, inputs)), *moved).body]
    for name in _layers(trace):
        values = trace[name][answer].numpy()
        units = sorted(np.argsort(-np.abs(values), kind="stable")[:UNITS].tolist())
        spread = (request.width if down else TALL - 24) / max(1, len(units))
        centres = [(spread * (i + 0.5), at) if down else (at, 24 + spread * (i + 0.5)) for i in range(len(units))]
        wires += [svg.line([a, b], stroke=LINE, width=0.7) for a in ends for b in centres]
        for unit, (x, y) in zip(units, centres, strict=True):
            title = f"{name}[{answer},{unit}] = {number(float(values[unit]))}"
            disc = svg.dot(x, y, RADIUS, activations.colour(float(values[unit])), name=title)
            body += [svg.scaled(disc), svg.dot(x, y, RADIUS, "none", stroke=SOFT)]
            body.append(_index(unit, (x, y + RADIUS + 9) if down else (x - RADIUS - 11, y)))
        words = f"layer {int(name.split('.')[1][1:]) + 1}: {len(units)} of {len(values)} units"
        place = (0.0, at - RADIUS - 8) if down else (at, 12.0)
        body.append(svg.text(*place, words, anchor="start" if down else "middle", size=11.5, fill=INK))
        ends, at = centres, at + (84 if down else GAP)
    left, top = (0.0, at - 20) if down else (at, TALL / 2 - 17 * len(trace.about.guesses[answer]))
    entry = [(request.width / 2, top - 4)] if down else [(left - 6, TALL / 2)]
    wires += [svg.line([a, b], stroke=LINE, width=0.7) for a in ends for b in entry]
    answers = _answers(trace, answer, request)
    height = top + answers.height if down else max(TALL, top + answers.height)
    return Drawing(left + answers.width, height, "\n".join([*wires, *body, translated(answers, left, top).body]))


def _index(unit: int, centre: tuple[float, float]) -> str:
    """Draw the index of a unit, on a ground that covers the wires."""
    (x, y), words = centre, str(unit)
    wide = svg.UNIT * svg.columns(words) + 2
    return f"{svg.box(x - wide / 2, y - 6, wide, 12, CARD)}\n{svg.text(x, y + 4, words, anchor='middle', size=11)}"


def _answers(trace: Trace, answer: int, request: Request) -> Drawing:
    """Draw the most probable answers with their logits as bars, to the left below 0."""
    logits, guesses = trace["logits"][answer].tolist(), trace.about.guesses[answer]
    wide = request.width if request.is_narrow else ANSWERS
    low, high = min([0.0, *logits]), max([0.0, *logits])
    scale = wide / ((high - low) or 1)
    zero, body = -low * scale, []
    for j, (word, logit) in enumerate(zip(guesses, logits, strict=False)):
        y, actual = 34.0 * j, word == trace.about.answers[answer]
        mark = verdict(trace.about.answers, answer, truth_of(trace, request)) if actual else ""
        body += [
            svg.text(0, y + 12, f"{word} {mark}".strip(), fill=INK, bold=actual, most=wide - 50),
            svg.text(wide, y + 12, number(logit), anchor="end", fill=INK, bold=actual),
            svg.box(
                zero - max(0.0, -logit) * scale,
                y + 17,
                max(1.0, abs(logit) * scale),
                8,
                colour_of(logit),
                name=f"logits[{answer},{j}] = {number(logit)}",
            ),
        ]
    body.append(svg.line([(zero, 14), (zero, 34 * len(guesses) - 6)], stroke=SOFT))
    return Drawing(wide, 34 * len(guesses), "\n".join(body))


def _input(trace: Trace, answer: int, scale: Scale) -> str:
    """Draw the image that was read, or the tokens and the input vector that was made from them."""
    if "image" in trace:
        image = trace["image"]
        rows, columns, channels = image.shape
        cell = IMAGE / max(rows, columns)
        left = IMAGE - cell * columns
        values = image.numpy().mean(axis=2) if channels > 1 else image[:, :, 0].numpy()
        top = max(1e-9, float(image.max()))
        grey = Scale(0, top, ("#000000", "#ffffff"), photo=True)
        picture = svg.raster(left, TALL / 2 - cell * rows / 2, cell * columns, cell * rows, values, grey, label="image")
        return "\n".join(
            [picture, svg.box(left, TALL / 2 - cell * rows / 2, cell * columns, cell * rows, "none", stroke=LINE)]
        )
    x = trace["feedforward.x"]
    count = min(NUMBERS, x.shape[1])
    side = 8
    values = np.zeros((-(-count // side), side), np.float32)
    values.reshape(-1)[:count] = x[answer, :count].numpy()
    cell = 18
    y = TALL / 2 - cell * len(values) / 2
    words = svg.wrapped(" ".join(trace.about.tokens), INPUT - 50, 11)
    shown = words[:3] + (["…"] if len(words) > 3 else [])
    lines = [
        svg.text(0, y - 16 * (len(shown) - i), line, size=11, fill=INK, most=INPUT - 50) for i, line in enumerate(shown)
    ]
    name = f"feedforward.x[{answer}], the first {count} of {x.shape[1]} numbers"
    return "\n".join(
        [*lines, svg.raster(IMAGE - cell * side, y, cell * side, cell * len(values), values, scale, label=name)]
    )
