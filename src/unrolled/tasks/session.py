"""The order of a training: settings, data, model, updates, evaluation, folder. Fresh, from another run, or resumed."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from unrolled import launch, machine, tasks
from unrolled.config import Config, from_flat
from unrolled.errors import ConfigError
from unrolled.runs.claim import next_run, refuse_existing
from unrolled.runs.folder import is_run
from unrolled.runs.load import load
from unrolled.runs.preprocessor import Preprocessor
from unrolled.runs.recorded import absolute, refuse_unverified, sums_of
from unrolled.runs.run import Run
from unrolled.tasks.cached import read_cached
from unrolled.training import by_data, pretrained
from unrolled.training import vectors as word_vectors
from unrolled.training.distributed import Processes, joined
from unrolled.training.fit import fit
from unrolled.training.follower import Follower
from unrolled.training.interrupt import interruptible
from unrolled.training.partial_run import PartialRun, begun, resume_partial, start_partial
from unrolled.training.plan import Plan
from unrolled.training.prepare import Prepared, apply_time_limit, empty_model, prepare, refuse_unfit
from unrolled.training.progress import Event
from unrolled.training.task import Task

__all__ = ["ReadData", "read", "resume", "train"]

Report = Callable[[Event], None]
HELD_OUT = {"valid", "test"}  # settings that name files


class ReadData(NamedTuple):
    """Data that are read: the task with them, and the checksums of their files, taken before."""

    task: Task
    sums: list[dict[str, Any]]


def read(data: object, config: Config, preprocessor: Preprocessor | None = None) -> ReadData:
    """Read the data of a training.

    Args:
        data: the data, as the user named them.
        config: the resolved settings.
        preprocessor: that of the run whose weights the training begins with; None: it is learned.
    """
    sums = sums_of(data, config.data)  # before the data are read, so that a change in the meantime is noticed later
    return ReadData(read_cached(tasks.find(config), data, config, preprocessor, sums), sums)


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
    already: ReadData | None = None,
    tests: bool = True,
) -> Run:
    """Train a model on `data`; see `unrolled.train` for the other arguments and errors.

    Args:
        already: the data, if they were read with the same settings.
        tests: whether the run is evaluated on the test split, of a training in memory.
    """
    began = time.perf_counter()
    if start is not None:
        config = pretrained.settings_of(start, tasks.with_class_names(settings), config)
    else:
        resolved = from_flat(tasks.infer_settings(data, settings, config), base=config)
        config = word_vectors.with_vector_size(resolved, settings, config)
    device, kind = machine.device(config.training.device), tasks.find(config)
    if config.data.folds is not None and config.data.fold is None:
        raise ConfigError("folds without fold are a cross-validation: use unrolled.cross_validate, or add fold=1")
    processes = joined()
    if launch.count() > 1 and (run := processes.on_first(lambda: begun(out, runs, overwrite=overwrite))):
        return load(run) if is_run(run) and not overwrite else resume(run, data, {}, finish=False, report=report)
    refuse_unfit(kind, config, device, saved=out is not None or runs is not None)
    shards = processes.shards(config, data)
    if out is not None:
        final = Path(out)
        processes.on_first(lambda: refuse_existing(final, overwrite=overwrite))
    with machine.isolated(device, threads=config.training.threads):

        def prepared_here() -> Prepared:
            task, sums = already or read(data, config, start.preprocessor if start else None)
            if start is not None:
                pretrained.refuse_other_labels(start, task.labels, task.record()["source"])
            decided = by_data.decide(task, config) | shards
            complete = from_flat(decided, base=config)
            vectors, record = word_vectors.read(complete, task.preprocessor)
            prepared = prepare(task, complete, device, start, vectors=vectors, processes=processes)
            return replace(prepared, sums=sums, decided=decided, vectors=record)

        prepared = processes.each(prepared_here)
        processes.refuse_different(prepared.facts)
        apply_time_limit(prepared)
        if out is None and runs is not None:
            parent, name = Path(runs), config.model.name
            out = processes.on_first(lambda: next_run(parent, prepared.task.name, name))
        with interruptible() as interrupted:  # until the run is saved
            if out is None:
                return fit(prepared, began, report, interrupted, tests=tests)
            with _started(Path(out), overwrite=overwrite, processes=processes) as partial:
                processes.on_first(lambda: partial.begin(prepared))
                return _finished(prepared, began, report, interrupted, partial)


def resume(folder: Path, data: object, settings: Mapping[str, Any], *, finish: bool, report: Report) -> Run:
    """Resume a training that was interrupted; see `unrolled.resume` for the arguments and errors."""
    began = time.perf_counter()
    requested = {
        name: absolute(value) if name in HELD_OUT and value else value
        for name, value in tasks.with_class_names(settings).items()
    }
    processes = joined()
    with _resumed(folder, processes) as partial:
        plan, preprocessor = processes.on_first(partial.read_plan)
        config = plan.settings(requested)
        device, kind = machine.device(config.training.device), tasks.find(config)
        refuse_unfit(kind, config, device, saved=True)
        processes.shards(config, data)
        _refuse_unverified(plan, partial, named={*HELD_OUT & settings.keys(), *(["data"] if data is not None else [])})
        data = plan.data.source if data is None else data
        with machine.isolated(device, threads=config.training.threads):
            task, sums = processes.each(lambda: read(data, config, preprocessor))
            plan.refuse_other_data(task.record())
            checkpoint = processes.on_first(lambda: partial.read_checkpoint(empty_model(task, config)))
            prepared = replace(
                processes.each(lambda: prepare(task, config, device, processes=processes)),
                start=plan.start,
                sums=sums,
                vectors=None if plan.data.vectors is None else plan.data.vectors.model_dump(),
            )
            processes.refuse_different(prepared.facts)
            with interruptible() as interrupted:
                partial.restore(prepared, checkpoint)
                return _finished(prepared, began, report, interrupted, partial, finish=finish)


def _refuse_unverified(plan: Plan, partial: PartialRun, named: Collection[str]) -> None:
    """Refuse the data of a plan, unless the user has named them or they are those of its record."""
    flags = {"data": "{0} --resume {1}", "valid": "--resume {1} --valid {0}", "test": "--resume {1} --test {0}"}
    run = shlex.quote(str(partial.run))
    refuse_unverified(
        plan.data.model_dump(),
        plan.config.data,
        named=named,
        command=lambda role, source: "unrolled train " + flags[role].format(shlex.quote(source), run),
        give="give them again: `unrolled.resume(folder, data)`",
    )


def _finished(
    prepared: Prepared,
    began: float,
    report: Report,
    interrupted: Callable[[], int | None],
    partial: PartialRun,
    *,
    finish: bool = False,
) -> Run:
    """Train to the end, publish the run, and return it."""
    run = fit(prepared, began, report, interrupted, partial, finish=finish)
    publish = partial.publish_copy if run.record["training"]["late"] else partial.publish
    prepared.trainer.processes.on_first(lambda: publish(run.files()))
    return replace(run, path=partial.run)


@contextmanager
def _started(run: Path, *, overwrite: bool, processes: Processes) -> Iterator[PartialRun]:
    """Make the folder of a fresh training in process 0; the others follow."""
    if not processes.first:
        yield Follower(run)
        return
    with start_partial(run, overwrite=overwrite) as partial:
        yield partial


@contextmanager
def _resumed(folder: Path, processes: Processes) -> Iterator[PartialRun]:
    """Lock the folder of an interrupted training in process 0; the others follow."""
    if not processes.first:
        yield Follower(folder)
        return
    with resume_partial(folder) as partial:
        yield partial
