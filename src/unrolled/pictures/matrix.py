"""Matrices of a trace's numbers as colours, with labels at rows and columns and a legend."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from math import isfinite
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unrolled import svg
from unrolled.inside import Trace
from unrolled.palette import INK, LINE, SOFT
from unrolled.svg import Drawing, Scale

__all__ = [
    "MIN_LABEL",
    "View",
    "column_label_height",
    "column_labels",
    "fingerprint",
    "label_interval",
    "legend",
    "matrix",
    "number",
]

LABEL, TURNED = 90, 64  # largest size in pixels of a label left of a row, and of a vertical one above a column
MIN_LABEL = 11  # pixels that a row or column needs for a label of its own
TICKS = 36  # pixels that a number on an axis needs
MAX_CELL = 28
SMALL = svg.UNIT * 11 / 12  # pixels of a character of a label


class View(NamedTuple):
    """Selection of a tensor's numbers as a matrix, from which a page finds the name of each number.

    tensor: name of a tensor of the trace. lead: fixed indices of its leading axes. rows, columns: the indices shown at
    the matrix's rows and columns. turned: whether the rows are the tensor's last axis.
    """

    trace: Trace
    tensor: str
    rows: Sequence[int]
    columns: Sequence[int]
    lead: tuple[int, ...] = ()
    turned: bool = False

    def values(self) -> NDArray[np.float32]:
        """Return the numbers, (rows, columns)."""
        whole: NDArray[np.float32] = self.trace[self.tensor][self.lead].numpy()
        return whole[np.ix_(self.columns, self.rows)].T if self.turned else whole[np.ix_(self.rows, self.columns)]

    def data(self) -> dict[str, str]:
        """Return the selection as attributes of an SVG element; the trace is its fingerprint."""
        return {
            "trace": fingerprint(self.trace),
            "tensor": self.tensor,
            "lead": ",".join(map(str, self.lead)),
            "rows": _ranges(self.rows),
            "columns": _ranges(self.columns),
            "order": "column,row" if self.turned else "row,column",
        }


def fingerprint(trace: Trace) -> str:
    """Return a checksum over a trace's header and its tensors of at most 4,096 numbers, which identifies it."""
    checksum = zlib.crc32(repr(trace.about).encode())
    for tensor in trace.values():
        if tensor.numel() <= 4096:
            checksum = zlib.crc32(tensor.numpy().tobytes(), checksum)
    return f"{checksum:08x}"


def legend(scale: Scale, unit: str, width: float = 180, most: float = 760) -> Drawing:
    """Draw the legend of a scale: a colour bar with numbers below it, and the quantity with its unit.

    Args:
        scale: the scale.
        unit: the words, at the right of the bar or, where that is wider than `most` pixels, below it.
        width: pixels of the bar.
    """
    ramp = np.linspace(0, 1, 256)
    low, high = (np.log(scale.low), np.log(scale.high)) if scale.log else (scale.low, scale.high)
    values = low + ramp * (high - low)
    bar = svg.raster(14, 2, width, 9, np.exp(values)[None] if scale.log else values[None], scale, label=unit)
    marks = [scale.low, (scale.low * scale.high) ** 0.5 if scale.log else (scale.low + scale.high) / 2, scale.high]
    numbers = [
        svg.text(14 + fraction * width, 24, number(mark), anchor="middle", size=11, fill=INK)
        for fraction, mark in zip((0, 0.5, 1), marks, strict=True)
    ]
    edge = svg.box(14, 2, width, 9, "none", stroke=LINE)
    beside = width + 36 + svg.UNIT * svg.columns(unit) <= most
    lines = [unit] if beside else svg.wrapped(unit, most, 12)
    x, y = (width + 36, 12) if beside else (0, 42)
    words = [svg.text(x, y + 15 * i, line, fill=INK, most=most) for i, line in enumerate(lines)]
    wide = max(x + svg.UNIT * max(map(svg.columns, lines)), width + 28)
    return Drawing(wide, 34 if beside else y + 15 * len(lines) - 7, "\n".join([bar, edge, *numbers, *words]))


