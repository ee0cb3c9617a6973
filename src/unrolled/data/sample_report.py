"""What is known of a sample whose task is not built yet: what `unrolled data sample:letters` prints until it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from unrolled import lineage
from unrolled.data.doctor import Finding, Report
from unrolled.data.picture import Bars, Panel
from unrolled.data.rows import Row
from unrolled.data.samples import PARTS, PREFIX, named, read_sample
from unrolled.errors import excerpt

__all__ = ["SampleReport", "inspect_sample"]

SHOWN = 5


@dataclass(frozen=True)
class SampleReport(Report):
    """A sample as it is, before a task reads it."""

    source: str
    what: str
    task: str
    licence: str
    columns: tuple[str, ...]
    parts: dict[str, int]  # rows of each
    examples: tuple[tuple[str, ...], ...]
    problem: str | None = None
    findings: tuple[Finding, ...] = ()

    def lines(self) -> Iterator[str]:
        """Yield what it is, its parts, its first rows; see `Report`."""
        return _lines(self)

    def panels(self) -> list[Panel]:
        """Return the rows of each part; see `Report`."""
        return [Bars(f"{self.source}: rows of each part", {part: {part: rows} for part, rows in self.parts.items()})]


def inspect_sample(data: object) -> SampleReport | None:
    """Say what a sample is, if `data` names one whose task is not built yet; None for all else.

    Raises:
        DataError: there is no such sample or part.
    """
    if not isinstance(data, str) or not data.startswith(PREFIX):
        return None
    sample, _ = named(data)
    if any(task.name == sample.task and task.kind for task in lineage.TASKS):
        return None
    rows = [row.values for row in read_sample(data, sample.columns) if isinstance(row, Row)]
    found = Counter(part for *_, part in rows)
    return SampleReport(
        data,
        sample.what,
        sample.task,
        sample.licence,
        sample.columns,
        {part: found[part] for part in PARTS if part in found},
        tuple(tuple(values) for *values, _ in rows[:SHOWN]),
    )


def _lines(report: SampleReport) -> Iterator[str]:
    yield f"{report.source}: {report.what}"
    yield f"for the task {report.task}, which is not built yet: it can be looked at, not trained on"
    yield "parts: " + ", ".join(f"{part} {rows:,}" for part, rows in report.parts.items())
    yield "columns: " + ", ".join(f'"{name}"' for name in report.columns)
    yield f"licence: {report.licence}"
    yield "the first rows:"
    for values in report.examples:
        yield "  " + " | ".join(excerpt(value) for value in values)
