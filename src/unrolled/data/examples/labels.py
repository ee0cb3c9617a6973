"""Labels: their form, and labels that are numbers to predict rather than names of classes."""

from __future__ import annotations

import numbers
import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal

from unrolled.config import DataConfig
from unrolled.errors import excerpt

__all__ = [
    "DECIMALS",
    "REGRESSION",
    "are_numbers",
    "is_number",
    "label_form",
    "not_classes",
    "number_in",
    "regression",
]

FORM = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
MANY = 20  # different numbers; no scale of ratings has more
ROWS = 5  # for each of many whole numbers; classes have more
REGRESSION = "--task regress"
DECIMALS = (".", ",")
"""Characters before the decimals of a number; the first is Python's, and the default."""
LARGEST = 1e100
"""The greatest magnitude of a number to predict; a larger one is taken for a mistake."""


def label_form(config: DataConfig, fold: Callable[[str], str] = str.casefold) -> Callable[[str], str]:
    """Return the function that brings labels to the form of the settings.

    Args:
        config: whether blanks around labels are removed, and whether their case is folded.
        fold: the case that labels are folded to.
    """
    steps = [step for step, wanted in ((str.strip, config.strip_labels), (fold, config.fold_labels)) if wanted]

    def form(label: str) -> str:
        for step in steps:
            label = step(label)
        return label

    return form


def number_in(text: str, decimal: str = DECIMALS[0]) -> str | None:
    """Return the number that a text is, as Python writes it, or None; `decimal` stands before its decimals."""
    number = text.strip()
    if decimal != DECIMALS[0]:
        number = "" if DECIMALS[0] in number else number.replace(decimal, DECIMALS[0])
    return number if FORM.fullmatch(number) else None


def is_number(value: object, decimal: str = DECIMALS[0]) -> bool:
    """Return whether a value of a file or of Python is a number, by its form; see `number_in`."""
    if isinstance(value, str):
        return number_in(value, decimal) is not None
    return isinstance(value, (numbers.Real, Decimal)) and not isinstance(value, bool)


def are_numbers(counts: Mapping[str, int]) -> bool:
    """Return whether labels seem to be numbers to predict: all are numbers, and there are many for their rows.

    Args:
        counts: the number of rows of each label.
    """
    forms = ([number_in(label, decimal) for label in counts] for decimal in DECIMALS)
    numbers = next((form for form in forms if all(form)), None)
    if not numbers:
        return False
    rows = sum(counts.values())
    if any(not float(number or "").is_integer() for number in numbers):
        return len(counts) > min(MANY, rows / 2)
    return len(counts) > max(MANY, rows / ROWS)


def regression(labels: Iterable[str]) -> str:
    """Return the flags that predict labels that are numbers."""
    comma = any(DECIMALS[1] in label for label in labels)
    return f"{REGRESSION} --decimal ," if comma else REGRESSION


def not_classes(counts: Mapping[str, int]) -> str:
    """Return the sentence about labels that are numbers to predict."""
    shown = ", ".join(f'"{excerpt(label, 12)}"' for label in list(counts)[:3])
    return f"the labels are {len(counts):,} different numbers ({shown}, …), which are no classes"
