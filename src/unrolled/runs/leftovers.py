"""Leftovers of a process that was killed at the very end: removed, or put back, by the next command that meets them.

<run>/plan, checkpoints   the training of a run that is finished
.<run>.old                the earlier run, of a run that was overwritten
.<run>.partial            a run that `Run.save` had begun to write

Only folders that hold nothing but files of ours are removed, and none that another process has locked.
"""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

from unrolled import atomic
from unrolled.runs.folder import of_training

__all__ = ["clean", "recover"]

CHECKPOINT = re.compile(r"update-\d+(\.damaged)?|\.update-\d+\.(partial|old)")
FOLDERS = ("plan", "checkpoints", "snapshots", "probes", "tensorboard")
"""Folders of a run that may be missing from its SHA256SUMS."""


def recover(run: Path) -> None:
    """Put the earlier run back under its name, if a process was killed after it had moved it and before the new one."""
    training = of_training(run)  # refuses the root of the file system, which has no name
    old = atomic.old_of(run)
    if run.exists() or not atomic.is_atomic(old, FOLDERS):
        return
    for writing in (training, atomic.partial_of(run)):
        if writing.is_dir() and not _is_free(writing):
            return
    old.rename(run)


def clean(run: Path) -> None:
    """Remove the leftovers of a run that is complete; one that cannot be removed is left for the next command."""
    if of_training(run) == run:  # a training that can be resumed
        return
    plan, checkpoints, old, partial = run / "plan", run / "checkpoints", atomic.old_of(run), atomic.partial_of(run)
    with suppress(OSError):  # folders of another user
        if atomic.is_atomic(plan):
            atomic.discard(plan)
        if checkpoints.is_dir() and all(CHECKPOINT.fullmatch(path.name) for path in checkpoints.iterdir()):
            atomic.discard(checkpoints)
        if atomic.is_atomic(old, FOLDERS):
            atomic.discard(old)
        if partial.is_dir() and _is_free(partial) and _is_of_run(partial, run):
            atomic.discard(partial)


def _is_of_run(partial: Path, run: Path) -> bool:
    """Return whether a folder holds files of a run only; the writer may have been killed before SHA256SUMS."""
    return {path.name for path in partial.iterdir()} <= {path.name for path in run.iterdir()}


def _is_free(folder: Path) -> bool:
    """Return whether no process is writing the folder."""
    with atomic.lock(folder) as ours:
        return ours
