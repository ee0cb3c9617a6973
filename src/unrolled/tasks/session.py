"""The order of a training: settings, data, model, updates, evaluation, folder. Fresh, from another run, or resumed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from unrolled import machine, tasks
from unrolled.config import Config, from_flat
from unrolled.runs.claim import next_run, refuse_existing
from unrolled.runs.run import Run, refuse_gone
from unrolled.training.fit import Prepared, computing, fit, prepare, refuse_unfit, saved_config
from unrolled.training.interrupt import interruptible
from unrolled.training.partial_run import PartialRun, resume_partial, start_partial
from unrolled.training.plan import Plan, PlannedData
from unrolled.training.progress import Event
from unrolled.training.start import Start

__all__ = ["resume", "train"]

Report = Callable[[Event], None]


def train(
    data: object,
    settings: Mapping[str, Any],
    *,
    out: str | Path | None,
    runs: str | Path | None,
    overwrite: bool,
    start: Run | None,
    config: Config | None,
    report: Report,
) -> Run:
    """Train a model on `data`; see `unrolled.train` for the arguments and errors."""
    began = time.perf_counter()
    first = None if start is None else Start(start)
    if first:
        config = first.settings(settings, config)
    else:
        config = from_flat(tasks.infer_settings(data, settings, config), base=config)
    device, kind = machine.device(config.training.device), tasks.find(config)
    refuse_unfit(kind, config, device, kept=out is not None or runs is not None)
    if out is not None:
        refuse_existing(Path(out), overwrite=overwrite)
    with computing(config.training, device):
        task = kind.read(data, config, first.run.preprocessor if first else None)
        if first:
            first.refuse_other_labels(task.labels, task.record()["source"])
        prepared = prepare(task, config, device, first)
        if out is None and runs is not None:
            out = next_run(Path(runs), task.name, config.model.name)
        with interruptible() as interrupted:  # until the run is saved
            if out is None:
                return fit(prepared, began, report, interrupted)
            with start_partial(Path(out), overwrite=overwrite) as partial:
                partial.hold(prepared)
                if prepared.start or config.training.time_limit:  # which a resumed training could not repeat
                    partial.save(prepared.trainer)
                plan = Plan(config=saved_config(config), data=PlannedData(**task.record()), start=prepared.start)
                partial.write_plan(plan, task.preprocessor)
                return _finished(prepared, began, report, interrupted, partial)


def resume(folder: Path, data: object, settings: Mapping[str, Any], *, finish: bool, report: Report) -> Run:
    """Resume a training that was interrupted; see `unrolled.resume` for the arguments and errors."""
    began = time.perf_counter()
    with resume_partial(folder) as partial:
        plan, preprocessor = partial.read_plan()
        config = plan.settings(settings)
        device, kind = machine.device(config.training.device), tasks.find(config)
        refuse_unfit(kind, config, device, kept=True)
        if data is None:
            data = plan.data.source
            refuse_gone(data, config.data, fix="give them again: `unrolled.resume(folder, data)`")
        with computing(config.training, device):
            task = kind.read(data, config, preprocessor)
            plan.refuse_other_data(task.record())
            prepared = replace(prepare(task, config, device, resumed=True), start=plan.start)
            partial.hold(prepared)
            with interruptible() as interrupted:
                partial.restore(prepared.trainer)
                return _finished(prepared, began, report, interrupted, partial, finish=finish)


def _finished(
    prepared: Prepared,
    began: float,
    report: Report,
    interrupted: Callable[[], int | None],
    partial: PartialRun,
    *,
    finish: bool = False,
) -> Run:
    """Train to the end, and give the folder the name of the run."""
    run = fit(prepared, began, report, interrupted, partial, finish=finish)
    partial.publish(run.files())
    return replace(run, path=partial.run)
