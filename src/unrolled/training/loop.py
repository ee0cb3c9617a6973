"""The training loop: batches in, the weights of the best evaluation out.

Everything is a function of the update: the order of the data (a batch is a pure function of seed, epoch and index),
the random numbers (seeded for every update) and the learning rate. So a training that is restored from its progress
and tensors (`trainer_state`) continues with the same bits. The loss of an update is the sum of the nats of its real
targets divided by their number, over all its batches, so that k small batches equal one large one.

A batch is cut into shards, whose gradients are summed in one fixed order (`shards`), by one process or by many
(`distributed`).
"""

from __future__ import annotations

import copy
import math
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Protocol

import torch
from torch import Tensor

from unrolled.config import TrainingConfig, seconds
from unrolled.errors import TrainingError
from unrolled.models import Model
from unrolled.state import State
from unrolled.training.averaging import Average, BestModels
from unrolled.training.batch import Batch, Loader
from unrolled.training.distributed import ALONE, Processes
from unrolled.training.optimizer import adamw, clip_
from unrolled.training.progress import Event, Outcome, Progress, Score, Since
from unrolled.training.schedule import learning_rate
from unrolled.training.seeds import seed_generator, seed_of
from unrolled.training.shards import cut
from unrolled.training.step import LossNats, Step

__all__ = ["Callback", "Trainer"]

LATE = 1.5
MAX_EVALUATIONS = 20  # by default: of a small data set an epoch is one update or two


class Callback(Protocol):
    """Saves the state of a training while it runs.

    Of many processes each has one, and all call the same methods: the state of a stream is spread over them.
    """

    def is_due(self, trainer: Trainer) -> bool:
        """Return whether the state is to be saved after this update; process 0 decides."""

    def after_update(self, trainer: Trainer, *, due: bool) -> None:
        """Write all that is due; called after every update, when its event has been reported."""

    def save(self, trainer: Trainer) -> None:
        """Save all that a resumed training continues from."""

    def on_signal(self, trainer: Trainer, signal: int) -> None:
        """Save all and raise Interrupted; called after the update in which a signal arrived, if more would follow."""


