"""Gates and states of a recurrent layer over time: strips of all units, or curves of one unit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from unrolled import svg
from unrolled.inside import Trace, find
from unrolled.palette import INK
from unrolled.pictures.chart import Axis, Series, chart
from unrolled.pictures.figure import WIDTH, Figure, Request, heading, panels, resolve_index
from unrolled.pictures.layers import TENSORS, Layer, recurrent, requested_layer, strongest
from unrolled.pictures.matrix import View, legend, matrix
from unrolled.svg import Drawing, Scale

__all__ = ["can_draw", "draw"]

GATE_SCALE = Scale(0, 1)
GATES = {"i", "f", "o", "r", "z"}  # from 0 to 1; the other tensors have a sign
STRIP, MAX_ROW, MIN_ROW = 130, 12, 0.75  # pixels: of a strip, and of a unit's row in it


def can_draw(trace: Trace) -> bool:
    """Return whether the trace has a recurrent layer."""
    return bool(recurrent(trace))


def draw(traces: Sequence[Trace], request: Request) -> Figure:
    """Draw strips of all units, or curves of the requested unit."""
    layers = [requested_layer(trace, request) for trace in traces]
    largest = max(_largest(trace, layer) for trace, layer in zip(traces, layers, strict=True))
    if request.unit is None:
        return _strips(traces, layers, request.units, largest)
    return _curves(traces, layers, request.unit, largest)


def _largest(trace: Trace, layer: Layer) -> float:
    """Return the largest absolute number of the states and candidates."""
    tensors = (trace[f"{layer.name}.{name}"] for name in TENSORS[layer.cell] if name not in GATES)
    return max([1e-9, *(float(tensor.abs().max()) for tensor in tensors if tensor.numel())])


def _strips(traces: Sequence[Trace], layers: Sequence[Layer], most_units: int | None, largest: float) -> Figure:
    signed = Scale.signed(largest)
    drawings, note = [], ""
    for trace, layer in zip(traces, layers, strict=True):
        steps, units = trace[f"{layer.name}.h"].shape
        rows: Sequence[int] = range(units)
        if most_units is not None and most_units < units:
            rows = strongest(trace, layer, most_units)
            note = f" Of {units} units, the {most_units} whose memory varies most are shown."
        height = min(MAX_ROW, max(MIN_ROW, STRIP / len(rows))) * len(rows)
        strips = []
        for name in TENSORS[layer.cell]:
            view = View(trace, f"{layer.name}.{name}", rows, range(steps), turned=True)
            drawn = matrix(
                view,
                GATE_SCALE if name in GATES else signed,
                down=[str(row) for row in rows],
                above=layer.tokens,
                space=(WIDTH, height),
            )
            strips.append(svg.stack([_tensor_heading(view.tensor, max(drawn.width, 230)), drawn, Drawing(0, 4, "")]))
        drawings += [heading(trace, traces, layer.name), panels(strips, 14)]
    legends = [legend(GATE_SCALE, "gates: 0 closed, 1 open"), legend(signed, "states and candidates")]
    caption = (
        "Every gate and state over time. Each column is a step, each row a unit. A gate is a number from 0 (closed) to "
        f"1 (open). States and candidates lie between −{largest:.2g} and {largest:.2g}, without unit, on one scale in "
        f"all panels.{note}"
    )
    return Figure("Gates and states over time", svg.stack([*drawings, svg.side_by_side(legends, 20)], 2), caption)


def _tensor_heading(tensor: str, width: float) -> Drawing:
    """Draw a tensor's name and its meaning."""
    spec, name = find(tensor), tensor.split(".")[-1]
    words = svg.text(
        4 + svg.UNIT * (1 + len(name)), 12, spec.meaning if spec else "", size=11, fill=INK, most=width - 20
    )
    return Drawing(width, 18, svg.text(0, 12, name, bold=True, fill=INK) + "\n" + words)


def _curves(traces: Sequence[Trace], layers: Sequence[Layer], unit: int, largest: float) -> Figure:
    drawings = []
    for trace, layer in zip(traces, layers, strict=True):
        steps, units = trace[f"{layer.name}.h"].shape
        resolve_index(unit, units, "unit", 0)
        drawings.append(heading(trace, traces, f"{layer.name}, unit {unit}"))
        x = Axis("", -0.5, steps - 0.5, names=layer.tokens)
        kinds = (
            ([name for name in TENSORS[layer.cell] if name not in GATES], Axis("", -largest, largest)),
            ([name for name in TENSORS[layer.cell] if name in GATES], Axis("", 0, 1)),
        )
        for names, y in kinds:
            series = [
                Series(name, np.arange(steps), trace[tensor][:, unit].numpy(), f"{tensor}[{{}},{unit}]")
                for name in names
                for tensor in [f"{layer.name}.{name}"]
            ]
            if series:
                drawings.append(chart(series, x, y, (WIDTH, 190)))
    caption = (
        f"Gates and states of unit {unit} over time. A gate is a number from 0 (closed) to 1 (open). States and "
        f"candidates lie between −{largest:.2g} and {largest:.2g}, without unit. The axes are the same in all panels."
    )
    return Figure("Gates and states of one unit over time", svg.stack(drawings, 4), caption)
