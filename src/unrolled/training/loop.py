"""The training loop: batches in, the best weights out.

Everything is a function of the update: the order of the data (a batch is a pure function of seed, epoch and index), the
random numbers (seeded anew for every update) and the learning rate. So a training that is resumed from what `state_tensors`
returned goes on with the same bits. The loss of an update is the sum of the nats of all its real targets divided by
their number, over all its batches, so that k small batches equal one large one.
"""

from __future__ import annotations

import copy
import hashlib
import math
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from unrolled.config import TrainingConfig
from unrolled.errors import CheckpointError, TrainingError
from unrolled.models import Model
from unrolled.state import State, detach, leaves, like
from unrolled.training.averaging import Average
from unrolled.training.optimizer import adamw, clip_, moments, moments_like, set_moments
from unrolled.training.progress import Event, Outcome, Progress, Score, Since
from unrolled.training.schedule import learning_rate

__all__ = ["Batch", "Callback", "Loader", "Trainer", "seed_of"]

MOST_EVALUATIONS = 20  # unless asked for more: with a small data set an epoch is an update or two


@dataclass(frozen=True)
class Batch:
    """What one forward pass needs, and how much of it is real.

    Args:
        inputs: (B, T) ids or (B, T, D) features.
        lengths: (B,) real steps; None where all are.
        targets: what the loss takes beside the logits: (B,) classes, or (B, T) tokens.
        source, source_lengths: (B, S) ids and how many of them are real (B,), which the model reads before it begins;
            None where it has no encoder.
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
    source: Tensor | None = None
    source_lengths: Tensor | None = None


class Loader(Protocol):
    """Where batches come from: a batch is a pure function of (epoch, index), asked for in this order.

    One that reads streams says so in its batches: the state of a batch that `continues` is that of the one before it.
    """

    def count(self, epoch: int) -> int:
        """How many batches the epoch has."""

    def batch(self, epoch: int, index: int) -> Batch:
        """One of them."""


class Callback(Protocol):
    """Who keeps what a training must not lose."""

    def after_update(self, trainer: Trainer) -> None:
        """Called after every update, when its event has been reported: writes what is due."""

    def leave(self, trainer: Trainer, signal: int) -> None:
        """Called instead when a signal has arrived: saves all and raises Interrupted."""


class Trainer:
    """Trains a model in place.

    Args:
        model: on its device already.
        source: the training split.
        loss_nats: (logits, targets) -> the summed nats of all real targets.
        score: evaluates the model, as it is then and in eval mode, on the validation split.
        config: the optimiser's settings.
    """

    def __init__(
        self,
        model: Model,
        loader: Loader,
        loss_nats: Callable[[Tensor, Tensor], Tensor],
        score: Callable[[], Score],
        config: TrainingConfig,
    ) -> None:
        self.model, self.loader, self.loss_nats, self.score, self.config = model, loader, loss_nats, score, config
        self.device = next(model.parameters()).device
        self.optimizer = adamw(model, rate=config.learning_rate, weight_decay=config.weight_decay)
        self.per_epoch = loader.count(0) / config.accumulate
        self.progress = Progress(config.updates or max(1, round(config.epochs * self.per_epoch)))
        self.average = Average(model, config.average) if config.average else None
        self.best_weights = copy.deepcopy(model.state_dict())
        self.state: State = None  # what the last batch left, for one that continues it

    @property
    def evaluate_every(self) -> int:
        """How many updates there are between two evaluations."""
        most = max(self.per_epoch, self.progress.updates / MOST_EVALUATIONS)
        return self.config.evaluate_every or max(1, round(most))

    def run(
        self,
        report: Callable[[Event], None] = lambda event: None,
        interrupted: Callable[[], int | None] = lambda: None,
        callback: Callback | None = None,
        *,
        finish: bool = False,
    ) -> Outcome:
        """Train to the end and leave the model with the weights of its best evaluation.

        Args:
            report: called at every evaluation, and at least every 100 updates.
            interrupted: asked after every update; a signal's number ends the training there: what it came to is kept
                by the callback, to be resumed, or is evaluated where there is none.
            callback: keeps what must not be lost.
            finish: end after one more update and its evaluation.

        Raises:
            TrainingError: a loss or gradient that is not finite; the model has the weights of its best evaluation.
            Interrupted: a signal has arrived, and the callback has kept all.
        """
        progress = self.progress
        evaluate_every, report_every = self.evaluate_every, min(max(1, progress.updates // 500), 100)
        began = time.perf_counter() - progress.total_seconds  # on the run's own clock
        stopped, number = self._stopped(), None
        self.model.train()
        try:
            while stopped is None:
                self.update()
                progress.total_seconds = time.perf_counter() - began
                number = interrupted()
                if finish or (number is not None and callback is None):
                    stopped = (
                        f"interrupted by {signal.Signals(number).name}" if number else "ended early, when asked to"
                    )
                evaluates = stopped or progress.update == progress.updates or progress.update % evaluate_every == 0
                if evaluates or progress.update % report_every == 0:
                    report(self._event(evaluates=bool(evaluates)))
                    progress.since = Since(began=time.perf_counter() - began)
                stopped = stopped or self._stopped()
                if callback is not None:
                    with self._clock("checkpoint"):
                        if number is not None and stopped is None:
                            callback.leave(self, number)
                        callback.after_update(self)
        finally:
            progress.total_seconds = time.perf_counter() - began
            self.model.load_state_dict(self.best_weights)
            self.model.eval()
        return Outcome(
            updates=progress.update,
            planned=progress.updates,
            best_update=progress.best_update,
            stopped=stopped,
            signal=number if callback is None else None,
            tokens=progress.tokens,
            total_seconds=progress.total_seconds,
            seconds=progress.seconds,
            resumed=progress.resumed,
        )

    def _stopped(self) -> str | None:
        """Why there are no more updates, if so."""
        if self.progress.update >= self.progress.updates:
            return "all updates done"
        if self.config.patience and self.progress.worse >= self.config.patience:
            return f"no better evaluation in the last {self.progress.worse}"
        return None

    def update(self) -> None:
        """One optimiser update over `accumulate` batches.

        Raises:
            TrainingError: a loss or gradient is not finite; the weights are untouched.
        """
        config, progress = self.config, self.progress
        seed_generator(self.device, seed_of(config.seed, progress.update))
        with self._clock("batch"):
            batches = [self._next() for _ in range(config.accumulate)]
        num_targets = sum(batch.num_targets for batch in batches)
        nats = 0.0
        for batch in batches:
            with self._clock("forward"), self._precision():
                logits, state = self.model(batch.inputs, self._initial_state(batch), batch.lengths)
                self.state = detach(state)
                if logits.dtype == torch.bfloat16:
                    logits = logits.float()
                batch_nats = self.loss_nats(logits, batch.targets)
                nats += float(batch_nats.detach())
            with self._clock("backward"):
                (batch_nats / num_targets).backward()  # type: ignore[no-untyped-call]
        with self._clock("optimizer"):
            rate = learning_rate(
                progress.update,
                progress.updates,
                peak=config.learning_rate,
                warmup=config.warmup,
                schedule=config.schedule,
                reduced=config.plateau_factor**progress.reductions,
            )
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            norm = clip_(self.model, config.clip, update=progress.update, loss_nats=nats / num_targets)
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
            progress.update += 1
            if self.average is not None:
                self.average.add(progress.update)
        num_tokens = sum(batch.num_tokens for batch in batches)
        progress.learning_rate, progress.gradient_norm = rate, norm
        progress.tokens += num_tokens
        progress.since.add(nats, num_targets, num_tokens)

    def evaluate(self) -> Score:
        """Score the model, with averaged weights if there are such, and remember the weights if it is the best.

        Raises:
            TrainingError: the loss is not finite.
        """
        progress = self.progress
        with self._clock("evaluation"), self.average.applied() if self.average else nullcontext():
            self.model.eval()
            score = self.score()
            self.model.train()
            if not math.isfinite(score.loss_nats):
                raise TrainingError(
                    f"update {progress.update}: the loss of the validation split is {score.loss_nats}: the weights have "
                    "grown beyond all bounds. Try a smaller --learning-rate or more --warmup"
                )
            if progress.best_loss_nats is None or score.loss_nats < progress.best_loss_nats:
                progress.best_loss_nats, progress.best_update = score.loss_nats, progress.update
                progress.worse = progress.flat = 0
                self.best_weights = copy.deepcopy(self.model.state_dict())
            else:
                progress.worse, progress.flat = progress.worse + 1, progress.flat + 1
                if self.config.schedule == "plateau" and progress.flat >= self.config.plateau_patience:
                    progress.reductions, progress.flat = progress.reductions + 1, 0
        return score

    def state_tensors(self) -> dict[str, Tensor]:
        """Return the tensors that a training goes on from, beside its progress, by name. They are not copied."""
        groups = {"model": self.model.state_dict(), **moments(self.optimizer, self.model)}
        if self.progress.best_loss_nats is not None:
            groups["best"] = self.best_weights
        if self.average is not None:
            groups["average"] = self.average.tensors()
        if self.state is not None and self.loader.batch(self.progress.epoch, self.progress.index).continues:
            groups["carried"] = {str(i): leaf for i, leaf in enumerate(leaves(self.state))}
        return {f"{group}/{name}": value for group, tensors in groups.items() for name, value in tensors.items()}

    def restore(self, progress: Progress, tensors: dict[str, Tensor]) -> None:
        """Stand where `state_tensors` was taken.

        Raises:
            CheckpointError: the tensors are not those of this model and these settings.
        """
        groups: dict[str, dict[str, Tensor]] = {"carried": {}}
        for name, value in tensors.items():
            group, _, rest = name.partition("/")
            groups.setdefault(group, {})[rest] = value.to(self.device)
        carried = groups.pop("carried")
        weights, trained = self.model.state_dict(), dict(self.model.named_parameters())
        wanted = {"model": weights}
        if progress.best_loss_nats is not None:
            wanted["best"] = weights
        if self.average is not None:
            wanted["average"] = trained
        if progress.update:
            wanted |= moments_like(trained)
        if _shapes(groups) != _shapes(wanted):
            strange = sorted(_shapes(groups) ^ _shapes(wanted))[0]
            raise CheckpointError(f"the checkpoint is not one of this model with these settings: see {strange[0]}")
        self.progress = progress
        self.model.load_state_dict(groups["model"])
        self.best_weights = groups.get("best") or copy.deepcopy(self.model.state_dict())
        set_moments(self.optimizer, self.model, groups)
        if self.average is not None:
            self.average.restore(groups["average"])
        self.state = self._carried([carried[str(i)] for i in range(len(carried))]) if carried else None

    def _initial_state(self, batch: Batch) -> State:
        """The state that a batch begins with."""
        if batch.source is not None:
            return self.model.encode(batch.source, batch.source_lengths)
        return self.state if batch.continues else None

    def _carried(self, tensors: list[Tensor]) -> State:
        """The state that a stream carries, built as this model builds one."""
        batch = self.loader.batch(self.progress.epoch, self.progress.index)
        self.model.eval()
        with torch.no_grad():
            _, state = self.model(batch.inputs[:, :1])
        try:
            return like(state, tensors)
        except ValueError as error:
            raise CheckpointError(f"the checkpoint is not one of this model with these settings: {error}") from None

    def _next(self) -> Batch:
        """The next batch in order; an epoch follows the other."""
        progress = self.progress
        batch = self.loader.batch(progress.epoch, progress.index)
        progress.index += 1
        if progress.index >= self.loader.count(progress.epoch):
            progress.epoch, progress.index = progress.epoch + 1, 0
        return batch

    def _event(self, *, evaluates: bool) -> Event:
        """What happened since the last one."""
        progress = self.progress
        before = progress.best_update
        valid = self.evaluate() if evaluates else None
        since = progress.since
        return Event(
            update=progress.update,
            updates=progress.updates,
            epoch=progress.update / self.per_epoch,
            loss_nats=since.nats / since.targets,
            learning_rate=progress.learning_rate,
            gradient_norm=progress.gradient_norm,
            tokens_per_second=since.tokens / max(progress.total_seconds - since.began, 1e-9),
            valid=valid,
            best=progress.best_update != before,
        )

    def _precision(self) -> AbstractContextManager[object]:
        """What the forward pass computes in; states, sums of the loss, weights and gradients stay in float32."""
        if self.config.precision == "bf16":
            return torch.autocast(self.device.type, dtype=torch.bfloat16)
        return nullcontext()

    @contextmanager
    def _clock(self, what: str) -> Iterator[None]:
        """Add the seconds of the block to what the progress says of `what`."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.progress.seconds[what] += time.perf_counter() - began


def _shapes(groups: Mapping[str, Mapping[str, Tensor]]) -> set[tuple[str, str]]:
    """Every tensor's name, with its shape and dtype."""
    return {
        (f"{group}/{name}", f"{tuple(value.shape)} {value.dtype}")
        for group, tensors in groups.items()
        for name, value in tensors.items()
    }


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
