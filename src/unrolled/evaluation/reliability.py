"""Reliability diagram as SVG (svg.py): the accuracy of answers against their confidence, and the number of answers.

Bars on the diagonal are calibrated; below it a model is too certain, above it not certain enough (Niculescu-Mizil &
Caruana 2005). Equal figures give equal bytes; the colours are legible on white and on black.
"""

from __future__ import annotations

from collections.abc import Iterator

from unrolled.evaluation.calibration import Calibration, ConfidenceBin, calibration_lines
from unrolled.palette import SERIES, SOFT
from unrolled.svg import box, document, line, text

__all__ = ["SIDE", "reliability"]

LEFT, RIGHT, TOP, SIDE = 70, 24, 64, 330  # pixels; the diagram is SIDE wide and high
GAP, COUNTS, AXIS = 30, 70, 46  # between the diagram and the histogram, of the histogram, of the axis
TICKS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


def reliability(calibration: Calibration, *, title: str, unit: str) -> str:
    """Return the diagram.

    Args:
        title: title of the picture, such as the name of the data.
        unit: unit of the counted answers, such as "examples".
    """
    width, height = LEFT + SIDE + RIGHT, TOP + SIDE + GAP + COUNTS + AXIS
    (summary,) = calibration_lines(calibration)
    body = [
        text(16, 24, title, bold=True, most=width - 32),
        text(16, 44, summary, most=width - 32),
        *_grid(),
        *(element for b in calibration.bins for element in _bar(b)),
        line([(LEFT, TOP + SIDE), (LEFT + SIDE, TOP)], stroke=SOFT, dash="5 4", name="calibrated"),
        *_counts(calibration, unit),
    ]
    about = f"{summary}. " + "; ".join(_words(b, unit) for b in calibration.bins)
    return document(width, height, body, title=title, description=about)


def _grid() -> Iterator[str]:
    for tick in TICKS:
        y = TOP + SIDE * (1 - tick)
        yield line([(LEFT, y), (LEFT + SIDE, y)], stroke=SOFT, opacity=0.4)
        yield text(LEFT - 8, y + 4, f"{tick:.0%}", anchor="end", size=11)
    yield text(18, TOP + SIDE / 2, "accuracy of the answers", anchor="middle", turned=True)


def _bar(b: ConfidenceBin) -> Iterator[str]:
    """Yield the accuracy of a bin with its interval, over its width."""
    x, wide = LEFT + SIDE * b.low, SIDE * (b.high - b.low)
    yield box(x + 1, TOP + SIDE * (1 - b.accuracy), wide - 2, SIDE * b.accuracy, SERIES[0], name=_words(b, "answers"))
    low, high = b.accuracy_interval
    middle = x + wide / 2
    yield line([(middle, TOP + SIDE * (1 - low)), (middle, TOP + SIDE * (1 - high))], stroke=SERIES[1], width=1.5)


def _counts(calibration: Calibration, unit: str) -> Iterator[str]:
    """Yield the histogram of the confidences, above the axis that both share."""
    floor, most = TOP + SIDE + GAP + COUNTS, max(b.n for b in calibration.bins)
    for b in calibration.bins:
        tall = COUNTS * b.n / most
        yield box(
            LEFT + SIDE * b.low + 1, floor - tall, SIDE * (b.high - b.low) - 2, tall, SOFT, name=f"{b.n:,} {unit}"
        )
    yield line([(LEFT, floor), (LEFT + SIDE, floor)], stroke=SOFT)
    yield text(LEFT - 8, floor - COUNTS + 10, f"{most:,}", anchor="end", size=11)
    yield text(18, floor - COUNTS / 2, unit, anchor="middle", turned=True)
    for tick in TICKS:
        yield text(LEFT + SIDE * tick, floor + 16, f"{tick:.0%}", anchor="middle", size=11)
    yield text(LEFT + SIDE / 2, floor + 36, "confidence: probability of the answer", anchor="middle", most=SIDE)


def _words(b: ConfidenceBin, unit: str) -> str:
    return f"confidence {b.confidence:.1%}: accuracy {b.accuracy:.1%} of {b.n:,} {unit}"
