"""The folder of a new run: refuse an existing one, find the next free name, lock it while it is written."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from unrolled import atomic
from unrolled.errors import CheckpointError, ConfigError, reason
from unrolled.runs import leftovers
from unrolled.runs.folder import is_run, of_training

__all__ = ["locked", "next_folder", "next_run", "refuse_existing", "refuse_nothing", "refuse_place", "refuse_resumable"]

PARTIAL = {"plan", "checkpoints", "metrics.jsonl", "snapshots", "tensorboard", "launch"}  # in the folder of a training
LONGEST_NAME = 100  # characters of the data's name in that of a run


def next_run(parent: Path, data: str, model: str) -> Path:
    """Return the first free one of `parent/<data>-<model>-1`, `-2`, … and make the folder of its training.

    Args:
        parent: the folder of runs.
        data, model: the names of the data and the model.

    Raises:
        CheckpointError: nothing can be written there.
    """
    stem = _stem(data, model)
    try:
        parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(parent, error) from None
    for n in itertools.count(1):
        run = parent / f"{stem}-{n}"
        if run.exists():
            continue
        try:
            of_training(run).mkdir()
        except FileExistsError:  # of another process
            continue
        except OSError as error:
            raise _unwritable(run, error) from None
        return run
    raise AssertionError("unreachable: itertools.count does not end")


def next_folder(parent: Path, data: str, kind: str) -> Path:
    """Make the first free one of `parent/<data>-<kind>-1`, `-2`, …, for a folder that is no run, and return it.

    Args:
        parent: the folder of runs.
        data: the name of the data.
        kind: what the folder is, such as "compare".

    Raises:
        CheckpointError: nothing can be written there.
    """
    for n in itertools.count(1):
        folder = parent / f"{_stem(data, kind)}-{n}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise _unwritable(folder, error) from None
        return folder
    raise AssertionError("unreachable: itertools.count does not end")


def _stem(data: str, kind: str) -> str:
    return f"{re.sub(r'[^A-Za-z0-9_.]+', '-', data)[:LONGEST_NAME].strip('-.') or 'data'}-{kind}"


def _unwritable(folder: Path, error: OSError) -> CheckpointError:
    return CheckpointError(f"{folder.absolute()} cannot be written: {reason(error)}; name another folder with --out")


def refuse_existing(run: Path, *, overwrite: bool) -> None:
    """Refuse the folder of a new run if it exists, unless it is a run (or empty) and may be overwritten.

    The folder of its training is refused too, if it can be resumed or another process is writing it.

    Raises:
        ConfigError: the folder is refused; says what to do.
    """
    if of_training(run) == run:
        raise ConfigError(f"{run} has the ending of partial runs: choose another --out")
    with atomic.write_errors(run):
        refuse_place(run)
        leftovers.recover(run)
        if (run / atomic.SUMS).is_file():
            leftovers.clean(run)
        exists = run.exists()
    if exists:
        if not run.is_dir():
            raise ConfigError(f"{run} is a file: choose another --out")
        if not overwrite:
            raise ConfigError(f"{run} exists already: choose another --out, or --overwrite it")
        if (old := atomic.old_of(run)).exists():
            raise ConfigError(f"{old} is in the way of --overwrite: move it, or choose another --out")
        if any(run.iterdir()) and not is_run(run):
            raise ConfigError(f"{run} is not a run of unrolled, so it is not overwritten: choose another --out")
    folder = of_training(run)
    if folder.exists():
        with locked(folder, run):
            refuse_resumable(folder, run, overwrite=overwrite)


def refuse_nothing(run: Path) -> Path:
    """Return the folder of a training that is to be resumed, after refusing one that does not exist.

    Args:
        run: the folder of the finished run, or that of its training.

    Raises:
        ConfigError: there is no such training.
    """
    folder = of_training(run)
    if not folder.is_dir():
        finished = folder.with_name(folder.name.removesuffix(".partial"))
        if is_run(finished):
            raise ConfigError(
                f"{finished} is finished: there is nothing to resume. To continue from its weights: --from {finished}"
            )
        raise ConfigError(f"there is no training to resume: {folder} does not exist")
    return folder


def refuse_place(run: Path) -> None:
    """Refuse a folder that could not be renamed at the end of the training.

    Raises:
        ConfigError: it is a link that leads nowhere, holds the working folder, or is the root of a file system.
    """
    if run.is_symlink() and not run.exists():
        raise ConfigError(f"{run} is a link to itself, or to nothing: choose another --out")
    if Path.cwd().is_relative_to(run.resolve()):
        raise ConfigError(f"{run} is the working folder, or holds it: choose another --out")
    if run.is_mount():
        raise ConfigError(f"{run} is the root of a file system: choose a folder in it as --out")


@contextmanager
def locked(folder: Path, run: Path) -> Iterator[None]:
    """Lock the folder of a training for this process.

    Args:
        folder: folder of the training.
        run: folder of the finished run, for the message.

    Raises:
        ConfigError: another process has locked it.
    """
    with atomic.lock(folder) as ours:
        if not ours:
            raise ConfigError(f"another process is training {run} in {folder}: wait for it, or choose another --out")
        yield


def refuse_resumable(folder: Path, run: Path, *, overwrite: bool) -> None:
    """Refuse the folder of a training that can be resumed, unless it may be overwritten.

    Args:
        folder: folder of the training.
        run: folder of the finished run.
        overwrite: whether it may be overwritten.

    Raises:
        ConfigError: the training can be resumed, or the folder is not one of unrolled.
    """
    unknown = {path.name for path in folder.iterdir()} - PARTIAL
    if any(not name.startswith(".") for name in unknown) and not is_run(folder):
        raise ConfigError(f"{folder} exists and is no training of unrolled: choose another --out")
    if (folder / "plan").exists() and not overwrite:
        raise ConfigError(
            f"{folder} is a training that was interrupted: resume it with `unrolled train --resume {run}`, "
            "choose another --out, or --overwrite it"
        )
