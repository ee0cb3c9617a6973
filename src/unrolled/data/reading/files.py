"""Files as bytes: decompressed by their extension, and converted to UTF-8 by their byte order mark.

Text is UTF-8, with or without a byte order mark. UTF-16 and UTF-32 are recognised by theirs and converted to UTF-8;
an invalid sequence becomes MARK, which is not valid UTF-8 either, so that a reader that checks UTF-8 line by line
reports the exact line.
"""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from unrolled.data.reading.remedies import renaming, rewriting
from unrolled.errors import DataError, nearest

__all__ = [
    "PACKINGS",
    "UNREADABLE",
    "UTF8",
    "Encoding",
    "encoding_of",
    "holds_nul",
    "no_such_file",
    "open_bytes",
    "transcoded",
    "undecodable",
    "unpacked_name",
    "unreadable",
    "unwritable",
]

PACKINGS: dict[str, Callable[[BinaryIO], Any]] = {
    ".gz": lambda handle: gzip.GzipFile(fileobj=handle),
    ".xz": lzma.LZMAFile,
    ".bz2": bz2.BZ2File,
}
UNREADABLE = (EOFError, lzma.LZMAError, zlib.error, OSError)  # exceptions that reading a file may raise
BUFFER = 1 << 18  # bytes


class Encoding(NamedTuple):
    """A Unicode encoding: its name, Python's codec, and its byte order mark."""

    name: str
    codec: str
    mark: bytes


UTF8 = Encoding("UTF-8", "utf-8", codecs.BOM_UTF8)
MARKED = (  # UTF-32 first: its little-endian mark begins with that of UTF-16
    Encoding("UTF-32", "utf-32-le", codecs.BOM_UTF32_LE),
    Encoding("UTF-32", "utf-32-be", codecs.BOM_UTF32_BE),
    Encoding("UTF-16", "utf-16-le", codecs.BOM_UTF16_LE),
    Encoding("UTF-16", "utf-16-be", codecs.BOM_UTF16_BE),
)
MISNAMED = (  # first bytes, the format that they begin, its extension, and whether it is a compression of another
    (b"\x1f\x8b", "gzip data", ".gz", True),
    (b"\xfd7zXZ\x00", "xz data", ".xz", True),
    (b"BZh91AY&SY", "bzip2 data", ".bz2", True),
    (b"PAR1\x15", "Parquet", ".parquet", False),
)
FOREIGN = (  # first bytes of files that are not text
    (b"PK\x03\x04", "is a zip archive or a spreadsheet, not text", "unpack it, or save it as CSV with UTF-8"),
    (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        "is a spreadsheet or document of Office, not text",
        "save it as CSV with UTF-8",
    ),
    (b"SQLite format 3\0", "is a database of SQLite, not text", "write its table as CSV: sqlite3 -header -csv"),
    (b"%PDF-", "is a PDF, not text", "save its text as UTF-8"),
    (b"\x89PNG\r\n", "is an image, not text", "name the folder with the images of all classes"),
    (b"\xff\xd8\xff", "is an image, not text", "name the folder with the images of all classes"),
    (b"ARROW1", "is a table of Arrow, not text", "load it in Python, and give its data"),
    (b"\x80\x04\x95", "is a pickle, not text", "load it in Python, and give its data"),
    (b"\x80\x05\x95", "is a pickle, not text", "load it in Python, and give its data"),
    (
        b"version https://git-lfs",
        "is a pointer of Git LFS, not the data",
        "fetch the file that it stands for: git lfs pull",
    ),
)

NO_CHARACTER = "\udcff"
MARK = NO_CHARACTER.encode("utf-8", "surrogatepass")
codecs.register_error("unrolled.mark", lambda error: (NO_CHARACTER, error.end))  # type: ignore[attr-defined]


def unpacked_name(name: str) -> str:
    """Return a file's name in lower case, without the extension of its compression."""
    name = name.lower()
    return next((name.removesuffix(packing) for packing in PACKINGS if name.endswith(packing)), name)


def no_such_file(path: Path, file: str) -> DataError:
    """Return the error for a file that does not exist, with the nearest name in its folder; `file` is its name."""
    if path.is_symlink():
        problem, fix = f"is a link to {path.readlink()}, which does not exist", "fetch that file, or name another"
        return DataError(problem, file=file, fix=fix)
    folder = path.parent
    near = nearest(path.name, [p.name for p in folder.iterdir()]) if folder.is_dir() else ""
    return DataError(f"there is no such file{near}", file=file, fix="check the path")


