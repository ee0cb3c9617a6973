"""Plain text tables for a terminal of 80 columns: whatever the labels are, no line is longer and nothing is lost
without saying so. Shares are printed as percentages.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from unrolled.errors import excerpt

__all__ = ["WIDTH", "count", "cut", "percent", "plural", "safe", "table", "width"]

WIDTH = 80


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows of cells as aligned lines: the first column to the left and cut to what is left, the others right.

    rows: the first is the head; all have as many cells.
    """
    widths = [max(map(width, column)) for column in zip(*rows, strict=True)]
    widths[0] = min(widths[0], WIDTH - sum(2 + other for other in widths[1:]))
    lines = []
    for first, *others in rows:
        head = cut(first, widths[0])
        cells = [" " * (size - width(cell)) + cell for cell, size in zip(others, widths[1:], strict=True)]
        lines.append("  ".join([head + " " * (widths[0] - width(head)), *cells]).rstrip())
    return lines


def cut(text: str, columns: int) -> str:
    """Return `text` in at most `columns`, with … where something is missing."""
    if width(text) <= columns:
        return text
    while width(text) > columns - 1:
        text = text[:-1]
    return text + "…"


def width(text: str) -> int:
    """Return how many columns a terminal gives `text`: two for a wide character, none for a combining one."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def safe(label: str) -> str:
    """Return a label that cannot break a line or command the terminal: control characters escaped."""
    return excerpt(label, WIDTH)


def percent(share: float) -> str:
    """Return a fraction as a percentage with one digit."""
    return f"{100 * share:.1f}"


def plural(what: str) -> str:
    """Return the plural of a noun."""
    return what + ("es" if what.endswith("s") else "s")


def count(number: int, one: str, many: str) -> str:
    """Return a number with its noun, in the singular or the plural."""
    return f"{number:,} {one if number == 1 else many}"
