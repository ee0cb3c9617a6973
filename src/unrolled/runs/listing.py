"""The runs in folders, for a list: finished, interrupted, damaged. Reads JSON files only, and imports no torch."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

from unrolled import atomic
from unrolled.config import Choice
from unrolled.errors import CheckpointError, ConfigError, of_system
from unrolled.runs.folder import NEEDED, PARTIAL_ENDING, describe
from unrolled.runs.schema import RecordedPlan, RecordedProgress
from unrolled.saved import valid

__all__ = ["HEADLINES", "Entry", "Headline", "entries", "entry_of", "is_listed", "read_plan", "sorted_entries"]

State = Literal["finished", "interrupted", "training", "damaged"]
DAY = re.compile(r"\d{4}-\d\d-\d\d")
CHECKPOINT = re.compile(r"update-(\d+)")


class Headline(NamedTuple):
    """The figure of a task by which its runs are compared.

    Args:
        name: its name in run.json.
        words: its name in tables.
        form: format of its numbers.
        best: 1 if larger is better, -1 if smaller is.
    """

    name: str
    words: str
    form: str = ".1%"
    best: int = 1

    def shown(self, result: Mapping[str, Any]) -> str:
        """Return the figure of a run's result in a few words: "accuracy 86.8% on 1,545 held-out examples"."""
        held_out = f" on {result['n']:,} held-out examples" if "n" in result else " on held-out text"
        return f"{self.words} {result[self.name]:{self.form}}{held_out}" if self.name in result else ""


HEADLINES = {
    "classify": Headline("accuracy", "accuracy"),
    "images": Headline("accuracy", "accuracy"),
    "multi_label": Headline("micro_f1", "micro-F1"),
    "regress": Headline("mae", "mean absolute error", ".4g", -1),
    "tag": Headline("accuracy", "accuracy"),
    "translate": Headline("bleu", "BLEU", ".1f"),
    "generate": Headline("bits_per_character", "bits a character", ".3f", -1),
}
"""By `Entry.kind`."""


