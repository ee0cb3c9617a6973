"""How a figure is written: its name in words, a value with its unit, and an interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["Unit", "bytes_of", "compact", "unit_of"]


class Unit(NamedTuple):
    """A figure: its name, the unit after a value, the factor to it, and the digits after the point."""

    name: str
    unit: str = ""
    factor: float = 1.0
    digits: int = 3

    def value(self, value: float | None) -> str:
        """Return a value: 93.1 %."""
        return "–" if value is None else f"{self.factor * value:,.{self.digits}f}{self.unit}"

    def difference(self, value: float | None) -> str:
        """Return a difference with its sign, a percentage in points."""
        if value is None:
            return "–"
        unit = " points" if self.unit == " %" else self.unit
        return f"{self.factor * value:+,.{self.digits}f}{unit}".replace("-", "−")

    def interval(self, interval: Sequence[float] | None) -> str:
        """Return an interval without its unit; – where there is none."""
        if interval is None:
            return "–"
        return " to ".join(f"{self.factor * value:,.{self.digits}f}".replace("-", "−") for value in interval)


PERCENT = {"unit": " %", "factor": 100.0, "digits": 1}
UNITS = {
    "accuracy": Unit("accuracy", " %", 100, 1),
    "subset_accuracy": Unit("subset accuracy", " %", 100, 1),
    "absolute_error": Unit("mean absolute error"),
    "mean_chrf": Unit("mean chrF", "", 1, 1),
    "bits_per_character": Unit("bits per character"),
}


def unit_of(figure: str) -> Unit:
    """Return how a figure is written."""
    return UNITS.get(figure, Unit(figure.replace("_", " ")))


def compact(value: float | None) -> str:
    """Return a number in three significant digits with k, M, G or T: 1.23 M."""
    if value is None:
        return "–"
    for factor, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= factor:
            return f"{value / factor:.3g} {letter}"
    return f"{value:.3g}"


def bytes_of(value: float | None) -> str:
    """Return a number of bytes: 1.5 kB."""
    return "–" if value is None else f"{compact(value)}{'' if abs(value) >= 1e3 else ' '}B"
