"""From settings and data to a trained run: the model of a row, all that training needs, the record of how it went."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import torch

from unrolled import machine, scan
from unrolled.config import Config, TrainingConfig, seconds
from unrolled.errors import ConfigError, TrainingError
from unrolled.kernels import native
from unrolled.layers import Recurrent, set_backend
from unrolled.models import Model
from unrolled.runs.build import build
from unrolled.runs.preprocessor import inputs_of
from unrolled.runs.run import Run, absolute
from unrolled.training import tensorboard
from unrolled.training.limit import updates_within
from unrolled.training.loop import Trainer
from unrolled.training.partial_run import PartialRun
from unrolled.training.progress import Event, Outcome
from unrolled.training.seeds import seed_of
from unrolled.training.start import Start
from unrolled.training.task import Task

__all__ = ["Prepared", "computing", "fit", "prepare", "refuse_unfit", "saved_config"]

log = logging.getLogger("unrolled")


def refuse_unfit(task: type[Task], config: Config, device: torch.device, *, kept: bool) -> None:
    """Refuse what the task or the row does not use and a backend that cannot run, before any data is read.

    Args:
        task, config, device: of the training. kept: whether it has a folder.

    Raises:
        ConfigError: an option without use. BackendError: a forced backend cannot run.
    """
    task.refuse_unused(config)
    if not kept and (config.training.keep or config.training.tensorboard):
        raise ConfigError("keep and tensorboard write into the run's folder: give one with out or runs")
    if config.training.tensorboard:
        tensorboard.refuse_missing()
    smallest = config.model.model_copy(update={"hidden_size": 1})
    with torch.device("meta"):  # no random number is drawn
        layers = _recurrent(build(config.model.name, task.smallest, 1, config.model, answer=task.answer))
        if layers:
            layers = _recurrent(
                build(config.model.name, task.smallest, 1, smallest, answer=task.answer).to_empty(device=device)
            )
    if not layers and config.training.backend != "auto":
        raise ConfigError(f'model "{config.model.name}" has no recurrent layer, so it does not use backend: remove it')
    for layer in layers:
        scan.choose(config.training.backend, layer.cell, masked=layer.recurrent_dropout > 0)


@contextmanager
def computing(config: TrainingConfig, device: torch.device) -> Iterator[None]:
    """Compute with the threads that the settings name, and leave torch's threads and random numbers as they were."""
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        try:
            torch.set_num_threads(config.threads or threads)
            yield
        finally:
            torch.set_num_threads(threads)


@dataclass(frozen=True)
class Prepared:
    """All that training needs, before the first update."""

    config: Config
    task: Task
    model: Model
    trainer: Trainer
    start: str | None = None  # the run whose weights it begins with

    @property
    def facts(self) -> dict[str, str]:
        """Machine and library versions that can change results in the last bits."""
        device = next(self.model.parameters()).device.type
        facts = {**machine.describe(), **machine.versions(), "device": device, "backend": _backend(self.model)}
        return {name: str(value) for name, value in {**facts, "kernels": native.isa()}.items()}


def prepare(
    task: Task, config: Config, device: torch.device, start: Start | None = None, *, resumed: bool = False
) -> Prepared:
    """Build the model and set the trainer up.

    Args:
        task, config, device: of the training.
        start: gives the weights to begin with; None: those of the seed.
        resumed: it is going to be restored, so a time limit is a number of updates already.

    Raises:
        DataError: a sequence is longer than the model's limit.
    """
    torch.manual_seed(seed_of(config.training.seed, -1))
    inputs = inputs_of(task.preprocessor)
    model = build(config.model.name, inputs, task.num_outputs, config.model, answer=task.answer).to(device)
    set_backend(model, config.training.backend)
    task.refuse_longer(model, config.model.name)
    log.info("model %s: %s parameters, %s", config.model.name, f"{_parameters(model):,}", inputs)
    if start is not None:
        model.load_state_dict(start.weights)
    source = task.loader(model, config, device)
    trainer = Trainer(model, source, task.loss(config, device), lambda: task.score(model), config.training)
    if config.training.time_limit and not resumed:
        with machine.retain_memory():
            trainer.progress.updates = updates_within(trainer, seconds(config.training.time_limit))
        log.info("%s are %s updates", config.training.time_limit, f"{trainer.progress.updates:,}")
    return Prepared(config, task, model, trainer, start.name if start else None)


def fit(
    prepared: Prepared,
    began: float,
    report: Callable[[Event], None],
    interrupted: Callable[[], int | None],
    partial: PartialRun | None = None,
    *,
    finish: bool = False,
) -> Run:
    """Train, evaluate on the test split, and write down how it went.

    Args:
        prepared: what `prepare` made, and `PartialRun.restore` may have put further on.
        began: time.perf_counter() when all this began.
        report, interrupted, finish: see `Trainer.run`.
        partial: the folder that keeps the training while it lasts; None: it stays in memory.

    Raises:
        TrainingError: a loss or gradient is not finite. Interrupted: a signal has arrived, and all is saved.
        CheckpointError: something cannot be written.
    """
    config, task, model = prepared.config, prepared.task, prepared.model
    metrics = partial.metrics if partial else []
    with ExitStack() as stack:
        reports = [report]
        if partial and config.training.tensorboard:
            folder = partial.folder / "tensorboard"
            reports.insert(0, stack.enter_context(tensorboard.writing(folder, prepared.trainer.progress.update)))

        def keep_and_report(event: Event) -> None:
            partial.add(event) if partial else metrics.append(event.to_dict())
            for each in reports:
                each(event)

        try:
            with machine.retain_memory():
                outcome = prepared.trainer.run(keep_and_report, interrupted, partial, finish=finish)
        except TrainingError as error:
            raise TrainingError(f"{error}. {partial.left()}" if partial else str(error)) from None
    record = _record(prepared, outcome)
    run = task.run(config, model, task.preprocessor, task.labels, record, metrics=tuple(metrics))
    result = task.test(run)
    if result is not None:
        record["result"] = result.to_dict()
        run = replace(run, test=result)
    record["seconds"] = time.perf_counter() - began
    return run


def saved_config(config: Config) -> Config:
    """The settings as they are kept: files by their whole path, so that they are found again from another folder."""
    files = {part: file and absolute(file) for part, file in (("valid", config.data.valid), ("test", config.data.test))}
    return config.model_copy(update={"data": config.data.model_copy(update=files)})


def _record(prepared: Prepared, outcome: Outcome) -> dict[str, Any]:
    """What run.json keeps."""
    config, task, model = prepared.config, prepared.task, prepared.model
    return {
        "config": saved_config(config).model_dump(),
        "data": task.record(),
        "start": prepared.start,
        "parameters": _parameters(model),
        "training": outcome.to_dict(),
        "result": None,
        "backend": _backend(model),
        "versions": machine.versions(),
        "machine": machine.describe(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
    }


def _backend(model: Model) -> str:
    """What computes its scans."""
    layers = _recurrent(model)
    if not layers:
        return "none: no recurrence"
    return scan.choose(layers[0].backend, layers[0].cell, masked=layers[0].recurrent_dropout > 0)


def _parameters(model: Model) -> int:
    return sum(p.numel() for p in model.parameters())


def _recurrent(model: Model) -> list[Recurrent]:
    return [layer for layer in model.modules() if isinstance(layer, Recurrent)]
