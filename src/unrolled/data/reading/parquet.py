"""Rows of Parquet files, read in batches with the requested columns only; needs pyarrow (extra `parquet`).

A row is located by its number in the file, from 1. The parts of a column of objects have dotted keys, see `keys`.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from unrolled.data.reading.files import open_bytes
from unrolled.data.reading.rows import Location, Row, Rows, pick
from unrolled.errors import DataError, excerpt

__all__ = ["columns_of", "read_rows"]

AT_ONCE = 4_096  # rows in memory


def columns_of(path: Path, file: str) -> tuple[str, ...]:
    """Return the names of a file's columns; `file` is its name in messages.

    Raises:
        DataError: the file cannot be opened or is not Parquet, or pyarrow is not installed.
    """
    with _opened(path, file) as table:
        return tuple(name for name, _ in _fields(table.schema_arrow))


def read_rows(path: Path, columns: Sequence[str], file: str) -> Rows:
    """Yield the rows of a file with the values of `columns`; `file` is its name in messages.

    Raises:
        DataError: as `columns_of`; a column is missing or nested, or the file is damaged.
    """
    with _opened(path, file) as table:
        named, top = _fields(table.schema_arrow), list(table.schema_arrow.names)
        pick([name for name, _ in named], columns, file=file)
        fields = dict(named)
        indices = [top.index(fields[name].top) for name in columns]
        for i, name in zip(indices, columns, strict=True):
            if fields[name].type.num_fields:
                raise DataError(
                    f'column "{excerpt(name, 40)}" is nested ({excerpt(str(fields[name].type))})',
                    file=file,
                    column=i + 1,
                    fix="name a column of text or numbers, or write the nested values to columns of their own",
                )
        number = 0
        location = Location(
            file, tuple(columns), tuple(i + 1 for i in indices), "row", lambda: number / table.metadata.num_rows
        )
        for batch in table.iter_batches(AT_ONCE, columns=list(columns)):
            for values in zip(*(_values(batch, fields[name]) for name in columns), strict=True):
                number += 1
                shown = next((value for value in values if isinstance(value, str)), "")
                row = Row(location, number, values, shown)
                broken = next((i for i, value in enumerate(values) if isinstance(value, _NotUTF8)), None)
                if broken is None:
                    yield row
                else:
                    yield row.bad("not UTF-8", f"the text is not UTF-8 ({values[broken]})", broken)


class _NotUTF8(str):
    """Description of bytes that should be UTF-8 and are not, in place of the text."""


class _Field(NamedTuple):
    """A column, or a part of one that holds objects: the column's name, the names down to the part, and its type."""

    top: str
    path: tuple[str, ...]
    type: Any


def _fields(schema: Any) -> list[tuple[str, _Field]]:
    """Return the columns with their names; the parts of columns of objects with their dotted keys."""
    fields: list[tuple[str, _Field]] = []

    def add(name: str, field: Any, path: tuple[str, ...], top: str) -> None:
        if str(field.type).startswith("struct<"):
            for inner in field.type:
                add(f"{name}.{inner.name}", inner, (*path, inner.name), top)
        else:
            fields.append((name, _Field(top, path, field.type)))

    for field in schema:
        add(field.name, field, (), field.name)
    return fields


def _values(batch: Any, field: _Field) -> list[Any]:
    """Return the values of a column, or of a part of one, as Python objects."""
    column = batch.column(field.top)
    for name in field.path:
        column = column.field(name)
    try:
        return list(column.to_pylist())
    except UnicodeDecodeError:
        return [_value(scalar) for scalar in column]


def _value(scalar: Any) -> Any:
    try:
        return scalar.as_py()
    except UnicodeDecodeError as error:
        return _NotUTF8(f"byte 0x{error.object[error.start]:02x} at offset {error.start}: {error.reason}")


@contextmanager
def _opened(path: Path, file: str) -> Iterator[Any]:
    """Open a file; errors of pyarrow are raised as DataError."""
    try:
        arrow, parquet = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise DataError(
            "Parquet needs pyarrow, which is not installed", file=file, fix="pip install 'unrolled[parquet]'"
        ) from None
    with open_bytes(path, file) as handle:
        try:
            with parquet.ParquetFile(handle) as table:
                yield table
        except (arrow.ArrowException, OSError) as error:
            raise DataError(
                f"is not Parquet, or is damaged: {excerpt(str(error), 200)}",
                file=file,
                fix="fetch or write the file again",
            ) from None
