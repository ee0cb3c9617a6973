"""A time limit becomes a number of updates: from there on all is a function of the update again.

The first updates are measured and then undone, so that a training with a limit has the bits of one that was asked for
that number of updates.
"""

from __future__ import annotations

import itertools
import time

from unrolled.training.loop import Trainer
from unrolled.training.progress import Progress
from unrolled.training.trainer_state import restore, state_tensors

__all__ = ["updates_within"]

WARM, MEASURED = 3, 20  # updates
SHARE, MOST = 0.01, 0.1  # of the time: so much at least for each of both, and so much at most


def updates_within(trainer: Trainer, seconds: float) -> int:
    """Return how many updates fit into `seconds` with their evaluations, at least 1; the trainer is as it was.

    Args:
        trainer: at its beginning.
        seconds: for all, what is measured here included.
    """
    began = time.perf_counter()
    start = {name: value.clone() for name, value in state_tensors(trainer).items()}
    planned = trainer.progress.updates
    trainer.model.train()
    mean_seconds(trainer, WARM, seconds)
    an_update = mean_seconds(trainer, MEASURED, seconds)
    trainer.evaluate()
    an_evaluation = trainer.progress.seconds["evaluation"]
    restore(trainer, Progress(planned), start)
    left = seconds - (time.perf_counter() - began) - an_evaluation  # the last update is evaluated, too
    found = left / an_update
    for _ in range(3):  # how often it is evaluated may depend on how many updates there are
        trainer.progress.updates = max(1, int(found))
        found = left / (an_update + an_evaluation / trainer.evaluate_every)
    trainer.progress.updates = planned
    return max(1, int(found))


def mean_seconds(trainer: Trainer, updates: int, limit: float) -> float:
    """Return what an update takes, by so many, or by more or fewer: SHARE to MOST of the limit, but always one."""
    began = time.perf_counter()
    for taken in itertools.count(1):
        trainer.update()
        passed = time.perf_counter() - began
        if (taken >= updates and passed >= SHARE * limit) or passed >= MOST * limit:
            break
    return passed / taken
