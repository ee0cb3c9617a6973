"""Base of examples that are read from rows: items with their source and counts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence, Sized
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Generic, Self, TypeVar

from unrolled.data.reading.addresses import PYTHON
from unrolled.data.reading.counts import Counts, Skipped
from unrolled.errors import DataError

__all__ = ["ExampleTable", "fingerprint_of"]

ItemsT = TypeVar("ItemsT", bound=Sized)


@dataclass(frozen=True)
class ExampleTable(Generic[ItemsT]):
    """N examples with their source and counts.

    Args:
        name: name for run folders: the file's stem, the sample's name, or "data".
        source: the path, an address like "sample:films", or "python objects".
        items: the examples.
        counts: numbers of rows that were read, used and skipped.
        skipped: the first skipped rows of each reason.
        unit: unit in which items are counted, see `Location.unit`.
    """

    UNITS: ClassVar[str] = "rows"
    """Plural noun for the items."""
    ITEMS: ClassVar[type[Any]]
    """Class of the items."""

    name: str
    source: str
    items: ItemsT
    counts: Counts
    skipped: Sequence[Skipped] = ()
    unit: str = "line"

    def __len__(self) -> int:
        return len(self.items)

    def with_items(self, items: Any) -> Self:
        """Return a table with other items of the same type; all count as read and used."""
        return replace(self, items=items, counts=Counts(len(items), len(items), {}, self.UNITS), skipped=())

    def error_at(self, line: int, row: str, problem: str, fix: str, *, file: str = "") -> DataError:
        """Return an error with the location of a line.

        Args:
            line: the line.
            row: its text.
            problem, fix: what is wrong, and what to do.
            file: the file, if the source has several.
        """
        named = file or (None if self.source == PYTHON else self.source)
        return DataError(problem, file=named, line=line, unit=self.unit, row=row, fix=fix)


def fingerprint_of(values: Iterable[str | None]) -> str:
    """Return the SHA-256 of texts in order; each length precedes its text, so that no two lists collide."""
    digest = hashlib.sha256()
    for value in values:
        data = b"" if value is None else value.encode()
        digest.update(b"%d:" % (-1 if value is None else len(data)) + data)
    return digest.hexdigest()
