"""A file as physical lines of strict UTF-8, counted from 1, whatever it is compressed with.

We read bytes and decode them line by line ourselves, because only so can a message name the very line and byte that
is not UTF-8. A line ends with a line feed, with or without a carriage return before it; nothing else ends a line.
"""

from __future__ import annotations

import gzip
import io
import lzma
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

from unrolled.errors import DataError, nearest

__all__ = [
    "CONVERT",
    "MOST_BYTES",
    "SKIP",
    "UNREADABLE",
    "BadRow",
    "Lines",
    "open_bytes",
    "open_lines",
    "unreadable",
    "without_signature",
]

MOST_BYTES = 100_000_000  # of one row, its line ends included; more is a wrong file, not a long row
SKIP = "or skip bad rows with --on-bad-row skip (they are counted and listed)"
BOM = b"\xef\xbb\xbf"
CONVERT = "convert it: iconv -f {} -t UTF-8 OLD > NEW"

# How a file begins that is not what we read, in the order to ask (UTF-32 begins like UTF-16).
FOREIGN = (
    (b"\xff\xfe\x00\x00", "is UTF-32, not UTF-8", CONVERT.format("UTF-32")),
    (b"\x00\x00\xfe\xff", "is UTF-32, not UTF-8", CONVERT.format("UTF-32")),
    (b"\xff\xfe", "is UTF-16, not UTF-8", CONVERT.format("UTF-16")),
    (b"\xfe\xff", "is UTF-16, not UTF-8", CONVERT.format("UTF-16")),
    (b"\x1f\x8b", "is gzip data, but its name does not end in .gz", "rename it, so that it ends in .gz"),
    (b"\xfd7zXZ\x00", "is xz data, but its name does not end in .xz", "rename it, so that it ends in .xz"),
    (b"PK\x03\x04", "is a zip archive or a spreadsheet, not text", "unpack it, or save it as CSV with UTF-8"),
)

UNREADABLE = (EOFError, lzma.LZMAError, zlib.error, OSError)  # what reading a file may raise


class BadRow(NamedTuple):
    """A row that cannot be used.

    `reason` is what it is counted under; `error` is the whole story, or None for a blank line, which stops nothing.
    """

    reason: str
    error: DataError | None


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
        data = self._read()
        if not data:
            self.ended = True
            raise StopIteration
        if self.number == 0:
            data = without_signature(data, self.file)
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
            byte = data[error.start]
            self._blame(
                "not UTF-8",
                f"byte 0x{byte:02x} at offset {error.start} of the line is not UTF-8 ({error.reason})",
                text,
                f"{CONVERT.format('WINDOWS-1252')} (if that is what it is), {SKIP}",
            )
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

    def _read(self) -> bytes:
        try:
            return self._handle.readline(MOST_BYTES + 1)
        except UNREADABLE as error:
            raise unreadable(error, self.file, self.number) from None


def without_signature(data: bytes, file: str) -> bytes:
    """Return a file's first bytes without the byte order mark.

    Raises:
        DataError: they are not the beginning of UTF-8 text.
    """
    for signature, problem, fix in FOREIGN:
        if data.startswith(signature):
            raise DataError(f"the file {problem}", file=file, line=1, fix=fix)
    return data.removeprefix(BOM)


def unreadable(error: Exception, file: str, lines: int) -> DataError:
    """Return what to say of one of UNREADABLE that came after so many lines."""
    if isinstance(error, OSError) and not isinstance(error, gzip.BadGzipFile):
        problem, fix = f"cannot be read: {error.strerror or error}", "check the disk, or copy the file again"
        return DataError(problem, file=file, line=lines + 1, fix=fix)
    # Unpackers read ahead, so the line at which the damage lies is not known.
    problem = f"the compressed data is damaged or cut off, some way after line {lines}: {error}"
    return DataError(problem, file=file, fix="fetch or compress the file again")


@contextmanager
def open_lines(path: Path, file: str) -> Iterator[Lines]:
    """Open `path`, unpacking .gz and .xz, for reading line by line; `file` is its name in messages.

    Raises:
        DataError: there is no such file, it is a folder, or it may not be read.
    """
    with open_bytes(path, file) as handle:
        yield Lines(handle, file)


@contextmanager
def open_bytes(path: Path, file: str) -> Iterator[BinaryIO]:
    """Open `path`, unpacking .gz and .xz, for reading bytes; as `open_lines`."""
    try:
        handle = path.open("rb", buffering=1 << 18)
    except FileNotFoundError:
        folder = path.parent
        near = nearest(path.name, [p.name for p in folder.iterdir()]) if folder.is_dir() else ""
        raise DataError(f"there is no such file{near}", file=file, fix="check the path") from None
    except IsADirectoryError:
        raise DataError("is a folder, not a file", file=file, fix="name one file in it") from None
    except OSError as error:
        raise DataError(f"cannot be opened: {error.strerror}", file=file, fix="check its permissions") from None
    with handle:
        packing = path.suffix.lower()
        if packing == ".gz":
            with gzip.GzipFile(fileobj=handle) as unpacked:
                yield io.BufferedReader(unpacked, 1 << 18)
        elif packing == ".xz":
            with lzma.LZMAFile(handle) as unpacked:
                yield io.BufferedReader(unpacked, 1 << 18)
        else:
            yield handle
