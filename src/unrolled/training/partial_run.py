"""The partial run: the folder `<run>.partial` of a training, from which it can be resumed after a kill at any moment.

plan/           plan.json (settings, fingerprints of the data) and the preprocessor; an atomic folder
checkpoints/    the two newest, `update-N`, each an atomic folder
metrics.jsonl   one line an event, appended as it happens
launch          the launch of torchrun, by which it finds the training after a restart
snapshots/      weights in float16, to study the training later; with --keep snapshots
tensorboard/    events, with --tensorboard

The folder is locked while a process trains in it. The finished run takes it over: files are added, the folder is
renamed, and plan and checkpoints are removed.
"""

from __future__ import annotations

import copy
import json
import logging
import shlex
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import Tensor

from unrolled import atomic, launch
from unrolled.config import TrainingConfig
from unrolled.errors import CheckpointError, ConfigError, Interrupted
from unrolled.models import Model
from unrolled.runs.agreement import refuse_other_preprocessor
from unrolled.runs.claim import locked, refuse_existing, refuse_nothing, refuse_resumable
from unrolled.runs.folder import is_run, of_training, preprocessor_file, refuse_newer, to_json
from unrolled.runs.preprocessor import FILES, Preprocessor
from unrolled.runs.weights import refuse_other_model
from unrolled.saved import decoded, valid
from unrolled.training import checkpoint
from unrolled.training.checkpoint import Checkpoint
from unrolled.training.loop import Trainer
from unrolled.training.plan import FORMAT_VERSION, Plan
from unrolled.training.prepare import Prepared
from unrolled.training.progress import Event
from unrolled.training.trainer_state import replicated_tensors, restore, state_tensors

__all__ = ["PartialRun", "begun", "resume_from", "resume_partial", "start_partial"]

MAX_FRACTION = 0.02  # the largest fraction of the training's time that checkpoints take
LEAST_SECONDS = 10.0  # between two checkpoints
BYTES_A_SECOND = 2e8  # a checkpoint's speed of writing, hashing and reading back, until one has been measured
SNAPSHOTS = 10

log = logging.getLogger("unrolled")


