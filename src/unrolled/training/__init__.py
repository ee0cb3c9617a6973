"""Training: batches, the step, the loop, the optimiser and its schedule, checkpoints."""

from unrolled.runs.run import Run
from unrolled.training.batch import Batch, Loader
from unrolled.training.classification import ClassificationLoader, loss_nats, score
from unrolled.training.loop import Callback, Trainer
from unrolled.training.progress import Event, Outcome, Progress, Score

__all__ = [
    "Batch",
    "Callback",
    "ClassificationLoader",
    "Event",
    "Loader",
    "Outcome",
    "Progress",
    "Run",
    "Score",
    "Trainer",
    "loss_nats",
    "score",
]
