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
from unrolled.training import pretrained
from unrolled.training.fit import fit
from unrolled.training.interrupt import interruptible
from unrolled.training.partial_run import PartialRun, resume_partial, start_partial
from unrolled.training.prepare import Prepared, prepare, refuse_unfit
from unrolled.training.progress import Event

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
    if start is not None:
        config = pretrained.settings_of(start, settings, config)
    else:
        config = from_flat(tasks.infer_settings(data, settings, config), base=config)
    device, kind = machine.device(config.training.device), tasks.find(config)
    refuse_unfit(kind, config, device, saved=out is not None or runs is not None)
    if out is not None:
        refuse_existing(Path(out), overwrite=overwrite)
    with machine.isolated(device, threads=config.training.threads):
        task = kind.read(data, config, start.preprocessor if start else None)
        if start is not None:
            pretrained.refuse_other_labels(start, task.labels, task.record()["source"])
        prepared = prepare(task, config, device, start)
        if out is None and runs is not None:
            out = next_run(Path(runs), task.name, config.model.name)
        with interruptible() as interrupted:  # until the run is saved
            if out is None:
                return fit(prepared, began, report, interrupted)
            with start_partial(Path(out), overwrite=overwrite) as partial:
                partial.begin(prepared)
                return _finished(prepared, began, report, interrupted, partial)


def resume(folder: Path, data: object, settings: Mapping[str, Any], *, finish: bool, report: Report) -> Run:
    """Resume a training that was interrupted; see `unrolled.resume` for the arguments and errors."""
    began = time.perf_counter()
    with resume_partial(folder) as partial:
        plan, preprocessor = partial.read_plan()
        config = plan.settings(settings)
        device, kind = machine.device(config.training.device), tasks.find(config)
        refuse_unfit(kind, config, device, saved=True)
        if data is None:
            data = plan.data.source
            refuse_gone(data, config.data, fix="give them again: `unrolled.resume(folder, data)`")
        with machine.isolated(device, threads=config.training.threads):
            task = kind.read(data, config, preprocessor)
            plan.refuse_other_data(task.record())
            prepared = replace(prepare(task, config, device, resumed=True), start=plan.start)
            with interruptible() as interrupted:
                partial.restore(prepared)
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
    """Train to the end, rename the folder to that of the run, and return the run."""
    run = fit(prepared, began, report, interrupted, partial, finish=finish)
    partial.publish(run.files())
    return replace(run, path=partial.run)
