"""Making of a plan: the data are read, the widths solved, and updates measured where a time is given."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

import torch

from unrolled import machine, tasks
from unrolled.comparison import budget as budgets
from unrolled.comparison.entries import Entry, configs
from unrolled.comparison.plan import Cell, Match, Plan, Planned, Request, digest
from unrolled.comparison.reader import Reader
from unrolled.comparison.size import grows, operations, parameters, state_bytes
from unrolled.comparison.width import Width, solve
from unrolled.config import Config, ModelConfig, from_flat
from unrolled.errors import ConfigError, DataError
from unrolled.models import Model, Pairs
from unrolled.runs.build import build
from unrolled.runs.folder import describe
from unrolled.runs.preprocessor import inputs_of
from unrolled.training import by_data
from unrolled.training import plan as training_plan
from unrolled.training.limit import updates_within
from unrolled.training.plan import with_absolute_files
from unrolled.training.prepare import prepare, refuse_unfit
from unrolled.training.task import Task

__all__ = ["make"]

UNITS = {"parameters": "parameters", "flops": "operations an update", "seconds": "seconds an update", "state": "bytes"}
EXACT, FAR = ("parameters", "flops"), 0.1
"""Quantities that every model can have, except too small ones: the nearest is then further away than this fraction."""
WARM, TIMED = 3, 7  # updates before a measurement of seconds, and of it
log = logging.getLogger("unrolled")


def make(
    reader: Reader,
    entries: Sequence[Entry],
    settings: Mapping[str, Any],
    request: Request,
    config: Config | None,
    command: str,
) -> Plan:
    """Return the plan of a comparison: reads the data, solves the widths, measures updates where a time is given.

    Args:
        reader: the data.
        entries: the models and runs.
        settings: flat settings of all.
        request: the arguments of the comparison.
        config: settings to start from; None: the defaults.
        command: the command that makes the comparison again.

    Raises:
        ConfigError: models or settings that do not fit; a target that no width of a model reaches.
        DataError: data that cannot be read, or runs of other splits.
    """
    from unrolled.version import __version__

    trained = [entry for entry in entries if not entry.runs]
    resolved = (
        [with_absolute_files(each) for each in configs(reader.data, trained, settings, config)] if trained else []
    )
    for each in resolved:
        refuse_unfit(tasks.find(each), each, machine.device(each.training.device), saved=True)
    if not trained:
        base = describe(entries[0].runs[0])[1]
    else:
        decided = by_data.decide(reader.task(resolved[0]), resolved[0])  # those of the first model for all
        read_as = [reader(each) for each in resolved]
        resolved = [from_flat(decided, base=each) for each in resolved]
        for each, data in zip(resolved, read_as, strict=True):
            reader.keep(each, data)
        base = resolved[0]
    first, sums = reader(base)
    record = {**first.record(), "sums": sums}
    _refuse_no_test(record["splits"]["test"])
    lengths = first.typical_lengths(base)
    planned = iter(_planned(reader, trained, resolved, request, lengths))
    return Plan(
        version=__version__,
        command=command,
        base=training_plan.Plan.make(base, record, None),
        match=request.match if trained else None,
        match_to=request.match_to,
        budget=request.budget,
        trials=request.trials,
        seeds=request.seeds,
        prune=request.prune,
        threads=torch.get_num_threads(),
        source_length=lengths[0],
        length=lengths[1],
        models=[_of_runs(each, base.task, record, lengths) if each.runs else next(planned) for each in entries],
    )


def _refuse_no_test(split: Mapping[str, Any]) -> None:
    """Refuse data without a test split, on which models are compared."""
    if not split.get("rows", split.get("characters")):
        raise DataError(
            "models are compared on the test split, and these data have none",
            fix="use --test FILE, or a --test-fraction above 0",
        )


def _planned(
    reader: Reader,
    entries: Sequence[Entry],
    resolved: Sequence[Config],
    request: Request,
    lengths: tuple[int, int],
) -> list[Planned]:
    """Return the models with their widths and updates."""
    sizes = [_Sizes(reader.task(config), config, lengths) for config in resolved]
    widths: Sequence[Width | None] = [None] * len(sizes)
    if request.match is not None and sizes:
        widths = _widths(sizes, request.match, request.match_to)
    planned = []
    for entry, size, width in zip(entries, sizes, widths, strict=True):
        config = size.config
        if width is not None and request.match is not None:
            _refuse_far(entry, request.match, width)
            config = config.model_copy(update={"model": width.config})
        log.info("%s: %s", entry.label, _said(request.match, width, config))
        planned.append(_one(entry, config, size, request, width))
    return planned


def _widths(sizes: Sequence[_Sizes], match: Match, target: float | None) -> list[Width]:
    """Return the widths at which the models have the target; None: that of the first with a width for it, as set."""
    if target is not None:
        return [each.solve(match, target) for each in sizes]
    for first in sizes:
        own = first.config.model
        amount = first.measures[match](first.build(own))
        if not first.solve(match, amount).fixed:
            return [Width(own, amount, amount, True) if each is first else each.solve(match, amount) for each in sizes]
    raise ConfigError(f"the {match} of none of the models follows its width: use another match, or none")


def _refuse_far(entry: Entry, match: Match, width: Width) -> None:
    """Refuse a target that is far from the nearest possible one."""
    if match in EXACT and not width.fixed and abs(width.reached - width.target) > FAR * width.target:
        raise ConfigError(f"model {entry.label}: {width.text(UNITS[match])}; use another match_to, or match none")


def _said(match: Match | None, width: Width | None, config: Config) -> str:
    """Return the width of a model in words, for the log."""
    if width is None or match is None:
        return f"hidden_size {config.model.hidden_size:,}"
    return width.text(UNITS[match])


def _one(entry: Entry, config: Config, sizes: _Sizes, request: Request, width: Width | None) -> Planned:
    """Return one model with its figures and its number of updates."""
    model = sizes.build(config.model)
    size = parameters(model)
    flops = sizes.flops(model)
    return Planned(
        label=entry.label,
        config=config,
        updates=_updates(sizes.task, config, request.budget, flops),
        parameters=size.inner,
        tables=size.outer,
        flops=flops,
        state=sizes.state(model),
        seconds=None if request.match != "seconds" or width is None else width.reached,
        matched=None if width is None else width.matched,
        note="" if width is None or width.matched else width.text(UNITS[request.match or "parameters"]),
        cell=Cell(address=entry.cell, sha256=digest(entry.cell)) if entry.cell else None,
    )


def _updates(task: Task, config: Config, budget: str | None, flops: int) -> int:
    """Return the number of updates of a training; a time is measured here."""
    device = machine.device(config.training.device)
    with machine.isolated(device, threads=config.training.threads), machine.retain_memory():
        trainer = prepare(task, config, device).trainer
        if budget is None:
            return trainer.progress.updates
        asked = budgets.parse(budget)
        if asked.unit == "seconds":
            return updates_within(trainer, asked.amount)
    return asked.updates(tokens=task.size / trainer.per_epoch, operations=flops * config.training.accumulate)


def _timed(call: Callable[[], object]) -> float:
    """Return the seconds of a call."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


