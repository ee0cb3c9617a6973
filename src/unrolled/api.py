"""The one core that the command line, notebooks and (to come) the server call: train, load, decode, evaluate, explain.

run = unrolled.train("reviews.csv", row="gru", out="runs/reviews")
run.decode("a fine film")[0].label
unrolled.load("runs/reviews").evaluate("more.csv").accuracy
run.explain("a fine film")["gru.l0.z"]
"""

from __future__ import annotations

import html
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from unrolled import machine, pictures, scan, tasks
from unrolled.config import Config, ModelConfig, from_flat
from unrolled.data.report.findings import Report
from unrolled.errors import CheckpointError, ConfigError
from unrolled.inside import Trace, of_module
from unrolled.models import Features
from unrolled.runs.claim import next_run, refuse_existing
from unrolled.runs.folder import read
from unrolled.runs.preprocessor import FILES, inputs_of, num_outputs_of
from unrolled.runs.run import SPECIAL_IDS, refuse_gone
from unrolled.training import Event, Run
from unrolled.training.fit import build, build_facts, computing, fit, kept_config, prepare, refuse_unfit
from unrolled.training.interrupt import interruptible
from unrolled.training.plan import Plan, PlannedData
from unrolled.training.start import Start
from unrolled.training.unfinished import begin, go_on

__all__ = [
    "backends",
    "build",
    "decode",
    "evaluate",
    "explain",
    "inspect",
    "load",
    "prepare",
    "resume",
    "trace",
    "train",
]


def train(
    data: object,
    *,
    out: str | Path | None = None,
    runs: str | Path | None = None,
    overwrite: bool = False,
    start: Run | str | Path | None = None,
    config: Config | None = None,
    report: Callable[[Event], None] = lambda event: None,
    **settings: Any,
) -> Run:
    """Train a row of the lineage on `data`, evaluate it on the test part, and keep it.

    Args:
        data: for task classify a CSV, TSV, JSONL or Parquet file, "-" (standard input), a sample's name
            ("sample:films"), "hub:NAME", or Python objects: (text, label) pairs, dicts with the text and label keys, a
            mapping of two lists, a data frame; or images: an IDX file or a folder of these, a folder of image files by
            class, "sample:fashion", a pair of arrays (images, labels). For task tag a CoNLL-U file, one of two
            columns, "sample:tags", or (words, tags) pairs. For task translate (source, target) pairs, from all
            that labelled texts may come from, "sample:letters" or "sample:verses". For task generate a text file, a
            folder of them, a list of these, "-", or "sample:shakespeare".
        out: folder to save the run to. Without it and `runs` the run stays in memory (`run.save(folder)`).
        runs: folder of runs: the run is saved to the first free `<runs>/<data>-<row>-<n>`.
        overwrite: whether a run in `out` may be replaced; it is, once the new one is whole.
        start: a run, or its folder, to begin with: its weights, its tokeniser, its settings but for what is given. The
            labels must be the same.
        config: settings to start from; default: `Config()`, or those of `start`.
        report: called with the progress of the training.
        settings: any field of the config by its flat name: row="lstm", hidden_size=256, epochs=5.

    Returns:
        the run, in eval mode, with the weights of its best evaluation.

    Ctrl-C or SIGTERM ends training between two updates. With a folder to save to, all is kept there and Interrupted
    says so: `resume` goes on. Without one, the run with the best weights so far is returned, and has
    `run.record["training"]["signal"]` set. A second signal raises KeyboardInterrupt at once.

    Raises:
        Interrupted: a signal has arrived, and all is saved.
        ConfigError: an unknown setting, a value out of range, a row or task that is not built, `out` exists.
        DataError: the data cannot be read as asked; names file and line.
        TrainingError: the loss or a gradient is not finite.
        BackendError: a forced backend cannot run.
        CheckpointError: the run cannot be written.
    """
    began = time.perf_counter()
    first = None if start is None else Start(_run(start))
    if first:
        config = first.settings(settings, config)
    else:
        config = from_flat(tasks.understood(data, settings, config), base=config)
    device = _device(config.training.device)
    kind = tasks.of(config)
    refuse_unfit(kind, config, device, kept=out is not None or runs is not None)
    if out is not None:
        refuse_existing(Path(out), overwrite=overwrite)
    with computing(config.training, device):
        task = kind.read(data, config, first.run.preprocessor if first else None)
        if first:
            first.refuse_other_labels(task.labels, task.record()["source"])
        prepared = prepare(task, config, device, first)
        if out is None and runs is not None:
            out = next_run(Path(runs), task.name, config.row)
        with interruptible() as interrupted:  # until the run is saved
            if out is None:
                return fit(prepared, began, report, interrupted)
            with begin(Path(out), overwrite=overwrite) as unfinished:
                unfinished.attend(config.training, build_facts(prepared.model))
                if prepared.start or config.training.time_limit:  # which a resume could not do again
                    unfinished.save(prepared.trainer)
                plan = Plan(config=kept_config(config), data=PlannedData(**task.record()), start=prepared.start)
                unfinished.write_plan(plan, task.preprocessor)
                run = fit(prepared, began, report, interrupted, unfinished)
                unfinished.finish(run.files())
    return replace(run, path=Path(out))


