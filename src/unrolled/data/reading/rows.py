"""Rows of any data source, with the location that messages about them need."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from unrolled.errors import DataError, excerpt, nearest

__all__ = ["SKIP", "BadRow", "Location", "Row", "Rows", "pick"]

SKIP = "or skip bad rows with --on-bad-row skip (they are counted and listed)"


class BadRow(NamedTuple):
    """A row that cannot be used.

    Args:
        reason: the key under which it is counted.
        error: the full message, or None for a blank line, which is never an error.
    """

    reason: str
    error: DataError | None


class Location(NamedTuple):
    """Source and columns of the requested values, the same for all rows of a file."""

    file: str | None  # None for Python objects
    names: tuple[str, ...]  # of the requested columns or keys
    numbers: tuple[int | None, ...]  # their column numbers, from 1; None for columns without numbers
    unit: str = "line"  # unit of `Row.line`: "line", "row" for files without lines, "item" for Python objects
    fraction_read: Callable[[], float] | None = None  # fraction of the data read so far; None if unknown
    note: str = ""  # on the way in which the rows are read, for the log
    files: tuple[str, ...] = ()  # of each column, for columns in files of their own
    shard: str = ""  # the file again, if the source has several


class Row(NamedTuple):
    """One row: its values in the order of the requested columns, and its location."""

    location: Location
    line: int  # physical line of its start, from 1; or number of the row, from 1, or of the Python object, from 0
    values: tuple[Any, ...]  # strings in CSV and TSV, any JSON value in JSON lines, any Python value
    raw: str  # its first physical line

    def bad(self, reason: str, problem: str, which: int) -> BadRow:
        """Return this row as a bad row, because of its value with index `which`."""
        location = self.location
        return BadRow(
            reason,
            DataError(
                problem,
                file=location.files[which] if location.files else location.file,
                line=self.line,
                unit=location.unit,
                column=location.numbers[which],
                column_name=location.names[which],
                row=self.raw.rstrip("\r\n"),
                fix=f"correct the row, {SKIP}",
            ),
        )


Rows = Iterator[Row | BadRow]


def pick(names: Sequence[str], wanted: Sequence[str], *, file: str | None = None, line: int | None = None) -> list[int]:
    """Return the index of each wanted column in `names`.

    Raises:
        DataError: a wanted column is missing or occurs twice.
    """
    shown = ", ".join(f'"{excerpt(name, 40)}"' for name in names[:20]) + (", …" if len(names) > 20 else "")
    for name in wanted:
        if name not in names:
            raise DataError(
                f'no column "{name}"{nearest(name, names)}; the columns are {shown}',
                file=file,
                line=line,
                fix="name the columns with --text and --label or with --source and --target; if the first row is no "
                "header, add --no-header and name them by number",
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
