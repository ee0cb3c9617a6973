"""A row of data, wherever it came from, and what a message about it needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from unrolled.errors import DataError, excerpt, nearest

__all__ = ["SKIP", "BadRow", "Location", "Row", "Rows", "pick"]

SKIP = "or skip bad rows with --on-bad-row skip (they are counted and listed)"


class BadRow(NamedTuple):
    """A row that cannot be used.

    `reason` is what it is counted under; `error` is the whole story, or None for a blank line, which stops nothing.
    """

    reason: str
    error: DataError | None


class Location(NamedTuple):
    """Where the wanted values of a row stand: the same for every row of a file."""

    file: str | None  # None where the rows are Python objects
    names: tuple[str, ...]  # of the wanted columns or keys
    numbers: tuple[int | None, ...]  # their column numbers, from 1; None where columns have no number
    unit: str = "line"  # what `Row.line` counts: "line", "row" where a file has none, "item" of Python objects
    share: Callable[[], float] | None = None  # how much of all has been read, from 0 to 1; None where nobody knows


class Row(NamedTuple):
    """One row: its wanted values in the order asked for, and what a message about it needs."""

    place: Location
    line: int  # the physical line on which it starts, from 1; else the row, from 1, or the Python object, from 0
    values: tuple[Any, ...]  # text in CSV and TSV, any JSON value in JSON lines, anything from Python
    raw: str  # its first physical line

    def bad(self, reason: str, problem: str, which: int) -> BadRow:
        """Say what is wrong with value `which` of this row."""
        place = self.place
        return BadRow(
            reason,
            DataError(
                problem,
                file=place.file,
                line=self.line,
                unit=place.unit,
                column=place.numbers[which],
                column_name=place.names[which],
                row=self.raw.rstrip("\r\n"),
                fix=f"correct the row, {SKIP}",
            ),
        )


Rows = Iterator[Row | BadRow]


def pick(names: Sequence[str], wanted: Sequence[str], *, file: str | None = None, line: int | None = None) -> list[int]:
    """Return where each wanted column stands among `names`.

    Raises:
        DataError: a wanted column is missing or there are two of it.
    """
    shown = ", ".join(f'"{excerpt(name, 40)}"' for name in names[:20]) + (", …" if len(names) > 20 else "")
    for name in wanted:
        if name not in names:
            raise DataError(
                f'no column "{name}"{nearest(name, names)}; the columns are {shown}',
                file=file,
                line=line,
                fix="say which columns to read, with --text and --label or with --source and --target; the first row "
                "must name the columns",
            )
        if names.count(name) > 1:
            raise DataError(
                f'two columns are called "{name}"; the columns are {shown}',
                file=file,
                line=line,
                column=names.index(name) + 1,
                fix="rename one of them in the header",
            )
    return [names.index(name) for name in wanted]
