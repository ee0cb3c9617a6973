"""The charts of a report, from its results alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from unrolled import svg
from unrolled.comparison.report.figures import Unit, unit_of, validation
from unrolled.palette import ABOVE, CARD, INK, LINE, SOFT
from unrolled.pictures.chart import Axis, Series, chart
from unrolled.pictures.figure import Figure, frame
from unrolled.pictures.matrix import number
from unrolled.svg import UNIT, Drawing

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


def _range(values: list[float], *, least: float = 1e-6) -> tuple[float, float]:
    """Return the ends of an axis: those of the values, with a margin of a tenth."""
    low, high = min(values), max(values)
    margin = max(0.1 * (high - low), least)
    return low - margin, high + margin


def _quality(found: Report, unit: Unit, width: int) -> Iterator[Figure]:
    """Draw the mean of each model and baseline with its interval, and the differences from the best."""
    models = [each for each in found["models"] if each["mean"] is not None]
    if not models:
        return
    rows = [_Row(each["label"], each["mean"], each["interval"], each["means"]) for each in models]
    rows += [_Row(each["name"], each["mean"], None, [], is_baseline=True) for each in found["baselines"]]
    yield Figure(
        f"{unit.name[0].upper()}{unit.name[1:]} on the test split",
        _forest(rows, unit, width),
        "A filled mark is the mean over seeds, its line the 95 % interval for other seeds and other examples; small "
        "marks are single trainings, open ones baselines.",
    )
    tested = [each for each in found["differences"] if each["tested"] and each["interval"] is not None]
    if tested:
        rows = [_Row(each["second"], each["mean"], each["interval"], []) for each in tested]
        yield Figure(
            f"Differences of the best model, {found['best']}, from the others",
            _forest(rows, unit._replace(name="difference"), width, zero=True),
            "To the right of 0 the best model is better. A difference is shown where its test with Holm's correction "
            "excludes 0; the intervals do not have the correction.",
        )


class _Row(NamedTuple):
    """A line of a chart of means."""

    name: str
    mean: float
    interval: list[float] | None
    single: list[float]
    is_baseline: bool = False


ROW, TICKS = 26, 30  # pixels of a row, and below the last one


def _forest(rows: Sequence[_Row], unit: Unit, width: int, *, zero: bool = False) -> Drawing:
    """Draw a line for each row: its name, the interval, the mean. zero: whether 0 is on the axis, as a line."""
    left = min(0.45 * width, 14 + max(svg.columns(row.name) for row in rows) * UNIT)
    values = [value for row in rows for value in (row.mean, *row.single, *(row.interval or ()))]
    x = Axis("", *_range([unit.factor * value for value in [*values, *([0.0] if zero else [])]]))
    floor, across = ROW * len(rows) + 6.0, width - left - 12

    def at(value: float) -> float:
        return left + across * float(x.fraction(np.array(unit.factor * value)))

    body = []
    for tick in x.ticks():
        place = at(tick / unit.factor)
        body.append(svg.line([(place, 0), (place, floor)], stroke=SOFT if zero and tick == 0 else LINE))
        body.append(svg.text(place, floor + 14, number(tick), anchor="middle", size=11, fill=INK))
    for k, row in enumerate(rows):
        y = ROW * (k + 0.5)
        colour = SOFT if row.is_baseline else ABOVE
        body.append(svg.text(left - 8, y + 4, row.name, anchor="end", size=12, fill=INK, most=left - 10))
        if row.interval is not None:
            body.append(svg.line([(at(end), y) for end in row.interval], stroke=colour, width=2))
        body += [svg.dot(at(value), y, 2, CARD, stroke=colour) for value in row.single]
        fill = CARD if row.is_baseline else colour
        body.append(svg.dot(at(row.mean), y, 4.5, fill, stroke=colour, name=f"{row.name} = {unit.value(row.mean)}"))
    said = "points" if zero and unit.unit == " %" else unit.unit.strip()
    label = f"{unit.name} ({said})" if said else unit.name
    body.append(svg.text(left + across / 2, floor + TICKS, label, anchor="middle", size=11, fill=INK))
    return Drawing(width, floor + TICKS + 8, "\n".join(body))


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
        chart(curves, x, Axis(name, *_range(figures)), (width, TALL)),
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
            chart(curves, x, Axis(name, *_range(values)), (width, TALL)),
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
    seconds = {label: _seconds_an_update(found, label) for label in found_curves}
    for title, label, column in (("updates", "updates", 0), ("passes over the training split", "epochs", 1)):
        series = [Series(key, np.array(c)[:, column], np.array(c)[:, 2]) for key, c in found_curves.items()]
        most = max(float(one.x[-1]) for one in series)
        drawn = chart(series, Axis(label, 0, most), Axis(name, *_range(values)), (width, TALL))
        yield Figure(f"Learning curves over {title}", drawn, "The mean over seeds, on the validation split.")
    if all(seconds.values()):
        series = [
            Series(key, np.array(c)[:, 0] * float(seconds[key] or 0), np.array(c)[:, 2])
            for key, c in found_curves.items()
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
