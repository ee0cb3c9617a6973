"""Matrices of a trace's numbers as colours, with what stands at their rows and columns, and what the colours mean."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from math import isfinite
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unrolled import svg
from unrolled.inside import Trace
from unrolled.svg import INK, Drawing, Scale

__all__ = ["LEAST", "Shown", "across", "every", "key", "legend", "matrix", "number", "room_across"]

LABEL, TURNED = 90, 64  # pixels at most for what stands left of rows, and upright above columns
LEAST = 10.5  # pixels that a row or column needs for a label of its own
TICKS = 36  # pixels that a number on an axis needs
MOST_CELL = 28
SMALL = svg.UNIT * 10 / 12  # pixels, of a character of a name


class Shown(NamedTuple):
    """Of which tensor a matrix shows which numbers, for who points at one of them.

    trace: the trace. tensor: its name. lead: indices of its first axes that are fixed. rows, columns: the indices that
    stand at the matrix's rows and columns. turned: whether the rows are the tensor's last axis.
    """

    trace: Trace
    tensor: str
    rows: Sequence[int]
    columns: Sequence[int]
    lead: tuple[int, ...] = ()
    turned: bool = False

    def values(self) -> NDArray[np.float32]:
        """The numbers, (rows, columns)."""
        found: NDArray[np.float32] = self.trace[self.tensor][self.lead].numpy()
        return found[np.ix_(self.columns, self.rows)].T if self.turned else found[np.ix_(self.rows, self.columns)]

    def data(self) -> dict[str, str]:
        """The same, as attributes; of a trace, what tells it from others."""
        return {
            "trace": key(self.trace),
            "tensor": self.tensor,
            "lead": ",".join(map(str, self.lead)),
            "rows": _ranges(self.rows),
            "columns": _ranges(self.columns),
            "order": "column,row" if self.turned else "row,column",
        }


def key(trace: Trace) -> str:
    """What tells a trace from others: a sum over its header and its small tensors."""
    found = zlib.crc32(repr(trace.about).encode())
    for tensor in trace.values():
        if tensor.numel() <= 4096:
            found = zlib.crc32(tensor.numpy().tobytes(), found)
    return f"{found:08x}"


def legend(scale: Scale, unit: str, width: float = 180) -> Drawing:
    """What a scale's colours mean: a bar with numbers below it, and the unit right of it."""
    ramp = np.linspace(0, 1, 256)
    low, high = (np.log(scale.low), np.log(scale.high)) if scale.log else (scale.low, scale.high)
    values = low + ramp * (high - low)
    bar = svg.raster(14, 2, width, 9, np.exp(values)[None] if scale.log else values[None], scale, label=unit)
    marks = [scale.low, (scale.low * scale.high) ** 0.5 if scale.log else (scale.low + scale.high) / 2, scale.high]
    numbers = [
        svg.text(14 + share * width, 24, number(mark), anchor="middle", size=10, fill=INK)
        for share, mark in zip((0, 0.5, 1), marks, strict=True)
    ]
    edge = svg.box(14, 2, width, 9, "none", stroke=svg.PALE)
    words = svg.text(width + 36, 11, unit, size=11, fill=INK, most=560 - width)
    return Drawing(width + 40 + svg.UNIT * svg.columns(unit), 34, "\n".join([bar, edge, *numbers, words]))


def number(value: float) -> str:
    """A number in at most three figures: 0.93, −1.2, 12, 3e−5."""
    if not isfinite(value):
        return str(value).replace("inf", "∞").replace("-", "−")
    if value == int(value) and abs(value) < 1e4:
        return f"{value:.0f}".replace("-", "−")
    size = abs(value)
    if size >= 1e4 or size < 1e-3:
        shown = f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e")
    else:
        shown = (
            f"{value:.0f}"
            if size >= 100
            else f"{value:.1f}"
            if size >= 10
            else f"{value:.2f}"
            if size >= 0.0995
            else f"{value:.3f}"
        )
    return shown.replace("-", "−")


