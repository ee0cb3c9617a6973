"""The partial run of a process other than the first: it takes part in each step, and writes nothing."""

from __future__ import annotations

from typing import NoReturn

from unrolled.errors import Interrupted
from unrolled.training.checkpoint import Checkpoint
from unrolled.training.loop import Trainer
from unrolled.training.partial_run import PartialRun, resume_from
from unrolled.training.prepare import Prepared
from unrolled.training.progress import Event
from unrolled.training.trainer_state import state_tensors

__all__ = ["Follower"]


class Follower(PartialRun):
    """A partial run without a folder, next to that of process 0."""

    def begin(self, prepared: Prepared) -> None:
        """Begin a fresh training, whose plan process 0 writes."""

    def restore(self, prepared: Prepared, latest: Checkpoint | None) -> None:
        """Set a fresh training to the checkpoint that process 0 has read; see `PartialRun.restore`."""
        resume_from(prepared, latest)

    def add(self, event: Event) -> None:
        """Count an event, which process 0 writes."""
        self.metrics.append(event.to_dict())

    def is_due(self, trainer: Trainer) -> bool:
        """Return False: process 0 decides."""
        return False

    def after_update(self, trainer: Trainer, *, due: bool) -> None:
        """Give process 0 the states of the shards here, if a checkpoint is due."""
        if due:
            self.save(trainer)

    def save(self, trainer: Trainer) -> None:
        """Give process 0 the states of the shards here."""
        state_tensors(trainer)

    def on_signal(self, trainer: Trainer, signal: int) -> NoReturn:
        """Give process 0 the states of the shards here, and end.

        Raises:
            Interrupted: always.
        """
        self.save(trainer)
        raise Interrupted("interrupted", signal=signal, folder=self.folder)

    def advice(self) -> str:
        """Return a sentence on the folder, which process 0 has."""
        return f"Process 0 has saved the training in {self.folder}"

    def publish(self, files: dict[str, bytes]) -> None:
        """Do nothing: process 0 writes the run."""

    def publish_copy(self, files: dict[str, bytes]) -> None:
        """Do nothing: process 0 writes the run."""