class PartialRun:
    """The folder of a training, locked by this process; made by `start_partial` or `resume_partial`.

    A `Callback` of the trainer.

    Args:
        run: the folder of the finished run.
    """

    def __init__(self, run: Path) -> None:
        self.run, self.folder = run, of_training(run)
        self.build: dict[str, str] = {}
        self.config = TrainingConfig()
        self.metrics: list[dict[str, Any]] = []
        self._saved = time.perf_counter()
        self._size: int | None = None  # bytes of the next checkpoint; None: not yet counted
        self._rate = BYTES_A_SECOND

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints."""
        return self.folder / "checkpoints"

    def begin(self, prepared: Prepared) -> None:
        """Write the plan of a fresh training, which can be resumed from here on.

        Raises:
            CheckpointError: it cannot be written.
        """
        self.config, self.build = prepared.config.training, prepared.build
        if prepared.start or self.config.time_limit:  # a resumed training could not repeat these
            self.save(prepared.trainer)
        plan = Plan.make(prepared.config, prepared.data_record(), prepared.start)
        preprocessor = prepared.task.preprocessor
        files = {"plan.json": to_json(plan.model_dump()), preprocessor.FILE: preprocessor.to_json().encode()}
        if launched := launch.identity():
            atomic.write_file(self.folder / "launch", launched.encode())
        atomic.write(self.folder / "plan", files)

    def read_plan(self) -> tuple[Plan, Preprocessor]:
        """Return the plan and the preprocessor.

        Raises:
            CheckpointError: the plan is missing, damaged, not written by unrolled, or of an older format.
        """
        preprocessor = preprocessor_file(self.folder / "plan")
        files = atomic.read(self.folder / "plan", ("plan.json", preprocessor))
        path = self.folder / "plan" / "plan.json"
        version = refuse_newer(path, files["plan.json"], FORMAT_VERSION)
        if version < FORMAT_VERSION:
            raise CheckpointError(
                f"{path} has format_version {version}: an older unrolled began this training. Finish it with that "
                "version, or train a new run"
            )
        plan = valid(Plan, path, files["plan.json"])
        file = path.with_name(preprocessor)
        made = FILES[preprocessor].from_json(decoded(file, files[preprocessor]), file)
        refuse_other_preprocessor(path.parent, plan.config, made)
        return plan, made

    def add(self, event: Event) -> None:
        """Append an event to metrics.jsonl."""
        self.metrics.append(event.to_dict())
        atomic.append(self.folder / "metrics.jsonl", to_json(self.metrics[-1], indent=None))

    def read_checkpoint(self, model: Model) -> Checkpoint | None:
        """Return the newest complete checkpoint, None if there is none yet; refuse one of another model.

        Args:
            model: the model on the device meta, without memory.

        Raises:
            CheckpointError: no checkpoint is complete, or it is of another model.
        """
        latest = checkpoint.latest(self.checkpoints)
        if latest is not None:
            tensors = latest.tensors.items()
            weights = {name.removeprefix("model/"): value for name, value in tensors if name.startswith("model/")}
            refuse_other_model(self.checkpoints, weights, model.state_dict())
        return latest

    def restore(self, prepared: Prepared, latest: Checkpoint | None) -> None:
        """Set a fresh training to a checkpoint; leave it at its beginning if there is none yet.

        Raises:
            CheckpointError: the checkpoint is of another model or other data.
        """
        self.config, self.build = prepared.config.training, prepared.build
        lines = latest.metrics if latest else b""
        with atomic.write_errors(self.folder):
            (self.folder / "metrics.jsonl").write_bytes(lines)
        self.metrics = [json.loads(line) for line in lines.splitlines()]
        changed = resume_from(prepared, latest)
        progress = prepared.trainer.progress
        log.info("resumed after update %s of %s", f"{progress.update:,}", f"{progress.updates:,}")
        if changed:
            log.warning("results may differ in the last bits from an uninterrupted training: %s", "; ".join(changed))

    def is_due(self, trainer: Trainer) -> bool:
        """Return whether a checkpoint is due: as configured, or after LEAST_SECONDS and within MAX_FRACTION."""
        progress = trainer.progress
        if self.config.checkpoint_every is not None:
            return progress.update % self.config.checkpoint_every == 0
        if time.perf_counter() - self._saved < LEAST_SECONDS:
            return False
        if self._size is None:
            self._size = _size(replicated_tensors(trainer))
        return progress.seconds["checkpoint"] + self._size / self._rate <= MAX_FRACTION * progress.total_seconds

    def after_update(self, trainer: Trainer, *, due: bool) -> None:
        """Write a snapshot and a checkpoint, if they are due."""
        update = trainer.progress.update
        if self.config.keep and update in snapshot_updates(trainer.progress.updates):
            self._save_snapshot(trainer)
        if due:
            self.save(trainer)

    def save(self, trainer: Trainer) -> None:
        """Write a checkpoint.

        Raises:
            CheckpointError: it cannot be written; the message names the newest one that is left.
        """
        began = time.perf_counter()
        path = self.folder / "metrics.jsonl"
        metrics = path.read_bytes() if path.exists() else b""
        tensors = state_tensors(trainer)
        try:
            checkpoint.write(
                self.checkpoints, Checkpoint(copy.deepcopy(trainer.progress), tensors, metrics, self.build)
            )
        except CheckpointError as error:
            raise CheckpointError(f"{error}. {self.advice()}") from None
        self._saved = time.perf_counter()
        self._size, self._rate = None, _size(tensors) / max(self._saved - began, 1e-9)

    def on_signal(self, trainer: Trainer, signal: int) -> None:
        """Write a checkpoint and raise Interrupted with the commands that resume or end the training.

        Raises:
            Interrupted: everything is saved.
            CheckpointError: the checkpoint cannot be written.
        """
        self.save(trainer)
        progress = trainer.progress
        best = f" of update {progress.best_update:,}" if progress.best_update else ""
        raise Interrupted(
            f"interrupted after update {progress.update:,} of {progress.updates:,}; "
            f"everything is saved in {self.folder}\n"
            f"  resume:  {self.command}\n"
            f"  or end:  {self.command} --finish   (a run with the best model so far{best})",
            signal=signal,
            folder=self.folder,
        )

    @property
    def command(self) -> str:
        """The command that resumes the training."""
        return f"unrolled train --resume {shlex.quote(str(self.run))}"

    def advice(self) -> str:
        """Return a sentence on the newest checkpoint and the command that resumes from it."""
        newest = next(iter(checkpoint.updates(self.checkpoints)), None)
        if newest is None:
            return "There is no checkpoint yet"
        return (
            f"The checkpoint after update {newest:,} is untouched: resume from it with `{self.command}`, "
            "or end with --finish"
        )

    def publish(self, files: dict[str, bytes]) -> None:
        """Turn the folder into that of the finished run: write the run's files and rename it.

        Raises:
            CheckpointError: it cannot be written; the training can still be resumed.
        """
        snapshots = sorted((self.folder / "snapshots").glob("*.safetensors"))
        atomic.write_files(self.folder, files, also=snapshots)
        with atomic.write_errors(self.run):
            atomic.replace(self.folder, self.run)
        for name in ("plan", "checkpoints"):  # not earlier: a training that is killed before needs them
            atomic.discard(self.run / name)
        with atomic.write_errors(self.run):
            (self.run / "launch").unlink(missing_ok=True)

    def publish_copy(self, files: dict[str, bytes]) -> None:
        """Write a run, without snapshots, next to the folder: its training can be resumed, and then replaces the run.

        Raises:
            CheckpointError: it cannot be written; the training can still be resumed.
        """
        atomic.write(self.run, files)
        log.warning("%s has the best model so far; to train on: %s", self.run, self.command)

    def _save_snapshot(self, trainer: Trainer) -> None:
        path = self.folder / "snapshots" / f"update-{trainer.progress.update}.safetensors"
        tensors = {name: value.detach().cpu().half() for name, value in trainer.model.state_dict().items()}
        with atomic.write_errors(path):
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(safetensors.torch.save(tensors))


def resume_from(prepared: Prepared, latest: Checkpoint | None) -> list[str]:
    """Set a fresh training to a checkpoint, None for its beginning, and return the facts of the build that differ.

    Raises:
        CheckpointError: the checkpoint is of another model or other data.
    """
    trainer, build, changed = prepared.trainer, prepared.build, []
    if latest is not None:
        restore(trainer, latest.progress, latest.tensors)
        changed = [
            f"{name} was {before}, is {build.get(name)}"
            for name, before in latest.build.items()
            if before != build.get(name)
        ]
    progress = trainer.progress
    progress.resumed.append({"update": progress.update, "changed": changed})
    return changed


def _size(tensors: Mapping[str, Tensor]) -> int:
    return sum(value.nbytes for value in tensors.values())


@cache
def snapshot_updates(updates: int) -> frozenset[int]:
    """Return the updates after which weights are saved: ten at equal ratios (fewer, where two are the same update)."""
    return frozenset(round(updates ** (i / (SNAPSHOTS - 1))) for i in range(SNAPSHOTS))


@contextmanager
def start_partial(run: Path, *, overwrite: bool) -> Iterator[PartialRun]:
    """Make and lock the folder of a fresh training; it is removed by an error before the first checkpoint.

    Args:
        run: the folder of the finished run.
        overwrite: whether a run or a partial run there may be replaced.

    Raises:
        ConfigError: `run` exists and may not be overwritten, or another process is writing it.
    """
    refuse_existing(run, overwrite=overwrite)
    partial = PartialRun(run)
    folder = partial.folder
    with atomic.write_errors(run):
        folder.mkdir(parents=True, exist_ok=True)
    with locked(folder, run):
        refuse_resumable(folder, run, overwrite=overwrite)
        for path in folder.iterdir():
            atomic.remove(path)
        try:
            yield partial
        except BaseException as error:
            if not checkpoint.updates(partial.checkpoints):
                shutil.rmtree(folder, ignore_errors=True)
            elif isinstance(error, KeyboardInterrupt):  # a second signal
                error.add_note(partial.advice())
            raise


def begun(out: str | Path | None, runs: str | Path | None, *, overwrite: bool) -> Path | None:
    """Return the run that this launch of torchrun began before it was restarted; None if it had not begun.

    Args:
        out: the folder of the run.
        runs: the folder of runs in which it was given a name; None if there is none.
        overwrite: whether `out` may be a run of another launch.
    """
    partial = [of_training(Path(out))] if out is not None else Path(runs).glob("*.partial") if runs is not None else []
    for folder in partial:
        file = folder / "launch"
        if file.is_file() and file.read_text(encoding="utf-8") == launch.identity() and (folder / "plan").is_dir():
            return folder.with_name(folder.name.removesuffix(".partial"))
    finished = out is not None and launch.restarted() and not overwrite and is_run(Path(out))
    return Path(out) if finished and out is not None else None


@contextmanager
def resume_partial(run: Path) -> Iterator[PartialRun]:
    """Lock the folder of a training that was interrupted.

    Args:
        run: the folder of the finished run, or that of its training (`<run>.partial`).

    Raises:
        ConfigError: there is no such training, or another process is writing it.
    """
    folder = refuse_nothing(run)
    run = folder.with_name(folder.name.removesuffix(".partial"))
    with locked(folder, run):
        _recover(folder)
        if not (folder / "plan").is_dir():
            raise ConfigError(
                f"{folder} was interrupted before its training began: there is nothing to resume; train again"
            )
        yield PartialRun(run)


def _recover(folder: Path) -> None:
    """End the writing of a plan or checkpoint in which a process was killed; the folder is locked by this one."""
    for parent in (folder, folder / "checkpoints"):
        for path in [*parent.glob(".plan.*"), *parent.glob(".update-*")]:
            final = parent / path.stem.removeprefix(".")
            if path.suffix == ".old" and not final.exists():
                path.rename(final)
            elif path.suffix in (".old", ".partial"):
                atomic.discard(path)