class Trainer:
    """A training of a model, in place.

    Args:
        model: the model, on its device already.
        loader: the training split.
        loss_nats, plain_nats: see `Step`.
        score: evaluates the model, as it is then and in eval mode, on the validation split.
        config: the optimiser's settings.
        processes: the processes that train the model together.
    """

    def __init__(
        self,
        model: Model,
        loader: Loader,
        loss_nats: LossNats,
        score: Callable[[], Score],
        config: TrainingConfig,
        *,
        plain_nats: LossNats | None = None,
        processes: Processes = ALONE,
    ) -> None:
        self.model, self.loader, self.score, self.config = model, loader, score, config
        self.processes, self.shards = processes, config.shards or 1
        self.step = Step(model, loss_nats, plain_nats=plain_nats, bf16=config.precision == "bf16")
        self.device = next(model.parameters()).device
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.optimizer = adamw(model, rate=config.learning_rate, weight_decay=config.weight_decay)
        self.per_epoch = loader.count(0) / config.accumulate
        self.progress = Progress(config.updates or max(1, round((config.epochs or 1) * self.per_epoch)))
        self.average = Average(model, config.average) if config.average else None
        self.best_models = BestModels(config.average_best) if config.average_best > 1 else None
        self.best_weights = copy.deepcopy(model.state_dict())
        self.states: dict[int, State] = {}  # of each shard here, left by the last batch for one that continues it

    @property
    def evaluate_every(self) -> int:
        """The number of updates between two evaluations."""
        most = max(self.per_epoch, self.progress.updates / MAX_EVALUATIONS)
        return self.config.evaluate_every or max(1, round(most))

    def run(
        self,
        report: Callable[[Event], None] = lambda event: None,
        interrupted: Callable[[], int | None] = lambda: None,
        callback: Callback | None = None,
        *,
        finish: bool = False,
    ) -> Outcome:
        """Train to the end and leave the model with the weights of its best evaluation, in eval mode.

        Args:
            report: called at every evaluation, and at least every 100 updates.
            interrupted: called after every update; returns the number of a signal that has arrived, or None. A signal
                ends the training there. With a callback everything is saved, to be resumed; without one the model is
                evaluated.
            callback: saves the state of the training while it runs.
            finish: end after one more update and its evaluation.

        A time limit is a number of updates. Where they take longer than they did when they were measured, training
        ends at LATE times the limit, with the best weights so far; with a callback everything is saved before.

        Raises:
            TrainingError: a loss or gradient is not finite; the model has the weights of its best evaluation.
            Interrupted: a signal has arrived, and the callback has saved everything.
        """
        progress, config = self.progress, self.config
        evaluate_every, report_every = self.evaluate_every, min(max(1, progress.updates // 500), 100)
        began = time.perf_counter() - progress.total_seconds  # on the run's own clock
        latest = progress.total_seconds + self._longest()
        stopped, number, late = self._stopped(), None, False
        self.model.train()
        try:
            while stopped is None:
                self.update()
                progress.total_seconds = time.perf_counter() - began
                number, saves = self._agree(interrupted(), saves=callback is not None and callback.is_due(self))
                if finish or (number is not None and callback is None):
                    stopped = f"interrupted by {signal.Signals(number).name}" if number else "ended early, as requested"
                due = progress.update == progress.updates or progress.update % evaluate_every == 0
                late = stopped is None and progress.update < progress.updates and progress.total_seconds > latest
                if late:
                    stopped = f"stopped: the time limit of {config.time_limit} is exceeded by half"
                    if callback is not None and not due:  # an uninterrupted training has no evaluation here
                        callback.save(self)
                if due or stopped or progress.update % report_every == 0:
                    report(self._event(evaluates=bool(due or stopped)))
                    progress.since = Since(began=time.perf_counter() - began)
                stopped = stopped or self._stopped()
                if callback is not None and late:
                    if due:
                        callback.save(self)
                elif callback is not None:
                    with self._clock("checkpoint"):
                        if number is not None and stopped is None:
                            callback.on_signal(self, number)
                        callback.after_update(self, due=saves)
            averaged = self._average_best()
        finally:
            progress.total_seconds = time.perf_counter() - began
            self.model.load_state_dict(self.best_weights)
            self.model.eval()
        return Outcome(
            updates=progress.update,
            planned=progress.updates,
            best_update=progress.best_update,
            least_loss_update=progress.least_loss_update,
            averaged=averaged,
            stopped=stopped,
            signal=number if callback is None else None,
            late=late,
            tokens=progress.tokens,
            total_seconds=progress.total_seconds,
            seconds=progress.seconds,
            resumed=progress.resumed,
        )

    def update(self) -> None:
        """Take one optimiser step, over `accumulate` batches.

        The loss stays on the device until all batches are through: one read an update, at the check of the gradients.
        On a GPU the clocks "forward" and "backward" therefore measure the launch of the kernels, and "optimizer" the
        wait for them.

        Raises:
            TrainingError: a loss or gradient is not finite; the weights are untouched.
            ProcessError: another process has ended; the weights are untouched.
        """
        config, progress = self.config, self.progress
        with self._clock("batch"):
            batches = [self._take_batch() for _ in range(config.accumulate)]
        num_targets = sum(batch.num_targets for batch in batches)
        num_tokens = sum(batch.num_tokens for batch in batches)
        *gradients, losses = self.processes.sum(self.shards, lambda shard: self._gradients(batches, shard, num_targets))
        with self._clock("optimizer"):
            for parameter, gradient in zip(self.parameters, gradients, strict=True):
                parameter.grad = gradient
            total_nats = sum(losses.tolist())
            norm = clip_(self.model, config.clip, update=progress.update, loss_nats=total_nats / num_targets)
            rate = self._learning_rate()
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
            progress.update += 1
            if self.average is not None:
                self.average.add(progress.update)
        progress.learning_rate, progress.gradient_norm = rate, norm
        progress.tokens += num_tokens
        progress.since.add(total_nats, num_targets, num_tokens)

    def _gradients(self, batches: Sequence[Batch], shard: int, num_targets: int) -> list[Tensor]:
        """Return the gradient of a shard, and the nats of each shard of each batch, (K S,), 0 but for this shard."""
        losses = self.parameters[0].new_zeros(len(batches), self.shards)
        seed_generator(self.device, seed_of(self.config.seed, self.progress.update, shard))
        for batch, loss in zip((cut(batch, shard, self.shards) for batch in batches), losses, strict=True):
            if batch is None:
                continue
            with self._clock("forward"):
                nats, loss[shard], self.states[shard] = self.step(batch, self.states.get(shard))
            with self._clock("backward"):
                (nats / num_targets).backward()
        gradients = [p.grad if p.grad is not None else torch.zeros_like(p) for p in self.parameters]
        self.optimizer.zero_grad(set_to_none=True)
        return [*gradients, losses.flatten()]

    def _agree(self, number: int | None, *, saves: bool) -> tuple[int | None, bool]:
        """Return the signal that has arrived in any process, and the decision of process 0 to save; set its clock."""
        first = self.processes.first
        clock = self.progress.total_seconds if first else 0.0
        arrived, due, self.progress.total_seconds = self.processes.agree(number or 0, first and saves, clock)
        return int(arrived) or None, bool(due)

    def _score(self) -> Score:
        """Return the score of the model, which process 0 evaluates.

        Raises:
            TrainingError: the weights are not the same in all processes.
        """
        self.processes.refuse_drift(self.parameters, self.progress.update)
        return self.processes.on_first(self.score)

    def evaluate(self) -> Score:
        """Score the model, with averaged weights where there are any, and copy its weights if it is the best so far.

        Raises:
            TrainingError: the loss is not finite, or the weights are not the same in all processes.
        """
        progress, config = self.progress, self.config
        with self._clock("evaluation"), self.average.applied() if self.average else nullcontext():
            self.model.eval()
            score = self._score()
            self.model.train()
            if not math.isfinite(score.loss_nats):
                raise TrainingError(
                    f"update {progress.update}: the loss of the validation split is {score.loss_nats}: the weights "
                    "have diverged. Try a smaller --learning-rate or more --warmup"
                )
            plateau_patience = config.plateau_patience if config.schedule == "plateau" else None
            if progress.add_evaluation(score, config.best_by, plateau_patience):
                self.best_weights = copy.deepcopy(self.model.state_dict())
            if self.best_models is not None:
                self.best_models.add(progress, score.figure(config.best_by), self.model)
        return score

    def _average_best(self) -> list[int]:
        """Keep the mean of the best models if it is not worse than the best, and return their updates, else []."""
        progress, by = self.progress, self.config.best_by
        if self.best_models is None or len(progress.ranking) < 2 or progress.highest is None:
            return []
        mean = self.best_models.mean()
        with self._clock("evaluation"):
            self.model.load_state_dict(mean)
            self.model.eval()
            score = self._score()
        if not score.figure(by) >= progress.highest - score.tolerance(by, progress.highest):
            return []
        self.best_weights = mean
        return sorted(each.update for each in progress.ranking)

    def next_batch(self) -> Batch:
        """Return the batch that the next update begins with."""
        return self.loader.batch(self.progress.epoch, self.progress.index)

    def _take_batch(self) -> Batch:
        """Return the next batch and count it; after the last one of an epoch the next epoch begins."""
        progress = self.progress
        batch = self.next_batch()
        progress.index += 1
        if progress.index >= self.loader.count(progress.epoch):
            progress.epoch, progress.index = progress.epoch + 1, 0
        return batch

    def _stopped(self) -> str | None:
        """Return the reason why there are no more updates, None while there are."""
        if self.progress.update >= self.progress.updates:
            return "all updates done"
        if self.config.patience and self.progress.worse >= self.config.patience:
            return f"stopped early: no improvement in {self.progress.worse} evaluations"
        return None

    def _longest(self) -> float:
        """Return the seconds that the rest of the training may take: LATE times its part of the time limit."""
        if self.config.time_limit is None:
            return math.inf
        return LATE * seconds(self.config.time_limit) * (1 - self.progress.update / self.progress.updates)

    def _learning_rate(self) -> float:
        """Return the learning rate of the next update."""
        config, progress = self.config, self.progress
        return learning_rate(
            progress.update,
            progress.updates,
            peak=config.learning_rate,
            warmup=config.warmup,
            schedule=config.schedule,
            reduced=config.plateau_factor**progress.reductions,
        )

    def _event(self, *, evaluates: bool) -> Event:
        """Return the event of the updates since the last one, after an evaluation if there is to be one."""
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

    @contextmanager
    def _clock(self, name: str) -> Iterator[None]:
        """Add the seconds of the block to a clock of the progress."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.progress.seconds[name] += time.perf_counter() - began
