"""The training loop: batches in, the best weights out.

Everything is a function of the update: the order of the data (a batch is a pure function of seed, epoch and index), the
random numbers (seeded anew for every update) and the learning rate. The loss of an update is the sum of the nats of
all its real targets divided by their number, over all its batches, so that k small batches equal one large one.
"""

from __future__ import annotations

import copy
import hashlib
import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from unrolled.config import TrainingConfig
from unrolled.errors import TrainingError
from unrolled.models import Model
from unrolled.state import State, detach
from unrolled.training.optimizer import adamw, clip_
from unrolled.training.schedule import learning_rate

__all__ = ["Batch", "Event", "Outcome", "Score", "Source", "Trainer", "seed_of"]


MOST_EVALUATIONS = 20  # unless asked for more: with a small data set an epoch is an update or two


@dataclass(frozen=True)
class Batch:
    """What one forward pass needs, and how much of it is real.

    Args:
        inputs: (B, T) ids or (B, T, D) features.
        lengths: (B,) real steps; None where all are.
        targets: what the loss takes beside the logits: (B,) classes, or (B, T) tokens.
        num_targets, num_tokens: how many of them are real.
        continues: its rows go on where those of the batch before it ended. They begin with the state that batch left,
            and no gradient flows back into it (truncated backpropagation).
    """

    inputs: Tensor
    lengths: Tensor | None
    targets: Tensor
    num_targets: int
    num_tokens: int
    continues: bool = False


class Source(Protocol):
    """Where batches come from: a batch is a pure function of (epoch, index), asked for in this order.

    One that reads streams says so in its batches: the state of a batch that `continues` is that of the one before it.
    """

    def count(self, epoch: int) -> int:
        """How many batches the epoch has."""

    def batch(self, epoch: int, index: int) -> Batch:
        """One of them."""


@dataclass(frozen=True)
class Score:
    """How well the model does on the validation part. The smaller `loss_nats`, the better."""

    loss_nats: float
    accuracy: float