def matrix(
    shown: Shown,
    scale: Scale,
    *,
    down: Sequence[str],
    above: Sequence[str],
    room: tuple[float, float],
    square: bool = False,
) -> Drawing:
    """A matrix of numbers as colours, with what stands at its rows and columns.

    Args:
        down, above: a name for each row and each column, or none; where they have no room some are numbered instead.
        room: pixels, width and height, that it may take: names included, those above it not.
        square: whether its cells are as wide as they are high.
    """
    values = shown.values()
    rows, columns = values.shape
    left = min(LABEL, 8 + SMALL * max([3, *map(svg.columns, down)]))
    wide = min(MOST_CELL * 2, (room[0] - left - 2) / max(1, columns))
    high = min(MOST_CELL, room[1] / max(1, rows))
    if square:
        wide = high = min(wide, high)
    top = room_across(above, wide)
    size = svg.raster(
        left,
        top,
        wide * columns,
        high * rows,
        values,
        scale,
        label=f"{shown.tensor}, {_of(shown)}",
        log=int(scale.log),
        **shown.data(),
    )
    edge = svg.box(left, top, wide * columns, high * rows, "none", stroke=svg.PALE)
    body = [size, edge, *_down(down, left - 4, top, high, shown.rows)]
    body += across(above, left, top, wide, shown.columns)
    return Drawing(left + wide * columns + 2, top + high * rows + 2, "\n".join(body))


def every(count: int, cell: float, needs: float) -> int:
    """Of `count` places `cell` apart, name every how many so that a name has `needs` pixels: 1, 2, 5, 10, …"""
    rounds = (base * power for power in (1, 10, 100, 1000, 10000, 100000) for base in (1, 2, 5))
    return next(k for k in rounds if k * cell >= needs or k >= count)


def _down(names: Sequence[str], x: float, y: float, cell: float, indices: Sequence[int]) -> list[str]:
    """Names right-aligned at rows; numbers at some of them where names have no room."""
    if cell >= LEAST:
        return [
            svg.text(x, y + (i + 0.5) * cell + 3.5, name, anchor="end", size=10, fill=INK, most=LABEL - 8)
            for i, name in enumerate(names)
        ]
    step = every(len(names), cell, 14)
    return [
        svg.text(x, y + (i + 0.5) * cell + 3.5, str(indices[i]), anchor="end", size=10, fill=INK)
        for i in range(0, len(names), step)
    ]


def room_across(names: Sequence[str], cell: float) -> float:
    """How high what stands above (or below) columns that are `cell` pixels wide is."""
    widest = 8 + SMALL * max(map(svg.columns, names), default=-1)
    return 0 if not names else 16 if widest <= cell or cell < LEAST else min(TURNED, widest)


def across(
    names: Sequence[str], x: float, y: float, cell: float, indices: Sequence[int], *, below: bool = False
) -> list[str]:
    """Names at columns, upright where they are wider than these; numbers at some of them where neither has room.

    Args:
        x, y: where the columns begin. below: whether the names stand below y.
    """
    turned = room_across(names, cell) > 16
    if names and not turned and cell < LEAST:
        step = every(len(names), cell, TICKS)
        names = [str(index) if i % step == 0 else "" for i, index in enumerate(indices)]
    style = {"size": 10, "fill": INK, "turned": turned, "most": TURNED - 8 if turned else 1e9}
    anchor = ("end" if below else "start") if turned else "middle"
    at = y + (5 if turned else 12) if below else y - 5
    return [
        svg.text(x + (i + 0.5) * cell + 3.5 * turned, at, name, anchor=anchor, **style)  # type: ignore[arg-type]
        for i, name in enumerate(names)
        if name
    ]


def _of(shown: Shown) -> str:
    return f"{len(shown.rows)} × {len(shown.columns)} numbers"


def _ranges(indices: Sequence[int]) -> str:
    """Indices in short: 0-4,7,9-10."""
    parts: list[list[int]] = []
    for index in indices:
        if parts and index == parts[-1][-1] + 1:
            parts[-1] = [parts[-1][0], index]
        else:
            parts.append([index])
    return ",".join("-".join(map(str, part)) for part in parts)
