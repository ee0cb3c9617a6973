"""Columns of tables in reports: those that are missing, a guess at those with the texts, and a missing header."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from unrolled.config import DataConfig
from unrolled.data.reading.addresses import is_file
from unrolled.data.reading.counts import Counts, Skipped
from unrolled.data.reading.files import unpacked_name
from unrolled.data.reading.foreign import NO_SERIES
from unrolled.data.reading.formats import TABLES, split_files
from unrolled.data.reading.header import SAMPLED, are_measurements, are_numbers, header_fault
from unrolled.data.reading.lines import BLANK
from unrolled.data.reading.rows import BadRow, Row
from unrolled.data.reading.sources import DataSource, open_source
from unrolled.data.reading.split_names import split_named
from unrolled.data.report.issues import Issue, Report
from unrolled.data.report.spelling import quoted
from unrolled.data.report.tables import loads
from unrolled.errors import DataError, excerpt

__all__ = [
    "ColumnReport",
    "form_of",
    "is_numeric",
    "missing_columns",
    "open_table",
    "sample",
    "table_issues",
    "text_lengths",
]

QUOTED = re.compile(r'".*"', re.DOTALL)
OPTION = 1_000  # characters of the value of an option
DOUBLED = re.compile(r'".*"".*"', re.DOTALL)


@dataclass(frozen=True, repr=False)
class ColumnReport(Report):
    """Report on a table; if the requested columns are missing, it has only the columns and a guess."""

    source: str
    format: str
    columns: tuple[str, ...]  # all columns, if they have names
    problem: str | None = None  # the reason why the rest is empty
    likely: dict[str, str] = field(default_factory=dict)  # settings that name text and label, a guess; "" for a flag
    headerless: str | None = None  # the reason why the file seems to have no header; then `likely` has numbers
    how: str = ""  # a sentence on the split
    loaded: dict[str, Counts] = field(default_factory=dict)  # by source
    numeric: bool = False  # whether the columns hold numbers only
    skipped: tuple[tuple[str, Skipped], ...] = ()  # (source, row), the first of each source and reason
    refusals: tuple[str, ...] = ()
    others: tuple[str, ...] = ()  # columns that may hold the label as well, a guess

    def header(self, flags: str) -> Iterator[str]:
        """Yield the lines on source, columns, counts and split; `flags` name the columns."""
        columns = ", ".join(f'"{excerpt(name, 40)}"' for name in self.columns)
        yield f"{self.source}: {self.format}" + (f" with the columns {columns}" if columns else "")
        if self.problem:
            yield f"{self.problem} to read from"
            options = " ".join(map(_option, self.likely, self.likely.values()))
            if self.headerless:
                yield f"the file seems to have no header: {self.headerless}"
                options = f"--no-header {options}"
            if self.numeric:
                yield f"all columns hold numbers: {NO_SERIES}"
                return
            if len(self.columns) == 1 and self.format.split()[0] in TABLES:
                yield "if a character separates the columns, name it, as in --separator semicolon"
                return
            others = ", ".join(f'"{excerpt(name, 40)}"' for name in self.others)
            yield (
                f"likely: {options}" + f" (or {others})" * bool(others) if options else f"name the columns with {flags}"
            )
        else:
            yield from loads(self.loaded, self.skipped, self.how)


def _option(setting: str, value: str) -> str:
    flag = f"--{setting.replace('_', '-')}"
    return f'{flag} "{excerpt(value, OPTION)}"' if value else flag


def open_table(data: object, task: str, config: DataConfig) -> tuple[DataSource, str | None]:
    """Return the data source of `data`, and the reason why it seems to have no header, if it does.

    Raises:
        DataError: as `open_source`.
    """
    data_source = open_source(data, task, config)
    if not config.header or data_source.form not in TABLES:
        return data_source, None
    return data_source, header_fault(sample(data_source), blank_lines=BLANK in _first_rows(data_source))


def table_issues(data: object, task: str, config: DataConfig) -> Iterator[Issue]:
    """Yield the issues of the files of data and of its splits: no header, a column that names a split.

    Raises:
        DataError: as `open_source`.
    """
    yield from _unused_files(data, config)
    for table in (data, config.valid, config.test):
        if table is None:
            continue
        data_source, reason = open_table(table, task, config)
        if reason:
            yield Issue(
                "no header",
                1,
                f"{data_source.source} seems to have no header: {reason}; its first row is not used as data",
                (),
                "add --no-header and name the columns by number, as in --text 1 --label 2",
            )
        elif data_source.form in TABLES:
            values = sample(data_source)
            yield from _split_columns(data_source, values)
            yield from _numeric_texts(data_source, values, (config.text,) if task in ("classify", "regress") else ())
            yield from _quoted_columns(data_source, values)
        if data_source.unused:
            yield Issue(
                "unused splits",
                len(data_source.unused),
                f"splits of {data_source.source} that are neither train, valid nor test, and are not used: "
                + quoted(data_source.unused),
                (),
                "name one as the data, or with --valid and --test",
            )


def _unused_files(data: object, config: DataConfig) -> Iterator[Issue]:
    """Yield the issue of tables of other splits next to a file of the training split."""
    if not isinstance(data, (str, os.PathLike)) or not is_file(str(data)) or split_named(_stem(data)) != "train":
        return
    used = {name: file for name, file in (("valid", config.valid), ("test", config.test)) if file is not None}
    others = {name: paths for name, paths in split_files(Path(data).parent).items() if name not in {"train", *used}}
    names = [path.name for paths in others.values() for path in paths]
    if names:
        yield Issue(
            "unused files",
            len(names),
            f"next to {data} are files of other splits, which are not used: {', '.join(names)}",
            (),
            "add " + " ".join(f"--{name} {paths[0]}" for name, paths in others.items()),
        )


def _stem(data: str | os.PathLike[str]) -> str:
    return unpacked_name(Path(data).name).rpartition(".")[0]


def _quoted_columns(data_source: DataSource, columns: Mapping[str, Sequence[Any]]) -> Iterator[Issue]:
    """Yield the issue of columns whose values keep quotes: in TSV they are characters, in CSV a space precedes them."""
    for name, column in columns.items():
        values = [value.strip() for value in column if isinstance(value, str)]
        quotes = sum(QUOTED.fullmatch(value) is not None for value in values)
        if quotes and (quotes == len(values) or any(DOUBLED.fullmatch(value) for value in values)):
            yield Issue(
                "quotes",
                quotes,
                f'{quotes:,} of the first {len(column):,} values in column "{excerpt(name, 40)}" of '
                f"{data_source.source} are in quotes, which are read as part of the value",
                (),
                "in CSV remove the spaces before quotes; save quoted TSV as CSV",
            )


def _numeric_texts(
    data_source: DataSource, columns: Mapping[str, Sequence[Any]], texts: Sequence[str]
) -> Iterator[Issue]:
    """Yield the issue of a column that is read as text and holds numbers only."""
    for name in texts:
        values = columns.get(name, ())
        if are_numbers(values) or are_measurements(values):
            yield Issue(
                "numbers as texts",
                len(values),
                f'all of the first {len(values):,} values in column "{excerpt(name, 40)}" of '
                f"{data_source.source} are numbers, which are read as words",
                (),
                f"name the column with the texts; {NO_SERIES}",
            )


def _split_columns(data_source: DataSource, columns: Mapping[str, Sequence[Any]]) -> Iterator[Issue]:
    """Yield the issue of columns that hold the names of splits only."""
    for name, values in columns.items():
        if values and all(isinstance(value, str) and split_named(value) for value in values):
            kinds = ", ".join(f'"{excerpt(kind, 20)}"' for kind in dict.fromkeys(values))
            yield Issue(
                "split column",
                1,
                f'column "{excerpt(name, 40)}" of {data_source.source} names the split of each row ({kinds}), and is '
                "not used",
                (),
                "write a file for each split, and add --valid FILE and --test FILE",
            )


def form_of(data_source: DataSource) -> str:
    """Return the format of a data source, with a note on the way in which it is read."""
    return " ".join(filter(None, (data_source.form, data_source.described())))


def is_numeric(data_source: DataSource) -> bool:
    """Return whether the first rows hold numbers only."""
    values = sample(data_source)
    return bool(values) and all(len(column) > 1 and are_numbers(column) for column in values.values())


def missing_columns(data_source: DataSource, requested: Sequence[str]) -> str | None:
    """Return the problem that requested columns are missing, if any is; fixed columns never are."""
    columns = data_source.columns()
    missing = [name for name in requested if columns and not data_source.fixed and name not in columns]
    return " and ".join(f'no column "{name}"' for name in missing) or None


def sample(data_source: DataSource) -> dict[str, tuple[Any, ...]]:
    """Return the values of the first rows by column, for columns with unique names; empty if the rows are damaged."""
    rows = (row.values for row in _first_rows(data_source) if isinstance(row, Row))
    return dict(zip(_unique_columns(data_source), zip(*rows, strict=True), strict=False))


def _first_rows(data_source: DataSource) -> list[Row | BadRow]:
    """Return the first rows, with the values of the columns with unique names; none if they are damaged."""
    try:
        return list(islice(data_source.rows(_unique_columns(data_source)), SAMPLED))
    except DataError:
        return []


def _unique_columns(data_source: DataSource) -> list[str]:
    columns = data_source.columns()
    return [name for name in columns if columns.count(name) == 1]


def text_lengths(values: Mapping[str, Sequence[Any]]) -> dict[str, int]:
    """Return the total length of the values of each column that holds only strings."""
    return {
        name: sum(map(len, column))
        for name, column in values.items()
        if all(isinstance(value, str) for value in column)
    }
