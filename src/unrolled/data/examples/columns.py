"""Columnar storage of examples: texts in a temporary file, all else in arrays that are mapped from one beyond a size.

The texts of a column are stored one after the other (in memory while they are small). A row has the end of its texts,
its line, and the index of its label; the example itself is created on access. Tags of a sentence are texts, too.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, ClassVar, NamedTuple, Self, TypeVar, cast, overload

import numpy as np
from numpy.typing import NDArray

from unrolled.data.reading.arrays import Growing

__all__ = ["Columns", "Example", "Items", "Pair", "PairItems", "RowItems", "View"]

AT_ONCE = 1 << 12  # rows whose values are looked up together
MOST_NAMES = 1 << 16  # different labels in memory; others are texts of a column
T = TypeVar("T")
S = TypeVar("S")

Indices = NDArray[np.integer[Any]]
Arrays = Mapping[str, NDArray[Any]]


class Example(NamedTuple):
    """One text and its label."""

    text: str
    label: str | None
    line: int  # see `Row.line`
    file: str = ""  # the file, if the source has several


class Pair(NamedTuple):
    """A source and its target: two texts."""

    source: str
    target: str
    line: int  # see `Row.line`
    file: str = ""  # the file, if the source has several


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


class RowItems(View[T]):
    """N rows; selections share the columns.

    Args:
        columns: the stored values; new and empty by default.
        rows: the indices of the selected rows in the columns; all by default.
    """

    TEXTS: ClassVar[int]  # number of texts in a row

    def __init__(self, columns: Columns | None = None, rows: Indices | None = None) -> None:
        self.columns = columns or Columns(self.TEXTS)
        self.rows = rows

    def select(self, rows: Iterable[int]) -> Self:
        """Return the rows with these indices, in this order."""
        selected = Growing(np.uint32)
        for some in self._indices(rows):
            selected.extend(some)
        return type(self)(self.columns, selected.array())

    def __len__(self) -> int:
        return len(self.columns) if self.rows is None else len(self.rows)

    def _indices(self, rows: Iterable[int]) -> Iterator[Indices]:
        """Yield the indices in the columns of rows, some at a time."""
        return (some if self.rows is None else self.rows[some] for some in _chunks(rows))

    def mapped(self, function: Callable[[T], S]) -> View[S]:
        """Return a value of each row, made on access."""
        return _Column(len(self), lambda rows: map(function, self._values(rows)))

    def _texts(self, which: int) -> View[str]:
        column = self.columns.texts[which]
        return _Column(len(self), lambda rows: (text for some in self._indices(rows) for text in column.read(some)))

    def _read(self, rows: Iterable[int]) -> Iterator[tuple[Any, ...]]:
        """Yield the texts, the label, the line and the file of each row."""
        for some in self._indices(rows):
            yield from self.columns.read(some)


class Items(RowItems[Example]):
    """Texts with labels."""

    TEXTS = 1

    def append(self, text: str, label: str | None, line: int, file: str = "") -> None:
        """Add an example to the columns."""
        self.columns.append((text,), label, line, file)

    @property
    def texts(self) -> View[str]:
        """The text of each example."""
        return self._texts(0)

    @property
    def labels(self) -> View[str]:
        """The label of each example; empty without labels."""
        labelled = len(self) if self.columns.names else 0

        def values(rows: Sequence[int]) -> Iterator[str]:
            return (cast(str, label) for some in self._indices(rows) for label in self.columns.labels(some))

        return _Column(labelled, values)

    def _values(self, rows: Sequence[int]) -> Iterator[Example]:
        return (Example(*values) for values in self._read(rows))


class PairItems(RowItems[Pair]):
    """Sources with targets."""

    TEXTS = 2

    def append(self, source: str, target: str, line: int, file: str = "") -> None:
        """Add a pair to the columns."""
        self.columns.append((source, target), None, line, file)

    @property
    def sources(self) -> View[str]:
        """The source of each pair."""
        return self._texts(0)

    @property
    def targets(self) -> View[str]:
        """The target of each pair."""
        return self._texts(1)

    def _values(self, rows: Sequence[int]) -> Iterator[Pair]:
        return (Pair(source, target, line, file) for source, target, _, line, file in self._read(rows))


class _Column(View[T]):
    def __init__(self, length: int, values: Callable[[Sequence[int]], Iterator[T]]) -> None:
        self._length, self._make = length, values

    def __len__(self) -> int:
        return self._length

    def _values(self, rows: Sequence[int]) -> Iterator[T]:
        return self._make(rows)


class Columns:
    """The values of rows, each kind in an array: `texts` columns of text, a label, a line, a file.

    Args:
        texts: number of texts in a row.
    """

    def __init__(self, texts: int) -> None:
        self.texts = [_Texts() for _ in range(texts)]
        self.names: dict[str, int] = {}
        self._lines, self._classes = Growing(np.uint32), Growing(np.int32)
        self._more = _Texts()  # the labels beyond MOST_NAMES; row i of them is class −2 − i
        self._files: dict[int, str] = {}  # by the row from which on it is the file

    def __len__(self) -> int:
        return len(self._lines)

    def append(self, texts: Sequence[str], label: str | None, line: int, file: str) -> None:
        """Add a row."""
        if file and (not self._files or self._files[next(reversed(self._files))] != file):
            self._files[len(self)] = file
        for column, text in zip(self.texts, texts, strict=True):
            column.append(text)
        self._classes.append(-1 if label is None else self._class(label))
        self._lines.append(line)

    def _class(self, label: str) -> int:
        if (k := self.names.get(label)) is not None:
            return k
        if len(self.names) < MOST_NAMES:
            return self.names.setdefault(label, len(self.names))
        self._more.append(label)
        return -1 - len(self._more)

    def read(self, rows: Indices) -> Iterator[tuple[Any, ...]]:
        """Yield the texts, the label, the line and the file of each of a few rows."""
        texts = (column.read(rows) for column in self.texts)
        return zip(*texts, self.labels(rows), self._lines.array()[rows].tolist(), self._files_of(rows), strict=True)

    def labels(self, rows: Indices) -> Iterator[str | None]:
        """Yield the label of each of a few rows."""
        names, classes = [*self.names], self._classes.array()[rows]
        more = self._more.read(-2 - classes[classes < -1])
        return (names[k] if k >= 0 else None if k == -1 else next(more) for k in classes.tolist())

    def _files_of(self, rows: Indices) -> list[str]:
        if not self._files:
            return [""] * len(rows)
        names = [*self._files.values()]
        return [names[i] for i in np.searchsorted([*self._files], rows, side="right") - 1]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays that make up the columns, by name."""
        texts = {str(i): column for i, column in enumerate(self.texts)} | {"labels": self._more}
        of_texts = {f"{name}.{part}": values for name, each in texts.items() for part, values in each.arrays().items()}
        return {"lines": self._lines.array(), "classes": self._classes.array(), **of_texts}

    def facts(self) -> dict[str, Any]:
        """Return all else, as JSON values."""
        return {"texts": len(self.texts), "names": [*self.names], "files": [*self._files.items()]}

    @classmethod
    def of(cls, arrays: Arrays, facts: Mapping[str, Any]) -> Columns:
        """Return the columns that `arrays` and `facts` have described."""
        made = cls(0)
        made.names = {name: k for k, name in enumerate(facts["names"])}
        made._lines, made._classes = Growing.of(arrays["lines"]), Growing.of(arrays["classes"])
        made._files = dict(facts["files"])
        parts = [
            {part: arrays[f"{name}.{part}"] for part in _Texts.PARTS} for name in (*range(facts["texts"]), "labels")
        ]
        *made.texts, made._more = map(_Texts.of, parts)
        return made


