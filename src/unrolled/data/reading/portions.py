"""A file in portions of whole rows, which other processes parse: text as UTF-8, Parquet as a stream of Arrow.

A row of a table with quotes may have several lines. So where a line holds a quote, Python's `csv`, which parses the
rows later, decides the end of its row here, too; other lines are rows by themselves.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from unrolled.data.reading.files import UNREADABLE, UTF8, encoding_of, open_bytes, transcoded, unreadable
from unrolled.data.reading.lines import MOST_BYTES
from unrolled.data.reading.parquet import opened
from unrolled.data.reading.separators import allow_long_fields

__all__ = ["BYTES", "Portion", "portions_of_lines", "portions_of_parquet"]

BYTES = 1 << 20
"""Bytes after which a portion of text ends, also with fewer rows than requested."""


class Portion(NamedTuple):
    """Some rows of a file.

    Args:
        start: number of its first line, from 1; of the first row in Parquet.
        data: the lines as UTF-8 without a mark, or the rows as a stream of Arrow.
        position: bytes of the stored file that have been read so far.
    """

    start: int
    data: bytes
    position: int


def portions_of_lines(path: Path, rows: int, *, before: int = 0, separator: str | None = None) -> Iterator[Portion]:
    """Yield a file of lines in portions, at least one.

    Args:
        path: path of the file, which may be compressed.
        rows: the largest number of rows in a portion.
        before: number of lines that belong to no portion: a header, and what precedes it.
        separator: separator of a table with quotes; None: each line is a row.

    Raises:
        DataError: the file cannot be read, or its first bytes are those of another format.
    """
    with open_bytes(path, str(path)) as handle:
        lines = _utf8(handle, str(path))
        start = number = 1 + sum(1 for _ in islice(lines, before))
        records = ([line] for line in lines) if separator is None else _records(lines, separator)
        data, size, held = list[bytes](), 0, 0
        for record in records:
            data += record
            held += 1
            number += len(record)
            size += sum(map(len, record))
            if held == rows or size >= BYTES:
                yield Portion(start, b"".join(data), _position(handle))
                start, data, size, held = number, [], 0, 0
        if data or start == 1 + before:
            yield Portion(start, b"".join(data), _position(handle))


def portions_of_parquet(path: Path, rows: int) -> Iterator[Portion]:
    """Yield a Parquet file in portions, at least one; their schema is that of the file.

    Args:
        path: path of the file.
        rows: the largest number of rows in a portion.

    Raises:
        DataError: the file cannot be read, or pyarrow is not installed.
    """
    with opened(path, str(path)) as table:
        import pyarrow as pa

        size, start = path.stat().st_size, 1
        batches = chain(table.iter_batches(rows), [None])
        for batch in batches:
            if batch is None and start > 1:
                return
            sink = pa.BufferOutputStream()
            with pa.ipc.new_stream(sink, table.schema_arrow) as stream:
                if batch is not None:
                    stream.write_batch(batch)
            count = 0 if batch is None else batch.num_rows
            position = size * (start - 1 + count) // max(1, table.metadata.num_rows)
            yield Portion(start, sink.getvalue().to_pybytes(), position)
            start += count


def _utf8(handle: BinaryIO, file: str) -> Iterator[bytes]:
    """Yield the lines of an open file, in UTF-8 and without a mark."""
    number = 0
    try:
        first = handle.readline(MOST_BYTES + 1)
        encoding = encoding_of(first, file)
        if encoding == UTF8:
            first = first.removeprefix(UTF8.mark)
        else:
            handle = transcoded(first, handle, encoding)
            first = handle.readline(MOST_BYTES + 1)
        for line in chain([first] if first else [], iter(lambda: handle.readline(MOST_BYTES + 1), b"")):
            number += 1
            yield line
    except UNREADABLE as error:
        raise unreadable(error, file, number) from None


def _records(lines: Iterator[bytes], separator: str) -> Iterator[list[bytes]]:
    """Yield the lines of each row of a table with quotes."""
    allow_long_fields()
    for line in lines:
        record = [line]
        if b'"' in line:
            reader = csv.reader(_taken(record, lines), strict=True, delimiter=separator)
            with suppress(csv.Error):  # a bad row; its parser will name the fault
                next(reader, None)
        yield record


def _taken(record: list[bytes], lines: Iterator[bytes]) -> Iterator[str]:
    """Yield the lines of a row as text, as many as are needed, and add the further ones to `record`."""
    size = len(record[0])
    yield record[0].decode("utf-8", "backslashreplace")
    while size <= MOST_BYTES and (line := next(lines, b"")):
        record.append(line)
        size += len(line)
        yield line.decode("utf-8", "backslashreplace")


def _position(handle: Any) -> int:
    return os.lseek(handle.fileno(), 0, os.SEEK_CUR)
