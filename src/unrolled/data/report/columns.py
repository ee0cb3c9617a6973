"""Columns of tables in reports: those that are missing, and a guess at those with the texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from unrolled.data.reading.counts import Counts, Skipped
from unrolled.data.reading.rows import Row
from unrolled.data.reading.sources import DataSource
from unrolled.data.report.issues import Report
from unrolled.data.report.tables import loads
from unrolled.errors import DataError, excerpt

__all__ = ["ColumnReport", "missing_columns", "sample", "text_lengths"]

SAMPLED = 200  # rows


@dataclass(frozen=True)
class ColumnReport(Report):
    """Report on a table; if the requested columns are missing, it has only the columns and a guess."""

    source: str
    format: str
    columns: tuple[str, ...]  # all columns, if they have names
    problem: str | None = None  # the reason why the rest is empty
    likely: dict[str, str] = field(default_factory=dict)  # {"text": column, "label": column}, a guess
    how: str = ""  # a sentence on the split
    loaded: dict[str, Counts] = field(default_factory=dict)  # by source
    skipped: tuple[tuple[str, Skipped], ...] = ()  # (source, row), the first of each source

    def header(self, flags: str) -> Iterator[str]:
        """Yield the lines on source, columns, counts and split; `flags` name the columns."""
        columns = ", ".join(f'"{excerpt(name, 40)}"' for name in self.columns)
        yield f"{self.source}: {self.format}" + (f" with the columns {columns}" if columns else "")
        if self.problem:
            yield f"{self.problem} to read from"
            options = " ".join(f'--{role} "{excerpt(name, 40)}"' for role, name in self.likely.items())
            yield f"likely: {options}" if options else f"name the columns with {flags}"
        else:
            yield from loads(self.loaded, self.skipped, self.how)


def missing_columns(data_source: DataSource, requested: Sequence[str]) -> str | None:
    """Return the problem that requested columns are missing, if any is; fixed columns never are."""
    columns = data_source.columns()
    missing = [name for name in requested if columns and not data_source.fixed and name not in columns]
    return " and ".join(f'no column "{name}"' for name in missing) or None


def sample(data_source: DataSource) -> dict[str, tuple[Any, ...]]:
    """Return the values of the first rows by column, for columns with unique names; empty if the rows are damaged."""
    columns = data_source.columns()
    unique = [name for name in columns if columns.count(name) == 1]
    rows = (row.values for row in data_source.rows(unique) if isinstance(row, Row))
    try:
        return dict(zip(unique, zip(*islice(rows, SAMPLED), strict=True), strict=False))
    except DataError:
        return {}


def text_lengths(values: Mapping[str, Sequence[Any]]) -> dict[str, int]:
    """Return the total length of the values of each column that holds only strings."""
    return {
        name: sum(map(len, column))
        for name, column in values.items()
        if all(isinstance(value, str) for value in column)
    }