class _Texts:
    """Texts one after the other, as UTF-8."""

    PARTS = ("ends", "bytes")

    def __init__(self) -> None:
        self._ends, self._bytes = Growing(np.int64), Growing(np.uint8)
        self._ends.append(0)  # the start of the first text

    def __len__(self) -> int:
        return len(self._ends) - 1

    def append(self, text: str) -> None:
        self._bytes.extend(text.encode())
        self._ends.append(len(self._bytes))

    def read(self, rows: Indices) -> Iterator[str]:
        """Yield the texts of a few rows."""
        ends, data = self._ends.array(), self._bytes.array()
        rows = rows.astype(np.int64)
        for start, end in zip(ends[rows].tolist(), ends[rows + 1].tolist(), strict=True):
            yield data[start:end].tobytes().decode()

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays that make up the texts, by name."""
        return dict(zip(self.PARTS, (self._ends.array(), self._bytes.array()), strict=True))

    @classmethod
    def of(cls, arrays: Arrays) -> Self:
        """Return the texts with the arrays that `arrays` has returned."""
        made = cls.__new__(cls)
        made._ends, made._bytes = (Growing.of(arrays[part]) for part in cls.PARTS)
        return made


def _chunks(rows: Iterable[int]) -> Iterator[Indices]:
    """Yield indices as arrays of a limited size."""
    if isinstance(rows, range):
        for start in range(0, len(rows), AT_ONCE):
            some = rows[start : start + AT_ONCE]
            yield np.arange(some.start, some.stop, some.step)
    elif isinstance(rows, np.ndarray):
        yield from (rows[start : start + AT_ONCE] for start in range(0, len(rows), AT_ONCE))
    else:
        each = iter(rows)
        while few := list(islice(each, AT_ONCE)):
            yield np.array(few, dtype=np.int64)
