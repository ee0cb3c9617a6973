"""The text itself, coloured: by what a unit remembers at each token, or by how much each token moved the answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unrolled import svg
from unrolled.inside import Trace, find
from unrolled.pictures.figure import WIDTH, Asked, Figure, chosen, heading
from unrolled.pictures.layers import asked_layer, recurrent, strongest
from unrolled.pictures.matrix import number
from unrolled.svg import INK, Drawing, Scale

__all__ = ["draw", "shows"]

MORE, LESS = Scale(0, 1, ("#ffffff", "#fdb863")), Scale(0, 1, ("#ffffff", "#b2abd2"))  # as dark in grey as each other
UNITS = 3  # that are shown where none is asked for
HIGH, BAR, SPACE = 20, 7, 6  # pixels: of a word, of the bar below it at most, between lines
INFLUENCE = ("occlusion", "input_x_gradient", "gradient_norm")


class Row(NamedTuple):
    """The text by one measure: a number a token. element: what one of them is called, {} being the token's place."""

    title: str
    element: str
    values: NDArray[np.float32]
    tokens: Sequence[str]


def shows(trace: Trace) -> bool:
    """Whether there are tokens and something to say about each of them."""
    return bool(trace.about.tokens) and next(_rows(trace, Asked()), None) is not None


def draw(traces: Sequence[Trace], asked: Asked) -> Figure:
    """Draw the text once for each measure and each unit."""
    parts = []
    rows = [list(_rows(trace, asked)) for trace in traces]
    for trace, found in zip(traces, rows, strict=True):
        parts.append(heading(trace, traces))
        for row in found:
            kind = row.element.split("[")[0].rsplit(".", 1)[-1]
            same = [each.values for many in rows for each in many if each.element.split("[")[0].endswith(kind)]
            most = max([1e-30, *(float(np.abs(values).max()) for values in same if len(values))])
            parts += [_paragraph(row, most), Drawing(0, 8, "")]
    caption = (
        "The text once for each measure. Orange with a full bar is above 0, violet with a hollow bar below; the bar "
        "is as long as the number's share of the largest one of its measure in all traces, which stands in the title."
    )
    return Figure("The text, token by token", svg.above(parts, 4), caption)


def _rows(trace: Trace, asked: Asked) -> Iterator[Row]:
    """What there is to say about each token: attribution on the answer, surprise, units of a recurrent layer."""
    about = trace.about
    tokens, answers = about.tokens, len(about.answers)
    if asked.unit is None:
        last = answers - 1 if asked.step is None else chosen(asked.step, answers, "step", 0)
        for name, read in [
            *((f"source.{name}", about.source) for name in INFLUENCE),
            *((name, tokens) for name in INFLUENCE),
        ]:
            if name in trace:
                spec = find(name)
                unit = f", in {spec.unit}" if spec and spec.unit else ""
                title = f"{name}{unit}: what each token did to “{about.answers[last]}”"
                yield Row(title, f"{name}[{last},{{}}]", trace[name][last].numpy(), read)
        if answers == len(tokens) > 1:
            title = "−log_prob, in nats: how surprising the answer after each token was"
            yield Row(title, "−log_prob[{}]", -trace["log_prob"].numpy(), tokens)
    if recurrent(trace):
        layer = asked_layer(trace, asked)
        memory = trace[layer.remembers]
        one = [] if asked.unit is None else [chosen(asked.unit, memory.shape[1], "unit", 0)]
        for place in one or strongest(trace, layer, UNITS):
            element = f"{layer.remembers}[{{}},{place}]"
            yield Row(f"{layer.remembers}, unit {place}", element, memory[:, place].numpy(), layer.tokens)


def _paragraph(row: Row, most: float) -> Drawing:
    """The text, with a colour and a bar for each token."""
    title = f"{row.title}; the largest is {number(most)}"
    body, x, y = [svg.text(0, 12, title, size=11, fill=INK, most=WIDTH)], 0.0, 20.0
    for i, (token, value) in enumerate(zip(row.tokens, row.values.tolist(), strict=True)):
        shown = svg.cut(token or " ", WIDTH / 3)
        wide = 6 + svg.UNIT * max(1, svg.columns(shown))
        if x + wide > WIDTH:
            x, y = 0.0, y + HIGH + BAR + SPACE
        share = abs(value) / most
        name = f"{row.element.format(i)} = {number(value)}"
        body.append(svg.box(x, y, wide, HIGH, (MORE if value >= 0 else LESS).colour(share), name=name))
        body.append(svg.text(x + wide / 2, y + 14.5, shown, anchor="middle", fill=INK))
        long = share * (wide - 2)
        edge = "#b35806" if value >= 0 else "#542788"
        if long >= 0.5:
            body.append(
                svg.box(x + 1, y + HIGH + 1.5, long, 3.5, edge if value >= 0 else "#ffffff", stroke=edge, name=name)
            )
        x += wide + 1
    return Drawing(WIDTH, y + HIGH + BAR, "\n".join(body))
