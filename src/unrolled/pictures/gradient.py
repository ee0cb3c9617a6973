"""Gradient by distance: how much of the gradient of an answer reaches earlier states."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from unrolled.inside import Trace
from unrolled.palette import SERIES
from unrolled.pictures.chart import Axis, Level, Series, chart
from unrolled.pictures.figure import Figure, Request, panel_name
from unrolled.pictures.layers import recurrent, requested_layer

__all__ = ["by_distance", "can_draw", "draw"]

TALL, DECADES = 320, 10
LOST = 1e-3  # fraction of the gradient that counts as lost


def can_draw(trace: Trace) -> bool:
    """Return whether the gradient of a recurrent layer was computed."""
    return any(f"{layer.name}.gradient" in trace for layer in recurrent(trace))


def by_distance(trace: Trace, layer: str) -> Series:
    """Return the mean norm of the gradient of the answers with respect to h, by the steps between answer and h."""
    steps, gradient = trace["steps"].numpy(), trace[f"{layer}.gradient"].numpy()
    back = steps[:, None] - np.arange(gradient.shape[1])
    distances = np.arange(back.max() + 1)
    sums, counts = (np.bincount(back[back >= 0], values, len(distances)) for values in (gradient[back >= 0], None))
    name = "at the end" if trace.about.update is None else f"update {trace.about.update:,}"
    return Series(name, distances, sums / np.maximum(counts, 1), f"fraction of {layer}.gradient, {{}} steps back")


def draw(traces: Sequence[Trace], request: Request) -> Figure:
    """Draw a line for each run, and thin ones for its snapshots, all on the same axes."""
    runs: dict[tuple[str, str], list[Trace]] = {}
    for trace in sorted(traces, key=lambda each: each.about.update is None):
        runs.setdefault((trace.about.model_name, trace.about.run), []).append(trace)
    lasts = [many[-1] for many in runs.values()]
    series = []
    for i, many in enumerate(runs.values()):
        curves = [_left(by_distance(trace, requested_layer(trace, request).name)) for trace in many]
        name = panel_name(many[-1], lasts) or many[-1].about.model_name
        series.append(curves[-1]._replace(name=name, shade=SERIES[i % len(SERIES)]))
        series += [each._replace(shade=SERIES[i % len(SERIES)], thin=True) for each in curves[:-1]]
    series.sort(key=lambda each: each.thin)
    x = Axis("steps back from the answer", 0, max(1, *(int(each.x[-1]) for each in series)))
    seen = [float(each.y[each.y > 0].min(initial=1)) for each in series]
    low = 10.0 ** np.clip(np.floor(np.log10(min(seen))), -DECADES, -4)
    y = Axis(
        "fraction of the gradient left",
        low,
        10.0 ** np.ceil(np.log10(max(float(each.y.max()) for each in series))),
        log=True,
    )
    drawn = chart(series, x, y, (request.width, TALL), Level(LOST, "lost: a thousandth is left"))
    earlier = " Thin lines are earlier in training." if len(series) > len(runs) else ""
    caption = (
        "How much of the gradient of an answer reaches the state some steps back, as a fraction of that at the "
        "answer's own step. Below the dashed line it has vanished: a network hardly learns from tokens so far back."
        f"{earlier}"
    )
    return Figure("How far back the gradient reaches", drawn, caption)


def _left(series: Series) -> Series:
    """Return a gradient by distance as a fraction of that at distance 0."""
    return series._replace(y=series.y / (float(series.y[0]) or 1))
