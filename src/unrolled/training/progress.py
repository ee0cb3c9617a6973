"""What training says of itself: how good it is, what happened since it last said so, where it stands, how it ended."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

from pydantic import ConfigDict

__all__ = ["Event", "Outcome", "Progress", "Score", "Since"]

STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)  # when read back
CLOCKS = ("batch", "forward", "backward", "optimizer", "evaluation", "checkpoint")


@dataclass(frozen=True)
class Score:
    """How well the model does on the validation split. The smaller `loss_nats`, the better."""

    loss_nats: float
    accuracy: float


@dataclass(frozen=True)
class Event:
    """What the loop reports and metrics.jsonl keeps: the updates since the last event, and an evaluation if it had one.

    `loss_nats` is the mean over the targets of these updates; `gradient_norm` is the last update's, before clipping.
    All but `tokens_per_second` is a function of the run, the same whether it was interrupted or not.
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
        """As JSON takes it, without what is not there."""
        values = asdict(self)
        score = values.pop("valid")
        if score is None:
            del values["best"]
            return values
        return values | {f"valid_{name}": value for name, value in score.items()}


@dataclass
class Since:
    """What has been trained since the last event; `began` is on the run's own clock."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    nats: float = 0.0
    targets: int = 0
    tokens: int = 0
    began: float = 0.0

    def add(self, nats: float, targets: int, tokens: int) -> None:
        """Count one update."""
        self.nats, self.targets, self.tokens = self.nats + nats, self.targets + targets, self.tokens + tokens


@dataclass
class Progress:
    """Where a training stands: with its tensors, all that its future depends on. A checkpoint keeps it as JSON.

    Args:
        updates: how many there are to be.
        update: how many are done.
        epoch, index: of the next batch.
        best_loss_nats, best_update: of the best evaluation so far.
        worse: evaluations since then.
        flat: evaluations since then, or since the rate was last reduced.
        reductions: how often it was.
        learning_rate, gradient_norm: of the last update.
        tokens: real ones, trained on.
        total_seconds: on the run's own clock, which stands still while nobody trains.
        seconds: where they went.
        resumed: at which update it was resumed, and what was another build or machine then.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    updates: int
    update: int = 0
    epoch: int = 0
    index: int = 0
    best_loss_nats: float | None = None
    best_update: int = 0
    worse: int = 0
    flat: int = 0
    reductions: int = 0
    learning_rate: float = 0.0
    gradient_norm: float = 0.0
    tokens: int = 0
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
    """How a training ended, and where its time went: `updates` of the `planned` ones were done."""

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
        """Real tokens trained on a second, evaluations and checkpoints not counted."""
        outside = self.seconds["evaluation"] + self.seconds["checkpoint"]
        return self.tokens / max(self.total_seconds - outside, 1e-9)

    def to_dict(self) -> dict[str, Any]:
        """As JSON takes it."""
        return asdict(self) | {"tokens_per_second": self.tokens_per_second}
