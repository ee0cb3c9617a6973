"""Means with their intervals on one axis, a line for each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from unrolled import svg
from unrolled.palette import ABOVE, CARD, INK, LINE, SOFT
from unrolled.pictures.chart import Axis
from unrolled.pictures.matrix import number
from unrolled.svg import UNIT, Drawing

__all__ = ["Mean", "forest", "span"]

ROW, TICKS = 26, 30  # pixels of a row, and below the last one


class Mean(NamedTuple):
    """A line of a chart of means.

    name: its name. mean: the value. interval: its ends; None: it has none. single: values of which it is the mean.
    hollow: whether its mark is hollow, as for baselines.
    """

    name: str
    mean: float
    interval: Sequence[float] | None = None
    single: Sequence[float] = ()
    hollow: bool = False


def span(values: Sequence[float], *, least: float = 1e-6) -> tuple[float, float]:
    """Return the ends of an axis: those of the values, with a margin of a tenth."""
    low, high = min(values), max(values)
    margin = max(0.1 * (high - low), least)
    return low - margin, high + margin


def forest(rows: Sequence[Mean], label: str, width: float, *, zero: bool = False) -> Drawing:
    """Draw a line for each row: its name, the interval, single values, the mean.

    Args:
        rows: the rows, from above.
        label: label of the axis, with the unit.
        width: pixels, names included.
        zero: whether 0 is on the axis, as a line.
    """
    left = min(0.45 * width, 14 + max(svg.columns(row.name) for row in rows) * UNIT)
    values = [value for row in rows for value in (row.mean, *row.single, *(row.interval or ()))]
    x = Axis(label, *span([*values, *([0.0] if zero else [])]))
    floor, across = ROW * len(rows) + 6.0, width - left - 12

    def at(value: float) -> float:
        return left + across * float(x.fraction(np.array(value)))

    body = []
    for tick in x.ticks():
        body.append(svg.line([(at(tick), 0), (at(tick), floor)], stroke=SOFT if zero and tick == 0 else LINE))
        body.append(svg.text(at(tick), floor + 14, number(tick), anchor="middle", size=11, fill=INK))
    for k, row in enumerate(rows):
        y = ROW * (k + 0.5)
        colour = SOFT if row.hollow else ABOVE
        body.append(svg.text(left - 8, y + 4, row.name, anchor="end", size=12, fill=INK, most=left - 10))
        if row.interval is not None:
            body.append(svg.line([(at(end), y) for end in row.interval], stroke=colour, width=2))
        body += [svg.dot(at(value), y, 2, CARD, stroke=colour) for value in row.single]
        fill = CARD if row.hollow else colour
        body.append(svg.dot(at(row.mean), y, 4.5, fill, stroke=colour, name=f"{row.name} = {number(row.mean)}"))
    body.append(svg.text(left + across / 2, floor + TICKS, label, anchor="middle", size=11, fill=INK))
    return Drawing(width, floor + TICKS + 8, "\n".join(body))
