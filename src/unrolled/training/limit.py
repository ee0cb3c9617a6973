"""The conversion of a time limit into a number of updates, on which all else depends.

Some updates are measured and then undone, so that a training with a time limit has the bits of one with that number of
updates as its setting.
"""

from __future__ import annotations

import itertools
import time

from unrolled.training.loop import Trainer
from unrolled.training.progress import Progress
from unrolled.training.trainer_state import restore, state_tensors

__all__ = ["updates_within"]

WARM, MEASURED = 3, 20  # updates
MIN_FRACTION, MAX_FRACTION = 0.01, 0.1  # of the limit, spent on the warm and on the measured updates each


def updates_within(trainer: Trainer, seconds: float) -> int:
    """Return the number of updates that fit into `seconds` with their evaluations, at least 1.

    Args:
        trainer: the trainer, before its first update. It is restored.
        seconds: time limit of the whole training, this measurement included.
    """
    began = time.perf_counter()
    start = {name: value.clone() for name, value in state_tensors(trainer).items()}
    planned = trainer.progress.updates
    trainer.model.train()
    mean_seconds(trainer, WARM, seconds)
    update_seconds = mean_seconds(trainer, MEASURED, seconds)
    trainer.evaluate()
    evaluation_seconds = trainer.progress.seconds["evaluation"]
    restore(trainer, Progress(planned), start)
    left = seconds - (time.perf_counter() - began) - evaluation_seconds  # the last update is always evaluated
    updates = left / update_seconds
    for _ in range(3):  # the interval of evaluations may depend on the number of updates
        trainer.progress.updates = max(1, int(updates))
        updates = left / (update_seconds + evaluation_seconds / trainer.evaluate_every)
    trainer.progress.updates = planned
    (agreed,) = trainer.processes.agree(max(1, int(updates)))
    return int(agreed)


def mean_seconds(trainer: Trainer, updates: int, limit: float) -> float:
    """Return the mean seconds of an update.

    Args:
        trainer: the trainer, which takes the updates.
        updates: the number to take; more until MIN_FRACTION of the limit has passed, fewer once MAX_FRACTION has.
        limit: the time limit in seconds.
    """
    began = time.perf_counter()
    for taken in itertools.count(1):
        trainer.update()
        (passed,) = trainer.processes.agree(time.perf_counter() - began)
        if (taken >= updates and passed >= MIN_FRACTION * limit) or passed >= MAX_FRACTION * limit:
            break
    return passed / taken