class _Sizes:
    """Measures of models of one task: each takes a model, on the device meta."""

    def __init__(self, task: Task, config: Config, lengths: tuple[int, int]) -> None:
        self.task, self.config = task, config
        self.source_length, self.length = lengths
        self.measures: dict[Match, Callable[[Model], float]] = {
            "parameters": lambda model: float(parameters(model).inner),
            "flops": lambda model: float(self.flops(model)),
            "seconds": self.seconds,
            "state": lambda model: float(self.state(model)),
        }

    def build(self, config: ModelConfig) -> Model:
        """Return a model without memory for its weights."""
        inputs, answer = inputs_of(self.task.preprocessor), self.task.answer
        with machine.without_values():
            return build(config.name, inputs, self.task.num_outputs, config, answer=answer)

    def solve(self, match: Match, target: float) -> Width:
        """Return the width at which the model has an amount."""
        free = match != "state" or not grows(self.build(self.config.model))
        return solve(self.config.model, self.build, self.measures[match], target, free=free)

    def flops(self, model: Model) -> int:
        """Return the operations of an update: of as many sequences of median length as a batch has tokens."""
        length, source = self._lengths(model)
        return operations(
            model, length=length, source_length=source, batch=_batch(self.config, (self.source_length, self.length))
        )

    def state(self, model: Model) -> int:
        """Return the bytes of the state after a sequence of median length."""
        length, source = self._lengths(model)
        return state_bytes(model, length=length, source_length=source)

    def seconds(self, model: Model) -> float:
        """Return the measured seconds of an update."""
        config = self.config.model_copy(update={"model": model.config})
        device = machine.device(config.training.device)
        with machine.isolated(device, threads=config.training.threads), machine.retain_memory():
            trainer = prepare(self.task, config, device).trainer
            trainer.model.train()
            seconds = [_timed(trainer.update) for _ in range(WARM + TIMED)]
        return median(seconds[WARM:])

    def _lengths(self, model: Model) -> tuple[int, int]:
        length = min(self.length, model.max_length or self.length)
        return length, self.source_length if isinstance(model.inputs, Pairs) else 0


def _batch(config: Config, lengths: tuple[int, int]) -> int:
    """Return the number of sequences in a batch, if all have the median lengths."""
    training = config.training
    if config.task == "generate":
        return training.streams
    if training.batch_images is not None:
        return training.batch_images
    assert training.batch_tokens is not None, "decided by the data"
    return max(1, training.batch_tokens // sum(lengths))


def _size(split: Mapping[str, Any]) -> str:
    """Return the size of a recorded split, and the start of its fingerprint."""
    size = f"{split['rows']:,} examples" if "rows" in split else f"{split['characters']:,} characters"
    return f"{size} of fingerprint {split['fingerprint'][:8]}"


def _of_runs(entry: Entry, task: str, record: Mapping[str, Any], lengths: tuple[int, int]) -> Planned:
    """Return trained runs, after a check that their task and test split are those of the others."""
    from unrolled.runs.load import load

    for folder in entry.runs:
        run = load(folder, device="cpu")
        if run.config.task != task:
            raise ConfigError(f"{folder} is a run of task {run.config.task}: the others are of task {task}")
        ours, theirs = record["splits"]["test"], run.record["data"]["splits"]["test"]
        if ours != theirs:
            raise DataError(
                f"{folder} was tested on another split than the one compared here ({_size(theirs)}, not {_size(ours)})",
                fix="compare runs of the same data, with the same splits",
            )
    model, size = run.model, parameters(run.model)
    source = lengths[0] if isinstance(model.inputs, Pairs) else 0
    length = min(lengths[1], model.max_length or lengths[1])
    return Planned(
        label=entry.label,
        config=run.config,
        updates=run.record["training"]["updates"],
        parameters=size.inner,
        tables=size.outer,
        flops=operations(model, length=length, source_length=source, batch=_batch(run.config, lengths)),
        state=state_bytes(model, length=length, source_length=source),
        runs=[str(folder.resolve()) for folder in entry.runs],
    )
