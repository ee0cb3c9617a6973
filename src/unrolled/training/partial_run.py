"""The folder of a training under way, `<run>.partial`: all that is needed to go on with it after whatever may happen.

plan/           what was asked: settings, the data's fingerprints, the build; and the tokeniser. Sealed
checkpoints/    the two newest, `update-N`, atomic each
metrics.jsonl   one line an event, as it happens
snapshots/         weights for looking at the training later, float16, with --keep snapshots
tensorboard/    events, with --tensorboard

It is locked while a process trains in it. When the run is whole it takes the run's name, and plan and checkpoints go.
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
from typing import TYPE_CHECKING, Any

import safetensors.torch
from torch import Tensor

from unrolled import atomic
from unrolled.config import TrainingConfig
from unrolled.errors import CheckpointError, ConfigError, Interrupted
from unrolled.runs.claim import held, refuse_existing, refuse_resumable
from unrolled.runs.folder import is_run, of_training, preprocessor_file, refuse_newer, to_json, valid
from unrolled.runs.preprocessor import FILES, Preprocessor
from unrolled.training import checkpoint
from unrolled.training.checkpoint import Checkpoint
from unrolled.training.loop import Trainer
from unrolled.training.plan import FORMAT_VERSION, Plan
from unrolled.training.progress import Event
from unrolled.training.trainer_state import restore, state_tensors

if TYPE_CHECKING:
    from unrolled.training.fit import Prepared

__all__ = ["PartialRun", "resume_partial", "start_partial"]

SHARE = 0.02  # of the time that checkpoints may take
LEAST_SECONDS = 10.0  # between two of them
BYTES_A_SECOND = 2e8  # of a checkpoint written, summed and read back, until one has been measured
SNAPSHOTS = 10

log = logging.getLogger("unrolled")


class PartialRun:
    """A training's folder, held by this process: made by `start_partial` or `resume_partial`.

    Args:
        run: the folder that the run will have.
    """

    def __init__(self, run: Path) -> None:
        self.run, self.folder = run, of_training(run)
        self.build: dict[str, str] = {}
        self.config = TrainingConfig()
        self.metrics: list[dict[str, Any]] = []
        self._saved = time.perf_counter()
        self._size: int | None = None  # bytes of the next checkpoint, once they have been counted
        self._rate = BYTES_A_SECOND

    @property
    def checkpoints(self) -> Path:
        """Where they stand."""
        return self.folder / "checkpoints"

    def hold(self, prepared: Prepared) -> None:
        """Keep this training from now on: its settings say when, its machine and versions stand in each checkpoint."""
        self.config, self.build = prepared.config.training, prepared.facts

    def write_plan(self, plan: Plan, preprocessor: Preprocessor) -> None:
        """Write what was asked: from now on the training can be resumed."""
        files = {"plan.json": to_json(plan.model_dump()), preprocessor.FILE: preprocessor.to_json().encode()}
        atomic.write(self.folder / "plan", files)

    def read_plan(self) -> tuple[Plan, Preprocessor]:
        """Return what was asked, and the preprocessor.

        Raises:
            CheckpointError: it is missing, damaged, or not ours.
        """
        preprocessor = preprocessor_file(self.folder / "plan")
        files = atomic.read(self.folder / "plan", ("plan.json", preprocessor))
        path = self.folder / "plan" / "plan.json"
        version = refuse_newer(path, files["plan.json"], FORMAT_VERSION)
        if version < FORMAT_VERSION:
            raise CheckpointError(
                f"{path} has format_version {version}: an older unrolled began this training. Finish it there, or train "
                "a new run"
            )
        plan = valid(Plan, path, files["plan.json"])
        return plan, FILES[preprocessor].from_json(files[preprocessor].decode())

    def add(self, event: Event) -> None:
        """Keep an event."""
        self.metrics.append(event.to_dict())
        atomic.append(self.folder / "metrics.jsonl", to_json(self.metrics[-1], indent=None))

    def restore(self, trainer: Trainer) -> None:
        """Have a fresh trainer stand at the newest checkpoint that is whole; at the beginning if there is none yet.

        Raises:
            CheckpointError: no checkpoint is whole, or they are not of this model.
        """
        found = checkpoint.latest(self.checkpoints)
        lines = found.metrics if found else b""
        with atomic.write_errors(self.folder):
            (self.folder / "metrics.jsonl").write_bytes(lines)
        self.metrics = [json.loads(line) for line in lines.splitlines()]
        changed = []
        if found is not None:
            restore(trainer, found.progress, found.tensors)
            changed = [
                f"{what} was {was}, is {self.build.get(what)}"
                for what, was in found.build.items()
                if was != self.build.get(what)
            ]
        progress = trainer.progress
        progress.resumed.append({"update": progress.update, "changed": changed})
        log.info("resumed after update %s of %s", f"{progress.update:,}", f"{progress.updates:,}")
        if changed:
            log.warning("the last bits may differ from those of one machine and build: %s", "; ".join(changed))

    def after_update(self, trainer: Trainer) -> None:
        """Write a snapshot and a checkpoint, if they are due."""
        update = trainer.progress.update
        if self.config.keep and update in snapshot_updates(trainer.progress.updates):
            self._save_snapshot(trainer)
        if self._is_due(trainer):
            self.save(trainer)

    def save(self, trainer: Trainer) -> None:
        """Write a checkpoint.

        Raises:
            CheckpointError: it cannot be written; the message says which one is left.
        """
        began = time.perf_counter()
        path = self.folder / "metrics.jsonl"
        metrics = path.read_bytes() if path.exists() else b""
        tensors = state_tensors(trainer)
        found = Checkpoint(copy.deepcopy(trainer.progress), tensors, metrics, self.build)
        try:
            checkpoint.write(self.checkpoints, found)
        except CheckpointError as error:
            raise CheckpointError(f"{error}. {self.left()}") from None
        self._saved = time.perf_counter()
        self._size, self._rate = None, _size(tensors) / max(self._saved - began, 1e-9)

    def leave(self, trainer: Trainer, signal: int) -> None:
        """Save, and say how to go on.

        Raises:
            Interrupted: all is saved. CheckpointError: it cannot be.
        """
        self.save(trainer)
        progress = trainer.progress
        best = f" of update {progress.best_update:,}" if progress.best_update else ""
        raise Interrupted(
            f"interrupted after update {progress.update:,} of {progress.updates:,}; all is saved in {self.folder}\n"
            f"  go on:  {self.command}\n"
            f"  or end: {self.command} --finish   (a run with the best network so far{best})",
            signal=signal,
            folder=self.folder,
        )

    @property
    def command(self) -> str:
        """The command that goes on."""
        return f"unrolled train --resume {shlex.quote(str(self.run))}"

    def left(self) -> str:
        """Which checkpoint is left, and what can be done with it."""
        newest = next(iter(checkpoint.updates(self.checkpoints)), None)
        if newest is None:
            return "There is no checkpoint yet"
        return (
            f"The checkpoint after update {newest:,} is untouched: `{self.command}` goes on from it, with --finish ends"
        )

    def publish(self, files: dict[str, bytes]) -> None:
        """Make the folder the run's: write its files, give it its name.

        Raises:
            CheckpointError: it cannot be written; the training can still be resumed.
        """
        snapshots = sorted((self.folder / "snapshots").glob("*.safetensors"))
        atomic.write_files(self.folder, files, also=snapshots)
        with atomic.write_errors(self.run):
            atomic.replace(self.folder, self.run)
        for part in ("plan", "checkpoints"):  # only now: until here they are what a kill would leave
            shutil.rmtree(self.run / part, ignore_errors=True)

    def _is_due(self, trainer: Trainer) -> bool:
        """Whether it is time for a checkpoint: asked for, or not too soon after the last and within its SHARE."""
        progress = trainer.progress
        if self.config.checkpoint_every is not None:
            return progress.update % self.config.checkpoint_every == 0
        if time.perf_counter() - self._saved < LEAST_SECONDS:
            return False
        if self._size is None:
            self._size = _size(state_tensors(trainer))
        return progress.seconds["checkpoint"] + self._size / self._rate <= SHARE * progress.total_seconds

    def _save_snapshot(self, trainer: Trainer) -> None:
        path = self.folder / "snapshots" / f"update-{trainer.progress.update}.safetensors"
        tensors = {name: value.detach().cpu().half() for name, value in trainer.model.state_dict().items()}
        with atomic.write_errors(path):
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(safetensors.torch.save(tensors))


def _size(tensors: Mapping[str, Tensor]) -> int:
    return sum(value.nbytes for value in tensors.values())


@cache
def snapshot_updates(updates: int) -> frozenset[int]:
    """The updates after which weights are kept: ten, the same factor apart (fewer, where two fall on the same one)."""
    return frozenset(round(updates ** (i / (SNAPSHOTS - 1))) for i in range(SNAPSHOTS))


@contextmanager
def start_partial(run: Path, *, overwrite: bool) -> Iterator[PartialRun]:
    """Hold a fresh folder for a training; an error before its first checkpoint leaves nothing behind.

    Raises:
        ConfigError: `run` is there and is not to be overwritten, or another process is writing it.
    """
    refuse_existing(run, overwrite=overwrite)
    unfinished = PartialRun(run)
    folder = unfinished.folder
    with atomic.write_errors(run):
        folder.mkdir(parents=True, exist_ok=True)
    with held(folder, run):
        refuse_resumable(folder, run, overwrite=overwrite)
        for path in folder.iterdir():
            path.unlink() if path.is_file() else shutil.rmtree(path)
        try:
            yield unfinished
        except BaseException:
            if not checkpoint.updates(unfinished.checkpoints):
                shutil.rmtree(folder, ignore_errors=True)
            raise


@contextmanager
def resume_partial(run: Path) -> Iterator[PartialRun]:
    """Hold the folder of a training that was interrupted. `run` is the run's folder, or that of its training.

    Raises:
        ConfigError: there is no such training, or another process is writing it.
    """
    folder = of_training(run)
    run = folder.with_name(folder.name.removesuffix(".partial"))
    if not folder.is_dir():
        if is_run(run):
            raise ConfigError(
                f"{run} is finished: there is nothing to resume. To train on from its weights: --from {run}"
            )
        raise ConfigError(f"there is no training to resume: {folder} does not exist")
    with held(folder, run):
        if not (folder / "plan").is_dir():
            raise ConfigError(f"{folder} was left before its training began: there is nothing to resume; train again")
        yield PartialRun(run)
