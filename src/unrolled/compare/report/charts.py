"""The charts of a report, from its results alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from unrolled.compare.report.figures import Unit, unit_of
from unrolled.pictures.chart import Axis, Level, Series, chart
from unrolled.pictures.figure import Figure, frame

__all__ = ["NARROW", "WIDE", "charts"]

WIDE, NARROW, TALL = 760, 340, 280  # pixels
Report = dict[str, Any]


def charts(found: Report, width: int) -> list[str]:
    """Return the charts as SVG, for a width in pixels."""
    unit = unit_of(found["figure"])
    figures = [*_quality(found, unit, width), *_search(found, width), *_learning(found, width), *_length(found, unit, width)]
    return [frame(figure, [], width) for figure in figures]


def _range(values: list[float], *, least: float = 1e-6) -> tuple[float, float]:
    """Return the ends of an axis: those of the values, with a margin of a tenth."""
    low, high = min(values), max(values)
    margin = max(0.1 * (high - low), least)
    return low - margin, high + margin


def _quality(found: Report, unit: Unit, width: int) -> Iterator[Figure]:
    models = [each for each in found["models"] if each["mean"] is not None]
    if not models:
        return
    values = unit.factor * np.array([each["mean"] for each in models])
    ends = [each["interval"] or [each["mean"]] * 2 for each in models]
    low, high = unit.factor * np.array(ends).T
    points = [unit.factor * value for each in models for value in each["means"]]
    sign = 1 if found["greater_is_better"] else -1
    best = max(found["baselines"], key=lambda each: sign * each["mean"], default=None)
    shown = [*low.tolist(), *high.tolist(), *points, *([unit.factor * best["mean"]] if best else [])]
    seeds = Series(
        "single trainings",
        np.concatenate([np.full(len(each["means"]), i, float) for i, each in enumerate(models)]),
        np.array(points),
        thin=True,
    )
    del seeds  # a line between seeds would say that they are in an order
    drawn = chart(
        [Series(unit.name, np.arange(len(models)), values, "{}", low, high)],
        Axis("", -0.5, len(models) - 0.5, names=[each["label"] for each in models]),
        Axis(unit.name + (f" ({unit.unit.strip()})" if unit.unit else ""), *_range(shown)),
        (width, TALL),
        Level(unit.factor * best["mean"], f"baseline: {best['name']}") if best else None,
    )
    yield Figure(
        f"{unit.name[0].upper()}{unit.name[1:]} on the test split",
        drawn,
        "The mean over seeds, with the 95 % interval for other seeds and other examples.",
    )


def _search(found: Report, width: int) -> Iterator[Figure]:
    name = found["searched_by"].replace("_", " ")
    tried = {each["label"]: [one for one in each["trials"] if one["figure"] is not None] for each in found["models"]}
    tried = {label: sorted(trials, key=lambda one: one["learning_rate"]) for label, trials in tried.items() if trials}
    if not tried:
        return
    figures = [one["figure"] for trials in tried.values() for one in trials]
    rates = [one["learning_rate"] for trials in tried.values() for one in trials]
    curves = [
        Series(label, np.array([one["learning_rate"] for one in trials]), np.array([one["figure"] for one in trials]))
        for label, trials in tried.items()
    ]
    x = Axis("learning rate", min(rates), max(rates), log=True)
    yield Figure(
        "Validation figure by learning rate",
        chart(curves, x, Axis(name, *_range(figures)), (width, TALL)),
        "Each point is a trial; the dropout of neighbouring points differs. A peak inside the range means that the range "
        "was wide enough.",
    )
    expected = {each["label"]: each["expected_best"] for each in found["models"] if len(each["expected_best"]) > 1}
    if expected:
        curves = [Series(label, np.arange(1, len(e) + 1), np.array(e)) for label, e in expected.items()]
        values = [value for each in expected.values() for value in each]
        x = Axis("trials", 1, max(map(len, expected.values())))
        yield Figure(
            "Expected best figure by number of trials",
            chart(curves, x, Axis(name, *_range(values)), (width, TALL)),
            "What a search of k random trials finds on average (Dodge et al. 2019). A curve that still rises means that more "
            "trials would help this model.",
        )


def _learning(found: Report, width: int) -> Iterator[Figure]:
    name = found["searched_by"].replace("_", " ")
    found_curves: dict[str, list[list[float]]] = {}
    for each in found["models"]:
        curves = [one["curve"] for one in each["seeds"] if one.get("curve")]
        if curves:
            shortest = min(map(len, curves))
            stacked = np.array([[[float("nan") if v is None else v for v in p] for p in c[:shortest]] for c in curves])
            found_curves[each["label"]] = stacked.mean(axis=0).tolist()
    if not found_curves:
        return
    values = [point[2] for curve in found_curves.values() for point in curve if np.isfinite(point[2])]
    seconds = {label: _seconds_an_update(found, label) for label in found_curves}
    for title, label, column in (("updates", "updates", 0), ("passes over the training split", "epochs", 1)):
        series = [Series(key, np.array(c)[:, column], np.array(c)[:, 2]) for key, c in found_curves.items()]
        most = max(float(one.x[-1]) for one in series)
        drawn = chart(series, Axis(label, 0, most), Axis(name, *_range(values)), (width, TALL))
        yield Figure(f"Learning curves over {title}", drawn, "The mean over seeds, on the validation split.")
    if all(seconds.values()):
        series = [
            Series(key, np.array(c)[:, 0] * float(seconds[key] or 0), np.array(c)[:, 2]) for key, c in found_curves.items()
        ]
        most = max(float(one.x[-1]) for one in series)
        drawn = chart(series, Axis("seconds", 0, most), Axis(name, *_range(values)), (width, TALL))
        yield Figure("Learning curves over seconds", drawn, "The mean over seeds, on the validation split.")


def _seconds_an_update(found: Report, label: str) -> float | None:
    """Return the mean seconds of an update, evaluations included."""
    measured = found["measured"]["models"].get(label, {})
    entry = next(each for each in found["models"] if each["label"] == label)
    updates = [one["updates"] for one in entry["seeds"] if one.get("updates")]
    if measured.get("training_seconds") is None or not updates:
        return None
    return float(measured["training_seconds"] / np.median(updates))


def _length(found: Report, unit: Unit, width: int) -> Iterator[Figure]:
    models = [each for each in found["models"] if len(each["by_length"]) > 1]
    if not models:
        return
    curves = [
        Series(
            each["label"],
            np.array([(one["shortest"] + one["longest"]) / 2 for one in each["by_length"]]),
            unit.factor * np.array([one["mean"] for one in each["by_length"]]),
        )
        for each in models
    ]
    values = [value for one in curves for value in one.y.tolist()]
    x = Axis("tokens", 0, max(float(one.x[-1]) for one in curves))
    yield Figure(
        f"{unit.name[0].upper()}{unit.name[1:]} by length",
        chart(curves, x, Axis(unit.name, *_range(values)), (width, TALL)),
        "A point stands at the middle of a range of lengths.",
    )