def number(value: float) -> str:
    """Return a number in at most three significant digits: 0.93, −1.20, 12.3, 3e−5."""
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
    view: View,
    scale: Scale,
    *,
    down: Sequence[str],
    above: Sequence[str],
    space: tuple[float, float],
    square: bool = False,
    axes: tuple[str, str] = ("", ""),
) -> Drawing:
    """Draw a matrix of numbers as colours, with labels at its rows and columns.

    Args:
        down, above: a label for each row and each column, or none. Where labels do not fit, some rows or columns are
            numbered instead.
        space: available width and height in pixels, labels included except those above the matrix.
        square: whether the cells are square.
        axes: the names of the rows and of the columns.
    """
    values = view.values()
    rows, columns = values.shape
    left = min(LABEL, 8 + SMALL * max(3, *map(svg.columns, (axes[0], *down))))
    wide = min(MAX_CELL * 2, (space[0] - left - 2) / max(1, columns))
    high = min(MAX_CELL, space[1] / max(1, rows))
    if square:
        wide = high = min(wide, high)
    over = 18 if axes[1] else 0
    top = over + column_label_height(above, wide)
    image = svg.raster(
        left,
        top,
        wide * columns,
        high * rows,
        values,
        scale,
        label=f"{view.tensor}, {len(view.rows)} × {len(view.columns)} numbers",
        log=int(scale.log),
        **view.data(),
    )
    edge = svg.box(left, top, wide * columns, high * rows, "none", stroke=LINE)
    names = [
        svg.text(0, top - 5, axes[0], size=11, fill=SOFT, italic=True) if axes[0] and above else "",
        svg.text(left, 11, axes[1], size=11, fill=SOFT, italic=True) if over else "",
    ]
    body = [image, edge, *filter(None, names), *_row_labels(down, left - 4, top, high, view.rows)]
    body += column_labels(above, left, top, wide, view.columns)
    return Drawing(left + wide * columns + 2, top + high * rows + 2, "\n".join(body))


def label_interval(count: int, cell: float, needed: float) -> int:
    """Return the smallest k of 1, 2, 5, 10, … such that a label at every k-th position has the pixels it needs.

    Args:
        count: number of positions.
        cell: pixels from one position to the next.
        needed: pixels of a label.
    """
    intervals = (base * power for power in (1, 10, 100, 1000, 10000, 100000) for base in (1, 2, 5))
    return next(k for k in intervals if k * cell >= needed or k >= count)


def _row_labels(names: Sequence[str], x: float, y: float, cell: float, indices: Sequence[int]) -> list[str]:
    """Draw right-aligned names at rows, or numbers at some of the rows where names do not fit."""
    if cell >= MIN_LABEL:
        return [
            svg.text(x, y + (i + 0.5) * cell + 3.5, name, anchor="end", size=11, fill=INK, most=LABEL - 8)
            for i, name in enumerate(names)
        ]
    step = label_interval(len(names), cell, 14)
    return [
        svg.text(x, y + (i + 0.5) * cell + 3.5, str(indices[i]), anchor="end", size=11, fill=INK)
        for i in range(0, len(names), step)
    ]


def column_label_height(names: Sequence[str], cell: float) -> float:
    """Return the height in pixels of labels above (or below) columns that are `cell` pixels wide."""
    widest = 8 + SMALL * max(map(svg.columns, names), default=-1)
    return 0 if not names else 16 if widest <= cell or cell < MIN_LABEL else min(TURNED, widest)


def column_labels(
    names: Sequence[str], x: float, y: float, cell: float, indices: Sequence[int], *, below: bool = False
) -> list[str]:
    """Draw names at columns: horizontal or vertical where they fit, else numbers at some of the columns.

    Args:
        x, y: the left end of the first column and the edge of the columns.
        below: whether to draw below that edge.
    """
    turned = column_label_height(names, cell) > 16
    if names and not turned and cell < MIN_LABEL:
        step = label_interval(len(names), cell, TICKS)
        names = [str(index) if i % step == 0 else "" for i, index in enumerate(indices)]
    style = {"size": 11, "fill": INK, "turned": turned, "most": TURNED - 8 if turned else 1e9}
    anchor = ("end" if below else "start") if turned else "middle"
    at = y + (5 if turned else 12) if below else y - 5
    return [
        svg.text(x + (i + 0.5) * cell + 3.5 * turned, at, name, anchor=anchor, **style)  # type: ignore[arg-type]
        for i, name in enumerate(names)
        if name
    ]


def _ranges(indices: Sequence[int]) -> str:
    """Return indices in short form: 0-4,7,9-10."""
    ranges: list[list[int]] = []
    for index in indices:
        if ranges and index == ranges[-1][-1] + 1:
            ranges[-1] = [ranges[-1][0], index]
        else:
            ranges.append([index])
    return ",".join("-".join(map(str, ends)) for ends in ranges)
