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

__all__ = ["columns_of", "opened", "read_rows"]

AT_ONCE = 4_096  # rows in memory


def columns_of(path: Path, file: str) -> tuple[str, ...]:
    """Return the names of a file's columns; `file` is its name in messages.

    Raises:
        DataError: the file cannot be opened or is not Parquet, or pyarrow is not installed.
    """
    with opened(path, file) as table:
        return tuple(field.name for field in _fields(table.schema_arrow))


def read_rows(path: Path, columns: Sequence[str], file: str) -> Rows:
    """Yield the rows of a file with the values of `columns`; `file` is its name in messages.

    Raises:
        DataError: as `columns_of`; a column is missing or nested, or the file is damaged.
    """
    with opened(path, file) as table:
        top, fields = list(table.schema_arrow.names), _fields(table.schema_arrow)
        for name in columns:
            _refuse_objects(table.schema_arrow, name, fields, file)
        chosen = [fields[i] for i in pick([field.name for field in fields], columns, file=file)]
        indices = [top.index(field.top) for field in chosen]
        for i, field in zip(indices, chosen, strict=True):
            if field.type.num_fields:
                raise _nested(field.name, field.type, file, i, "or write the nested values to columns of their own")
        number = 0
        location = Location(
            file, tuple(columns), tuple(i + 1 for i in indices), "row", lambda: number / table.metadata.num_rows
        )
        for batch in table.iter_batches(AT_ONCE, columns=list(columns)):
            for values in zip(*(_values(batch, field) for field in chosen), strict=True):
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
    """A column, or a part of one that holds objects.

    Args:
        name: its name, or dotted key.
        top: name of the column.
        path: names that lead from there to the part.
        type: its type.
    """

    name: str
    top: str
    path: tuple[str, ...]
    type: Any


def _fields(schema: Any) -> list[_Field]:
    """Return the columns; in place of columns of objects their parts."""
    return [part for field in schema for part in _parts(field, field.name, ())]


def _parts(field: Any, top: str, path: tuple[str, ...]) -> Iterator[_Field]:
    if not _holds_objects(field):
        yield _Field(".".join((top, *path)), top, path, field.type)
        return
    for inner in field.type:
        yield from _parts(inner, top, (*path, inner.name))


def _holds_objects(field: Any) -> bool:
    return str(field.type).startswith("struct<") and field.type.num_fields > 0


def _refuse_objects(schema: Any, name: str, fields: Sequence[_Field], file: str) -> None:
    """Refuse a column of objects, whose parts are columns.

    Raises:
        DataError: the column holds objects.
    """
    index = schema.get_field_index(name)  # -1 also for a name that occurs twice
    if index >= 0 and _holds_objects(schema.field(index)):
        part = next(field.name for field in fields if field.top == name)
        raise _nested(name, schema.field(index).type, file, index, f'such as its part "{excerpt(part, 40)}"')


def _nested(name: str, kind: Any, file: str, index: int, or_else: str) -> DataError:
    return DataError(
        f'column "{excerpt(name, 40)}" is nested ({excerpt(str(kind))})',
        file=file,
        column=index + 1,
        fix=f"name a column of text or numbers, {or_else}",
    )


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
def opened(path: Path, file: str) -> Iterator[Any]:
    """Open a file, whose name in messages is `file`; errors of pyarrow are raised as DataError."""
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
