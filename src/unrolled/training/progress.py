"""Records of a training: scores, events, progress and outcome."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

from pydantic import ConfigDict

from unrolled.config import BestBy
from unrolled.saved import Count

__all__ = ["CLOCKS", "Event", "Outcome", "Progress", "Score", "Since"]

STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)  # of files that are read back
CLOCKS = ("batch", "forward", "backward", "optimizer", "evaluation", "checkpoint")


@dataclass(frozen=True)
class Score:
    """Figures of a model on the validation split; None where the task has no such figure, or it was not asked for.

    Args:
        loss_nats: mean loss in nats; less is better, of all others more.
        accuracy: fraction of targets that are the most probable output.
        macro_f1: mean F1 of the classes.
        micro_f1: F1 of all decisions on labels.
        r2: R² of predicted numbers; None where it is undefined.
        bleu: BLEU of greedy translations, from 0 to 100.
        targets: number of targets that `accuracy` counts.
    """

    loss_nats: float
    accuracy: float | None = None
    macro_f1: float | None = None
    micro_f1: float | None = None
    r2: float | None = None
    bleu: float | None = None
    targets: int = 0

    def figure(self, by: BestBy) -> float:
        """Return the figure by which models are compared, the negative loss for "loss": the greater is better."""
        value: float | None = -self.loss_nats if by == "loss" else getattr(self, by)
        return -math.inf if value is None else value

    def tolerance(self, by: BestBy, highest: float) -> float:
        """Return by how much a figure may be below the highest one without being worse: a standard error of accuracy.

        √(a (1 − a) / n) for an accuracy a of n targets; 0 for other figures.
        """
        return math.sqrt(highest * (1 - highest) / self.targets) if by == "accuracy" and self.targets else 0.0

    def to_dict(self) -> dict[str, float]:
        """Return the figures by name, without those that are None."""
        values = asdict(self)
        del values["targets"]
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True)
class Event:
    """A line of metrics.jsonl: the updates since the last event, and an evaluation if there was one.

    `loss_nats` is the mean over the targets of these updates; `gradient_norm` is the last update's, before clipping.
    All but `tokens_per_second` are the same whether the training was interrupted or not.
    """

    update: int
    updates: int
    epoch: float
    loss_nats: float
    learning_rate: float
    gradient_norm: float
    tokens_per_second: float
    valid: Score | None = None
    best: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values, without those of an evaluation if there was none."""
        values = asdict(self)
        del values["valid"]
        if self.valid is None:
            del values["best"]
            return values
        return values | {f"valid_{name}": value for name, value in self.valid.to_dict().items()}


@dataclass
class Since:
    """Sums over the updates since the last event; `began` is the time of that event on the run's own clock."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    nats: float = 0.0
    targets: Count = 0
    tokens: Count = 0
    began: float = 0.0

    def add(self, nats: float, targets: int, tokens: int) -> None:
        """Count one update."""
        self.nats, self.targets, self.tokens = self.nats + nats, self.targets + targets, self.tokens + tokens


@dataclass
class Ranked:
    """An evaluation among the best: its figure, see `Score.figure`, and its update."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    figure: float
    update: Count


@dataclass
class Progress:
    """The progress of a training: with the tensors of the trainer, all that its future depends on.

    A checkpoint saves it as JSON.

    Args:
        updates: number of updates of the whole training.
        update: number of updates done.
        epoch, index: epoch of the next batch, and its index in the epoch.
        best_update: update of the evaluation whose model is kept so far, see `add_evaluation`.
        highest: the greatest figure so far, see `Score.figure`.
        least_loss_nats, least_loss_update: loss and update of the evaluation of least loss.
        ranking: the best evaluations, best first, with average_best.
        worse: number of evaluations since the last one with a greater figure or a smaller loss than all before.
        flat: number of evaluations since the one of least loss or the last reduction of the learning rate.
        reductions: number of reductions of the learning rate.
        learning_rate, gradient_norm: learning rate and norm of the gradient of the last update.
        tokens: real tokens trained on.
        total_seconds: seconds on the run's own clock, which stops while the training is interrupted.
        seconds: seconds of each of the CLOCKS.
        since: sums since the last event.
        resumed: for each resume the update, and the machine or library versions that had changed.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    updates: Count
    update: Count = 0
    epoch: Count = 0
    index: Count = 0
    best_update: Count = 0
    highest: float | None = None
    least_loss_nats: float | None = None
    least_loss_update: Count = 0
    ranking: list[Ranked] = field(default_factory=list)
    worse: Count = 0
    flat: Count = 0
    reductions: Count = 0
    learning_rate: float = 0.0
    gradient_norm: float = 0.0
    tokens: Count = 0
    total_seconds: float = 0.0
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(CLOCKS, 0.0))
    since: Since = field(default_factory=Since)
    resumed: list[dict[str, Any]] = field(default_factory=list)

    def add_evaluation(self, score: Score, by: BestBy, plateau_patience: int | None) -> bool:
        """Count an evaluation and return whether its model is the best so far.

        By loss that is the model of least loss. By another figure it is the latest one that is not worse than the
        highest, within the figure's tolerance: of models that cannot be told apart on the validation split, the one
        that was trained for longer is better on other data.

        Args:
            score: score on the validation split.
            by: the figure that decides.
            plateau_patience: evaluations without a smaller loss after which the learning rate is reduced; None: never.
        """
        figure = score.figure(by)
        higher = self.highest is None or figure > self.highest
        if higher:
            self.highest = figure
        assert self.highest is not None
        best = higher or (by != "loss" and figure >= self.highest - score.tolerance(by, self.highest))
        least = self.least_loss_nats is None or score.loss_nats < self.least_loss_nats
        if best:
            self.best_update = self.update
        if least:
            self.least_loss_nats, self.least_loss_update = score.loss_nats, self.update
        self.worse = 0 if higher or least else self.worse + 1
        self.flat = 0 if least else self.flat + 1
        if plateau_patience is not None and self.flat >= plateau_patience:
            self.reductions, self.flat = self.reductions + 1, 0
        return best

    def rank(self, figure: float, most: int) -> int | None:
        """Add this update to the `most` best evaluations and return its place, from 0; None: it is none of them.

        Of equal figures the later one is better.
        """
        place = sum(each.figure > figure for each in self.ranking)
        if place >= most or not math.isfinite(figure):
            return None
        self.ranking.insert(place, Ranked(figure, self.update))
        del self.ranking[most:]
        return place


@dataclass(frozen=True)
class Outcome:
    """The end of a training: `updates` of the `planned` ones were done, for the reason `stopped`; seconds by clock.

    Args:
        averaged: the updates whose mean weights were kept; empty: the weights of best_update were kept.
        late: whether it took so much longer than its time limit that it ended early; it can be resumed if it was saved.
    """

    updates: int
    planned: int
    best_update: int
    least_loss_update: int
    averaged: list[int]
    stopped: str
    signal: int | None
    late: bool
    tokens: int
    total_seconds: float
    seconds: dict[str, float]
    resumed: list[dict[str, Any]]

    @property
    def tokens_per_second(self) -> float:
        """Real tokens a second, without the time of evaluations and checkpoints."""
        outside = self.seconds["evaluation"] + self.seconds["checkpoint"]
        return self.tokens / max(self.total_seconds - outside, 1e-9)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self) | {"tokens_per_second": self.tokens_per_second}
