"""Claiming the folder of a new run: refuse one that exists, find the next free name, hold it while it is written."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from unrolled import atomic
from unrolled.errors import CheckpointError, ConfigError
from unrolled.runs.folder import is_run, of_training

__all__ = ["held", "next_run", "refuse_existing", "refuse_resumable"]


def next_run(parent: Path, data: str, row: str) -> Path:
    """Return the first of `parent/<data>-<row>-1`, `-2`, … that nobody has, and claim it.

    Raises:
        CheckpointError: nothing can be written there.
    """
    stem = f"{re.sub(r'[^A-Za-z0-9_.]+', '-', data).strip('-.') or 'data'}-{row}"
    with atomic.write_errors(parent):
        parent.mkdir(parents=True, exist_ok=True)
    for n in itertools.count(1):
        run = parent / f"{stem}-{n}"
        if run.exists():
            continue
        try:
            of_training(run).mkdir()
        except FileExistsError:  # somebody was quicker
            continue
        except OSError as error:
            raise CheckpointError(f"{run} cannot be written: {error.strerror}; choose another folder") from None
        return run
    raise AssertionError("there is always a next number")


def refuse_existing(run: Path, *, overwrite: bool) -> None:
    """Refuse a folder that is there, unless it is a run (or empty) and may be overwritten, or that is being written.

    Raises:
        ConfigError: says what to do.
    """
    if of_training(run) == run:
        raise ConfigError(f"{run} has the name of a training under way: choose another --out")
    if run.exists():
        if not run.is_dir():
            raise ConfigError(f"{run} is a file: choose another --out")
        if not overwrite:
            raise ConfigError(f"{run} is there already: choose another --out, or --overwrite it")
        if any(run.iterdir()) and not is_run(run):
            raise ConfigError(f"{run} is not a run of unrolled, so it is not overwritten: choose another --out")
    folder = of_training(run)
    if folder.exists():
        with held(folder, run):
            refuse_resumable(folder, run, overwrite=overwrite)


@contextmanager
def held(folder: Path, run: Path) -> Iterator[None]:
    """Hold the folder of a training for this process.

    Raises:
        ConfigError: another process holds it.
    """
    with atomic.lock(folder) as ours:
        if not ours:
            raise ConfigError(f"another process is training {run} in {folder}: wait for it, or choose another --out")
        yield


def refuse_resumable(folder: Path, run: Path, *, overwrite: bool) -> None:
    """Refuse the folder of a training that can be resumed, unless it may be overwritten.

    Raises:
        ConfigError: it can be resumed, or is no training of ours.
    """
    strange = {path.name for path in folder.iterdir()} - {
        "plan",
        "checkpoints",
        "metrics.jsonl",
        "snapshots",
        "tensorboard",
    }
    if any(not name.startswith(".") for name in strange) and not is_run(folder):
        raise ConfigError(f"{folder} is in the way, and is no training of unrolled: choose another --out")
    if (folder / "plan").exists() and not overwrite:
        raise ConfigError(
            f"{folder} is a training that was interrupted: go on with `unrolled train --resume {run}`, "
            "choose another --out, or --overwrite it"
        )
