"""What can go wrong, as exceptions. A message says what was wrong, what was got and what to do.

UnrolledError
├── ConfigError       a setting: unknown key, value out of range, a row or task that is not built
├── DataError         a datum: carries file, physical line and column where they are known
├── ShapeError        a tensor argument of the wrong shape or dtype
├── CheckpointError   a run folder, or a trace: missing, truncated, foreign, too new
├── BackendError      a forced backend that cannot run here
├── TrainingError     training cannot go on: a loss or gradient that is not finite
├── TraceError        a tensor that a trace does not have
├── Interrupted       training was told to stop, and has saved all that is needed to go on
└── LawError          a part that breaks one of the six laws
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
    """Anything this package refuses. The command line prints it as one sentence and exits with 2."""


class ConfigError(UnrolledError, ValueError):
    """A setting that is unknown, out of range, or asks for what is not built."""


class DataError(UnrolledError, ValueError):
    """Data that cannot be read as asked.

    `file` and `line` (physical, from 1) and `column` (from 1) say where, as far as known; where a file has no lines,
    `unit` says what `line` counts. `row` is the offending text, shown escaped and cut at 80 characters; `fix` is what
    to do about it.
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
        where = [part for part in (self.file, None if self.line is None else f"{self.unit} {self.line}") if part]
        if self.column:
            where.append(f"column {self.column}" + (f' ("{self.column_name}")' if self.column_name else ""))
        text = f"{', '.join(where)}: {self.problem}" if where else self.problem
        if self.row is not None:
            text += f"\n  row:  {excerpt(self.row)}"
        if self.fix:
            text += f"\n  fix:  {self.fix}"
        return text


class ShapeError(UnrolledError, ValueError):
    """A tensor argument whose shape or dtype does not fit; the message names the argument."""


class CheckpointError(UnrolledError, ValueError):
    """A run folder that cannot be loaded: missing, truncated, foreign or of a newer format."""


class BackendError(UnrolledError, RuntimeError):
    """A backend that was forced and cannot run; the message names the condition that does not hold."""


class TrainingError(UnrolledError, RuntimeError):
    """Training that cannot go on; the message names the update and the parameter."""


class TraceError(UnrolledError, KeyError):
    """A tensor that a trace does not have; the message names the nearest, or the rows that have it."""

    __str__ = Exception.__str__  # KeyError would show the message in quotes


class Interrupted(UnrolledError):  # noqa: N818 (it is none)
    """Training that a signal has ended, with all saved; the message says how to go on.

    `signal` is its number, `folder` where the training stands. The command line exits with 128 + signal.
    """

    def __init__(self, message: str, *, signal: int, folder: Path) -> None:
        self.signal, self.folder = signal, folder
        super().__init__(message)


class LawError(UnrolledError, AssertionError):
    """A part that breaks one of the six laws; the message names the law, the tensor and the difference."""


def printable(text: str) -> str:
    """Make `text` safe for one line: line ends, control characters and halves of characters are escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def excerpt(text: str, most: int = 80) -> str:
    """Make `text` safe for one line, cut at `most` characters."""
    shown = printable(text[: most + 1])
    return shown if len(shown) <= most else shown[: most - 1] + "…"


def nearest(word: str, known: Iterable[str]) -> str:
    """Return " (did you mean "…"?)" for the known word nearest to `word`, or "" where none is near."""
    found = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f' (did you mean "{found[0]}"?)' if found else ""
