"""The text coloured token by token: by attribution, by surprise, or by the memory of a unit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unrolled import svg
from unrolled.inside import Trace
from unrolled.palette import ABOVE, BELOW, CARD, INK
from unrolled.pictures.figure import WIDTH, Figure, Request, heading, resolve_index
from unrolled.pictures.layers import recurrent, requested_layer, strongest
from unrolled.pictures.matrix import number
from unrolled.svg import Drawing

__all__ = ["can_draw", "draw"]

TINT = 0.45  # opacity of the colour behind the token with the largest number
UNITS = 3  # drawn where no unit is requested
HIGH, BAR, SPACE = 20, 7, 6  # pixels: of a word, of the bar below it at most, between lines
ATTRIBUTION = ("occlusion", "input_x_gradient", "gradient_norm")


class Measure(NamedTuple):
    """One number for each token. element: the name of such a number, with {} for the token's position."""

    title: str
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
        drawings.append(heading(trace, traces))
        for measure in measures:
            kind = measure.tensor.rsplit(".", 1)[-1]
            same = [each.values for many in every for each in many if each.tensor.endswith(kind)]
            largest = max([1e-30, *(float(np.abs(values).max()) for values in same if len(values))])
            drawings += [_paragraph(measure, largest), Drawing(0, 8, "")]
    caption = (
        "The text, once for each measure; every token has a colour and a bar. Blue with a filled bar is a positive "
        "number, orange with a hollow bar a negative one. The length of a bar is relative to the largest number of its "
        "measure in all traces, which the heading gives."
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
                unit = f", in {trace.unit(name)}" if trace.unit(name) else ""
                title = f"{name}{unit}: attribution of the answer “{about.answers[answer]}” to each token"
                yield Measure(title, f"{name}[{answer},{{}}]", trace[name][answer].numpy(), labels)
        if answers == len(tokens) > 1 and len(set(trace["steps"].tolist())) == answers:
            title = "−log_prob, in nats: the surprise of the answer after each token"
            yield Measure(title, "−log_prob[{}]", -trace["log_prob"].numpy(), tokens)
    if recurrent(trace):
        layer = requested_layer(trace, request)
        memory = trace[layer.remembers]
        requested = [] if request.unit is None else [resolve_index(request.unit, memory.shape[1], "unit", 0)]
        for index in requested or strongest(trace, layer, UNITS):
            element = f"{layer.remembers}[{{}},{index}]"
            yield Measure(f"{layer.remembers}, unit {index}", element, memory[:, index].numpy(), layer.tokens)


def _paragraph(measure: Measure, largest: float) -> Drawing:
    """Draw the text with a colour and a bar for each token."""
    title = f"{measure.title}; the largest is {number(largest)}"
    body, x, y = [svg.text(0, 12, title, size=11, fill=INK, most=WIDTH)], 0.0, 20.0
    for i, (token, value) in enumerate(zip(measure.tokens, measure.values.tolist(), strict=True)):
        label = svg.shorten(token or " ", WIDTH / 3)
        width = 6 + svg.UNIT * max(1, svg.columns(label))
        if x + width > WIDTH:
            x, y = 0.0, y + HIGH + BAR + SPACE
        fraction = abs(value) / largest
        name = f"{measure.element.format(i)} = {number(value)}"
        colour = ABOVE if value >= 0 else BELOW
        body.append(svg.box(x, y, width, HIGH, colour, opacity=TINT * fraction, name=name))
        body.append(svg.text(x + width / 2, y + 14.5, label, anchor="middle", fill=INK))
        length = fraction * (width - 2)
        if length >= 0.5:
            body.append(
                svg.box(x + 1, y + HIGH + 1.5, length, 3.5, colour if value >= 0 else CARD, stroke=colour, name=name)
            )
        x += width + 1
    return Drawing(WIDTH, y + HIGH + BAR, "\n".join(body))
