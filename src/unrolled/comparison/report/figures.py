"""Figures in words: a name in words, a value with its unit, an interval, a pair of models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

__all__ = ["Unit", "bytes_of", "compact", "pair", "unit_of", "validation"]


class Unit(NamedTuple):
    """A figure: its name, the unit after a value, the factor to it, and the digits after the point."""

    name: str
    unit: str = ""
    factor: float = 1.0
    digits: int = 3

    def value(self, value: float | None) -> str:
        """Return a value: 93.1 %."""
        return "–" if value is None else f"{self.factor * value:,.{self.digits}f}{self.unit}"

    @property
    def label(self) -> str:
        """The name with the unit, for an axis."""
        return f"{self.name} ({self.unit.strip()})" if self.unit else self.name

    @property
    def difference_label(self) -> str:
        """The label of an axis of differences."""
        return "difference (points)" if self.unit == " %" else f"difference in {self.name}"

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


def validation(found: dict[str, Any]) -> tuple[str, float]:
    """Return the name of the figure on the validation split, and the factor from the recorded value: −1 of a loss.

    The recorded figures are the greater the better.
    """
    by = found["searched_by"]
    return ("loss", -1.0) if by == "loss" else (by.replace("_", " "), 1.0)


def pair(found: dict[str, Any], difference: dict[str, Any]) -> str:
    """Return a difference as a subtraction of two models, so that it is above 0 where the first one is better."""
    names = difference["first"], difference["second"]
    return " − ".join(names if found["greater_is_better"] else reversed(names))


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
