"""Reports on data that a training refuses: its messages, and the report on data of which nothing can be used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from unrolled.data.reading.counts import Counts, Read, Skipped
from unrolled.data.reading.faults import Faults
from unrolled.data.report.charts import Panel
from unrolled.data.report.issues import Issue, Report
from unrolled.data.report.tables import loads, skipped_rows
from unrolled.errors import ConfigError

__all__ = ["EmptyReport", "refusals"]


@dataclass(frozen=True, repr=False)
class EmptyReport(Report):
    """Report on data without a row that can be used: the counts, and the bad rows by reason."""

    source: str
    loaded: dict[str, Counts]  # by source
    skipped: tuple[tuple[str, Skipped], ...]  # (source, row), the first of each source and reason
    problem: str | None
    refusals: tuple[str, ...]
    issues: tuple[Issue, ...] = ()

    @classmethod
    def of(cls, reads: Mapping[str, Read], faults: Faults, error: ConfigError | None = None) -> EmptyReport:
        """Return the report on what was read.

        Args:
            reads: what was read, by source.
            faults: faults for which a training refuses it.
            error: the error that leaves nothing to report; None: no row can be used, because of the faults.

        Raises:
            DataError: not even a row was read.
        """
        if not any(read.counts.read for read in reads.values()):
            raise faults.found[0]
        source, counts = next(iter(reads)), {name: read.counts for name, read in reads.items()}
        problem, more = ("no row can be used", ()) if error is None else ("no token can be learned", (str(error),))
        return cls(source, counts, skipped_rows(reads), problem, (*refusals(faults), *more))

    def lines(self) -> Iterator[str]:
        """Yield the counts and the bad rows; see `Report`."""
        yield from loads(self.loaded, self.skipped, f"none, as {self.problem} for training")

    def panels(self) -> list[Panel]:
        """Return no panel."""
        return []


def refusals(faults: Faults) -> tuple[str, ...]:
    """Return the messages of the faults for which a training refuses data."""
    return tuple(map(str, faults.found))