@contextmanager
def open_bytes(path: Path, file: str) -> Iterator[BinaryIO]:
    """Open `path`, decompressing .gz, .xz and .bz2; `file` is its name in messages.

    Raises:
        DataError: the file is missing, a folder, a pipe, a device, or not readable.
    """
    try:
        if not (path.is_file() or path.is_dir()) and path.exists():
            problem = "is a pipe or a device, not a file: data are read more than once"
            raise DataError(problem, file=file, fix="send it to standard input, and name - instead")
        handle = io.BufferedReader(path.open("rb", 0), BUFFER)
    except FileNotFoundError:
        raise no_such_file(path, file) from None
    except IsADirectoryError:
        raise DataError("is a folder, not a file", file=file, fix="name one file in it") from None
    except OSError as error:
        fix = "check its permissions" if isinstance(error, PermissionError) else "check the path"
        raise DataError(f"cannot be opened: {error.strerror}", file=file, fix=fix) from None
    with handle:
        unpack = PACKINGS.get(path.suffix.lower())
        if unpack is None:
            yield handle
        elif not handle.peek(1):  # gzip would accept it as a compressed empty file
            raise unreadable(EOFError("it has no bytes"), file, 0)
        else:
            with unpack(handle) as unpacked:
                yield io.BufferedReader(unpacked, BUFFER)


def unreadable(error: Exception, file: str, lines: int) -> DataError:
    """Return the error of a failed read: one of UNREADABLE, after so many lines."""
    if isinstance(error, OSError) and error.errno is not None:
        problem, fix = f"cannot be read: {error.strerror or error}", "check the disk, or copy the file again"
        return DataError(problem, file=file, line=lines + 1, fix=fix)
    # Decompressors read ahead, so the line of the damage is not known.
    where = f", some way after line {lines}" if lines else ""
    problem = f"the compressed data is damaged or truncated{where}: {error}"
    return DataError(problem, file=file, fix="fetch or compress the file again")


def unwritable(error: OSError) -> DataError:
    """Return the error of a temporary file that cannot be written."""
    problem = f"data cannot be written to a temporary file: {error.strerror or error}"
    return DataError(problem, file=tempfile.gettempdir(), fix="free some space, or name another folder in TMPDIR")


def encoding_of(first: bytes, file: str) -> Encoding:
    """Return the encoding that a file's first bytes mark; UTF-8 without a mark.

    Raises:
        DataError: the first bytes are those of a binary format.
    """
    for signature, what, extension, packed in MISNAMED:
        if first.startswith(signature):
            problem = f"the file is {what}, but its name does not end in {extension}"
            raise DataError(problem, file=file, line=1, fix=f"rename it: {renaming(file, extension, packed=packed)}")
    for signature, problem, fix in FOREIGN:
        if first.startswith(signature):
            raise DataError(f"the file {problem}", file=file, line=1, fix=fix)
    return next((encoding for encoding in MARKED if first.startswith(encoding.mark)), UTF8)


def transcoded(first: bytes, rest: BinaryIO, encoding: Encoding) -> BinaryIO:
    """Return the text of the bytes `first` followed by those of `rest`, as UTF-8 without a mark."""
    return io.BufferedReader(_Transcoded(first.removeprefix(encoding.mark), rest, encoding.codec), BUFFER)


def undecodable(error: UnicodeDecodeError, offset: int, encoding: Encoding, file: str) -> tuple[str, str]:
    """Return problem and fix for bytes of a file that are not UTF-8, the first of them `offset` bytes into a line."""
    if encoding != UTF8:
        fault = "it holds an unpaired surrogate or an invalid code"
        problem = f"the line is not {encoding.name}, as the byte order mark says: {fault}"
        return problem, "write the file again, preferably as UTF-8"
    byte = error.object[error.start]
    problem = f"byte 0x{byte:02x} at offset {offset} of the line is not UTF-8 ({error.reason})"
    command = rewriting("iconv -f WINDOWS-1252 -t UTF-8", file, "utf8")
    return problem, f"convert it, if it is Windows-1252 or Latin-1: {command}"


def holds_nul(data: bytes, file: str) -> str:
    """Return the fix for a line with NUL bytes, which are half of the bytes of UTF-16 without a byte order mark."""
    little, big = data[1::2].count(0), data[::2].count(0)
    if 2 * max(little, big) <= len(data) // 2:
        return "check whether the file is damaged"
    codec = "UTF-16LE" if little > big else "UTF-16BE"
    return f"convert it, as it seems to be UTF-16: {rewriting(f'iconv -f {codec} -t UTF-8', file, 'utf8')}"


class _Transcoded(io.RawIOBase):
    def __init__(self, first: bytes, rest: BinaryIO, codec: str) -> None:
        self._decoder = codecs.getincrementaldecoder(codec)("unrolled.mark")
        self._rest = rest
        self._ready = self._utf8(first)
        self._ended = False

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._rest.fileno()

    def readinto(self, buffer: Any) -> int:
        while not self._ready and not self._ended:
            data = self._rest.read(BUFFER)
            self._ended = not data
            self._ready = self._utf8(data, final=self._ended)
        data, self._ready = self._ready[: len(buffer)], self._ready[len(buffer) :]
        buffer[: len(data)] = data
        return len(data)

    def _utf8(self, data: bytes, *, final: bool = False) -> bytes:
        return self._decoder.decode(data, final).encode("utf-8", "surrogatepass")
