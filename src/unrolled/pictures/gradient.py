"""Gradient by distance: the norm of the gradient of an answer with respect to earlier states, over training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from unrolled import svg
from unrolled.inside import Trace
from unrolled.pictures.chart import Axis, Series, chart
from unrolled.pictures.figure import WIDTH, Figure, Request, heading, panels
from unrolled.pictures.layers import recurrent, requested_layer
from unrolled.pictures.matrix import number
from unrolled.svg import Scale

__all__ = ["by_distance", "can_draw", "draw"]

SHADES = Scale(0, 1, ("#9dcae1", "#4a98c9", "#1764ab", "#08306b"))  # from the first snapshot to the last
TALL, DECADES = 300, 12


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
    return Series(name, distances, sums / np.maximum(counts, 1), f"mean of {layer}.gradient, {{}} steps back")


def draw(traces: Sequence[Trace], request: Request) -> Figure:
    """Draw a panel for each run with a curve for each of its snapshots, all on the same axes."""
    runs: dict[tuple[str, str], list[Trace]] = {}
    for trace in traces:
        runs.setdefault((trace.about.model_name, trace.about.run), []).append(trace)
    curves = {
        key: [by_distance(trace, requested_layer(trace, request).name) for trace in many] for key, many in runs.items()
    }
    every = [series for many in curves.values() for series in many]
    high = 10.0 ** np.ceil(np.log10(max(float(series.y.max()) for series in every) or 1))
    low = min(float(series.y[series.y > 0].min(initial=high)) for series in every)
    low = max(10.0 ** np.floor(np.log10(low)), high / 10.0**DECADES)
    x = Axis("steps back", 0, max(1, *(int(series.x[-1]) for series in every)))
    explained = "value" if "value" in traces[0] else "log_prob"
    y = Axis(f"‖∂ {explained} / ∂ h‖{', nats' if explained == 'log_prob' else ''}", float(low), float(high), log=True)
    width = WIDTH if len(runs) == 1 else (WIDTH - 24) / 2
    firsts = [many[0] for many in runs.values()]
    drawings = []
    for key, many in runs.items():
        one = curves[key]
        shades = [SHADES.colour(i / max(1, len(one) - 1)) for i in range(len(one))]
        drawn = chart(
            [series._replace(shade=shade) for series, shade in zip(one, shades, strict=True)], x, y, (width, TALL)
        )
        drawings.append(svg.stack([heading(many[0], firsts), drawn], 4))
    floor = f" Smaller numbers are drawn at {number(low)}." if low > 0 else ""
    caption = (
        f"The gradient of an answer's {explained} with respect to a hidden state h some steps back. Each point is "
        "the mean norm over all pairs of an answer and a state at that distance. Where a curve falls "
        "steeply, the network can hardly learn from tokens that far back: the gradient vanishes. Lighter curves are "
        f"earlier in training. The vertical scale is logarithmic.{floor}"
    )
    return Figure("Gradient by distance, over training", panels(drawings), caption)
