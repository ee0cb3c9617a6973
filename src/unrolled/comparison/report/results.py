"""The results of a comparison as one JSON value, from its plan and its study.

All entries but those of `measured` (times, memory, versions) are a function of the plan: a comparison that was
interrupted ends with the same ones. Scores are those of `Run.by_example`; where less is better (bits, errors) they are
compared with the opposite sign, so that a difference above 0 means that the first model is better.

Figures on the validation split are the greater the better too: of a loss the negative.

Two models are paired by seed: over the seeds of which both have a run.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unrolled import machine
from unrolled.comparison.plan import Plan, Planned
from unrolled.comparison.reader import Reader
from unrolled.comparison.scores import unpacked
from unrolled.comparison.study import Done, Study
from unrolled.comparison.worker import best_of, rounds, run_folder
from unrolled.evaluation.baselines import BaselineScores
from unrolled.evaluation.by_example import ByExample
from unrolled.evaluation.difference import holm, mean_squares, paired_difference
from unrolled.evaluation.intervals import LEVEL
from unrolled.evaluation.lengths import by_length
from unrolled.runs.folder import is_run
from unrolled.runs.load import load
from unrolled.training.task import Task

__all__ = ["DISAGREEMENTS", "expected_best", "results"]

DISAGREEMENTS = 12
MOST = {"accuracy": 1.0, "subset_accuracy": 1.0, "mean_chrf": 100.0}
"""The greatest possible mean of a figure; the least is 0 for all."""
TIMED_ANSWERS, TIMED_TOKENS = 5, 64

Seeds = Mapping[int, ByExample]
Scores = NDArray[np.float64]
Report = dict[str, Any]


def results(plan: Plan, study: Study, reader: Reader, out: Path) -> Report:
    """Return the results; times of single answers are measured here, with the runs that are in `out`."""
    task = reader.task(plan.base.config)
    baselines = task.baselines()
    seeds = {each.label: _of_seeds(each, study, reader) for each in plan.models}
    first = _first(seeds, baselines)
    figure, greater = (first.figure, first.greater_is_better) if first is not None else ("", True)
    sign = 1.0 if greater else -1.0
    scores = {
        label: {seed: sign * each.scores for seed, each in found.items()} for label, found in seeds.items() if found
    }
    models = [_model(each, plan, study, [*seeds[each.label].values()]) for each in plan.models]
    ranked = sorted((each for each in models if each["mean"] is not None), key=lambda each: -sign * each["mean"])
    return {
        "library": "unrolled",
        "format_version": 1,
        "name": study.name,
        "task": plan.base.config.task,
        "data": {"name": plan.base.data.name, "splits": plan.base.data.splits},
        "train": {"size": task.size, "unit": "images" if plan.base.config.data.by is not None else "tokens"},
        "figure": figure,
        "greater_is_better": greater,
        "examples": 0 if first is None else len(first),
        "searched_by": plan.base.config.training.best_by,
        "plan": plan.model_dump(exclude={"base", "models", "version", "threads"}),
        "best": ranked[0]["label"] if ranked else None,
        "models": models,
        "baselines": [{"name": each.name, "mean": each.scores.mean} for each in baselines],
        "differences": _differences(scores, ranked),
        "against_baselines": _against(scores, baselines, sign),
        "disagreements": _disagreements(seeds, sign),
        "measured": {
            **_measured(plan, study, out, task, seeds),
            "joined": bool(study.kept("joined")),
            "baseline_seconds": {each.name: each.seconds for each in baselines},
        },
    }


def _of_seeds(model: Planned, study: Study, reader: Reader) -> Seeds:
    """Return the scores of a model or of runs, by seed."""
    if model.runs:
        runs = [load(folder, device="cpu") for folder in model.runs]
        return {run.config.training.seed: run.by_example(reader.data, test_split=True) for run in runs}
    done = [each for each in study.done(model.label, "seed") if each.state == "complete"]
    common = study.kept("examples") if done else {}
    return {int(each.params["seed"]): unpacked(common, each.values["scores"]) for each in done}


def _first(seeds: Mapping[str, Seeds], baselines: Sequence[BaselineScores]) -> ByExample | None:
    """Return scores of a model or, without any, of a baseline."""
    found = [one for each in seeds.values() for one in each.values()] + [each.scores for each in baselines]
    return next(iter(found), None)


def _model(model: Planned, plan: Plan, study: Study, seeds: Sequence[ByExample]) -> Report:
    """Return the entry of one model."""
    trials = [] if model.runs else study.done(model.label, "trial")
    trained = [] if model.runs else study.done(model.label, "seed")
    best = best_of(trials)
    differing = model.config.differing()
    means = [float(each.scores.mean()) for each in seeds]
    return {
        "label": model.label,
        "model": model.config.model.name,
        "hidden_size": model.config.model.hidden_size,
        "settings": {name: value for name, value in differing.items() if name not in ("hidden_size", "seed")},
        "updates": model.updates,
        "parameters": model.parameters,
        "tables": model.tables,
        "flops": model.flops,
        "state": model.state,
        "matched": model.matched,
        "note": model.note,
        "runs": model.runs,
        "trials": [_trial(each) for each in trials],
        "best": None if best is None else dict(best.params),
        "rounds": len(rounds(plan, study)) if trials else 0,
        "expected_best": expected_best([each.figure for each in trials if each.figure is not None]),
        "seeds": [
            {"seed": int(each.params["seed"]), "state": each.state, "figure": each.figure, **_kept(each)}
            for each in trained
        ],
        "means": means,
        "mean": float(np.mean(means)) if means else None,
        "interval": _interval(seeds),
        "by_length": _by_length(seeds),
    }


def _trial(done: Done) -> Report:
    kept = {name: done.values[name] for name in ("updates", "error", "curve") if name in done.values}
    return {"k": done.k, "state": done.state, **done.params, "figure": done.figure, **kept}


def _kept(done: Done) -> Report:
    names = ("updates", "settings", "sha256", "run", "curve", "error", "result")
    return {name: done.values[name] for name in names if name in done.values}


def expected_best(figures: Sequence[float]) -> list[float]:
    """Return the expected best figure after 1, …, n random trials, from n trials.

    E[max of k] = Σ_i x_(i) ((i/n)^k − ((i−1)/n)^k), the x_(i) ascending (Dodge et al., "Show your work: improved
    reporting of experimental results", 2019, equation 2).
    """
    ordered, n = np.sort(np.asarray(figures, dtype=np.float64)), len(figures)
    upto = np.arange(n + 1) / max(n, 1)
    return [float(ordered @ np.diff(upto**k)) for k in range(1, n + 1)]


def _interval(seeds: Sequence[ByExample]) -> list[float] | None:
    """Return the interval of a mean over seeds and examples, in the figure's unit; None with one seed.

    It is that of decision 0030 for a difference, with the scores in its place.
    """
    if len(seeds) < 2 or len(seeds[0].scores) < 2:
        return None
    scores = np.stack([each.scores for each in seeds])
    h, mean = mean_squares(scores).half_width(), float(scores.mean())
    return [max(0.0, mean - h), min(MOST.get(seeds[0].figure, math.inf), mean + h)]


def _differences(scores: Mapping[str, Mapping[int, Scores]], ranked: Sequence[Report]) -> list[Report]:
    """Return the difference of all pairs, the better mean first; those of the best model have a verdict.

    A pair that has no seed in common has no difference, and one with a single seed in common no interval.
    With several models the p values of the best one's differences are adjusted by Holm's procedure.
    """
    found = []
    for i, one in enumerate(ranked):
        for other in ranked[i + 1 :]:
            first, second = scores[one["label"]], scores[other["label"]]
            both = [seed for seed in first if seed in second]
            entry: Report = {"first": one["label"], "second": other["label"], "seeds": len(both), "tested": i == 0}
            entry |= {"mean": None, "interval": None, "p": None}
            if both:
                paired = [np.stack([each[seed] for seed in both]) for each in (first, second)]
                entry["mean"] = float((paired[0] - paired[1]).mean())
                if min(paired[0].shape) > 1:
                    difference = paired_difference(*paired)
                    entry |= {"interval": list(difference.interval), "p": difference.p}
            found.append(entry)
    _judge([entry for entry in found if entry["tested"]])
    return found


def _judge(tested: Sequence[Report]) -> None:
    """Add a verdict to each of several differences that have a p value, with Holm's correction for their number."""
    known = [entry for entry in tested if entry["p"] is not None]
    for entry, p in zip(known, holm([entry["p"] for entry in known]), strict=True):
        entry |= {"p_holm": p, "shown": p < 1 - LEVEL}


def _against(
    scores: Mapping[str, Mapping[int, Scores]], baselines: Sequence[BaselineScores], sign: float
) -> list[Report]:
    """Return the difference of each model and the best baseline, with interval and verdict."""
    if not baselines:
        return []
    best = max(baselines, key=lambda each: sign * float(each.scores.scores.mean()))
    found = []
    for label, of_seeds in scores.items():
        ours = np.stack([*of_seeds.values()])
        theirs = np.broadcast_to(sign * best.scores.scores, ours.shape)
        entry: Report = {"model": label, "baseline": best.name, "mean": float((ours - theirs).mean())}
        entry |= {"interval": None, "p": None}
        if min(ours.shape) > 1:
            difference = paired_difference(ours, theirs)
            entry |= {"interval": list(difference.interval), "p": difference.p}
        found.append(entry)
    _judge(found)
    return found


def _by_length(seeds: Sequence[ByExample]) -> list[Report]:
    """Return the mean by length, in ranges with about as many examples each."""
    if not seeds:
        return []
    lengths, scores = seeds[0].lengths, np.mean([each.scores for each in seeds], axis=0)
    return [
        {"shortest": int(lengths[part].min()), "longest": int(lengths[part].max()), "examples": len(part),
         "mean": float(scores[part].mean())}
        for part in by_length(lengths)
    ]  # fmt: skip


def _disagreements(seeds: Mapping[str, Seeds], sign: float) -> list[Report]:
    """Return the examples on which the models' mean scores differ most, with the answer of each model's first seed."""
    found = {label: [*each.values()] for label, each in seeds.items() if each}
    if len(found) < 2:
        return []
    means = sign * np.stack([np.mean([one.scores for one in each], axis=0) for each in found.values()])
    first = next(iter(found.values()))[0]
    spread = means.max(axis=0) - means.min(axis=0)
    worst = np.argsort(-spread, kind="stable")[:DISAGREEMENTS]
    return [
        {
            "index": int(i),
            "input": first.inputs[i],
            "truth": first.truths[i],
            "models": {
                label: {"answer": each[0].answers[i], "score": float(np.mean([one.scores[i] for one in each]))}
                for label, each in found.items()
            },
        }
        for i in worst.tolist()
        if spread[i] > 0
    ]


def _measured(plan: Plan, study: Study, out: Path, task: Task, seeds: Mapping[str, Seeds]) -> Report:
    """Return the figures that differ on another machine, or at another moment."""
    models = {}
    for each in plan.models:
        trained = [] if each.runs else [one for one in study.done(each.label, "seed") if one.state == "complete"]
        folders = [Path(each.runs[0])] if each.runs else [
            run_folder(out, each.label, int(one.params["seed"])) for one in trained[:1]
        ]  # fmt: skip
        folder = next((folder for folder in folders if is_run(folder)), None)
        models[each.label] = {
            "tokens_per_second": _median(one.values["tokens_per_second"] for one in trained),
            "training_seconds": _median(one.values["seconds"] for one in trained),
            "peak_bytes": _median(one.values["peak_bytes"] for one in trained if one.values["peak_bytes"]),
            "update_seconds": each.seconds,
            **({} if folder is None else _answer_times(folder, task, next(iter(seeds[each.label].values())))),
        }
    return {
        "models": models,
        "machine": machine.describe(),
        "versions": machine.versions(),
        "date": time.strftime("%Y-%m-%d"),
    }


def _median(values: Any) -> float | None:
    found = [float(value) for value in values]
    return statistics.median(found) if found else None


def _answer_times(folder: Path, task: Task, scored: ByExample) -> Report:
    """Return the milliseconds of one answer, to a test input of median length, and of it by token.

    Of task generate it is the time of TIMED_TOKENS tokens.

    Args:
        folder: the run.
        task: the data.
        scored: the scores of the run, for their lengths.
    """
    run = load(folder, device="cpu")
    options: dict[str, Any] = {}
    if run.config.task == "generate":
        asked, options, tokens = "", {"length": TIMED_TOKENS}, TIMED_TOKENS
    else:
        middle = int(np.argsort(scored.lengths, kind="stable")[len(scored) // 2])
        asked, tokens = task.test_inputs()[middle], int(scored.lengths[middle])
    run.decode(asked, **options)  # packs weights and fills caches
    seconds = []
    for _ in range(TIMED_ANSWERS):
        began = time.perf_counter()
        run.decode(asked, **options)
        seconds.append(time.perf_counter() - began)
    answer = 1e3 * statistics.median(seconds)
    return {"answer_milliseconds": answer, "token_milliseconds": answer / tokens}
