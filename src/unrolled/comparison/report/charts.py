"""The charts of a report, from its results alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from unrolled.comparison.report.figures import Unit, unit_of, validation
from unrolled.pictures.chart import Axis, Series, chart
from unrolled.pictures.figure import Figure, frame
from unrolled.pictures.forest import Mean, forest, span

__all__ = ["NARROW", "WIDE", "charts"]

WIDE, NARROW, TALL = 760, 340, 280  # pixels
Report = dict[str, Any]


def charts(found: Report, width: int) -> list[str]:
    """Return the charts as SVG, for a width in pixels."""
    unit = unit_of(found["figure"])
    figures = [
        *_quality(found, unit, width),
        *_search(found, width),
        *_learning(found, width),
        *_length(found, unit, width),
    ]
    return [frame(figure, [], width) for figure in figures]


def _quality(found: Report, unit: Unit, width: int) -> Iterator[Figure]:
    """Draw the mean of each model and baseline with its interval, and the differences from the best."""
    models = [each for each in found["models"] if each["mean"] is not None]
    if not models:
        return
    rows = [_row(each["label"], each, unit) for each in models]
    rows += [Mean(each["name"], unit.factor * each["mean"], hollow=True) for each in found["baselines"]]
    yield Figure(
        f"{unit.name[0].upper()}{unit.name[1:]} on the test split",
        forest(rows, unit.label, width),
        "A filled mark is the mean over seeds, its line the 95 % interval for other seeds and other examples; small "
        "marks are single trainings, open ones baselines.",
    )
    tested = [each for each in found["differences"] if each["tested"] and each["interval"] is not None]
    if tested:
        rows = [_row(each["second"], each, unit) for each in tested]
        yield Figure(
            f"Differences of the best model, {found['best']}, from the others",
            forest(rows, unit.difference_label, width, zero=True),
            "To the right of 0 the best model is better. A difference is shown where its test with Holm's correction "
            "excludes 0; the intervals do not have the correction.",
        )


def _row(name: str, found: Report, unit: Unit) -> Mean:
    """Return a mean with its interval as a line of a chart."""
    interval = found["interval"] and [unit.factor * end for end in found["interval"]]
    return Mean(name, unit.factor * found["mean"], interval, [unit.factor * each for each in found.get("means", ())])


def _search(found: Report, width: int) -> Iterator[Figure]:
    name, sign = validation(found)
    tried = {each["label"]: [one for one in each["trials"] if one["figure"] is not None] for each in found["models"]}
    tried = {label: sorted(trials, key=lambda one: one["learning_rate"]) for label, trials in tried.items() if trials}
    if not tried:
        return
    figures = [sign * one["figure"] for trials in tried.values() for one in trials]
    rates = [one["learning_rate"] for trials in tried.values() for one in trials]
    curves = [
        Series(
            label,
            np.array([one["learning_rate"] for one in trials]),
            sign * np.array([one["figure"] for one in trials]),
        )
        for label, trials in tried.items()
    ]
    x = Axis("learning rate", min(rates), max(rates), log=True)
    yield Figure(
        "Validation figure by learning rate",
        chart(curves, x, Axis(name, *span(figures)), (width, TALL)),
        "Each point is a trial; the dropout of neighbouring points differs. A best rate inside the range means that "
        "the range was wide enough.",
    )
    expected = {each["label"]: each["expected_best"] for each in found["models"] if len(each["expected_best"]) > 1}
    if expected:
        curves = [Series(label, np.arange(1, len(e) + 1), sign * np.array(e)) for label, e in expected.items()]
        values = [sign * value for each in expected.values() for value in each]
        x = Axis("trials", 1, max(map(len, expected.values())), whole=True)
        yield Figure(
            "Expected best figure by number of trials",
            chart(curves, x, Axis(name, *span(values)), (width, TALL)),
            "The mean best figure of k random trials (Dodge et al. 2019). A curve that is not yet "
            "flat means that more trials would help this model.",
        )


def _learning(found: Report, width: int) -> Iterator[Figure]:
    name, sign = validation(found)
    found_curves: dict[str, list[list[float]]] = {}
    for each in found["models"]:
        curves = [one["curve"] for one in each["seeds"] if one.get("curve")]
        if curves and min(map(len, curves)) > 1:
            shortest = min(map(len, curves))
            stacked = np.array([[[float("nan") if v is None else v for v in p] for p in c[:shortest]] for c in curves])
            found_curves[each["label"]] = (stacked.mean(axis=0) * (1, 1, sign)).tolist()
    if not found_curves:
        return
    values = [point[2] for curve in found_curves.values() for point in curve if np.isfinite(point[2])]
    size, unit = found["train"]["size"], found["train"]["unit"]
    seconds = {label: _seconds_an_update(found, label) for label in found_curves}
    axes: list[tuple[str, int, Mapping[str, float | None]]] = [  # the column of the curve, and its factor by model
        ("updates", 0, dict.fromkeys(found_curves, 1.0)),
        (unit, 1, dict.fromkeys(found_curves, float(size))),
        ("seconds", 0, seconds),
    ]
    for label, column, factors in axes:
        series = [
            Series(key, np.array(curve)[:, column] * factor, np.array(curve)[:, 2])
            for key, curve in found_curves.items()
            if (factor := factors[key]) is not None
        ]
        if series:
            x = Axis(label, 0, max(float(one.x[-1]) for one in series))
            drawn = chart(series, x, Axis(name, *span(values)), (width, TALL))
            yield Figure(f"Learning curves over {label}", drawn, "The mean over seeds, on the validation split.")


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
        chart(curves, x, Axis(unit.name, *span(values)), (width, TALL)),
        "A point stands at the middle of a range of lengths.",
    )
