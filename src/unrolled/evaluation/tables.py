"""Plain text tables for a terminal of 80 columns.

No line is longer, whatever the labels are, and shortened labels end in an ellipsis. Fractions are printed as percent.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from unrolled.errors import excerpt

__all__ = ["WIDTH", "count", "percent", "plural", "safe", "shorten", "table", "width"]

WIDTH = 80


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows of cells as aligned lines.

    The first column is left-aligned and shortened to fit, the others are right-aligned.

    Args:
        rows: rows with equal numbers of cells; the first one is the header.
    """
    widths = [max(map(width, column)) for column in zip(*rows, strict=True)]
    widths[0] = min(widths[0], WIDTH - sum(2 + other for other in widths[1:]))
    lines = []
    for first, *others in rows:
        head = shorten(first, widths[0])
        cells = [" " * (size - width(cell)) + cell for cell, size in zip(others, widths[1:], strict=True)]
        lines.append("  ".join([head + " " * (widths[0] - width(head)), *cells]).rstrip())
    return lines


def shorten(text: str, columns: int) -> str:
    """Return `text` in at most `columns` columns, ended by … where it is shortened."""
    if width(text) <= columns:
        return text
    while width(text) > columns - 1:
        text = text[:-1]
    return text + "…"


def width(text: str) -> int:
    """Return the columns of `text` in a terminal: two for a wide character, none for a combining one."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def safe(label: str) -> str:
    """Return a label with control characters escaped, so that it cannot break a line or control the terminal."""
    return excerpt(label, WIDTH)


def percent(fraction: float) -> str:
    """Return a fraction as a percentage with one digit after the point."""
    return f"{100 * fraction:.1f}"


def plural(noun: str) -> str:
    """Return the plural of a noun."""
    return noun + ("es" if noun.endswith("s") else "s")


def count(number: int, one: str, many: str) -> str:
    """Return a number with its noun, in the singular or the plural."""
    return f"{number:,} {one if number == 1 else many}"
