"""Training: the loop, the optimiser and its schedule, and what a finished run is."""

from unrolled.runs.run import Run
from unrolled.training.classification import ClassificationSource, loss_nats, score
from unrolled.training.loop import Batch, Keeper, Source, Trainer
from unrolled.training.progress import Event, Outcome, Progress, Score

__all__ = [
    "Batch",
    "ClassificationSource",
    "Event",
    "Keeper",
    "Outcome",
    "Progress",
    "Run",
    "Score",
    "Source",
    "Trainer",
    "loss_nats",
    "score",
]
