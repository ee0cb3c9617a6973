"""Physical lines of a file in strict UTF-8, counted from 1; compressed files are decompressed.

Bytes are read and decoded line by line, because only so can a message name the exact line and byte that is not UTF-8. A
line ends with a line feed, with or without a carriage return before it; nothing else ends a line.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from unrolled.data.reading.files import (
    UNREADABLE,
    UTF8,
    encoding_of,
    holds_nul,
    open_bytes,
    transcoded,
    undecodable,
    unreadable,
)
from unrolled.data.reading.remedies import line_feeds
from unrolled.data.reading.rows import SKIP, BadRow
from unrolled.errors import DataError

__all__ = ["BLANK", "MOST_BYTES", "Lines", "open_lines"]

MOST_BYTES = 100_000_000  # of one row with its line ends; a longer row means a wrong file
BLANK = BadRow("blank line", None)


class Lines:
    """Iterator over the physical lines of an open file, with their line ends.

    After `begin()`, the next line starts a new row: `start` is the number of that line, `raw` its text for messages,
    and `fault` the first fault in the bytes of any line of the row. A faulty line is still yielded, with the bytes that
    are not UTF-8 written as `\\xe9`, so that the borders of rows do not move.

    Args:
        handle: the bytes.
        file: name of the file in messages.
        number: number of lines before them, of a portion of a file in UTF-8.
    """

    def __init__(self, handle: BinaryIO, file: str, number: int = 0) -> None:
        self.file = file
        self.number = number  # lines yielded so far
        self.ended = False
        self._handle = handle
        self._encoding = UTF8
        self.begin()

    def begin(self) -> None:
        """Start a new row with the next line."""
        self.start = self.number + 1
        self.raw = ""
        self.fault: BadRow | None = None
        self._bytes = 0

    def rows(self) -> Iterator[str]:
        """Yield lines without their ends, for formats with one row a line."""
        self.begin()
        for text in self:
            yield text.rstrip("\r\n")
            self.begin()

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        data = self._read() if self.number else self._first()
        if not data:
            self.ended = True
            raise StopIteration
        self.number += 1
        self._bytes += len(data)
        if self._bytes > MOST_BYTES:
            raise DataError(
                f"the row that starts here is longer than {MOST_BYTES:,} bytes",
                file=self.file,
                line=self.start,
                row=self.raw or data[:200].decode("utf-8", "backslashreplace"),
                fix="check for a quote that is never closed, or for missing line ends",
            )
        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            text = data.decode("utf-8", "backslashreplace")
            problem, fix = undecodable(error, error.start, self._encoding, self.file)
            self._blame(f"not {self._encoding.name}", problem, text, f"{fix}, {SKIP}")
        if "\0" in text:
            offset = data.index(b"\0")
            problem = f"NUL character at offset {offset} of the line, which text cannot hold"
            self._blame("NUL character", problem, text, f"{holds_nul(data, self.file)}, {SKIP}")
        if self.number == self.start:
            self.raw = text
            if self.number > 1 and text.startswith("\ufeff"):
                problem = "byte order mark inside the file"
                self._blame(
                    "byte order mark", problem, text, f"check whether files were joined with their headers, {SKIP}"
                )
        return text

    def fraction_read(self) -> float:
        """Return the fraction of the stored bytes that has been read."""
        descriptor = self._handle.fileno()
        return os.lseek(descriptor, 0, os.SEEK_CUR) / max(1, os.fstat(descriptor).st_size)

    def bad(
        self, reason: str, problem: str, *, column: int | None = None, fix: str = f"correct the row, {SKIP}"
    ) -> BadRow:
        """Return the current row as a bad row."""
        error = DataError(problem, file=self.file, line=self.start, column=column, row=self.raw.rstrip("\r\n"), fix=fix)
        return BadRow(reason, error)

    def fault_of(self, text: str) -> BadRow | None:
        """Return the fault of a line that is a row, in any format with one row a line; BLANK for a blank one."""
        if self.fault:
            return self.fault
        if "\r" in text:
            return self.bare_carriage_return()
        return None if text.strip(" ") else BLANK

    def bare_carriage_return(self) -> BadRow:
        """Return the current row as a bad row, because of a carriage return without a line feed."""
        fix = f"let lines end with a line feed: {line_feeds(self.file)}, {SKIP}"
        return self.bad("bare carriage return", "the row holds a carriage return without a line feed", fix=fix)

    def empty(self) -> DataError:
        """Return the error of a file without rows, after its last line."""
        problem = "the file is empty" if self.number == 0 else "the file has only blank lines"
        return DataError(problem, file=self.file, line=1, fix="check that the right file was named")

    def _blame(self, reason: str, problem: str, text: str, fix: str) -> None:
        if self.fault is None:
            row = text.rstrip("\r\n")
            self.fault = BadRow(reason, DataError(problem, file=self.file, line=self.number, row=row, fix=fix))

    def _first(self) -> bytes:
        data = self._read()
        self._encoding = encoding_of(data, self.file)
        if self._encoding == UTF8:
            return data.removeprefix(UTF8.mark)
        self._handle = transcoded(data, self._handle, self._encoding)
        return self._read()

    def _read(self) -> bytes:
        try:
            return self._handle.readline(MOST_BYTES + 1)
        except UNREADABLE as error:
            raise unreadable(error, self.file, self.number) from None


@contextmanager
def open_lines(path: Path, file: str) -> Iterator[Lines]:
    """Open `path`, decompressing .gz, .xz and .bz2, to read it line by line; `file` is its name in messages.

    Raises:
        DataError: the file is missing, a folder, or not readable.
    """
    with open_bytes(path, file) as handle:
        yield Lines(handle, file)