def resume(
    folder: str | Path,
    data: object = None,
    *,
    finish: bool = False,
    report: Callable[[Event], None] = lambda event: None,
    **settings: Any,
) -> Run:
    """Go on with a training that was interrupted: the run ends with the same bits as one that was left alone.

    That holds for the same build, instruction set and threads; where they are others, a warning says which.

    Args:
        folder: of the run that the training was to become, or of the training (`<run>.partial`).
        data: Python objects again, if it was they; what was read from a file is read again.
        finish: end after one more update, with the best network so far.
        report: called with the progress of the training.
        settings: device, threads, backend, checkpoint_every, tensorboard and cache may be others than before. No other
            may.

    Raises:
        ConfigError: there is no such training, another process is at it, or a setting is not what it was.
        DataError: the data are not what they were. CheckpointError: no checkpoint is whole.
        All that `train` raises.
    """
    began = time.perf_counter()
    with go_on(Path(folder)) as unfinished:
        plan, preprocessor = unfinished.read_plan()
        config = plan.settings(settings)
        device = _device(config.training.device)
        kind = tasks.of(config)
        refuse_unfit(kind, config, device, kept=True)
        if data is None:
            data = plan.data.source
            refuse_gone(data, config.data, fix="give them again: `unrolled.resume(folder, data)`")
        with computing(config.training, device):
            task = kind.read(data, config, preprocessor)
            plan.refuse_other_data(task.record())
            prepared = replace(prepare(task, config, device, resumed=True), start=plan.start)
            unfinished.attend(config.training, build_facts(prepared.model))
            with interruptible() as interrupted:
                unfinished.restore(prepared.trainer)
                run = fit(prepared, began, report, interrupted, unfinished, finish=finish)
                unfinished.finish(run.files())
    return replace(run, path=unfinished.run)


