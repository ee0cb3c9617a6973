"""The way in which a table is written: the separator of its fields, its quotes, and the lines before it.

The separator is that of the extension (a comma in `.csv`, a tab in `.tsv` and `.txt`), unless the first line declares
one (`sep=;`, as Excel writes it) or only another one splits the header into the requested columns. Without requested
columns, or without a header, it is the first separator that splits most of the first rows into equally many fields, at
least two. So a table that fits its extension is never read in another way.

A tab in `.tsv` and `.txt` separates without quotes. Everywhere else fields may be quoted as in RFC 4180.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from unrolled.config import SEPARATORS
from unrolled.data.reading.header import SAMPLED
from unrolled.data.reading.lines import open_lines
from unrolled.data.reading.remedies import labels_behind
from unrolled.errors import DataError

__all__ = ["AUTO", "COMMENT", "CSV", "TSV", "Dialect", "allow_long_fields", "dialect_of"]

AUTO = "auto"
OWN = {"csv": ",", "tsv": "\t", "txt": "\t"}  # the separator that an extension promises
RECOGNISED = ("\t", ";", "|", ",")
DECLARED = re.compile(r'"?sep=(.)"?', re.IGNORECASE)
COMMENT = "#"
HEAD_SIZE = 1 << 20  # characters that are looked at
SIMILAR = 0.5  # fraction of the rows that must have as many fields as the first one


class Dialect(NamedTuple):
    """The way in which a table is written.

    Args:
        separator: the character between two fields.
        quoted: whether fields may be quoted; otherwise a quote is a character like any other.
        header: whether the first row names the columns.
        preamble: number of physical lines before the table.
        note: the separator in words, "" for that of the extension.
    """

    separator: str
    quoted: bool
    header: bool = True
    preamble: int = 0
    note: str = ""


CSV = Dialect(",", quoted=True)
TSV = Dialect("\t", quoted=False)


class _Table(NamedTuple):
    """A way to read the first lines of a file: the separator, the line with the first row, and the rows."""

    separator: str
    start: int
    rows: list[list[str]]

    def has(self, columns: Sequence[str]) -> bool:
        """Return whether the first row names these columns."""
        return bool(columns and self.rows) and set(columns) <= set(self.rows[0])

    def agreement(self) -> float:
        """Return the fraction of the rows that have as many fields as the first one, 0 if that is one field."""
        first = len(self.rows[0]) if self.rows else 0
        return sum(len(row) == first for row in self.rows) / len(self.rows) if first > 1 else 0.0


def allow_long_fields() -> None:
    """Let Python's csv read fields of any length; `Lines` bounds a row already.

    The limit is global to the module. It is raised, never lowered.
    """
    csv.field_size_limit(max(csv.field_size_limit(), 2**31 - 1))


def dialect_of(
    path: Path, file: str, form: str, columns: Sequence[str], *, header: bool = True, separator: str = AUTO
) -> Dialect:
    """Return the way in which a table is written.

    Args:
        path: path of the table.
        file: its name in messages.
        form: "csv", "tsv" or "txt".
        columns: the requested ones, as far as they are known.
        header: whether the first row names the columns; otherwise they are "1", "2", …
        separator: its name, or itself; "auto" to recognise it.

    Raises:
        DataError: the file cannot be opened, or a .txt file seems to be no table.
    """
    with open_lines(path, file) as lines:
        head = _head(lines)
    if "".join(head[:3]).lstrip().lower().startswith(("<!doctype html", "<html")):
        fix = "fetch the file itself: pages about a file often have a link to its raw form"
        raise DataError("is a page of HTML, not a table", file=file, fix=fix)
    first, declared = _declaration(head)
    if separator != AUTO:
        candidates = [SEPARATORS.get(separator, separator)]
    else:
        candidates = [declared] if declared else [OWN[form], *(each for each in RECOGNISED if each != OWN[form])]
    tables = [_table(head, first, each, form, columns) for each in candidates]
    found = _with_header(tables, columns, form) if header else _by_number(tables, columns)
    if found is None and form == "txt" and len(tables) > 1:
        fix = "plain text is for --task generate; for a table name the separator, as in --separator comma"
        if command := labels_behind(head, file):
            fix += f"; if the first word of each line is its label: {command}"
        raise DataError(
            "is plain text, not a table: no tab, semicolon or bar separates its columns", file=file, fix=fix
        )
    table = found or tables[0]
    quoted = form == "csv" or table.separator != "\t"
    notes = [] if table.separator == OWN[form] else [f"separated by {_plural(table.separator)}"]
    notes += ["without a header"] if form == "txt" and not header else []
    return Dialect(table.separator, quoted, header, table.start, " ".join(notes))


def _with_header(tables: Sequence[_Table], columns: Sequence[str], form: str) -> _Table | None:
    """Return the first table with the requested columns, or else the first that looks like one."""
    if found := next((table for table in tables if table.has(columns)), None):
        return found
    likely = (table for table in tables if form != "txt" or table.separator != ",")  # prose has commas, too
    return next((table for table in likely if table.agreement() > SIMILAR), None)


def _by_number(tables: Sequence[_Table], columns: Sequence[str]) -> _Table | None:
    """Return the first table without a header that has enough columns in all its rows; its own separator needs most."""
    enough = max(2, *(int(name) if name.isdecimal() else 0 for name in columns), 0)
    own, *others = tables
    if own.agreement() > SIMILAR and len(own.rows[0]) >= enough:
        return own
    fitting = (table for table in others if table.agreement() == 1 and len(table.rows) > 1)
    return next((table for table in fitting if len(table.rows[0]) >= enough), None)


def _head(lines: Iterator[str]) -> list[str]:
    """Return the first lines, at most as many as are compared with the header."""
    head: list[str] = []
    size = 0
    for line in islice(lines, SAMPLED):
        head.append(line)
        size += len(line)
        if size > HEAD_SIZE:
            break
    return head


def _declaration(head: Sequence[str]) -> tuple[int, str]:
    """Return the index of the first line that may belong to the table, and the separator declared before it, if any."""
    first = next((i for i, line in enumerate(head) if line.strip()), 0)
    match = DECLARED.fullmatch(head[first].rstrip("\r\n")) if head else None
    return (first + 1, match[1]) if match else (0, "")


def _table(head: Sequence[str], first: int, separator: str, form: str, columns: Sequence[str]) -> _Table:
    """Return the table from the line with index `first` on, without the comments before its first row."""

    def rows(start: int) -> list[list[str]]:
        return _rows(head[start:], separator, quoted=form == "csv" or separator != "\t")

    marked, start = [], first
    while start < len(head) and (head[start].startswith(COMMENT) or not head[start].strip()):
        marked += [start] if head[start].strip() else []
        start += 1
    table = _Table(separator, start, rows(start))
    if not marked:
        return table._replace(start=first, rows=rows(first))
    below = table.rows[0] if table.rows else []
    for line in marked:
        commented = _Table(separator, line, rows(line))
        if commented.has(columns) or (not table.has(columns) and _alike(commented.rows, below)):
            return commented
    return table


def _alike(rows: Sequence[Sequence[str]], below: Sequence[str]) -> bool:
    """Return whether a first row that begins as a comment is a row like the one below the comments."""
    if not below:
        return True
    fields = rows[0] if rows else []
    return 1 < len(fields) == len(below) and (_padded(below) or not _padded(fields))


def _padded(fields: Sequence[str]) -> bool:
    return any(field != field.strip() for field in fields)


def _rows(lines: Sequence[str], separator: str, *, quoted: bool) -> list[list[str]]:
    """Return the fields of the first rows, without blank lines; empty if they cannot be read."""
    lines = [line for line in lines if line.strip(" \r\n")]
    if not quoted:
        return [line.rstrip("\r\n").split(separator) for line in lines]
    allow_long_fields()
    try:
        return list(csv.reader(lines, delimiter=separator))
    except csv.Error:
        return []


def _plural(separator: str) -> str:
    names = {character: f"{name}s" for name, character in SEPARATORS.items()}
    return names.get(separator, f'"{separator}"')
