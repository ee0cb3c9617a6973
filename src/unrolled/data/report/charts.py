"""Pictures of counts as SVG (svg.py): the same counts give the same bytes. Colours read on white and on black."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unrolled.svg import COLOURS, GREY, UNIT, box, columns, document, text

__all__ = ["Bars", "Bins", "Histogram", "Panel", "bins", "draw"]

WIDTH, MARGIN, TITLE = 760, 16, 26  # pixels
NAMES, NUMBERS = 210, 100  # what stands left and right of bars
BAR, GAP = 15, 7
HEIGHT, AXIS = 150, 44  # of a histogram, and of what stands below it
MOST_BINS = 40
AT_ONCE = 1 << 20  # lengths that are counted together


@dataclass(frozen=True)
class Bins:
    """A histogram: bin i counts what is at least i · width and below (i + 1) · width; the last one all that is more."""

    width: int
    counts: dict[str, tuple[int, ...]]  # by part
    open: bool  # whether the last bin holds more than its width


class Bars(NamedTuple):
    """A bar a name, made of a piece a part."""

    title: str
    bars: Mapping[str, Mapping[str, int]]  # name -> part -> count
    more: int = 0  # how many further names are not shown


class Histogram(NamedTuple):
    """How often each length occurs."""

    title: str
    unit: str
    bins: Bins


Panel = Bars | Histogram


def bins(lengths: Mapping[str, NDArray[np.integer[Any]]]) -> Bins:
    """Count lengths in at most 40 bins of a round width; a long tail goes into the last one.

    Args:
        lengths: (N,) by part, whole numbers from 0.
    """
    filled = [some for some in lengths.values() if len(some)]
    longest = max((int(some.max()) for some in filled), default=0)
    usual = max((int(np.percentile(some, 95)) for some in filled), default=0)
    end = min(longest, max(2 * usual, MOST_BINS)) + 1
    width = next(w for k in range(20) for w in (10**k, 2 * 10**k, 5 * 10**k) if w * MOST_BINS >= end)
    number = -(-end // width)
    counts = {part: tuple(_counted(some, width, number).tolist()) for part, some in lengths.items()}
    return Bins(width, counts, longest >= number * width)


def _counted(lengths: NDArray[np.integer[Any]], width: int, number: int) -> NDArray[np.int64]:
    """How many lengths fall into each bin; some are looked at a time, since each step of it copies them."""
    counts = np.zeros(number, np.int64)
    for k in range(0, len(lengths), AT_ONCE):
        counts += np.bincount(np.minimum(lengths[k : k + AT_ONCE] // width, number - 1), minlength=number)
    return counts


def draw(panels: Sequence[Panel]) -> str:
    """Return the panels, one below the other, as SVG."""
    parts = list(dict.fromkeys(part for panel in panels for part in _parts(panel)))
    colour = {part: COLOURS[i % len(COLOURS)] for i, part in enumerate(parts)}
    lines: list[str] = list(_legend(colour))
    y = MARGIN + TITLE
    for panel in panels:
        lines.append(text(MARGIN, y + 12, panel.title, bold=True, most=WIDTH - 2 * MARGIN))
        y += TITLE
        drawn, height = _bars(panel, y, colour) if isinstance(panel, Bars) else _histogram(panel, y, colour)
        lines += drawn
        y += height + TITLE
    return document(WIDTH, y, lines)


def _parts(panel: Panel) -> Iterator[str]:
    if isinstance(panel, Histogram):
        yield from panel.bins.counts
    else:
        yield from (part for pieces in panel.bars.values() for part in pieces)


def _legend(colour: Mapping[str, str]) -> Iterator[str]:
    x = MARGIN
    for part, fill in colour.items():
        yield box(x, MARGIN, 12, 12, fill)
        yield text(x + 18, MARGIN + 11, part, most=120)
        x += 36 + round(UNIT * columns(part))


def _bars(panel: Bars, y: float, colour: Mapping[str, str]) -> tuple[list[str], int]:
    longest = max((sum(pieces.values()) for pieces in panel.bars.values()), default=0) or 1
    room = WIDTH - 2 * MARGIN - NAMES - NUMBERS
    lines = []
    top = y
    for name, pieces in panel.bars.items():
        lines.append(text(MARGIN + NAMES - 8, y + 12, name, anchor="end", most=NAMES - 8))
        x: float = MARGIN + NAMES
        for part, count in pieces.items():
            wide = room * count / longest
            lines.append(box(x, y, wide, BAR, colour[part]))
            x += wide
        lines.append(text(x + 6, y + 12, f"{sum(pieces.values()):,}", most=NUMBERS))
        y += BAR + GAP
    if panel.more:
        lines.append(text(MARGIN + NAMES, y + 12, f"… and {panel.more:,} more", most=300))
        y += BAR + GAP
    return lines, round(y - top)


def _histogram(panel: Histogram, y: float, colour: Mapping[str, str]) -> tuple[list[str], int]:
    width, counts = panel.bins.width, panel.bins.counts
    number = len(next(iter(counts.values()), ()))
    tallest = max((sum(part[i] for part in counts.values()) for i in range(number)), default=0) or 1
    left, room, floor = MARGIN + 70, WIDTH - 2 * MARGIN - 70, y + HEIGHT
    step = room / max(1, number)
    lines = []
    for share in (0, 0.5, 1):
        at = floor - share * HEIGHT
        lines.append(f'<path d="M{left} {at:.1f}H{left + room}" stroke="{GREY}" stroke-opacity="0.4"/>')
        lines.append(text(left - 8, at + 4, f"{round(share * tallest):,}", anchor="end", most=60))
    for i in range(number):
        base = floor
        for part, found in counts.items():
            tall = HEIGHT * found[i] / tallest
            base -= tall
            lines.append(box(left + i * step + 0.5, base, max(0.5, step - 1), tall, colour[part]))
    every = -(-number // 10)  # at most ten numbers below
    for i in range(0, number, every):
        lines.append(text(left + i * step, floor + 18, f"{i * width:,}", anchor="middle", most=80))
    unit = panel.unit + (f"; the last bar is {(number - 1) * width:,} and more" if panel.bins.open else "")
    lines.append(text(left + room / 2, floor + 38, unit, anchor="middle", most=room))
    return lines, HEIGHT + AXIS
