"""Gradient by distance over training: how much an answer feels a state so many steps back, early and late."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from unrolled import svg
from unrolled.inside import Trace
from unrolled.pictures.chart import Axis, Series, chart
from unrolled.pictures.figure import WIDTH, Asked, Figure, heading, panels
from unrolled.pictures.layers import asked_layer, recurrent
from unrolled.pictures.matrix import number
from unrolled.svg import Scale

__all__ = ["by_distance", "draw", "shows"]

OVER = Scale(0, 1, ("#9dcae1", "#4a98c9", "#1764ab", "#08306b"))  # from the first weights kept to the last
TALL, DECADES = 300, 12


def shows(trace: Trace) -> bool:
    """Whether the gradient of a recurrent layer was computed."""
    return any(f"{layer.name}.gradient" in trace for layer in recurrent(trace))


def by_distance(trace: Trace, layer: str) -> Series:
    """Return the mean length of the gradient of answers with respect to states, by the steps between them."""
    steps, gradient = trace["steps"].numpy(), trace[f"{layer}.gradient"].numpy()
    back = steps[:, None] - np.arange(gradient.shape[1])
    far = np.arange(back.max() + 1)
    sums, counts = (np.bincount(back[back >= 0], values, len(far)) for values in (gradient[back >= 0], None))
    name = "at the end" if trace.about.update is None else f"update {trace.about.update:,}"
    return Series(name, far, sums / np.maximum(counts, 1), f"mean of {layer}.gradient, {{}} steps back")


def draw(traces: Sequence[Trace], asked: Asked) -> Figure:
    """Draw a panel a run, a curve for each update whose weights were kept; all on the same axes."""
    runs: dict[tuple[str, str], list[Trace]] = {}
    for trace in traces:
        runs.setdefault((trace.about.model_name, trace.about.run), []).append(trace)
    curves = {key: [by_distance(trace, asked_layer(trace, asked).name) for trace in many] for key, many in runs.items()}
    every = [series for many in curves.values() for series in many]
    high = 10.0 ** np.ceil(np.log10(max(float(series.y.max()) for series in every) or 1))
    low = min(float(series.y[series.y > 0].min(initial=high)) for series in every)
    low = max(10.0 ** np.floor(np.log10(low)), high / 10.0**DECADES)
    x = Axis("steps back", 0, max(1, *(int(series.x[-1]) for series in every)))
    y = Axis("‖∂ log_prob / ∂ h‖, nats", float(low), float(high), log=True)
    wide = WIDTH if len(runs) == 1 else (WIDTH - 24) / 2
    firsts = [many[0] for many in runs.values()]
    parts = []
    for key, many in runs.items():
        one = curves[key]
        shades = [OVER.colour(i / max(1, len(one) - 1)) for i in range(len(one))]
        drawn = chart(
            [series._replace(shade=shade) for series, shade in zip(one, shades, strict=True)], x, y, (wide, TALL)
        )
        parts.append(svg.above([heading(many[0], firsts), drawn], 4))
    least = f"; what is below {number(low)} is drawn there" if low > 0 else ""
    caption = (
        "How much an answer feels a hidden state so many steps back: the mean length of the gradient of its "
        f"log-probability, in nats, over all pairs at that distance; on one scale in powers of ten{least}. Lighter: "
        "earlier in training."
    )
    return Figure("Gradient by distance, over training", panels(parts), caption)
