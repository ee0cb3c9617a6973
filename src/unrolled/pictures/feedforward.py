"""A feedforward network at work: what enters, the units that say most in each layer, and what is answered."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from unrolled import svg
from unrolled.inside import Trace
from unrolled.pictures.figure import Asked, Figure, chosen, heading
from unrolled.pictures.matrix import legend, number
from unrolled.svg import INK, PALE, Drawing, Scale

__all__ = ["draw", "shows"]

UNITS, PLACES = 12, 64  # of a layer that are drawn; of an input that is no image
TALL, RADIUS, GAP, IMAGE = 330, 10, 150, 200  # pixels
INPUT, ANSWERS = 250, 190


def shows(trace: Trace) -> bool:
    """Whether there is a feedforward network that answers."""
    return bool(_layers(trace))


def _layers(trace: Trace) -> list[str]:
    return [name for name in trace if re.fullmatch(r"feedforward\.l\d+\.h", name)]


def draw(traces: Sequence[Trace], asked: Asked) -> Figure:
    """Draw each network at one answer: the one asked for, or the last."""
    units = [trace[name] for trace in traces for name in _layers(trace)]
    most = max(1e-9, *(float(values.abs().max()) for values in units))
    activations = Scale(0, most) if all(float(values.min()) >= 0 for values in units) else Scale.signed(most)
    entering = max(1e-9, *(float(trace["feedforward.x"].abs().max()) for trace in traces))
    scales = Scale.signed(entering), activations
    parts: list[Drawing] = []
    for trace in traces:
        answer = chosen(asked.step, len(trace.about.answers), "answer", len(trace.about.answers) - 1)
        parts += [heading(trace, traces), _network(trace, answer, scales), Drawing(0, 8, "")]
    keys = [legend(scales[1], "activation of a unit")]
    if not all("image" in trace for trace in traces):
        keys.append(legend(scales[0], "what enters"))
    caption = (
        f"A feedforward network: what enters at the left, of each layer the {UNITS} units with the largest "
        "activations, by number, without unit; at the right the likeliest answers with their logits, in nats. Every "
        "unit of a layer is wired to every unit of the next one; these wires show that alone, not their weights."
    )
    return Figure("A feedforward network", svg.above([*parts, svg.beside(keys, 20)], 2), caption)


def _network(trace: Trace, answer: int, scales: tuple[Scale, Scale]) -> Drawing:
    wires: list[str] = []
    body, ends = [_input(trace, answer, scales[0])], [(IMAGE + 4.0, TALL / 2)]
    x = float(INPUT)
    for name in _layers(trace):
        values = trace[name][answer].numpy()
        units = sorted(np.argsort(-np.abs(values), kind="stable")[:UNITS].tolist())
        spread = (TALL - 40) / max(1, len(units))
        middles = [(x, 24 + spread * (i + 0.5)) for i in range(len(units))]
        wires += [svg.line([a, b], stroke=PALE, width=0.7) for a in ends for b in middles]
        for unit, (_, y) in zip(units, middles, strict=True):
            said = f"{name}[{answer},{unit}] = {number(float(values[unit]))}"
            fill, ink = scales[1].colour(float(values[unit])), scales[1].ink(float(values[unit]))
            body.append(svg.dot(x, y, RADIUS, fill, stroke="#57606a", name=said))
            body.append(svg.text(x, y + 3.5, str(unit), anchor="middle", size=9, fill=ink))
        words = f"{name.split('.')[1]}: {len(units)} of {len(values)}"
        body.append(svg.text(x, 12, words, anchor="middle", size=10, fill=INK))
        ends, x = middles, x + GAP
    logits, guesses = trace["logits"][answer].tolist(), trace.about.guesses[answer]
    low, high = min([0.0, *logits]), max(logits)
    for j, (word, logit) in enumerate(zip(guesses, logits, strict=False)):
        y = TALL / 2 + 30 * (j - (len(guesses) - 1) / 2)
        wires += [svg.line([a, (x - 20, y)], stroke=PALE, width=0.7) for a in ends]
        long = 4 + (ANSWERS - 80) * (logit - low) / ((high - low) or 1)
        body.append(svg.box(x - 18, y - 1, long, 9, "#4a98c9", name=f"logits[{answer},{j}] = {number(logit)}"))
        first = word == trace.about.answers[answer]
        body.append(svg.text(x - 18, y - 5, word, size=11, fill=INK, bold=first, most=ANSWERS))
        body.append(svg.text(x - 14 + long, y + 8, number(logit), size=10, fill=INK))
    return Drawing(x + ANSWERS, TALL, "\n".join([*wires, *body]))


def _input(trace: Trace, answer: int, scale: Scale) -> str:
    """An image as it was read; else the tokens and the vector that was made of them."""
    if "image" in trace:
        image = trace["image"]
        rows, columns, channels = image.shape
        cell = IMAGE / max(rows, columns)
        left = IMAGE - cell * columns
        values = image.numpy().mean(axis=2) if channels > 1 else image[:, :, 0].numpy()
        top = max(1e-9, float(image.max()))
        grey = Scale(0, top, ("#000000", "#ffffff"))
        picture = svg.raster(left, TALL / 2 - cell * rows / 2, cell * columns, cell * rows, values, grey, label="image")
        return "\n".join(
            [picture, svg.box(left, TALL / 2 - cell * rows / 2, cell * columns, cell * rows, "none", stroke=PALE)]
        )
    x = trace["feedforward.x"]
    places = min(PLACES, x.shape[1])
    side = 8
    values = np.zeros((-(-places // side), side), np.float32)
    values.reshape(-1)[:places] = x[answer, :places].numpy()
    cell = 18
    y = TALL / 2 - cell * len(values) / 2
    words = svg.wrapped(" ".join(trace.about.tokens), INPUT - 50, 11)
    said = words[:3] + (["…"] if len(words) > 3 else [])
    lines = [
        svg.text(0, y - 16 * (len(said) - i), each, size=11, fill=INK, most=INPUT - 50) for i, each in enumerate(said)
    ]
    name = f"feedforward.x[{answer}], the first {places} of {x.shape[1]} numbers"
    return "\n".join(
        [*lines, svg.raster(IMAGE - cell * side, y, cell * side, cell * len(values), values, scale, label=name)]
    )