@dataclass(frozen=True)
class Entry:
    """A run or a training in a list; a field that is not known is None.

    Args:
        path: path of the folder.
        state: finished, interrupted, training (by another process) or damaged.
        date: date of the end, or of the newest checkpoint.
        bytes: size of all its files, in bytes.
        task, model, data: names of the task, the architecture and the data.
        parameters: number of parameters.
        kind: the task, or of task classify also images, and multi_label for several labels a text.
        score, interval: figure of `HEADLINES` on the test split, and its interval.
        update, updates: the newest checkpoint of a training, and the number of its updates.
        resume: the command that resumes an interrupted training.
        problem: the reason why a run is damaged.
    """

    path: str
    state: State
    date: str | None = None
    bytes: int | None = None
    task: str | None = None
    model: str | None = None
    data: str | None = None
    parameters: int | None = None
    score: float | None = None
    interval: tuple[float, float] | None = None
    update: int | None = None
    updates: int | None = None
    resume: str | None = None
    problem: str | None = None
    kind: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the entry as JSON values, with the name of its score."""
        return {**asdict(self), "score_name": self.headline.name if self.headline else None}

    @property
    def headline(self) -> Headline | None:
        """The figure that the score is; None where the kind of the run is not known."""
        return HEADLINES.get(self.kind or "")

    @property
    def merit(self) -> float:
        """The score, as a number that is larger for better runs."""
        return float("-inf") if self.score is None or self.headline is None else self.headline.best * self.score


def is_listed(folder: Path) -> bool:
    """Return whether a folder looks like a run, finished or not, whatever its state."""
    if folder.name.endswith(PARTIAL_ENDING):
        return (folder / "plan").is_dir() or (folder / "checkpoints").is_dir()
    return any((folder / name).is_file() for name in NEEDED)


def entries(folder: Path) -> Iterator[Entry]:
    """Yield the runs in a folder; other folders and files in it are passed over.

    Raises:
        OSError: the folder cannot be read.
    """
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.name.startswith("."):
            try:
                if is_listed(path):
                    yield entry_of(path)
            except OSError as error:
                yield _damaged(path, error)


def entry_of(folder: Path) -> Entry:
    """Return the entry of a run or a training."""
    try:
        return _training(folder) if folder.name.endswith(PARTIAL_ENDING) else _finished(folder)
    except (CheckpointError, ConfigError, OSError) as error:
        return _damaged(folder, error)


def sorted_entries(found: Sequence[Entry], by: Literal["date", "score"]) -> list[Entry]:
    """Return entries in order: the newest last, or task by task with the best first."""
    if by == "date":
        return sorted(found, key=lambda entry: (entry.date or "", entry.path))
    return sorted(found, key=lambda entry: (entry.kind is None, entry.kind or "", -entry.merit, entry.path))


def _finished(folder: Path) -> Entry:
    manifest, config, record = describe(folder)
    kind = Choice.of(config).task
    headline, result = HEADLINES.get(kind), record["result"] or {}
    score, interval = (result.get(f"{headline.name}{end}") for end in ("", "_interval")) if headline else (None, None)
    return Entry(
        str(folder),
        "finished",
        _date(folder / "run.json", record["date"]),
        _bytes(folder),
        manifest.task,
        manifest.model.name,
        record["data"]["name"],
        record["parameters"],
        score if isinstance(score, (int, float)) else None,
        _interval(interval),
        kind=kind,
    )


def _training(folder: Path) -> Entry:
    plan, newest = read_plan(folder), _newest(folder)
    update, updates = (0, None) if newest is None else _progress(newest)
    with atomic.lock(folder) as free:
        state: State = "interrupted" if free else "training"
    run = folder.with_name(folder.name.removesuffix(PARTIAL_ENDING))
    return Entry(
        str(folder),
        state,
        _date(folder / "plan" / "plan.json" if newest is None else newest / "progress.json"),
        _bytes(folder),
        plan.config.task,
        plan.config.model.name,
        plan.data.name,
        update=update,
        updates=updates,
        resume=f"unrolled train --resume {shlex.quote(str(run))}" if free else None,
        kind=Choice.of(plan.config).task,
    )


def read_plan(folder: Path) -> RecordedPlan:
    """Return settings and data of a training.

    Raises:
        CheckpointError: plan.json is missing or damaged.
    """
    path = folder / "plan" / "plan.json"
    with atomic.read_errors(path):
        return valid(RecordedPlan, path, path.read_bytes())


def _newest(folder: Path) -> Path | None:
    """Return the folder of the newest checkpoint; None if there is none."""
    parent = folder / "checkpoints"
    found = [path for path in parent.iterdir() if CHECKPOINT.fullmatch(path.name)] if parent.is_dir() else []
    return max(found, key=lambda path: int(path.name.removeprefix("update-")[:18]), default=None)


def _progress(checkpoint: Path) -> tuple[int, int]:
    path = checkpoint / "progress.json"
    with atomic.read_errors(path):
        progress = valid(RecordedProgress, path, path.read_bytes()).progress
    return progress.update, progress.updates


def _damaged(folder: Path, error: Exception) -> Entry:
    problem = str(error) if isinstance(error, (CheckpointError, ConfigError)) else of_system(error) or str(error)
    return Entry(str(folder), "damaged", problem=problem)


def _date(path: Path, recorded: str = "") -> str:
    """Return the UTC time of the last change of a file, or the recorded day if that is another: the file is a copy."""
    changed = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    if DAY.fullmatch(recorded) and recorded != f"{changed:%Y-%m-%d}":
        return recorded
    return f"{changed:%Y-%m-%d %H:%M:%S}"


def _bytes(folder: Path) -> int:
    """Return the size of all files below a folder."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())


def _interval(value: object) -> tuple[float, float] | None:
    """Return an interval of a result; None if there is none."""
    match value:
        case [float() | int() as low, float() | int() as high]:
            return float(low), float(high)
    return None
