"""The text coloured token by token: by attribution, by surprise, or by the memory of a unit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unrolled import svg
from unrolled.inside import Trace
from unrolled.palette import ABOVE, BELOW, INK, SOFT, WIRE
from unrolled.pictures.figure import Figure, Request, heading, resolve_index
from unrolled.pictures.layers import recurrent, requested_layer, strongest
from unrolled.pictures.matrix import number
from unrolled.svg import Drawing

__all__ = ["can_draw", "draw"]

TINT = 0.45  # opacity of the colour behind the token with the largest number
UNITS = 3  # drawn where no unit is requested
SIZE, HIGH, BAR, SPACE = 14, 25, 8, 8  # pixels: of characters, of a word, of the bar below it, between lines
ATTRIBUTION = ("occlusion", "input_x_gradient", "gradient_norm")


TITLES = {
    "occlusion": "What “{}” loses without the token",
    "input_x_gradient": "Gradient × input: the share of the token in “{}”, to first order",
    "gradient_norm": "Gradient norm: how far a small change of the token moves “{}”",
}
"""By measure; {} is the answer."""


class Measure(NamedTuple):
    """One number for each token.

    title: in words. unit: of the numbers, "" for none. element: the name of a number, with {} for the token's position.
    """

    title: str
    unit: str
    element: str
    values: NDArray[np.float32]
    tokens: Sequence[str]

    @property
    def tensor(self) -> str:
        """The name of the tensor that holds the numbers."""
        return self.element.split("[")[0]


def can_draw(trace: Trace) -> bool:
    """Return whether there are tokens and at least one measure of them."""
    return bool(trace.about.tokens) and next(_measures(trace, Request()), None) is not None


def draw(traces: Sequence[Trace], request: Request) -> Figure:
    """Draw the text once for each measure and each unit."""
    drawings = []
    every = [list(_measures(trace, request)) for trace in traces]
    for trace, measures in zip(traces, every, strict=True):
        drawings.append(heading(trace, traces, most=request.width))
        for measure in measures:
            kind = measure.tensor.rsplit(".", 1)[-1]
            same = [each.values for many in every for each in many if each.tensor.endswith(kind)]
            largest = max([1e-30, *(float(np.abs(values).max()) for values in same if len(values))])
            drawings += [_paragraph(measure, largest, request.width), Drawing(0, 8, "")]
    caption = (
        "The same text once for each measure. A blue bar to the right is above 0, an orange one to the left below; "
        "bars of a measure compare with its longest."
    )
    return Figure("The text, token by token", svg.stack(drawings, 4), caption)


def _measures(trace: Trace, request: Request) -> Iterator[Measure]:
    """Yield the measures of a trace: attribution of the requested answer, surprise, units of a recurrent layer."""
    about = trace.about
    tokens, answers = about.tokens, len(about.answers)
    if request.unit is None:
        answer = answers - 1 if request.step is None else resolve_index(request.step, answers, "step", 0)
        for name, labels in [
            *((f"source.{name}", about.source) for name in ATTRIBUTION),
            *((name, tokens) for name in ATTRIBUTION),
        ]:
            if name in trace:
                title = TITLES[name.removeprefix("source.")].format(about.answers[answer])
                yield Measure(title, trace.unit(name), f"{name}[{answer},{{}}]", trace[name][answer].numpy(), labels)
        if answers == len(tokens) > 1 and len(set(trace["steps"].tolist())) == answers:
            title = "Surprise: how improbable the answer after each token was"
            yield Measure(title, "nats", "−log_prob[{}]", -trace["log_prob"].numpy(), tokens)
    if recurrent(trace):
        layer = requested_layer(trace, request)
        memory = trace[layer.remembers]
        requested = [] if request.unit is None else [resolve_index(request.unit, memory.shape[1], "unit", 0)]
        for index in requested or strongest(trace, layer, UNITS):
            element = f"{layer.remembers}[{{}},{index}]"
            yield Measure(f"Memory of unit {index}", "", element, memory[:, index].numpy(), layer.tokens)


def _paragraph(measure: Measure, largest: float, width: float) -> Drawing:
    """Draw the text with a colour and a bar for each token, to the right above 0 and to the left below."""
    longest = f"{number(largest)} {measure.unit}".strip()
    small = f"{measure.tensor}; the longest bar is {longest}"
    titles = svg.wrapped(measure.title, width, 13)
    body = [svg.text(0, 12 + 17 * i, line, size=13, bold=True, fill=INK, most=width) for i, line in enumerate(titles)]
    body.append(svg.text(0, 11 + 17 * len(titles), small, size=11, fill=SOFT, most=width))
    x, y = 0.0, 18.0 + 17 * len(titles)
    for i, (token, value) in enumerate(zip(measure.tokens, measure.values.tolist(), strict=True)):
        label = svg.shorten(token or " ", width / 3, SIZE)
        wide = 14 + svg.UNIT * SIZE / 12 * max(1, svg.columns(label))
        if x and x + wide > width:
            x, y = 0.0, y + HIGH + BAR + SPACE
        fraction, colour = abs(value) / largest, ABOVE if value >= 0 else BELOW
        name, middle = f"{measure.element.format(i)} = {number(value)}", x + wide / 2
        length = fraction * (wide / 2 - 1)
        body += [
            svg.box(x, y, wide, HIGH, colour, opacity=TINT * fraction, radius=5, name=name),
            svg.text(middle, y + 17.5, label, anchor="middle", size=SIZE, fill=INK),
            svg.line([(middle, y + HIGH + 1), (middle, y + HIGH + BAR)], stroke=WIRE),
        ]
        if length >= 0.5:
            body.append(svg.box(middle - length * (value < 0), y + HIGH + 2, length, BAR - 3, colour, name=name))
        x += wide + 2
    return Drawing(width, y + HIGH + BAR, "\n".join(body))
