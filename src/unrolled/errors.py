"""Exceptions of the package. A message names the problem, the value that was got, and the remedy.

UnrolledError
├── ConfigError       a setting: unknown key, value out of range, unknown model or task
├── DataError         bad data: carries file, physical line and column where they are known
├── ShapeError        a tensor argument of the wrong shape or dtype
├── CheckpointError   a run folder or a trace: missing, truncated, foreign, too new
├── BackendError      a forced backend that cannot run here
├── TrainingError     training that cannot continue: a loss or gradient that is not finite
├── TraceError        a tensor that a trace does not have
├── Interrupted       training stopped by a signal, with a checkpoint to resume from
└── LawError          a module that breaks one of the six laws
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path

__all__ = [
    "BackendError",
    "CheckpointError",
    "ConfigError",
    "DataError",
    "Interrupted",
    "LawError",
    "ShapeError",
    "TraceError",
    "TrainingError",
    "UnrolledError",
    "excerpt",
    "nearest",
    "printable",
]


class UnrolledError(Exception):
    """Base class of all errors of this package. The command line prints the message and exits with 2."""


class ConfigError(UnrolledError, ValueError):
    """A setting that is unknown, out of range, or not supported by the model or task."""


class DataError(UnrolledError, ValueError):
    """Data that cannot be read.

    Args:
        problem: one sentence.
        file, line, column: the location, as far as known; lines (physical) and columns count from 1.
        unit: the unit that `line` counts, for a file without lines.
        column_name: its name in the header.
        row: the offending text; the message shows it escaped and shortened to 80 characters.
        fix: the remedy.
    """

    def __init__(
        self,
        problem: str,
        *,
        file: str | None = None,
        line: int | None = None,
        unit: str = "line",
        column: int | None = None,
        column_name: str | None = None,
        row: str | None = None,
        fix: str | None = None,
    ) -> None:
        self.problem, self.file, self.line, self.unit, self.column = problem, file, line, unit, column
        self.column_name, self.row, self.fix = column_name, row, fix
        super().__init__(str(self))

    def __str__(self) -> str:
        line = None if self.line is None else f"{self.unit} {self.line}"
        where = [name for name in (self.file, line) if name]
        if self.column:
            where.append(f"column {self.column}" + (f' ("{self.column_name}")' if self.column_name else ""))
        text = f"{', '.join(where)}: {self.problem}" if where else self.problem
        if self.row is not None:
            text += f"\n  row:  {excerpt(self.row)}"
        if self.fix:
            text += f"\n  fix:  {self.fix}"
        return text


class ShapeError(UnrolledError, ValueError):
    """A tensor argument of the wrong shape or dtype; the message names the argument."""


class CheckpointError(UnrolledError, ValueError):
    """A run folder that cannot be loaded: missing, truncated, foreign or of a newer format."""


class BackendError(UnrolledError, RuntimeError):
    """A forced backend that cannot run here; the message names the unmet condition."""


class TrainingError(UnrolledError, RuntimeError):
    """Training that cannot continue; the message names the update and the parameter."""


class TraceError(UnrolledError, KeyError):
    """A tensor that a trace does not have; the message names the nearest, or the models that have it."""

    __str__ = Exception.__str__  # KeyError would show the message in quotes


class Interrupted(UnrolledError):  # noqa: N818 (it is not an error)
    """Training stopped by a signal, with a checkpoint saved; the message says how to resume.

    Args:
        message: how to resume.
        signal: its number; the command line exits with 128 + signal.
        folder: the folder of the partial run.
    """

    def __init__(self, message: str, *, signal: int, folder: Path) -> None:
        self.signal, self.folder = signal, folder
        super().__init__(message)


class LawError(UnrolledError, AssertionError):
    """A module that breaks one of the six laws; the message names the law, the tensor and the difference."""


def printable(text: str) -> str:
    """Return `text` safe for one line: line ends, control characters and unpaired surrogates are escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def excerpt(text: str, most: int = 80) -> str:
    """Return `text` safe for one line, shortened to `most` characters."""
    shown = printable(text[: most + 1])
    return shown if len(shown) <= most else shown[: most - 1] + "…"


def nearest(word: str, known: Iterable[str]) -> str:
    """Return " (did you mean "…"?)" for the known word nearest to `word`, or "" if none is near."""
    matches = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f' (did you mean "{matches[0]}"?)' if matches else ""
