"""Base class of the data reports, and the issues that they list.

Each task has its own report (`Task.inspect`), with statistics, issues and a chart of a data set, made before training.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from unrolled.data.reading.addresses import PYTHON
from unrolled.data.report.charts import Panel, draw
from unrolled.display import Displayed

__all__ = ["SHOWN", "Issue", "IssueExample", "Report", "location"]

SHOWN = 3
"""Number of examples of an issue."""


@dataclass(frozen=True)
class IssueExample:
    """A row that is an example of an issue."""

    where: str  # "reviews.csv, line 3"
    row: str  # its text, safe for one line


@dataclass(frozen=True, repr=False)
class Issue(Displayed):
    """A property of the data that harms training without an error."""

    kind: str  # for programs: "conflicting labels"
    count: int  # of rows, labels or other units of the sentence
    sentence: str
    examples: tuple[IssueExample, ...]  # the first ones
    advice: str

    def line(self) -> str:
        """Return the issue as one line."""
        return f"{self.kind}: {self.sentence}; {self.advice}"

    def lines(self) -> Iterator[str]:
        """Yield the issue as lines to print."""
        yield f"  {self.kind}: {self.sentence}"
        yield from (f"    {example.where}: {example.row}" for example in self.examples)
        yield f"    do: {self.advice}"


class Report(Displayed, ABC):
    """Data report: a dataclass of JSON values.

    Attributes:
        problem: the reason why all other fields are empty, or None.
        issues: properties of the data that harm a training, with examples.
        refusals: the messages with which a training would refuse the data.
    """

    problem: str | None
    issues: tuple[Issue, ...]
    refusals: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        values: dict[str, Any] = asdict(self)  # type: ignore[call-overload]
        return values

    def text(self) -> str:
        """Return the report as text to print."""
        return "\n".join([*self.lines(), *(() if self.problem else self._issues()), *self._refusals()])

    def _display(self) -> dict[str, object]:
        """Return the figures, without the histograms that `picture` draws."""
        return {name: value for name, value in super()._display().items() if name != "lengths"}

    def picture(self) -> str:
        """Return a chart of the data as SVG; equal reports give equal bytes."""
        return draw(self.panels())

    @abstractmethod
    def lines(self) -> Iterator[str]:
        """Yield the report as lines to print, without the issues."""

    @abstractmethod
    def panels(self) -> list[Panel]:
        """Return the panels of the chart; empty if there is a problem."""

    def _issues(self) -> Iterator[str]:
        yield ""
        yield "issues:" if self.issues else "issues: none"
        for issue in self.issues:
            yield from issue.lines()

    def _refusals(self) -> Iterator[str]:
        if self.refusals:
            yield ""
            yield "a training refuses these data:"
        for refusal in self.refusals:
            yield from (f"  {line}" for line in refusal.split("\n"))


def location(source: str, unit: str, line: int) -> str:
    """Return the location of a row in words; Python objects have no source."""
    return f"{unit} {line}" if source == PYTHON else f"{source}, {unit} {line}"
