"""A file as physical lines of strict UTF-8, counted from 1, whatever it is packed with.

We read bytes and decode them line by line ourselves, because only so can a message name the very line and byte that
is not UTF-8. A line ends with a line feed, with or without a carriage return before it; nothing else ends a line.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from unrolled.data.reading.files import UNREADABLE, UTF8, encoding_of, open_bytes, transcoded, undecodable, unreadable
from unrolled.data.reading.rows import SKIP, BadRow
from unrolled.errors import DataError

__all__ = ["BLANK", "MOST_BYTES", "Lines", "open_lines"]

MOST_BYTES = 100_000_000  # of one row, its line ends included; more is a wrong file, not a long row
BLANK = BadRow("blank line", None)


class Lines:
    """The physical lines of an open file: an iterator of text with the line end still on it.

    `begin()` marks that a new row starts on the next line. Then `start` is that line's number, `raw` its text for
    messages, `fault` the first thing wrong with the bytes of any line of the row. A faulty line is still handed out,
    with the bytes that are not UTF-8 written as `\\xe9`, so that the borders of rows stay where they are.
    """

    def __init__(self, handle: BinaryIO, file: str) -> None:
        self.file = file
        self.number = 0  # lines handed out so far
        self.ended = False
        self._handle = handle
        self._encoding = UTF8
        self.begin()

    def begin(self) -> None:
        """Say that the next line starts a new row."""
        self.start = self.number + 1
        self.raw = ""
        self.fault: BadRow | None = None
        self._bytes = 0

    def rows(self) -> Iterator[str]:
        """Yield lines for the formats in which each line is a row, without their ends."""
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
                fix="look for a quote that is never closed, or for line ends that are missing",
            )
        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            text = data.decode("utf-8", "backslashreplace")
            problem, fix = undecodable(error, error.start, self._encoding)
            self._blame(f"not {self._encoding.name}", problem, text, f"{fix}, {SKIP}")
        if "\0" in text:
            offset = data.index(b"\0")
            problem = f"NUL character at offset {offset} of the line: no text has one"
            self._blame("NUL character", problem, text, f"look whether the file is UTF-16 or damaged, {SKIP}")
        if self.number == self.start:
            self.raw = text
            if self.number > 1 and text.startswith("\ufeff"):
                problem = "byte order mark inside the file"
                self._blame("byte order mark", problem, text, f"look whether files were joined, header and all, {SKIP}")
        return text

    def share(self) -> float:
        """Return how much of the file has been read, from 0 to 1, as it is stored."""
        descriptor = self._handle.fileno()
        return os.lseek(descriptor, 0, os.SEEK_CUR) / max(1, os.fstat(descriptor).st_size)

    def bad(
        self, reason: str, problem: str, *, column: int | None = None, fix: str = f"correct the row, {SKIP}"
    ) -> BadRow:
        """Return what is wrong with the row that began last."""
        error = DataError(problem, file=self.file, line=self.start, column=column, row=self.raw.rstrip("\r\n"), fix=fix)
        return BadRow(reason, error)

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
    """Open `path`, unpacking .gz, .xz and .bz2, for reading line by line; `file` is its name in messages.

    Raises:
        DataError: there is no such file, it is a folder, or it may not be read.
    """
    with open_bytes(path, file) as handle:
        yield Lines(handle, file)
