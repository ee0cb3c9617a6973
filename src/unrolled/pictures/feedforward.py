"""A feedforward network at one answer: its input, the most active units of each layer, and its largest logits."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from unrolled import svg
from unrolled.inside import Trace
from unrolled.palette import ABOVE, INK, LINE, SOFT
from unrolled.pictures.figure import Figure, Request, heading, resolve_index
from unrolled.pictures.matrix import legend, number
from unrolled.svg import Drawing, Scale

__all__ = ["can_draw", "draw"]

UNITS = 12  # drawn of a layer
NUMBERS = 64  # drawn of an input that is not an image
TALL, RADIUS, GAP, IMAGE = 330, 10, 150, 200  # pixels
INPUT, ANSWERS = 250, 190


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
        drawings += [heading(trace, traces), _network(trace, answer, inputs, activations), Drawing(0, 8, "")]
    legends = [legend(activations, "activation of a unit")]
    if not all("image" in trace for trace in traces):
        legends.append(legend(inputs, "input"))
    caption = (
        f"A feedforward network. Left: the input. Middle: the {UNITS} units of each layer with the largest "
        "activations, labelled with their index; activations have no unit. Right: the most probable answers with "
        "their logits, in nats. Every unit of a layer is connected to every unit of the next layer; the lines do not "
        "show the weights."
    )
    return Figure("A feedforward network", svg.stack([*drawings, svg.side_by_side(legends, 20)], 2), caption)


def _network(trace: Trace, answer: int, inputs: Scale, activations: Scale) -> Drawing:
    wires: list[str] = []
    body, ends = [_input(trace, answer, inputs)], [(IMAGE + 4.0, TALL / 2)]
    x = float(INPUT)
    for name in _layers(trace):
        values = trace[name][answer].numpy()
        units = sorted(np.argsort(-np.abs(values), kind="stable")[:UNITS].tolist())
        spread = (TALL - 40) / max(1, len(units))
        centres = [(x, 24 + spread * (i + 0.5)) for i in range(len(units))]
        wires += [svg.line([a, b], stroke=LINE, width=0.7) for a in ends for b in centres]
        for unit, (_, y) in zip(units, centres, strict=True):
            title = f"{name}[{answer},{unit}] = {number(float(values[unit]))}"
            fill, ink = activations.colour(float(values[unit])), activations.ink(float(values[unit]))
            body.append(svg.dot(x, y, RADIUS, fill, stroke=SOFT, name=title))
            body.append(svg.text(x, y + 3.5, str(unit), anchor="middle", size=9, fill=ink))
        words = f"{name.split('.')[1]}: {len(units)} of {len(values)}"
        body.append(svg.text(x, 12, words, anchor="middle", size=10, fill=INK))
        ends, x = centres, x + GAP
    logits, guesses = trace["logits"][answer].tolist(), trace.about.guesses[answer]
    low, high = min([0.0, *logits]), max(logits)
    for j, (word, logit) in enumerate(zip(guesses, logits, strict=False)):
        y = TALL / 2 + 30 * (j - (len(guesses) - 1) / 2)
        wires += [svg.line([a, (x - 20, y)], stroke=LINE, width=0.7) for a in ends]
        length = 4 + (ANSWERS - 80) * (logit - low) / ((high - low) or 1)
        body.append(svg.box(x - 18, y - 1, length, 9, ABOVE, name=f"logits[{answer},{j}] = {number(logit)}"))
        actual = word == trace.about.answers[answer]
        body.append(svg.text(x - 18, y - 5, word, size=11, fill=INK, bold=actual, most=ANSWERS))
        body.append(svg.text(x - 14 + length, y + 8, number(logit), size=10, fill=INK))
    return Drawing(x + ANSWERS, TALL, "\n".join([*wires, *body]))


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
