"""What is said of data before anything is trained on them: a report, with issues, and a picture.

Every task has a report of its own (`Task.inspect`). What they share stands here: how they are printed, and what a
issue is, a thing in the data that a training would suffer from in silence.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unrolled.data.reading.counts import Counts, Skipped
from unrolled.data.report.charts import Panel, draw

__all__ = ["SHOWN", "Issue", "IssueExample", "Report", "loads", "spread", "table"]

SHOWN = 3
"""How many rows a issue shows."""


@dataclass(frozen=True)
class IssueExample:
    """A row that shows a issue."""

    where: str  # "reviews.csv, line 3"
    row: str  # what stands there, safe for one line


@dataclass(frozen=True)
class Issue:
    """Something in the data that a training would suffer from in silence."""

    kind: str  # for programs: "conflicting labels"
    count: int  # of rows, labels or whatever the sentence counts
    sentence: str
    witnesses: tuple[IssueExample, ...]  # the first of them
    advice: str

    def lines(self) -> Iterator[str]:
        """Yield the issue as lines to print."""
        yield f"  {self.kind}: {self.sentence}"
        yield from (f"    {issue_example.where}: {issue_example.row}" for issue_example in self.witnesses)
        yield f"    do: {self.advice}"


class Report(ABC):
    """What is understood of data. A dataclass of JSON values; `problem` says why the rest is empty, if it is."""

    problem: str | None
    issues: tuple[Issue, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        values: dict[str, Any] = asdict(self)  # type: ignore[call-overload]
        return values

    def text(self) -> str:
        """Return the report as lines to print."""
        return "\n".join([*self.lines(), *(() if self.problem else self._issues())])

    def picture(self) -> str:
        """Return a picture of the data as SVG: the same report gives the same bytes."""
        return draw(self.panels())

    @abstractmethod
    def lines(self) -> Iterator[str]:
        """Yield the report as lines to print, all but the issues."""

    @abstractmethod
    def panels(self) -> list[Panel]:
        """Return what the picture shows; nothing where there is a problem."""

    def _issues(self) -> Iterator[str]:
        yield ""
        yield "issues:" if self.issues else "issues: none"
        for issue in self.issues:
            yield from issue.lines()


def spread(lengths: NDArray[np.integer[Any]]) -> dict[str, float]:
    """Return what a report says of the lengths (N,) of a part's rows."""
    return {
        "min": int(lengths.min()),
        "median": float(np.median(lengths)),
        "mean": float(lengths.mean()),
        "95 %": float(np.percentile(lengths, 95)),
        "max": int(lengths.max()),
    }


def table(rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield rows of cells as lines: what it is, then a column a part."""
    for cells in rows:
        yield f"{cells[0]:<34}" + "".join(f"{cell:>12}" for cell in cells[1:])


def loads(loaded: Mapping[str, Counts], skipped: Iterable[tuple[str, Skipped]]) -> Iterator[str]:
    """Yield what became of all rows, and the first that were skipped, each with where it was."""
    for source, counts in loaded.items():
        yield f"{source}: {counts}"
    for source, row in skipped:
        yield f"  skipped: {source}, {row}"
