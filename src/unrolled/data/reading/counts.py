"""Counts of the rows that were read: used, or skipped by reason. No row is lost silently."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, NamedTuple, Protocol, Self, TypeVar

from unrolled.data.reading.faults import RAISED, Faults
from unrolled.data.reading.rows import BadRow
from unrolled.errors import DataError, excerpt

__all__ = ["LISTED", "Counts", "Read", "Skipped", "SkippedRows", "Table", "accounts", "sift", "skip"]

LISTED = 5  # skipped rows that are listed, for each reason


class Skipped(NamedTuple):
    """One skipped row, to be listed; with its file, if its source has several."""

    line: int | None
    reason: str
    row: str
    unit: str = "line"
    file: str = ""

    @property
    def position(self) -> str:
        """The file, and the line in it."""
        return ", ".join(filter(None, (self.file, f"{self.unit} {self.line}")))

    def __str__(self) -> str:
        return f"{self.position}: {self.reason}: {self.row}"


class SkippedRows:
    """Numbers of skipped rows by reason, and the first rows of each."""

    def __init__(self) -> None:
        self.counts = Counter[str]()
        self.listed: list[Skipped] = []

    def add(self, reason: str, listed: Callable[[], Skipped] | None) -> None:
        """Count a row; `listed` makes its entry for the list, None for one that is not listed."""
        self.counts[reason] += 1
        if listed is not None and self.counts[reason] <= LISTED:
            self.listed.append(listed())


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
        loaded: the examples of each source.
        splits: the splits that were made of them, by name.
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
    rows = SkippedRows()
    for row, reason in bad.items():
        rows.add(reason, partial(listed, row, reason))
    return replace(
        table.select(row for row in range(len(table)) if row not in bad),
        counts=table.counts.without(rows.counts),
        skipped=[*table.skipped, *rows.listed],
    )


def sift(
    rows: Iterable[R],
    parse: Callable[[R], T | BadRow],
    append: Callable[[T], object],
    *,
    stop: bool,
    source: str,
    units: str = "rows",
    faults: Faults = RAISED,
) -> tuple[Counts, Sequence[Skipped]]:
    """Parse all rows, append the examples, and return the counts and the first bad rows of each reason.

    Args:
        rows: rows of the source.
        parse: row -> example, or the bad row.
        append: stores an example.
        stop: whether the first bad row is a fault; otherwise bad rows are only counted.
        source: name of the source in messages.
        units: plural noun for the rows.
        faults: the collector, which raises a fault or keeps it for a report; while it keeps them, bad rows are counted,
            too.

    Raises:
        DataError: a bad row, or no row can be used.
    """
    used, skipped, earlier = 0, SkippedRows(), len(faults.found)
    for row in faults.until_fault(rows):
        example = parse(row)
        if not isinstance(example, BadRow):
            append(example)
            used += 1
            continue
        reason, error = example
        if error and stop and not skipped.listed:
            faults.add(error)
        skipped.add(reason, partial(_listed, reason, error, source) if error else None)
    counts = Counts(used + skipped.counts.total(), used, dict(skipped.counts), units)
    if not used and len(faults.found) == earlier:
        problem = f"none of its {units} can be used: {counts}" if counts.read else f"there are no {units}"
        fix = "check that the right data and the right columns were named"
        faults.add(DataError(problem, file=source, fix=fix))
    return counts, skipped.listed


def _listed(reason: str, error: DataError, source: str) -> Skipped:
    file = error.file if error.file and error.file != source else ""
    return Skipped(error.line, reason, excerpt(error.row or ""), error.unit, file)
