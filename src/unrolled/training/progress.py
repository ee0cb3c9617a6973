"""Records of a training: scores, events, progress and outcome."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

from pydantic import ConfigDict

from unrolled.saved import Count

__all__ = ["CLOCKS", "Event", "Outcome", "Progress", "Score", "Since"]

STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)  # of files that are read back
CLOCKS = ("batch", "forward", "backward", "optimizer", "evaluation", "checkpoint")


@dataclass(frozen=True)
class Score:
    """Mean loss in nats on the validation split, smaller is better, and the figure that the task shows with it."""

    loss_nats: float
    accuracy: float | None = None
    r2: float | None = None
    micro_f1: float | None = None

    def figure(self) -> str:
        """Return the second figure with its name."""
        if self.accuracy is not None:
            return f"accuracy {self.accuracy:.1%}"
        if self.micro_f1 is not None:
            return f"micro-F1 {self.micro_f1:.1%}"
        return f"R² {'undefined' if self.r2 is None else format(self.r2, '.3f')}"


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
        score = values.pop("valid")
        if score is None:
            del values["best"]
            return values
        return values | {f"valid_{name}": value for name, value in score.items() if value is not None}


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
class Progress:
    """The progress of a training: with the tensors of the trainer, all that its future depends on.

    A checkpoint saves it as JSON.

    Args:
        updates: number of updates of the whole training.
        update: number of updates done.
        epoch, index: of the next batch.
        best_loss_nats, best_update: of the best evaluation so far.
        worse: number of evaluations since the best one.
        flat: number of evaluations since the best one or the last reduction of the learning rate.
        reductions: number of reductions of the learning rate.
        learning_rate, gradient_norm: of the last update.
        tokens: real tokens trained on.
        total_seconds: on the run's own clock, which stops while the training is interrupted.
        seconds: of each of the CLOCKS.
        since: sums since the last event.
        resumed: for each resume the update, and the machine or library versions that had changed.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    updates: Count
    update: Count = 0
    epoch: Count = 0
    index: Count = 0
    best_loss_nats: float | None = None
    best_update: Count = 0
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

    def add_evaluation(self, loss_nats: float, plateau_patience: int | None) -> bool:
        """Count an evaluation and return whether it is the best so far.

        Args:
            loss_nats: on the validation split.
            plateau_patience: evaluations without improvement after which the learning rate is reduced; None: never.
        """
        if self.best_loss_nats is None or loss_nats < self.best_loss_nats:
            self.best_loss_nats, self.best_update = loss_nats, self.update
            self.worse = self.flat = 0
            return True
        self.worse, self.flat = self.worse + 1, self.flat + 1
        if plateau_patience is not None and self.flat >= plateau_patience:
            self.reductions, self.flat = self.reductions + 1, 0
        return False


@dataclass(frozen=True)
class Outcome:
    """The end of a training: `updates` of the `planned` ones were done, for the reason `stopped`; seconds by clock."""

    updates: int
    planned: int
    best_update: int
    stopped: str
    signal: int | None
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
