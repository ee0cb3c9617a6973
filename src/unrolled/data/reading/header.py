"""Header of a table: whether its first row names the columns, or seems to be a row of data."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from statistics import median

from unrolled.errors import excerpt

__all__ = ["SAMPLED", "are_measurements", "are_numbers", "header_fault", "numbered"]

SAMPLED = 200  # rows that are compared with the header
WORDS = 3  # in a name and in most values below it: the name is a sentence, too
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
SENTENCE = re.compile(r".*\w.*[.!。！।]")
ABBREVIATION = re.compile(r"\w+\.")  # Nr., Tel.; a sentence only above others of one word
ONE_WORD = re.compile(r"\w+[.!?]")
BETWEEN = re.compile(r"[\s,;]+")
TAGGED_WORDS = "Blank lines stand between the rows: if they are words with a tag each, add --task tag"


def numbered(count: int) -> list[str]:
    """Return the names of the columns of a table without a header: "1", "2", …"""
    return [str(number) for number in range(1, count + 1)]


def are_numbers(values: Sequence[object]) -> bool:
    """Return whether values are numbers only, as such or as text; those of a series may be missing, but not all."""
    texts = [str(value).strip() for value in values if value is not None and not isinstance(value, bool)]
    present = [text for text in texts if text.casefold() not in ("", "nan", "na")]
    return len(texts) == len(values) and bool(present) and all(map(NUMBER.fullmatch, present))


def are_measurements(values: Sequence[object]) -> bool:
    """Return whether values are texts of series of numbers only, some with decimals, as the readings of a sensor."""
    series = [BETWEEN.split(value.strip("[] ")) for value in values if isinstance(value, str)]
    numbers = [number for texts in series for number in texts]
    return (
        len(series) == len(values)
        and all(len(texts) > 1 for texts in series)
        and all(map(NUMBER.fullmatch, numbers))
        and any("." in number for number in numbers)
    )


def header_fault(columns: Mapping[str, Sequence[object]], *, blank_lines: bool = False) -> str | None:
    """Return the reason why the first row seems to be no header but data, or None.

    Args:
        columns: the first values of each column, by its name in the first row.
        blank_lines: whether blank lines stand between the rows, as between sentences of tagged words.
    """
    if all(map(str.isdecimal, columns)) and [int(name) for name in columns] in (
        list(range(len(columns))),
        list(range(1, len(columns) + 1)),
    ):
        return None  # columns that a program has numbered
    for number, (name, column) in enumerate(columns.items(), start=1):
        values = [value for value in column if isinstance(value, str)]
        if values and (reason := _fault(name, values)):
            tagged = f". {TAGGED_WORDS}" if blank_lines and len(columns) == 2 else ""
            return f'"{excerpt(name, 40)}", the name of column {number}, {reason}{tagged}'
    return None


def _fault(name: str, values: Sequence[str]) -> str | None:
    """Return the reason why a name seems to be one of the values below it, or None."""
    if name in values and 2 * len(set(values)) <= len(values) + 1:
        return f"is also a value in {values.count(name):,} of the first {len(values):,} rows"
    if NUMBER.fullmatch(name) and all(map(NUMBER.fullmatch, values)):
        return "is a number, as all values below it"
    if ABBREVIATION.fullmatch(name) and 2 * sum(map(bool, map(ONE_WORD.fullmatch, values))) < len(values):
        return None
    if SENTENCE.fullmatch(name) or (
        len(name.split()) >= WORDS <= median(len(value.split()) for value in values) and name[-1] not in "?:"
    ):
        return "is a text, as the values below it"
    return None