@dataclass(frozen=True)
class Event:
    """What the loop reports and metrics.jsonl keeps: the updates since the last event, and an evaluation if it had one.

    `loss_nats` is the mean over the targets of these updates; `gradient_norm` is the last update's, before clipping.
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
class Outcome:
    """How a training ended, and where its time went."""

    updates: int = 0
    best_update: int = 0
    stopped: str = "all updates done"
    signal: int | None = None
    tokens: int = 0
    total_seconds: float = 0.0
    seconds: dict[str, float] = field(
        default_factory=lambda: dict.fromkeys(("batch", "forward", "backward", "optimizer", "evaluation"), 0.0)
    )

    @property
    def tokens_per_second(self) -> float:
        """Real tokens trained on a second, evaluations not counted."""
        return self.tokens / max(self.total_seconds - self.seconds["evaluation"], 1e-9)

    def to_dict(self) -> dict[str, Any]:
        """As JSON takes it."""
        return asdict(self) | {"tokens_per_second": self.tokens_per_second}


class Trainer:
    """Trains a model in place.

    Args:
        model: on its device already.
        source: the training part.
        loss_nats: (logits, targets) -> the summed nats of all real targets.
        score: evaluates the model, as it is then and in eval mode, on the validation part.
        config: the optimiser's settings.
    """

    def __init__(
        self,
        model: Model,
        source: Source,
        loss_nats: Callable[[Tensor, Tensor], Tensor],
        score: Callable[[], Score],
        config: TrainingConfig,
    ) -> None:
        self.model, self.source, self.loss_nats, self.score, self.config = model, source, loss_nats, score, config
        self.optimizer = adamw(model, rate=config.learning_rate, weight_decay=config.weight_decay)
        self.per_epoch = source.count(0) / config.accumulate
        self.updates = config.updates or max(1, round(config.epochs * self.per_epoch))
        self.positions = _positions(source)
        self.state: State = None  # what the last batch left, for one that continues it
        self.outcome = Outcome()

    def run(
        self,
        report: Callable[[Event], None] = lambda event: None,
        interrupted: Callable[[], int | None] = lambda: None,
    ) -> Outcome:
        """Train to the end and leave the model with the weights of its best evaluation.

        Args:
            report: called at every evaluation, and at least every 100 updates.
            interrupted: asked after every update; a signal's number ends the training there.

        Raises:
            TrainingError: a loss or gradient that is not finite; the model has the weights of its best evaluation.
        """
        config, outcome = self.config, self.outcome
        evaluate_every = config.evaluate_every or max(1, round(max(self.per_epoch, self.updates / MOST_EVALUATIONS)))
        report_every = min(max(1, self.updates // 500), 100)
        best, best_weights, worse = math.inf, copy.deepcopy(self.model.state_dict()), 0
        since = _Since()
        began = time.perf_counter()
        self.model.train()
        try:
            for update in range(self.updates):
                rate, norm = self._update(update, since)
                outcome.signal = interrupted()
                done = outcome.updates = update + 1
                last = done == self.updates or outcome.signal is not None
                evaluates = last or done % evaluate_every == 0
                if not evaluates and done % report_every:
                    continue
                event = Event(
                    update=done,
                    updates=self.updates,
                    epoch=done / self.per_epoch,
                    loss_nats=since.loss_nats,
                    learning_rate=rate,
                    gradient_norm=norm,
                    tokens_per_second=since.tokens_per_second,
                )
                if evaluates:
                    valid = self._evaluate()
                    if not math.isfinite(valid.loss_nats):
                        raise TrainingError(
                            f"update {done}: the loss of the validation part is {valid.loss_nats}: the weights have "
                            "grown beyond all bounds. Try a smaller --learning-rate or more --warmup"
                        )
                    event = replace(event, valid=valid, best=valid.loss_nats < best)
                    worse = 0 if event.best else worse + 1
                    if event.best:
                        best, outcome.best_update = valid.loss_nats, done
                        best_weights = copy.deepcopy(self.model.state_dict())
                report(event)
                since = _Since()
                if outcome.signal is not None:
                    outcome.stopped = f"interrupted by {signal.Signals(outcome.signal).name}"
                    break
                if config.patience and worse >= config.patience and not last:
                    outcome.stopped = f"no better evaluation in the last {worse}"
                    break
        finally:
            self.model.load_state_dict(best_weights)
            self.model.eval()
            outcome.total_seconds = time.perf_counter() - began
        return outcome

    def _update(self, update: int, since: _Since) -> tuple[float, float]:
        """One optimiser update over `accumulate` batches -> its learning rate and gradient norm."""
        config = self.config
        seed_generator(next(self.model.parameters()).device, seed_of(config.seed, update))
        with self._clock("batch"):
            batches = [self.source.batch(*next(self.positions)) for _ in range(config.accumulate)]
        num_targets = sum(batch.num_targets for batch in batches)
        nats = 0.0
        for batch in batches:
            with self._clock("forward"):
                logits, state = self.model(batch.inputs, self.state if batch.continues else None, batch.lengths)
                self.state = detach(state)
                batch_nats = self.loss_nats(logits, batch.targets)
                nats += float(batch_nats.detach())
            with self._clock("backward"):
                (batch_nats / num_targets).backward()  # type: ignore[no-untyped-call]
        with self._clock("optimizer"):
            rate = learning_rate(update, self.updates, peak=config.learning_rate, warmup=config.warmup)
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            norm = clip_(self.model, config.clip, update=update, loss_nats=nats / num_targets)
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
        num_tokens = sum(batch.num_tokens for batch in batches)
        self.outcome.tokens += num_tokens
        since.add(nats, num_targets, num_tokens)
        return rate, norm

    def _evaluate(self) -> Score:
        with self._clock("evaluation"):
            self.model.eval()
            score = self.score()
            self.model.train()
        return score

    @contextmanager
    def _clock(self, what: str) -> Iterator[None]:
        """Add the seconds of the block to what the outcome says of `what`."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.outcome.seconds[what] += time.perf_counter() - began


class _Since:
    """What has been trained since the last event."""

    def __init__(self) -> None:
        self.nats, self.targets, self.tokens, self.began = 0.0, 0, 0, time.perf_counter()

    def add(self, nats: float, targets: int, tokens: int) -> None:
        self.nats, self.targets, self.tokens = self.nats + nats, self.targets + targets, self.tokens + tokens

    @property
    def loss_nats(self) -> float:
        return self.nats / self.targets

    @property
    def tokens_per_second(self) -> float:
        return self.tokens / (time.perf_counter() - self.began)


def seed_of(seed: int, update: int) -> int:
    """Return the seed of one update's random numbers: a hash, so that neighbouring updates have nothing in common."""
    return int.from_bytes(hashlib.sha256(f"{seed} {update}".encode()).digest()[:8], "big") >> 1


def seed_generator(device: torch.device, seed: int) -> None:
    """Seed the generator that a model on `device` draws from.

    On a CPU only that one: torch.manual_seed also prepares every accelerator, which small updates would feel.
    """
    if device.type == "cpu":
        torch.default_generator.manual_seed(seed)
    else:
        torch.manual_seed(seed)


def _positions(source: Source) -> Iterator[tuple[int, int]]:
    """(epoch, index) of every batch, for ever."""
    epoch = 0
    while True:
        for index in range(source.count(epoch)):
            yield epoch, index
        epoch += 1
