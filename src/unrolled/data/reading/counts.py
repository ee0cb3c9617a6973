"""What became of every row that was read: used, or skipped and why. Nothing is lost in silence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar

from unrolled.data.reading.rows import BadRow
from unrolled.errors import DataError, excerpt

__all__ = ["LISTED", "Counts", "Read", "Skipped", "accounts", "sift"]

LISTED = 20  # skipped rows that are kept for listing


class Skipped(NamedTuple):
    """A row that was not used, for listing."""

    line: int | None
    reason: str
    row: str
    unit: str = "line"

    def __str__(self) -> str:
        return f"{self.unit} {self.line}: {self.reason}: {self.row}"


@dataclass(frozen=True)
class Counts:
    """What became of every row: `read` = `used` + what was skipped, by reason."""

    read: int
    used: int
    skipped: Mapping[str, int]
    what: str = "rows"

    def __post_init__(self) -> None:
        if self.read != self.used + sum(self.skipped.values()):
            raise AssertionError(f"rows were lost: {self}")

    def __str__(self) -> str:
        text = f"{self.read:,} {self.what} read = {self.used:,} used + {self.read - self.used:,} skipped"
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in self.skipped.items())
        return f"{text} ({reasons})" if reasons else text

    def without(self, bad: Mapping[str, int]) -> Counts:
        """Return the counts when rows that were used are skipped after all; `bad` has their number by reason."""
        skipped = dict(Counter(self.skipped) + Counter(bad))
        return Counts(self.read, self.used - sum(bad.values()), skipped, self.what)


class Read(Protocol):
    """What was read, or a part of it."""

    @property
    def source(self) -> str:
        """Where."""

    @property
    def counts(self) -> Counts:
        """How many rows were read and used."""

    @property
    def skipped(self) -> Sequence[Skipped]:
        """The first that were not."""


R = TypeVar("R")
ReadT = TypeVar("ReadT", bound=Read)
T = TypeVar("T", bound=tuple[object, ...])


def accounts(loaded: Sequence[ReadT], parts: Mapping[str, ReadT]) -> dict[str, ReadT]:
    """Return by name all that says what became of rows: what was read, file by file, and parts that lost some later.

    Args:
        loaded: what was read. parts: what a split made of it, by name.
    """
    found = {one.source: one for one in loaded}
    for name, part in parts.items():
        if part.counts.skipped and all(part is not one for one in loaded):
            found[f"the {name} split of {part.source}"] = part
    return found


def sift(
    rows: Iterable[R],
    make: Callable[[R], T | BadRow],
    keep: Callable[[T], object],
    *,
    stop: bool,
    source: str,
    what: str = "rows",
) -> tuple[Counts, Sequence[Skipped]]:
    """Make something of every row and keep it, or count why not; return the counts and the first that were bad.

    Args:
        rows: as they come. make: what a row is to become, or what is wrong with it. keep: takes it.
        stop: whether a bad row is raised. source: for messages. what: rows are called.

    Raises:
        DataError: a bad row, or nothing is left to use.
    """
    used, skipped, listed = 0, Counter[str](), list[Skipped]()
    for row in rows:
        made = make(row)
        if not isinstance(made, BadRow):
            keep(made)
            used += 1
            continue
        if made.error and stop:
            raise made.error
        skipped[made.reason] += 1
        if made.error and len(listed) < LISTED:
            listed.append(Skipped(made.error.line, made.reason, excerpt(made.error.row or ""), made.error.unit))
    counts = Counts(used + skipped.total(), used, dict(skipped), what)
    if not used:
        problem = f"none of its {what} can be used: {counts}" if counts.read else f"there are no {what}"
        raise DataError(problem, file=source, fix="check that the right data and the right columns were named")
    return counts, listed
