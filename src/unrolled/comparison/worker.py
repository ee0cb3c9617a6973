"""The trainings of a comparison, one after the other: the search of every model, further trials, then the seeds.

The order is fixed: trial k of every model, then trial k + 1. Once all trials are done, models whose best rate is at an
edge of those tried get a wider range, and every model as many further trials (`search`); then seed s of every model,
with its best learning rate and dropout. The next training is read from the study alone, so it does not matter which
process does it, or after how many interruptions.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import shlex
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from unrolled import machine
from unrolled.comparison.plan import Plan, Planned
from unrolled.comparison.reader import Reader
from unrolled.comparison.scores import examples, packed
from unrolled.comparison.search import ROUNDS, Point, Range, edge, further, points
from unrolled.comparison.study import Done, Job, Kind, Lost, Study
from unrolled.config import Config
from unrolled.errors import Interrupted, TrainingError
from unrolled.evaluation.by_example import ByExample
from unrolled.runs.folder import METRICS, WEIGHTS, is_run, of_training
from unrolled.runs.load import load
from unrolled.runs.run import Run
from unrolled.tasks import session
from unrolled.training.interrupt import interruptible
from unrolled.training.progress import Event

__all__ = ["Progress", "Worker", "best_of", "rounds", "run_folder"]

POLL = 1.0  # seconds between two looks at the trainings of others
Progress = Callable[[str, Event], None]
"""Called with the title of a training and each of its events."""
log = logging.getLogger("unrolled")


class _Task(NamedTuple):
    """A training that the comparison needs."""

    model: Planned
    kind: Kind
    k: int
    params: dict[str, float]


class _Pruned(Exception):  # noqa: N818  (it is not an error)
    """A trial that is worse than the median of the others."""


def rounds(plan: Plan, study: Study) -> list[dict[str, list[Point]]]:
    """Return the trials of each round, by label: those that are known, given the finished ones.

    The first round has the same points for all. A further one follows if all trials are done and a model has its best
    rate at an edge.
    """
    found = [{each.label: points(plan.trials, plan.base.config.training.seed) for each in plan.trained}]
    ranges = {each.label: Range() for each in plan.trained}
    count = further(plan.trials)
    while plan.trials and len(found) <= ROUNDS:
        known = {label: sum(len(before[label]) for before in found) for label in ranges}
        done = {label: study.done(label, "trial") for label in ranges}
        if any(len(done[label]) < known[label] for label in ranges):
            break
        sides = {label: _side(trials[: known[label]]) for label, trials in done.items()}
        if not any(sides.values()):
            break
        seed = plan.base.config.training.seed + len(found)
        found.append({label: points(count, seed, ranges[label].beyond(side)) for label, side in sides.items()})
        ranges = {label: ranges[label].extended(side) for label, side in sides.items()}
    return found


def _side(trials: list[Done]) -> Any:
    with_figures = [each for each in trials if each.figure is not None]
    return edge([each.params["learning_rate"] for each in with_figures], [each.figure or 0 for each in with_figures])


def best_of(trials: list[Done]) -> Done | None:
    """Return the trial with the greatest figure, the first of several; None: none has a figure."""
    finished = [each for each in trials if each.figure is not None and each.state == "complete"]
    return max(finished, key=lambda each: (each.figure, -each.k)) if finished else None


def run_folder(out: Path, label: str, seed: int) -> Path:
    """Return the folder of the run of a seed."""
    plain = "".join(c if c.isalnum() or c in "_-." else "-" for c in label)
    same = hashlib.sha256(label.encode()).hexdigest()[:6] if plain != label else ""
    return out / "runs" / "-".join(filter(None, (plain, same, f"seed-{seed}")))


@dataclass
class Worker:
    """One process that works on a comparison.

    Args:
        plan, study: the comparison.
        reader: the data.
        out: folder of the comparison, for the runs.
        progress: called with the progress of each training.
        joined: whether other processes work on it, which the study then says.
    """

    plan: Plan
    study: Study
    reader: Reader
    out: Path
    progress: Progress
    joined: bool = False

    def work(self) -> None:
        """Train all that is free, and wait for the trainings of others.

        Raises:
            Interrupted: a signal has arrived; all finished trainings are kept.
        """
        waits = False
        with interruptible() as interrupted:
            while (task := self._next()) is not None:
                if (signal := interrupted()) is not None:  # at the end of a training, or between two
                    raise self._interrupted(signal)
                if isinstance(task, str):
                    if not waits:
                        log.info("waiting for another process, which trains %s", task)
                    waits = True
                    time.sleep(POLL)
                    continue
                waits = False
                warm = task.model.updates // 2 if self.plan.prune and task.kind == "trial" else None
                job = self.study.take(task.model.label, task.kind, task.k, task.params, warm)
                if job is not None:
                    if self.joined:
                        self.study.keep("joined", True)
                    self._train(job)

    def _interrupted(self, signal: int) -> Interrupted:
        """Return the exception that says how to go on."""
        command = f"unrolled compare --resume {shlex.quote(str(self.out))}"
        return Interrupted(f"everything so far is saved: resume with `{command}`", signal=signal, folder=self.out)

    def _next(self) -> _Task | str | None:
        """Return the next free training; the name of one that another process trains; None: all are done."""
        running = None
        for stage in self._stages():
            for task in stage:
                status = self.study.status(task.model.label, task.kind, task.k)
                if status == "free":
                    return task
                if status == "running":
                    running = running or f"{task.model.label}, {task.kind} {task.k + 1}"
            if running is not None:  # the next stage depends on this one
                return running
        return None

    def _stages(self) -> Iterator[list[_Task]]:
        """Yield the trainings of each stage; a stage is known once those before it are done."""
        models, before = self.plan.trained, 0
        while True:
            found = rounds(self.plan, self.study)
            if before >= len(found):
                break
            offset = {each.label: sum(len(r[each.label]) for r in found[:before]) for each in models}
            now = found[before]
            most = max(map(len, now.values()), default=0)
            yield [
                _Task(each, "trial", offset[each.label] + k, now[each.label][k]._asdict())
                for k in range(most)
                for each in models
                if k < len(now[each.label])
            ]
            before += 1
        seed = self.plan.base.config.training.seed
        yield [
            _Task(each, "seed", k, {"seed": seed + 1 + k})
            for k in range(self.plan.seeds)
            for each in models
            if not self.plan.trials or best_of(self.study.done(each.label, "trial")) is not None
        ]

    def _train(self, job: Job) -> None:
        """Train, and save the result; a failure of the training itself is a result."""
        try:
            if job.kind == "trial":
                self._trial(job)
            else:
                self._seed(job)
        except TrainingError as error:
            log.warning("%s, %s %s failed: %s", job.label, job.kind, job.k + 1, error)
            self.study.finish(job, None, {"error": str(error)})
        except Lost:
            log.warning("%s, %s %s was taken over by another process", job.label, job.kind, job.k + 1)
        except Interrupted as interrupted:
            self.study.give_up(job)
            raise self._interrupted(interrupted.signal) from None
        except BaseException:
            self.study.give_up(job)
            raise

    def _planned(self, label: str) -> Planned:
        return next(each for each in self.plan.models if each.label == label)

    def _trial(self, job: Job) -> None:
        """Train for a trial of the search, in memory."""
        model, title = self._planned(job.label), f"{job.label}, trial {job.k + 1}"
        settings = {"learning_rate": job.trial.params["learning_rate"], "dropout": job.trial.params["dropout"]}
        clock = _Curve(model.config)

        def report(event: Event) -> None:
            self.study.beat(job.trial)
            self.progress(title, event)
            clock.add(event)
            if event.valid is not None:
                prune = self.study.report(job, clock.best, event.update)
                if prune and event.update < event.updates:
                    raise _Pruned

        try:
            run = self._fit(model.config, {**settings, "updates": model.updates}, None, report)
        except _Pruned:
            self.study.finish(job, clock.best, clock.values(), pruned=True)
            return
        self._refuse_signal(run)
        training = run.record["training"]
        values = {**clock.values(), "updates": training["updates"], "tokens": training["tokens"]}
        if math.isfinite(clock.best):
            self.study.finish(job, clock.best, values)
        else:
            self.study.finish(job, None, {**values, "error": "the validation split gives no figure"})

    def _seed(self, job: Job) -> None:
        """Train with a seed and the best settings, as a run of its own."""
        model, title = self._planned(job.label), f"{job.label}, seed {job.k + 1}"
        folder = run_folder(self.out, job.label, int(job.trial.params["seed"]))
        clock = _Curve(model.config)

        def report(event: Event) -> None:
            self.study.beat(job.trial)
            self.progress(title, event)
            clock.add(event)

        machine.reset_peak_memory()
        if is_run(folder):  # of a process that was killed before it told the study
            run = load(folder, device="cpu")
        elif (of_training(folder) / "plan").exists():
            given = self.reader.data if not isinstance(self.reader.data, str | Path) else None
            run = session.resume(folder, given, {}, finish=False, report=report)
        else:
            best = best_of(self.study.done(job.label, "trial"))
            chosen = {"seed": int(job.trial.params["seed"]), "updates": model.updates}
            run = self._fit(model.config, {**(best.params if best else {}), **chosen}, folder, report)
        peak = machine.peak_memory()
        result: ByExample = run.by_example(self.reader.data, test_split=True)
        curve = _Curve.of(folder, run.config)
        self.study.keep("examples", examples(result))
        self.study.finish(
            job,
            curve.best,
            {
                **curve.values(),
                **{name: run.record["training"][name] for name in ("updates", "tokens", "tokens_per_second")},
                "seconds": run.record["seconds"],
                "peak_bytes": peak,
                "result": run.record["result"],
                "scores": packed(result),
                "settings": {name: run.config.flat()[name] for name in ("learning_rate", "dropout")},
                "sha256": hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest(),
                "run": str(folder.relative_to(self.out)),
            },
        )

    def _fit(
        self, config: Config, settings: dict[str, Any], folder: Path | None, report: Callable[[Event], None]
    ) -> Run:
        return session.train(
            self.reader.data,
            settings,
            out=folder,
            runs=None,
            overwrite=False,
            start=None,
            config=config,
            report=report,
            already=self.reader(config),
            tests=folder is not None,
        )

    def _refuse_signal(self, run: Run) -> None:
        """Raise Interrupted for a training in memory that a signal has ended early."""
        if signal := run.record["training"].get("signal"):
            raise Interrupted("a trial was interrupted", signal=signal, folder=self.out)


class _Curve:
    """The validation figure over updates and epochs, and its best value."""

    def __init__(self, config: Config) -> None:
        self.by = config.training.best_by
        self.points: list[list[float | None]] = []
        self.best = -math.inf

    def add(self, event: Event) -> None:
        """Add an evaluation; other events have none."""
        if event.valid is not None:
            self._add(event.update, event.epoch, event.valid.figure(self.by))

    @classmethod
    def of(cls, folder: Path, config: Config) -> _Curve:
        """Return the curve of a finished run."""
        curve = cls(config)
        name = f"valid_{'loss_nats' if curve.by == 'loss' else curve.by}"
        for line in (folder / METRICS).read_text(encoding="utf-8").splitlines():
            event = json.loads(line)
            if (value := event.get(name)) is not None:
                curve._add(event["update"], event["epoch"], -value if curve.by == "loss" else value)
        return curve

    def _add(self, update: int, epoch: float, figure: float) -> None:
        self.best = max(self.best, figure)
        self.points.append([update, epoch, figure if math.isfinite(figure) else None])

    def values(self) -> dict[str, Any]:
        """Return the values that the study keeps."""
        return {"curve": self.points}
