"""Arrays that are in memory while they are small, and memory-mapped from a temporary file beyond.

The pages of a mapped array are those of the file: the system reads them when they are used, and drops them when memory
is short. So the memory of a process does not grow with the number of rows. The files have no name, and are gone with
the arrays. Their folder is that of Python's `tempfile` (TMPDIR).
"""

from __future__ import annotations

import os
import tempfile
import weakref
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, BinaryIO, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from unrolled.data.reading.files import unwritable

__all__ = ["AT_ONCE", "Growing", "allocate", "blocks", "indices_among", "integer_for", "mapped"]

IN_MEMORY = 1 << 23  # bytes of an array; a larger one is in a temporary file
BLOCK = 1 << 18  # bytes written to it at a time
AT_ONCE = 1 << 20  # values that are worked on together
CODES = {"u1": "B", "u2": "H", "u4": "I", "i2": "h", "i4": "i", "i8": "q", "f4": "f", "f8": "d"}

Array = NDArray[Any]


class Growing:
    """A one-dimensional array that grows at its end.

    Args:
        kind: type of the values, see CODES.
    """

    def __init__(self, kind: DTypeLike) -> None:
        self.kind = np.dtype(kind)
        self._waiting = array(CODES[self.kind.str[1:]])  # the values that are not in the file
        self._file: BinaryIO | None = None
        self._written = 0  # values in the file
        self._whole: Array | None = None

    @classmethod
    def of(cls, values: Array) -> Self:
        """Return an array that is complete."""
        made = cls(values.dtype)
        made._whole, made._written = values, len(values)
        return made

    def __len__(self) -> int:
        return self._written + len(self._waiting)

    def append(self, value: float) -> None:
        """Add a value."""
        self._waiting.append(value)  # type: ignore[arg-type]
        if len(self._waiting) * self._waiting.itemsize >= (BLOCK if self._file else IN_MEMORY):
            self._write()

    def extend(self, values: Sequence[int] | bytes | Array) -> None:
        """Add values; bytes are those of the values."""
        if isinstance(values, np.ndarray):
            self._waiting.frombytes(values.astype(self.kind, copy=False).tobytes())
        elif isinstance(values, bytes):
            self._waiting.frombytes(values)
        else:
            self._waiting.extend(values)
        if len(self._waiting) * self._waiting.itemsize >= (BLOCK if self._file else IN_MEMORY):
            self._write()

    def array(self) -> Array:
        """Return all values, (N,). It is not to be changed."""
        if self._whole is None or len(self._whole) != len(self):
            assert self._file or not self._written, "the array is complete"
            if self._file is None:
                self._whole = np.array(self._waiting, dtype=self.kind)
            else:
                self._write()
                self._whole = mapped(self._file, self.kind, (len(self),))
        return self._whole

    def _write(self) -> None:
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile()  # noqa: SIM115 (it is open as long as the array exists)
                weakref.finalize(self, self._file.close)
            self._file.write(self._waiting)
            self._file.flush()
        except OSError as error:
            raise unwritable(error) from None
        self._written += len(self._waiting)
        del self._waiting[:]


def allocate(shape: Sequence[int], kind: DTypeLike) -> Array:
    """Return an array to be filled.

    Raises:
        DataError: there is no space for its temporary file.
    """
    size = int(np.prod(shape)) * np.dtype(kind).itemsize
    if size <= IN_MEMORY:
        return np.empty(shape, kind)
    with tempfile.TemporaryFile() as file:  # the mapping keeps it open
        try:
            os.posix_fallocate(file.fileno(), 0, size) if hasattr(os, "posix_fallocate") else file.truncate(size)
        except OSError as error:
            raise unwritable(error) from None
        return np.asarray(np.memmap(file, kind, "r+", shape=tuple(shape)))


def mapped(file: BinaryIO, kind: DTypeLike, shape: tuple[int, ...]) -> Array:
    """Return the content of an open file as an array; its pages are read when they are used.

    Args:
        file: the file, which the mapping keeps open.
        kind: type of the values.
        shape: shape of the array.
    """
    if 0 in shape:  # an empty file cannot be mapped
        return np.empty(shape, kind)
    return np.asarray(np.memmap(file, kind, "c", shape=shape))  # type: ignore[call-overload,unused-ignore]


def integer_for(count: int) -> np.dtype[Any]:
    """Return the smallest type of the integers below `count` that torch can index: uint8, int16 or int32."""
    kinds = (np.uint8, np.int16, np.int32)
    return np.dtype(next(kind for kind in kinds if np.iinfo(kind).max >= count - 1))


def blocks(length: int) -> Iterator[slice]:
    """Yield slices of AT_ONCE values that make up an array of some length."""
    return (slice(start, start + AT_ONCE) for start in range(0, length, AT_ONCE))


def indices_among(labels: Sequence[str], of: Iterable[str]) -> NDArray[Any]:
    """Return the index of each of N labels among K different ones, (N,), in the smallest type that holds K.

    Args:
        labels: the K labels.
        of: the N labels.
    """
    index, found = {label: k for k, label in enumerate(labels)}, Growing(integer_for(len(labels)))
    for label in of:
        found.append(index[label])
    return found.array()
