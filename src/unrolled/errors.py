"""Exceptions of the package. A message names the problem, the value that was got, and the remedy.

UnrolledError
├── ConfigError       a setting: unknown key, value out of range, unknown model or task
├── DataError         bad data: carries file, physical line and column where they are known
├── ShapeError        a tensor argument of the wrong shape or dtype
├── CheckpointError   a run folder or a trace: missing, truncated, foreign, too new
├── BackendError      a forced backend that cannot run here
├── TrainingError     training that cannot continue: a loss or gradient that is not finite
│   └── ProcessError  another process of the training has ended
├── ExportError       a model that cannot be written in the format of another library
├── TraceError        a tensor that a trace does not have
├── WorkerError       a process of many that was killed or cannot work
├── Interrupted       work stopped by a signal, saved to be resumed
└── LawError          a module that breaks one of the six laws
"""

from __future__ import annotations

import difflib
import errno
import os
from collections.abc import Iterable
from pathlib import Path

__all__ = [
    "BackendError",
    "CheckpointError",
    "ConfigError",
    "DataError",
    "ExportError",
    "Interrupted",
    "LawError",
    "ProcessError",
    "ShapeError",
    "TraceError",
    "TrainingError",
    "UnrolledError",
    "WorkerError",
    "excerpt",
    "nearest",
    "of_system",
    "printable",
    "reason",
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


class ProcessError(TrainingError):
    """Another process of a training has ended, or cannot be reached."""


class ExportError(UnrolledError, ValueError):
    """A model that cannot be written in the format of another library; the message names the layer and another way."""


class TraceError(UnrolledError, KeyError):
    """A tensor that a trace does not have; the message names the nearest, or the models that have it."""

    __str__ = Exception.__str__  # KeyError would show the message in quotes


class WorkerError(UnrolledError, RuntimeError):
    """A process of several that was killed or cannot work; the message names its part of the work."""


class Interrupted(UnrolledError):  # noqa: N818 (it is not an error)
    """Work stopped by a signal, with everything saved that it needs to go on; the message says how to resume.

    Args:
        message: how to resume.
        signal: its number; the command line exits with 128 + signal.
        folder: the folder in which it is saved.
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


REMEDIES = {
    **dict.fromkeys((errno.EACCES, errno.EPERM), "check its permissions"),
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "free some space, or choose another folder"),
    **dict.fromkeys((errno.ENOENT, errno.ENOTDIR, errno.EISDIR), "check the path"),
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), "allow more open files (ulimit -n)"),
    errno.EROFS: "choose a folder that can be written",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ELOOP: "the link leads to itself; choose another path",
    errno.EIO: "check the disk",
    errno.ENOMEM: "free some memory",
}
MEMORY = ("can't allocate memory", "Cannot allocate memory", "out of memory", "failed to map segment")
"""Parts of the messages of torch and of the loader of libraries when memory is short."""


def reason(error: OSError, *notes: str) -> str:
    """Return the system's reason for an error, the notes and, where there is one, the remedy."""
    remedy = REMEDIES.get(error.errno or 0)
    return "; ".join([error.strerror or str(error), *notes, *([remedy] if remedy else [])])


def of_system(error: Exception) -> str | None:
    """Return a sentence for an error that the system has caused: a disk, rights, limits, memory; None for others."""
    text = str(error)
    if isinstance(error, MemoryError) or any(part in text for part in MEMORY):
        return (
            "there is not enough memory: free some, or use smaller sizes (--batch-tokens, --hidden-size, "
            f"--embedding-size, --vocabulary-size){f' ({excerpt(text, 200)})' if text else ''}"
        )
    if isinstance(error, OSError) and error.errno is not None:
        if error.filename is None:
            gone = error.errno == errno.ENOENT  # of os.getcwd()
            return (
                "the working folder was removed: change to another" if gone else f"the system failed: {reason(error)}"
            )
        return f"{_path(error.filename)}: {reason(error)}"
    if isinstance(error, RuntimeError) and text.startswith(("Symlink loop", "can't start new thread")):
        return f"the system failed: {printable(text)}"
    if isinstance(error, UnicodeEncodeError) and error.object[error.start] in _NOT_UTF8:
        return f'a name is not UTF-8: rename "{excerpt(error.object)}"'
    return None


_NOT_UTF8 = {chr(code) for code in range(0xDC80, 0xDD00)}  # bytes of a file's name that are not UTF-8, in Python


def _path(name: object) -> str:
    return printable(os.fsdecode(name) if isinstance(name, bytes | os.PathLike) else str(name))
