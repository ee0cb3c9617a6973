"""The rows of a portion, read as its layout says, and written with their answers."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from unrolled.data.reading.csv_tsv import rows_below
from unrolled.data.reading.json_lines import missing_key, objects
from unrolled.data.reading.keys import MISSING, value_at
from unrolled.data.reading.lines import Lines
from unrolled.data.reading.portions import Portion
from unrolled.data.reading.rows import BadRow
from unrolled.errors import DataError
from unrolled.scoring.answers import columns_of, flat, main_text, schema_of
from unrolled.scoring.layout import Layout
from unrolled.scoring.lazy import LazyRun, arrow_columns, refuse_clash
from unrolled.strings import one_line

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Counts", "answered"]

PACK: Mapping[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": partial(gzip.compress, compresslevel=6, mtime=0),
    ".xz": partial(lzma.compress, preset=1),
    ".bz2": bz2.compress,
}
"""Compression by the ending of a name; compressed pieces that are joined are one compressed file."""


class Counts(NamedTuple):
    """Numbers of rows of a portion, or of many.

    Args:
        rows: all rows.
        errors: rows without an answer, for a reason that they name.
        blank: blank lines, of a text a line.
    """

    rows: int = 0
    errors: int = 0
    blank: int = 0

    def plus(self, other: Counts) -> Counts:
        """Return the sums."""
        return Counts(*map(sum, zip(self, other, strict=True)))


@dataclass
class _Rows:
    """N rows of a portion.

    Args:
        inputs: their inputs.
        faults: the reason why a row has no input, by its index; None: its line is blank.
        lines: number of the line, or row, of each.
        kept: values of the kept columns of each by name, {} for one that could not be read; or the text of an object.
    """

    inputs: list[Any] = field(default_factory=list)
    faults: dict[int, str | None] = field(default_factory=dict)
    lines: list[int] = field(default_factory=list)
    kept: list[Any] = field(default_factory=list)

    def add(self, line: int, value: Any, kept: Any) -> None:
        """Add a row."""
        self.inputs.append(value)
        self.lines.append(line)
        self.kept.append(kept)

    def add_fault(self, line: int, fault: str | None, kept: Any) -> None:
        """Add a row without an input."""
        self.faults[len(self.inputs)] = fault
        self.add(line, None, kept)


def answered(run: LazyRun, layout: Layout, portion: Portion, *, stop: bool, first: bool) -> tuple[bytes, Counts]:
    """Return the rows of a portion with their answers, in the layout's format, and their numbers.

    Args:
        run: the run that answers.
        layout: how the shard is read and written.
        portion: the rows.
        stop: whether a row that cannot be answered is an error; otherwise its column `error` names the reason.
        first: whether the portion is the first of its file, and begins with the header.

    Raises:
        DataError: a row that cannot be answered, if `stop`; or a fault that makes the rest of the file meaningless.
        CheckpointError: the run cannot be loaded.
    """
    table = _table_of(portion) if layout.kind == "parquet" else None
    rows = READERS[layout.kind](layout, portion) if table is None else _parquet(layout, portion, table)
    answers = run.answers(rows.inputs, rows.faults)
    errors = [i for i, values in enumerate(answers) if values[-1] is not None]
    if errors and stop:
        problem = str(answers[errors[0]][-1])
        unit, fix = "row" if layout.kind == "parquet" else "line", "correct the row, or leave --on-bad-row stop out"
        raise DataError(problem, file=layout.file, line=rows.lines[errors[0]], unit=unit, fix=fix)
    if table is not None and layout.form == "parquet":
        data = _as_parquet(table.select(list(layout.kept or ())), run.kind, layout.prefix, answers)
    else:
        data = WRITERS[layout.form](layout, run.kind, rows, answers, first)
    blank = sum(fault is None for fault in rows.faults.values())
    return PACK[layout.packing](data), Counts(len(answers), len(errors), blank)


def _table(layout: Layout, portion: Portion) -> _Rows:
    found, lines = _Rows(), _lines(layout, portion)
    columns = (layout.column, *(layout.kept or ()))
    for row in rows_below(lines, layout.names, columns, layout.dialect):
        if not isinstance(row, BadRow):
            found.add(row.line, row.values[0], dict(zip(columns[1:], row.values[1:], strict=True)))
        elif row.error:  # else a blank line, which is no row of a table
            found.add_fault(lines.start, row.error.problem, {})
    return found


def _objects(layout: Layout, portion: Portion) -> _Rows:
    found, lines = _Rows(), _lines(layout, portion)
    for record in objects(lines):
        if isinstance(record, BadRow):
            if record.error:
                found.add_fault(lines.start, record.error.problem, {})
            continue
        value = value_at(record, layout.column)
        if layout.kept is None:
            kept: Any = _Object(lines.raw.strip(), tuple(record))
        else:
            kept = {name: None if (each := value_at(record, name)) is MISSING else each for name in layout.kept}
        if value is MISSING:
            found.add_fault(lines.start, missing_key(record, (layout.column,))[1], kept)
        else:
            found.add(lines.start, value, kept)
    return found


def _text_lines(layout: Layout, portion: Portion) -> _Rows:
    found, lines = _Rows(), _lines(layout, portion)
    for text in lines.rows():
        fault = lines.fault_of(text)
        if fault is not None:
            found.add_fault(lines.start, fault.error.problem if fault.error else None, {})
        else:
            found.add(lines.start, text, dict.fromkeys(layout.kept or (), text))
    return found


def _parquet(layout: Layout, portion: Portion, table: pa.Table) -> _Rows:
    top = layout.column if layout.column in table.column_names else layout.column.partition(".")[0]
    columns = [top, *(layout.kept or ())] if layout.form != "parquet" else [top]
    found = _Rows()
    for number, record in enumerate(table.select(list(dict.fromkeys(columns))).to_pylist(), start=portion.start):
        value = value_at(record, layout.column)
        kept = {name: record[name] for name in columns[1:]}
        found.add(number, None if value is MISSING else value, kept)
    return found


READERS: Mapping[str, Callable[[Layout, Portion], _Rows]] = {
    "table": _table,
    "jsonl": _objects,
    "lines": _text_lines,
}


def _lines(layout: Layout, portion: Portion) -> Lines:
    return Lines(io.BufferedReader(io.BytesIO(portion.data)), layout.file, portion.start - 1)


class _Object(NamedTuple):
    """An object as it is written, and its keys."""

    text: str
    keys: tuple[str, ...]


Answers = list[tuple[Any, ...]]


def _as_table(layout: Layout, kind: str, rows: _Rows, answers: Answers, first: bool) -> bytes:
    kept, dialect = layout.kept or (), layout.written
    file = io.StringIO()
    writer = csv.writer(file, delimiter=dialect.separator, lineterminator="\n")
    write: Callable[[Iterable[str]], Any] = writer.writerow
    if not dialect.quoted:

        def write(fields: Iterable[str]) -> Any:
            return file.write(dialect.separator.join(map(one_line, fields)) + "\n")

    if first and dialect.header:
        write([*kept, *columns_of(kind, layout.prefix)])
    for record, values in zip(rows.kept, answers, strict=True):
        write([*(flat(record.get(name)) for name in kept), *map(flat, values)])
    return _encoded(file.getvalue())


def _as_json_lines(layout: Layout, kind: str, rows: _Rows, answers: Answers, first: bool) -> bytes:
    names = columns_of(kind, layout.prefix)
    return _encoded("".join(_json_lines(layout, names, rows, answers)))


def _json_lines(layout: Layout, names: tuple[str, ...], rows: _Rows, answers: Answers) -> Iterator[str]:
    for kept, values, line in zip(rows.kept, answers, rows.lines, strict=True):
        added = json.dumps(dict(zip(names, values, strict=True)), ensure_ascii=False, default=str)
        if isinstance(kept, _Object):
            refuse_clash(kept.keys, names, file=f"{layout.file}, line {line}")
            yield f"{kept.text[:-1].rstrip()}{', ' if kept.keys else ''}{added[1:]}\n"
        else:
            own = json.dumps(kept, ensure_ascii=False, default=str)
            yield f"{own[:-1]}{', ' if kept else ''}{added[1:]}\n"


def _as_lines(layout: Layout, kind: str, rows: _Rows, answers: Answers, first: bool) -> bytes:
    texts = ("" if values[-1] is not None else main_text(kind, values) for values in answers)
    return _encoded("".join(f"{text}\n" for text in texts))


def _texts_as_parquet(layout: Layout, kind: str, rows: _Rows, answers: Answers, first: bool) -> bytes:
    import pyarrow as pa

    columns = {
        name: [None if (value := record.get(name)) is None else flat(value) for record in rows.kept]
        for name in layout.kept or ()
    }
    schema = pa.schema([(name, pa.string()) for name in columns])
    return _as_parquet(pa.table(columns, schema), kind, layout.prefix, answers)


WRITERS: Mapping[str, Callable[[Layout, str, _Rows, Answers, bool], bytes]] = {
    "csv": _as_table,
    "tsv": _as_table,
    "jsonl": _as_json_lines,
    "txt": _as_lines,
    "parquet": _texts_as_parquet,
}


def _as_parquet(table: pa.Table, kind: str, prefix: str, answers: Answers) -> bytes:
    import pyarrow as pa
    from pyarrow import parquet

    for name, values in arrow_columns(schema_of(kind, prefix), answers):
        table = table.append_column(name, values)
    sink = pa.BufferOutputStream()
    parquet.write_table(table, sink)
    return bytes(sink.getvalue())


def _table_of(portion: Portion) -> pa.Table:
    import pyarrow as pa

    with pa.ipc.open_stream(portion.data) as stream:
        return stream.read_all()


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")  # an unpaired surrogate, of which a row's error tells
