"""Line charts whose curves differ in colour, dash and mark, so that they can be read without colour."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unrolled import svg
from unrolled.palette import CARD, INK, LINE, SERIES, SOFT
from unrolled.pictures.matrix import column_label_height, column_labels, label_interval, number
from unrolled.svg import UNIT, Drawing

__all__ = ["Axis", "Level", "Series", "chart"]

DASHES = ("", "7 3", "2 3", "9 3 2 3")
LEFT, BOTTOM, TOP = 56, 34, 22
MARK = 14  # pixels from one mark of a curve to the next, at least


class Axis(NamedTuple):
    """Axis of a chart.

    label: with the unit. low, high: the ends. log: whether it is logarithmic. names: labels of the positions 0, 1, …
    whole: whether all values are integers.
    """

    label: str
    low: float
    high: float
    log: bool = False
    names: Sequence[str] = ()
    whole: bool = False

    def fraction(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Return the positions of values along the axis, from 0 to 1."""
        if self.log:
            values = np.log(np.maximum(values, self.low))
            low, high = np.log(self.low), np.log(self.high)
        else:
            low, high = self.low, self.high
        fractions: NDArray[np.float64] = np.clip((values - low) / ((high - low) or 1), 0, 1)
        return fractions

    def ticks(self) -> list[float]:
        """Return round numbers on the axis: powers of ten, or about five evenly spaced numbers.

        A logarithmic axis without two powers of ten has evenly spaced numbers too.
        """
        if self.log:
            first, last = int(np.ceil(np.log10(self.low) - 1e-9)), int(np.floor(np.log10(self.high) + 1e-9))
            if first < last:
                return [10.0**e for e in range(first, last + 1, -(-(last - first + 1) // 7))]
        rough = max((self.high - self.low) / 5 or 1, float(self.whole))
        size = 10.0 ** np.floor(np.log10(rough))
        step = size * next(k for k in (1, 2, 5, 10) if k * size >= rough * 0.999)
        return [float(k * step) for k in range(int(np.ceil(self.low / step - 1e-9)), int(self.high / step + 1e-9) + 1)]


class Series(NamedTuple):
    """Curve through points.

    element: the name of a point, with {} for its x; "" for the name of the curve. low, high: the ends of an interval
    around each point. shade: a colour instead of the next one in SERIES. thin: whether it is a thin line without marks
    and without a name above the chart.
    """

    name: str
    x: NDArray[Any]
    y: NDArray[Any]
    element: str = ""
    low: NDArray[Any] | None = None
    high: NDArray[Any] | None = None
    shade: str = ""
    thin: bool = False


class Level(NamedTuple):
    """Dashed line across a chart at a value of y, with words below it."""

    value: float
    words: str


def chart(series: Sequence[Series], x: Axis, y: Axis, size: tuple[float, float], level: Level | None = None) -> Drawing:
    """Draw curves. size: (width, height) in pixels, labels included."""
    width, height = size
    across = width - LEFT - 12
    cell = across / max(1, len(x.names))
    floor = height - (column_label_height(x.names, cell) if x.names else BOTTOM)
    keys = _keys(["" if one.thin else one.name for one in series], width)
    tall = floor - TOP - (keys[-1][1] if keys else 0)
    if x.names:
        body = column_labels(x.names, LEFT, floor, cell, range(len(x.names)), below=True)
    else:
        body = _numbers(x, across, floor)
    for tick in y.ticks():
        at = floor - tall * float(y.fraction(np.array(tick)))
        body.append(svg.line([(LEFT, at), (LEFT + across, at)], stroke=LINE))
        body.append(svg.text(LEFT - 6, at + 4, number(tick), anchor="end", size=11, fill=INK))
    if y.label:
        middle = floor - tall / 2
        body.append(svg.text(12, middle, y.label, size=11, fill=INK, turned=True, anchor="middle", most=height))
    if level is not None:
        at = floor - tall * float(y.fraction(np.array(level.value)))
        body.append(svg.line([(LEFT, at), (LEFT + across, at)], stroke=SOFT, width=1.4, dash="6 4"))
        body.append(svg.text(LEFT + across, at + 14, level.words, anchor="end", size=11.5, fill=SOFT, most=across))
    for i, one in enumerate(series):
        colour, dash = one.shade or SERIES[i % len(SERIES)], DASHES[(i + i // len(SERIES)) % len(DASHES)]
        points = list(
            zip((LEFT + across * x.fraction(one.x)).tolist(), (floor - tall * y.fraction(one.y)).tolist(), strict=True)
        )
        if one.low is not None and one.high is not None:
            for (at, _), low, high in zip(points, y.fraction(one.low), y.fraction(one.high), strict=True):
                body.append(svg.line([(at, floor - tall * low), (at, floor - tall * high)], stroke=colour, opacity=0.6))
        if one.thin:
            body.append(svg.line(points, stroke=colour, width=0.8, opacity=0.5))
            continue
        if points:
            body.append(svg.line(points, stroke=colour, width=1.8, dash=dash))
        every = label_interval(len(points), across / max(1, len(points)), MARK)
        for (px, py), value, where in list(zip(points, one.y.tolist(), one.x.tolist(), strict=True))[::every]:
            name = f"{one.element.format(where) or one.name} = {number(value)}"
            body.append(_mark(i, px, py, colour, name))
        if len(series) > 1:
            at_x, at_y = keys[i]
            body.append(svg.line([(at_x, at_y + 8), (at_x + 26, at_y + 8)], stroke=colour, width=1.8, dash=dash))
            body.append(_mark(i, at_x + 13, at_y + 8, colour))
            body.append(svg.text(at_x + 31, at_y + 12, one.name, size=11, fill=INK))
    return Drawing(width, height, "\n".join(body))


def _mark(i: int, x: float, y: float, colour: str, name: str = "") -> str:
    """Draw the mark of curve i: a disc, a square or a triangle."""
    if i % 3 == 0:
        return svg.dot(x, y, 3.6, CARD, stroke=colour, name=name)
    if i % 3 == 1:
        return svg.box(x - 3.2, y - 3.2, 6.4, 6.4, CARD, stroke=colour, name=name)
    return svg.triangle(x, y, 4, CARD, stroke=colour, name=name)


def _keys(names: Sequence[str], width: float) -> list[tuple[float, float]]:
    """Return the (x, y) of each curve's name above the chart: side by side, on as many lines as needed."""
    positions, x, y = [], float(LEFT), 0.0
    for name in names:
        if not name:
            positions.append((x, y))
            continue
        needed = 48 + UNIT * 11 / 12 * svg.columns(name)
        if x + needed > width + 17 and x > LEFT:
            x, y = float(LEFT), y + 16
        positions.append((x, y))
        x += needed
    return positions


def _numbers(x: Axis, width: float, floor: float) -> list[str]:
    """Draw the ticks, numbers and label of the x axis, `width` pixels wide, at the y of its floor."""
    body = []
    for tick in x.ticks():
        at = LEFT + width * float(x.fraction(np.array(tick)))
        body.append(svg.line([(at, floor), (at, floor + 4)], stroke=INK))
        body.append(svg.text(at, floor + 16, number(tick), anchor="middle", size=11, fill=INK))
    body.append(svg.line([(LEFT, floor), (LEFT + width, floor)], stroke=INK))
    body.append(svg.text(LEFT + width / 2, floor + 31, x.label, anchor="middle", size=11, fill=INK, most=width))
    return body
