"""Gates over time: every unit of every gate and state of a layer as a strip, or one unit's as curves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from unrolled import svg
from unrolled.inside import Trace, find
from unrolled.pictures.chart import Axis, Series, chart
from unrolled.pictures.figure import WIDTH, Asked, Figure, chosen, heading, panels
from unrolled.pictures.layers import TENSORS, Layer, asked_layer, recurrent, strongest
from unrolled.pictures.matrix import Shown, legend, matrix
from unrolled.svg import INK, Drawing, Scale

__all__ = ["draw", "shows"]

OPEN = Scale(0, 1)
GATES = {"i", "f", "o", "r", "z"}  # from 0 to 1; the others have a sign
STRIP, MOST_ROW, LEAST_ROW = 130, 12, 0.75  # pixels: of a strip, of a unit's row in it


def shows(trace: Trace) -> bool:
    """Whether there is a recurrent layer."""
    return bool(recurrent(trace))


def draw(traces: Sequence[Trace], asked: Asked) -> Figure:
    """Draw strips of all units, or curves of the one asked for."""
    layers = [asked_layer(trace, asked) for trace in traces]
    most = max(_most(trace, layer) for trace, layer in zip(traces, layers, strict=True))
    return _strips(traces, layers, asked, most) if asked.unit is None else _curves(traces, layers, asked.unit, most)


def _most(trace: Trace, layer: Layer) -> float:
    """The largest number of the states and candidates."""
    tensors = (trace[f"{layer.name}.{name}"] for name in TENSORS[layer.cell] if name not in GATES)
    return max([1e-9, *(float(tensor.abs().max()) for tensor in tensors if tensor.numel())])


def _strips(traces: Sequence[Trace], layers: Sequence[Layer], asked: Asked, most: float) -> Figure:
    signed = Scale.signed(most)
    parts, fewer = [], ""
    for trace, layer in zip(traces, layers, strict=True):
        steps, units = trace[f"{layer.name}.h"].shape
        rows: Sequence[int] = range(units)
        if asked.units is not None and asked.units < units:
            rows = strongest(trace, layer, asked.units)
            fewer = f" Of {units} units the {asked.units} whose memory varies most are shown."
        high = min(MOST_ROW, max(LEAST_ROW, STRIP / len(rows))) * len(rows)
        strips = []
        for name in TENSORS[layer.cell]:
            shown = Shown(trace, f"{layer.name}.{name}", rows, range(steps), turned=True)
            drawn = matrix(
                shown,
                OPEN if name in GATES else signed,
                down=[str(row) for row in rows],
                above=layer.tokens,
                room=(WIDTH, high),
            )
            strips.append(svg.above([_said(shown.tensor, max(drawn.width, 230)), drawn, Drawing(0, 4, "")]))
        parts += [heading(trace, traces, layer.name), panels(strips, 14)]
    both = svg.beside([legend(OPEN, "gates: 0 shut, 1 open"), legend(signed, "states and candidates, with sign")], 20)
    caption = (
        "Every gate and state over time: a column a step, a row a unit. Gates go from 0, shut, to 1, open; states and "
        f"candidates from −{most:.2g} to {most:.2g}, without unit, on one scale in all panels.{fewer}"
    )
    return Figure("Gates over time", svg.above([*parts, both], 2), caption)


def _said(tensor: str, most: float) -> Drawing:
    """A tensor's name and what it means."""
    spec, name = find(tensor), tensor.split(".")[-1]
    words = svg.text(
        4 + svg.UNIT * (1 + len(name)), 12, spec.meaning if spec else "", size=11, fill=INK, most=most - 20
    )
    return Drawing(most, 18, svg.text(0, 12, name, bold=True, fill=INK) + "\n" + words)


def _curves(traces: Sequence[Trace], layers: Sequence[Layer], unit: int, most: float) -> Figure:
    parts = []
    for trace, layer in zip(traces, layers, strict=True):
        steps, units = trace[f"{layer.name}.h"].shape
        chosen(unit, units, "unit", 0)
        parts.append(heading(trace, traces, f"{layer.name}, unit {unit}"))
        x = Axis("", -0.5, steps - 0.5, names=layer.tokens)
        kinds = (
            ([name for name in TENSORS[layer.cell] if name not in GATES], Axis("", -most, most)),
            ([name for name in TENSORS[layer.cell] if name in GATES], Axis("", 0, 1)),
        )
        for names, y in kinds:
            series = [
                Series(name, np.arange(steps), trace[tensor][:, unit].numpy(), f"{tensor}[{{}},{unit}]")
                for name in names
                for tensor in [f"{layer.name}.{name}"]
            ]
            if series:
                parts.append(chart(series, x, y, (WIDTH, 190)))
    caption = (
        f"Unit {unit} over time: gates from 0, shut, to 1, open; states and candidates from −{most:.2g} to {most:.2g}, "
        "without unit, on the same axes in all panels."
    )
    return Figure("Gates over time, of one unit", svg.above(parts, 4), caption)
