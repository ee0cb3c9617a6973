"""Training: the loop, the optimiser and its schedule, and what a finished run is."""

from unrolled.training.classification import ClassificationSource, loss_nats, score
from unrolled.training.loop import Batch, Event, Outcome, Score, Source, Trainer
from unrolled.training.run import Run

__all__ = [
    "Batch",
    "ClassificationSource",
    "Event",
    "Outcome",
    "Run",
    "Score",
    "Source",
    "Trainer",
    "loss_nats",
    "score",
]
