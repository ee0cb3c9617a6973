"""From a prepared training to a finished run: updates, the result on the test split, the record."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from unrolled import machine
from unrolled.decoding.temperature import fit_temperature
from unrolled.errors import TrainingError
from unrolled.runs.run import Run
from unrolled.training import tensorboard
from unrolled.training.partial_run import PartialRun
from unrolled.training.plan import with_absolute_files
from unrolled.training.prepare import Prepared
from unrolled.training.progress import Event, Outcome

__all__ = ["fit"]

log = logging.getLogger("unrolled")


def fit(
    prepared: Prepared,
    began: float,
    report: Callable[[Event], None],
    interrupted: Callable[[], int | None],
    partial: PartialRun | None = None,
    *,
    finish: bool = False,
    tests: bool = True,
) -> Run:
    """Train, evaluate on the test split, and return the run with its record.

    Of many processes the first one evaluates, and all return its run.

    Args:
        prepared: the training, as `prepare` made it or as `PartialRun.restore` has advanced it.
        began: time.perf_counter() at the start of the whole training, for the record.
        report, interrupted, finish: see `Trainer.run`.
        tests: whether the run is evaluated on the test split; a trial of a search is not.
        partial: the folder that saves the training while it lasts; None: it stays in memory.

    Raises:
        TrainingError: a loss or gradient is not finite.
        Interrupted: a signal has arrived, and everything is saved.
        CheckpointError: a file cannot be written.
    """
    config, task, model = prepared.config, prepared.task, prepared.model
    metrics = partial.metrics if partial else []
    with ExitStack() as stack:
        reports = [report]
        if partial and prepared.trainer.processes.first and config.training.tensorboard:
            folder = partial.folder / "tensorboard"
            reports.insert(0, stack.enter_context(tensorboard.writing(folder, prepared.trainer.progress.update)))

        def save_and_report(event: Event) -> None:
            partial.add(event) if partial else metrics.append(event.to_dict())
            for each in reports:
                each(event)

        try:
            with machine.retain_memory():
                outcome = prepared.trainer.run(save_and_report, interrupted, partial, finish=finish)
        except TrainingError as error:
            raise type(error)(f"{error}. {partial.advice()}" if partial else str(error)) from None

    def evaluated() -> tuple[dict[str, Any], Any, tuple[dict[str, Any], ...]]:
        record = _record(prepared, outcome)
        if config.training.temperature_scale:
            record["temperature"] = _temperature(prepared)
        run = task.run(config, model, task.preprocessor, task.labels, record, metrics=tuple(metrics))
        result = task.test(run) if tests else None
        if result is not None:
            record["result"] = result.to_dict()
            if config.training.baseline:
                baseline = task.baseline(replace(run, test=result))
                record["baseline"] = baseline and baseline.to_dict()
        record["seconds"] = time.perf_counter() - began
        return record, result, run.metrics

    record, result, events = prepared.trainer.processes.on_first(evaluated)
    return task.run(config, model, task.preprocessor, task.labels, record, metrics=events, test=result)


def _temperature(prepared: Prepared) -> float:
    """Return the temperature that is fitted on the validation split."""
    temperature = fit_temperature(*prepared.task.validation(prepared.model))
    log.info("temperature %.3g, fitted on the validation split: the logits are divided by it", temperature)
    return temperature


def _record(prepared: Prepared, outcome: Outcome) -> dict[str, Any]:
    """Return the content of run.json, without the result on the test split and the seconds of the whole training."""
    count = prepared.trainer.processes.count
    return {
        "config": with_absolute_files(prepared.config).model_dump(),
        "data": prepared.data_record(),
        "decided": dict(prepared.decided),
        "start": prepared.start,
        "parameters": prepared.num_parameters,
        "training": outcome.to_dict(),
        "result": None,
        "backend": prepared.backend,
        "versions": machine.versions(),
        "machine": machine.describe() | ({"processes": count} if count > 1 else {}),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
    }
