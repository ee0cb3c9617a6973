"""Charts of counts as SVG (svg.py); equal counts give equal bytes. Colours are legible on white and on black."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unrolled.data.report.tables import by_frequency
from unrolled.palette import SERIES, SOFT
from unrolled.svg import UNIT, box, columns, document, text

__all__ = ["Bars", "Bins", "Histogram", "Panel", "bins", "draw", "label_bars", "number_bins"]

WIDTH, MARGIN, TITLE = 760, 16, 26  # pixels
NAMES, NUMBERS = 210, 100  # widths left and right of bars
BAR, GAP = 15, 7
HEIGHT, AXIS = 150, 44  # heights of a histogram and of its axis
MOST_BINS = 40
AT_ONCE = 1 << 20  # lengths counted together


@dataclass(frozen=True)
class Bins:
    """A histogram: bin i counts values from first + i · width up to the next bin, the last bin also all larger ones."""

    width: float
    counts: dict[str, tuple[int, ...]]  # by split
    open: bool  # whether the last bin counts larger values
    first: float = 0


class Bars(NamedTuple):
    """Bars of counts, one a name, stacked by split."""

    title: str
    bars: Mapping[str, Mapping[str, int]]  # name -> split -> count
    more: int = 0  # number of names that are not shown


class Histogram(NamedTuple):
    """A histogram of lengths."""

    title: str
    unit: str
    bins: Bins


Panel = Bars | Histogram


def bins(lengths: Mapping[str, NDArray[np.integer[Any]]]) -> Bins:
    """Count lengths in at most 40 bins of a round width; the last bin has the long tail.

    Args:
        lengths: (N,) by split, integers from 0.
    """
    filled = [split for split in lengths.values() if len(split)]
    longest = max((int(split.max()) for split in filled), default=0)
    usual = max((int(np.percentile(split, 95)) for split in filled), default=0)
    end = min(longest, max(2 * usual, MOST_BINS)) + 1
    width = next(w for k in range(20) for w in (10**k, 2 * 10**k, 5 * 10**k) if w * MOST_BINS >= end)
    number = -(-end // width)
    counts = {name: tuple(_counted(split, width, number).tolist()) for name, split in lengths.items()}
    return Bins(width, counts, longest >= number * width)


def number_bins(numbers: Mapping[str, NDArray[np.float64]]) -> Bins:
    """Count numbers in 20 to 40 bins of a round width.

    Args:
        numbers: (N,) by split, not all equal.
    """
    low = min(float(split.min()) for split in numbers.values())
    high = max(float(split.max()) for split in numbers.values())
    power = 10.0 ** max(-300, math.floor(math.log10((high - low) / MOST_BINS)))
    width = next(size for k in (1, 2, 5, 10) if (size := k * power) * MOST_BINS >= high - low)
    first = math.floor(low / width) * width
    number = math.floor((high - first) / width) + 1
    edges = first + width * np.arange(number + 1)
    edges[-1] = max(edges[-1], high)
    counts = {name: tuple(np.histogram(split, edges)[0].tolist()) for name, split in numbers.items()}
    return Bins(width, counts, False, first)


def _counted(lengths: NDArray[np.integer[Any]], width: int, number: int) -> NDArray[np.int64]:
    """Return the number of lengths in each bin; they are counted in chunks, since each step copies them."""
    counts = np.zeros(number, np.int64)
    for k in range(0, len(lengths), AT_ONCE):
        counts += np.bincount(np.minimum(lengths[k : k + AT_ONCE] // width, number - 1), minlength=number)
    return counts


def label_bars(title: str, counts: Mapping[str, Mapping[str, int]], shown: int) -> Bars:
    """Return the bars of the most frequent labels, those of all splits together.

    Args:
        title: title of the panel.
        counts: split -> label -> number of examples.
        shown: maximum number of labels.
    """
    labels = by_frequency(sum(map(Counter, counts.values()), Counter()))
    bars = {label: {name: split[label] for name, split in counts.items()} for label in labels[:shown]}
    return Bars(title, bars, len(labels) - len(bars))


def draw(panels: Sequence[Panel]) -> str:
    """Return the panels, one below the other, as SVG."""
    splits = dict.fromkeys(name for panel in panels for name in _splits(panel))
    colour = {name: SERIES[i % len(SERIES)] for i, name in enumerate(splits)}
    lines: list[str] = list(_legend(colour))
    y = MARGIN + TITLE
    for panel in panels:
        lines.append(text(MARGIN, y + 12, panel.title, bold=True, most=WIDTH - 2 * MARGIN))
        y += TITLE
        drawn, height = _bars(panel, y, colour) if isinstance(panel, Bars) else _histogram(panel, y, colour)
        lines += drawn
        y += height + TITLE
    return document(WIDTH, y, lines)


def _splits(panel: Panel) -> Iterator[str]:
    """Yield the names of the splits in a panel."""
    if isinstance(panel, Histogram):
        yield from panel.bins.counts
    else:
        yield from (name for counts in panel.bars.values() for name in counts)


def _legend(colour: Mapping[str, str]) -> Iterator[str]:
    x = MARGIN
    for name, fill in colour.items():
        yield box(x, MARGIN, 12, 12, fill)
        yield text(x + 18, MARGIN + 11, name, most=120)
        x += 36 + round(UNIT * columns(name))


def _bars(panel: Bars, y: float, colour: Mapping[str, str]) -> tuple[list[str], int]:
    longest = max((sum(counts.values()) for counts in panel.bars.values()), default=0) or 1
    available = WIDTH - 2 * MARGIN - NAMES - NUMBERS
    lines = []
    top = y
    for name, counts in panel.bars.items():
        lines.append(text(MARGIN + NAMES - 8, y + 12, name, anchor="end", most=NAMES - 8))
        x: float = MARGIN + NAMES
        for split, count in counts.items():
            wide = available * count / longest
            lines.append(box(x, y, wide, BAR, colour[split]))
            x += wide
        lines.append(text(x + 6, y + 12, f"{sum(counts.values()):,}", most=NUMBERS))
        y += BAR + GAP
    if panel.more:
        lines.append(text(MARGIN + NAMES, y + 12, f"… and {panel.more:,} more", most=300))
        y += BAR + GAP
    return lines, round(y - top)


def _histogram(panel: Histogram, y: float, colour: Mapping[str, str]) -> tuple[list[str], int]:
    width, counts = panel.bins.width, panel.bins.counts
    number = len(next(iter(counts.values()), ()))
    tallest = max((sum(split[i] for split in counts.values()) for i in range(number)), default=0) or 1
    left, wide, floor = MARGIN + 70, WIDTH - 2 * MARGIN - 70, y + HEIGHT
    step = wide / max(1, number)
    lines = []
    for fraction in (0, 0.5, 1):
        at = floor - fraction * HEIGHT
        lines.append(f'<path d="M{left} {at:.1f}H{left + wide}" stroke="{SOFT}" stroke-opacity="0.4"/>')
        lines.append(text(left - 8, at + 4, f"{round(fraction * tallest):,}", anchor="end", most=60))
    for i in range(number):
        base = floor
        for name, split in counts.items():
            tall = HEIGHT * split[i] / tallest
            base -= tall
            lines.append(box(left + i * step + 0.5, base, max(0.5, step - 1), tall, colour[name]))
    every = -(-number // 10)  # at most ten numbers on the axis
    for i in range(0, number, every):
        lines.append(
            text(left + i * step, floor + 18, f"{panel.bins.first + i * width:,.10g}", anchor="middle", most=80)
        )
    unit = panel.unit + (
        f"; the last bar is {panel.bins.first + (number - 1) * width:,.10g} and more" if panel.bins.open else ""
    )
    lines.append(text(left + wide / 2, floor + 38, unit, anchor="middle", most=wide))
    return lines, HEIGHT + AXIS