def load(path: str | Path, *, device: str = "auto") -> Run:
    """Load a run from its folder. Nothing in it is executed, and no pickle is read.

    It answers with the best backend that is here, whichever it was trained with.

    Raises:
        CheckpointError: the folder or a file of it is missing, damaged, foreign, or of a newer format.
    """
    folder = Path(path)
    kept, weights, file, text, config, record = read(folder)
    try:
        with torch.device("meta"):  # without memory: what is built takes the weights that are there, or does not fit
            inputs = kept.inputs.inputs()
            task = tasks.find(kept.task, images=isinstance(inputs, Features))
            model = build(kept.row, inputs, num_outputs_of(inputs, kept.labels), kept.model, answer=task.answer)
        for name, value in model.state_dict().items():
            if name in weights and weights[name].dtype != value.dtype:
                raise ValueError(f"{name} is {weights[name].dtype}, not {value.dtype}")
        model.load_state_dict(weights, assign=True)
    except (ValueError, RuntimeError) as error:
        raise CheckpointError(f"{folder} does not hold a run that this unrolled can rebuild: {error}") from error
    try:
        preprocessor = FILES[file].from_json(text)
    except CheckpointError as error:
        raise CheckpointError(f"{folder / file}: {error}") from None
    if inputs_of(preprocessor) != inputs or kept.special_ids != SPECIAL_IDS:
        raise CheckpointError(
            f"{folder / file} makes {inputs_of(preprocessor)}, and the model reads {inputs}: it belongs to another run"
        )
    return task.run(config, model.to(_device(device)).eval(), preprocessor, tuple(kept.labels), record, folder)


def decode(run: Run | str | Path, inputs: Any, **options: Any) -> list[Any]:
    """Answer for one text or image or many, in order. `run` is a Run or its folder; the options are its task's."""
    return _run(run).decode(inputs, **options)


def evaluate(run: Run | str | Path, data: object = None, **options: Any) -> Any:
    """Say how good it is on `data`, or on its own test part. `run` is a Run or its folder; `options` are its task's."""
    return _run(run).evaluate(data, **options)


def explain(run: Run | str | Path, given: Any, **options: Any) -> Trace:
    """Say what a run does with an input, as named tensors. `run` is a Run or its folder; see `Run.explain`."""
    return _run(run).explain(given, **options)


def trace(module: nn.RNNBase, x: Tensor, hx: Any = None, *, row: int = 0) -> Trace:
    """Return every gate and state of one row of `module(x, hx)`, a torch.nn.RNN, LSTM or GRU; see `inside.stock`."""
    return of_module(module, x, hx, row=row)


def _in_a_notebook(trace: Trace) -> str:
    """The page of a trace in a frame of its own, or what is in it where nothing can be drawn."""
    if not pictures.shown_by([trace]):
        return f"<pre>{html.escape(trace.summary())}</pre>"
    return f'<iframe srcdoc="{html.escape(pictures.page([trace]))}" width="100%" height="640" loading="lazy"></iframe>'


Trace.shown = _in_a_notebook


def inspect(data: object, *, config: Config | None = None, **settings: Any) -> Report:
    """Say what is understood of `data` before anything is trained, and what a training would suffer from.

    Returns:
        a report: `text()` to read, `to_dict()` as JSON values, `picture()` as SVG, `findings` one by one.

    Raises:
        DataError: the data cannot be read as asked; names file and line.
    """
    config = from_flat(tasks.understood(data, settings, config), base=config)
    return tasks.of(config).inspect(data, config)


def backends() -> dict[str, Any]:
    """Say what computes here: each backend with its conditions, the cells it runs, devices and threads."""
    from unrolled.models.recurrent import CELLS, make_cell

    cells = {name: make_cell(name, 1, ModelConfig(hidden_size=1)) for name in CELLS}
    return {
        "backends": {
            name: {
                "cells": [cell for cell, made in cells.items() if all(c.holds for c in scan.conditions(name, made))],
                "needs": [c._asdict() for c in scan.conditions(name)],
            }
            for name in scan.BACKENDS
        },
        "auto": {name: scan.choose("auto", cell) for name, cell in cells.items()},
        "device": str(_device("auto")),
        "machine": machine.describe(),
    }


def _device(name: str) -> torch.device:
    """The device asked for; `auto` takes CUDA, then MPS, then the CPU."""
    found = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(device for device, there in found.items() if there)
    if not found.get(name):
        raise ConfigError(
            f'device "{name}" is not available here; use {", ".join(d for d, there in found.items() if there)}'
        )
    return torch.device(name)


def _run(run: Run | str | Path) -> Run:
    return run if isinstance(run, Run) else load(run)
