"""Columnar storage of examples: ten million rows in a few hundred MB, a tenth of the size of Python objects.

Texts are stored one after the other in a temporary file (in memory while they are small). In memory are, for each row,
the end of its texts, its line, and the index of its label; the example itself is created on access.
"""

from __future__ import annotations

import weakref
from abc import abstractmethod
from array import array
from bisect import bisect
from collections.abc import Callable, Iterable, Iterator, Sequence
from tempfile import SpooledTemporaryFile
from typing import ClassVar, NamedTuple, Self, TypeVar, cast, overload

from unrolled.data.reading.files import unwritable

__all__ = ["Example", "Items", "Pair", "PairItems", "View"]

IN_MEMORY = 1 << 26  # bytes of texts; more are written to a temporary file
BLOCK = 1 << 18  # bytes read from it at a time
SPAN = 1 << 32  # bytes that four bytes can count
T = TypeVar("T")


class Example(NamedTuple):
    """One text and its label."""

    text: str
    label: str | None
    line: int  # see `Row.line`


class Pair(NamedTuple):
    """A source and its target: two texts."""

    source: str
    target: str
    line: int  # see `Row.line`


class View(Sequence[T]):
    """A sequence that creates its values on access; equal to any sequence of equal values."""

    @abstractmethod
    def _values(self, rows: Sequence[int]) -> Iterator[T]:
        """Yield the values of the rows with these indices."""

    def __iter__(self) -> Iterator[T]:
        return self._values(range(len(self)))

    @overload
    def __getitem__(self, index: int) -> T: ...

    @overload
    def __getitem__(self, index: slice) -> list[T]: ...

    def __getitem__(self, index: int | slice) -> T | list[T]:
        rows = range(len(self))[index]
        return list(self._values(rows)) if isinstance(rows, range) else next(self._values((rows,)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or len(self) != len(other):
            return False
        return all(mine == its for mine, its in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]


class _Rows(View[T]):
    """N rows; selections share the columns.

    Args:
        columns: the stored values; new and empty by default.
        rows: the indices of the selected rows in the columns; all by default.
    """

    TEXTS: ClassVar[int]  # number of texts in a row

    def __init__(self, columns: _Columns | None = None, rows: Sequence[int] | None = None) -> None:
        self._columns = columns or _Columns(self.TEXTS)
        self._rows = rows

    def select(self, rows: Iterable[int]) -> Self:
        """Return the rows with these indices, in this order."""
        return type(self)(self._columns, array("I", self._indices(rows)))

    def __len__(self) -> int:
        return len(self._columns.lines) if self._rows is None else len(self._rows)

    def _indices(self, rows: Iterable[int]) -> Iterable[int]:
        return rows if self._rows is None else (self._rows[row] for row in rows)

    def _texts(self, which: int) -> View[str]:
        return _Column(len(self), lambda rows: self._columns.texts[which].read(self._indices(rows)))


class Items(_Rows[Example]):
    """Texts with labels."""

    TEXTS = 1

    def append(self, text: str, label: str | None, line: int) -> None:
        """Add an example to the columns."""
        self._columns.append((text,), label, line)

    @property
    def texts(self) -> View[str]:
        """The text of each example."""
        return self._texts(0)

    @property
    def labels(self) -> View[str]:
        """The label of each example; empty without labels."""
        labelled = len(self) if self._columns.names else 0
        return _Column(labelled, lambda rows: cast("Iterator[str]", self._columns.labels(self._indices(rows))))

    def _values(self, rows: Sequence[int]) -> Iterator[Example]:
        columns = self._columns
        texts, labels = columns.texts[0].read(self._indices(rows)), columns.labels(self._indices(rows))
        for text, label, index in zip(texts, labels, self._indices(rows), strict=True):
            yield Example(text, label, columns.lines[index])


class PairItems(_Rows[Pair]):
    """Sources with targets."""

    TEXTS = 2

    def append(self, source: str, target: str, line: int) -> None:
        """Add a pair to the columns."""
        self._columns.append((source, target), None, line)

    @property
    def sources(self) -> View[str]:
        """The source of each pair."""
        return self._texts(0)

    @property
    def targets(self) -> View[str]:
        """The target of each pair."""
        return self._texts(1)

    def _values(self, rows: Sequence[int]) -> Iterator[Pair]:
        sources, targets = (texts.read(self._indices(rows)) for texts in self._columns.texts)
        for source, target, index in zip(sources, targets, self._indices(rows), strict=True):
            yield Pair(source, target, self._columns.lines[index])


class _Column(View[T]):
    def __init__(self, length: int, values: Callable[[Sequence[int]], Iterator[T]]) -> None:
        self._length, self._make = length, values

    def __len__(self) -> int:
        return self._length

    def _values(self, rows: Sequence[int]) -> Iterator[T]:
        return self._make(rows)


class _Columns:
    def __init__(self, texts: int) -> None:
        self.texts = [_Texts() for _ in range(texts)]
        self.lines = array("I")
        self._classes = array("i")  # index of the label in names, -1 for none
        self.names: dict[str, int] = {}

    def append(self, texts: Sequence[str], label: str | None, line: int) -> None:
        for column, text in zip(self.texts, texts, strict=True):
            column.append(text)
        self.lines.append(line)
        self._classes.append(-1 if label is None else self.names.setdefault(label, len(self.names)))

    def labels(self, rows: Iterable[int]) -> Iterator[str | None]:
        names = [*self.names, None]  # so that -1 is None
        return (names[self._classes[row]] for row in rows)


class _Texts:
    def __init__(self) -> None:
        self._ends = array("I", (0,))  # in bytes, modulo SPAN; the first is the start of the first text
        self._spans: list[int] = []  # indices in _ends at which another SPAN has been passed
        self._size = 0  # bytes of the texts so far
        self._file = SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 (it is open as long as the texts exist)
        weakref.finalize(self, self._file.close)
        self._waiting = bytearray()  # bytes that are not yet in the file

    def append(self, text: str) -> None:
        data = text.encode()
        self._waiting += data
        self._size += len(data)
        self._spans += [len(self._ends)] * (self._size // SPAN - len(self._spans))
        self._ends.append(self._size % SPAN)
        if len(self._waiting) >= BLOCK:
            self._write()

    def read(self, rows: Iterable[int]) -> Iterator[str]:
        """Yield the texts of the rows; rows in ascending order are read block by block."""
        self._write()
        begin, block = 0, b""
        for row in rows:
            start, end = self._end(row), self._end(row + 1)
            if start < begin or end > begin + len(block):
                self._file.seek(start)
                begin, block = start, self._file.read(max(end - start, BLOCK))
            yield block[start - begin : end - begin].decode()

    def _end(self, i: int) -> int:
        return self._ends[i] + SPAN * bisect(self._spans, i)

    def _write(self) -> None:
        if self._waiting:
            try:
                self._file.seek(0, 2)
                self._file.write(self._waiting)
                self._file.flush()
            except OSError as error:
                raise unwritable(error) from None
            self._waiting.clear()
