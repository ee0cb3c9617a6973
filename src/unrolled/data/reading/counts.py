"""Counts of the rows that were read: used, or skipped by reason. No row is lost silently."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, ClassVar, NamedTuple, Protocol, Self, TypeVar

from unrolled.data.reading.rows import BadRow
from unrolled.errors import DataError, excerpt

__all__ = ["LISTED", "Counts", "Read", "Skipped", "Table", "accounts", "sift", "skip"]

LISTED = 20  # skipped rows that are listed


class Skipped(NamedTuple):
    """One skipped row, to be listed."""

    line: int | None
    reason: str
    row: str
    unit: str = "line"

    def __str__(self) -> str:
        return f"{self.unit} {self.line}: {self.reason}: {self.row}"


@dataclass(frozen=True)
class Counts:
    """Numbers of rows: `read` = `used` + the sum of `skipped`.

    Args:
        read, used: numbers of rows.
        skipped: number of rows by reason.
        units: plural noun for the rows.
    """

    read: int
    used: int
    skipped: Mapping[str, int]
    units: str = "rows"

    def __post_init__(self) -> None:
        if self.read != self.used + sum(self.skipped.values()):
            raise AssertionError(f"rows were lost: {self}")

    def __str__(self) -> str:
        text = f"{self.read:,} {self.units} read = {self.used:,} used + {self.read - self.used:,} skipped"
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in self.skipped.items())
        return f"{text} ({reasons})" if reasons else text

    def without(self, bad: Mapping[str, int]) -> Counts:
        """Return the counts after some used rows are skipped; `bad` has their number by reason."""
        skipped = dict(Counter(self.skipped) + Counter(bad))
        return Counts(self.read, self.used - sum(bad.values()), skipped, self.units)


class Read(Protocol):
    """Examples that were read from a source, with their counts."""

    @property
    def source(self) -> str:
        """Name of the source."""

    @property
    def counts(self) -> Counts:
        """Numbers of rows that were read, used and skipped."""

    @property
    def skipped(self) -> Sequence[Skipped]:
        """The first skipped rows."""


class Table(Read, Protocol):
    """Examples that can be selected by index; a dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    def __len__(self) -> int: ...

    def select(self, rows: Iterable[int]) -> Self:
        """Return the examples with these indices, in this order."""


R = TypeVar("R")
ReadT = TypeVar("ReadT", bound=Read)
TableT = TypeVar("TableT", bound=Table)
T = TypeVar("T", bound=tuple[object, ...])


def accounts(loaded: Sequence[ReadT], splits: Mapping[str, ReadT]) -> dict[str, ReadT]:
    """Return everything that has counts to report, by name: each source, and each split that lost rows later.

    Args:
        loaded: the examples of each source. splits: the splits that were made of them, by name.
    """
    reports = {table.source: table for table in loaded}
    for name, split in splits.items():
        if split.counts.skipped and all(split is not table for table in loaded):
            reports[f"the {name} split of {split.source}"] = split
    return reports


def skip(table: TableT, bad: Mapping[int, str], listed: Callable[[int, str], Skipped]) -> TableT:
    """Return the examples without the bad ones, which are counted as skipped and listed.

    Args:
        table: all examples.
        bad: the reason for each bad example, by its index.
        listed: (index, reason) -> the entry for the list of skipped rows.
    """
    return replace(
        table.select(row for row in range(len(table)) if row not in bad),
        counts=table.counts.without(Counter(bad.values())),
        skipped=[*table.skipped, *(listed(row, reason) for row, reason in islice(bad.items(), LISTED))],
    )


def sift(
    rows: Iterable[R],
    parse: Callable[[R], T | BadRow],
    append: Callable[[T], object],
    *,
    stop: bool,
    source: str,
    units: str = "rows",
) -> tuple[Counts, Sequence[Skipped]]:
    """Parse all rows, append the examples, and return the counts and the first bad rows.

    Args:
        rows: of the source.
        parse: row -> example, or the bad row.
        append: stores an example.
        stop: whether the first bad row raises its error; otherwise bad rows are counted.
        source: name of the source in messages.
        units: plural noun for the rows.

    Raises:
        DataError: a bad row, or no row can be used.
    """
    used, skipped, listed = 0, Counter[str](), list[Skipped]()
    for row in rows:
        example = parse(row)
        if not isinstance(example, BadRow):
            append(example)
            used += 1
            continue
        reason, error = example
        if error and stop:
            raise error
        skipped[reason] += 1
        if error and len(listed) < LISTED:
            listed.append(Skipped(error.line, reason, excerpt(error.row or ""), error.unit))
    counts = Counts(used + skipped.total(), used, dict(skipped), units)
    if not used:
        problem = f"none of its {units} can be used: {counts}" if counts.read else f"there are no {units}"
        raise DataError(problem, file=source, fix="check that the right data and the right columns were named")
    return counts, listed
