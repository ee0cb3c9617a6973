"""Gates and states of a recurrent layer over time: strips of all units, or curves of one unit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from unrolled import svg
from unrolled.cells import CELLS
from unrolled.inside import Trace, find
from unrolled.inside.diagrams import DIAGRAMS, load
from unrolled.palette import INK, LINE, MEMORY, SOFT
from unrolled.pictures import wiring
from unrolled.pictures.chart import Axis, Series, chart
from unrolled.pictures.figure import Figure, Request, heading, panels, resolve_index
from unrolled.pictures.layers import TENSORS, Layer, recurrent, requested_layer, strongest
from unrolled.pictures.matrix import View, matrix, number
from unrolled.svg import Drawing, Scale

__all__ = ["can_draw", "draw"]

GATES = {"i", "f", "o", "r", "z"}  # from 0 to 1; the other tensors have a sign
STRIP, MAX_ROW, MIN_ROW = 168, 14, 0.75  # pixels: of a strip, and of a unit's row in it
GAP, RAMP, BOLD = 32, 56, 8.8  # pixels: between columns, of a scale, of a bold character


def can_draw(trace: Trace) -> bool:
    """Return whether the trace has a recurrent layer."""
    return bool(recurrent(trace))


def draw(traces: Sequence[Trace], request: Request) -> Figure:
    """Draw strips of all units, or curves of the requested unit."""
    layers = [requested_layer(trace, request) for trace in traces]
    largest = max(_largest(trace, layer) for trace, layer in zip(traces, layers, strict=True))
    if request.unit is None:
        return _strips(traces, layers, request, largest)
    return _curves(traces, layers, request, largest)


def _largest(trace: Trace, layer: Layer) -> float:
    """Return the largest absolute number of the states and candidates."""
    tensors = (trace[f"{layer.name}.{name}"] for name in TENSORS[layer.cell] if name not in GATES)
    return max([1e-9, *(float(tensor.abs().max()) for tensor in tensors if tensor.numel())])


def colours(cell: str) -> dict[str, str]:
    """Return the colour of each gate of a cell, by its letter."""
    marks = load(cell).layouts["wide"].marks if cell in DIAGRAMS else {}
    return {name: wiring.ROLES.get(marks[name].role, MEMORY) if name in marks else MEMORY for name in GATES}


def named(tensor: str) -> tuple[str, str]:
    """Return the name of a gate or state in words, and the rest of its meaning."""
    spec = find(tensor)
    words, _, rest = spec.meaning.replace(" after", ", after", 1).partition(", ") if spec else (tensor, "", "")
    return words, rest


def _strips(traces: Sequence[Trace], layers: Sequence[Layer], request: Request, largest: float) -> Figure:
    signed, across = Scale.signed(largest), request.width if request.is_narrow else (request.width - GAP) / 2
    drawings, note = [], ""
    for trace, layer in zip(traces, layers, strict=True):
        units = trace[f"{layer.name}.h"].shape[1]
        rows: Sequence[int] = range(units)
        if request.units is not None and request.units < units:
            rows = strongest(trace, layer, request.units)
            note = f" Of {units} units, the {request.units} whose memory varies most are drawn."
        name = layer.name if len(recurrent(trace)) > 1 else ""
        columns = _columns(trace, layer, rows, signed, across)
        drawings += [heading(trace, traces, name, request.width), panels(columns, GAP, request.width)]
    caption = (
        "A column is a word that was read, a row one unit. A gate is pale where it is closed (0) and full in colour "
        f"where it is open (1); states and candidates are blue above 0 and orange below.{note}"
    )
    return Figure("Gates and states over time", svg.stack(drawings, 2), caption)


def _columns(trace: Trace, layer: Layer, rows: Sequence[int], signed: Scale, width: float) -> list[Drawing]:
    """Draw the gates of a layer below each other, and its candidate and states."""
    height, shades = min(MAX_ROW, max(MIN_ROW, STRIP / len(rows))) * len(rows), colours(layer.cell)
    candidates_first = sorted(TENSORS[layer.cell], key=lambda name: name not in CELLS[layer.cell].gate_meanings)
    columns: tuple[list[Drawing], list[Drawing]] = ([], [])
    for name in candidates_first:
        view = View(trace, f"{layer.name}.{name}", rows, range(len(trace[f"{layer.name}.h"])), turned=True)
        scale, colour = (Scale.gate(shades[name]), shades[name]) if name in GATES else (signed, INK)
        drawn = matrix(
            view,
            scale,
            down=[str(row) for row in rows],
            above=layer.tokens,
            space=(width, height),
            axes=("unit", ""),
        )
        columns[name not in GATES].append(
            svg.stack([_title(view.tensor, scale, width, colour), drawn, Drawing(width, 10, "")])
        )
    return [svg.stack(column, 4) for column in columns if column]


def _title(tensor: str, scale: Scale, width: float, colour: str) -> Drawing:
    """Draw the name of a gate or state in words, its tensor, its meaning, and its scale."""
    words, rest = named(tensor)
    letter = tensor.split(".")[-1]
    ramp = np.linspace(scale.low, scale.high, 256)[None]
    left, low, high = width - RAMP - 34, number(scale.low), number(scale.high)
    body = [
        svg.text(0, 12, words, bold=True, size=13, fill=colour),
        svg.text(8 + BOLD * svg.columns(words), 12, letter, size=13, fill=SOFT, italic=True),
        svg.text(0, 28, rest, size=11.5, fill=SOFT, most=width),
        svg.raster(left, 4, RAMP, 9, ramp, scale, label=f"scale from {low} to {high}"),
        svg.box(left, 4, RAMP, 9, "none", stroke=LINE),
        svg.text(left - 5, 12, low, anchor="end", size=11, fill=SOFT),
        svg.text(left + RAMP + 5, 12, high, size=11, fill=SOFT),
    ]
    return Drawing(width, 34, "\n".join(body))


def _curves(traces: Sequence[Trace], layers: Sequence[Layer], request: Request, largest: float) -> Figure:
    unit, drawings = request.unit, []
    for trace, layer in zip(traces, layers, strict=True):
        steps, units = trace[f"{layer.name}.h"].shape
        resolve_index(unit, units, "unit", 0)
        drawings.append(heading(trace, traces, f"{layer.name}, unit {unit}", request.width))
        shades = colours(layer.cell)
        x = Axis("", -0.5, steps - 0.5, names=layer.tokens)
        kinds = (
            ([name for name in TENSORS[layer.cell] if name not in GATES], Axis("state, candidate", -largest, largest)),
            ([name for name in TENSORS[layer.cell] if name in GATES], Axis("gate", 0, 1)),
        )
        for names, y in kinds:
            series = [
                Series(
                    f"{named(tensor)[0]} {name}",
                    np.arange(steps),
                    trace[tensor][:, unit].numpy(),
                    f"{tensor}[{{}},{unit}]",
                    shade=shades.get(name, ""),
                )
                for name in names
                for tensor in [f"{layer.name}.{name}"]
            ]
            if series:
                drawings.append(chart(series, x, y, (request.width, 190)))
    caption = (
        f"One unit, {unit}, word after word. Its gates go from 0 (closed) to 1 (open); its states and candidate have a "
        "sign."
    )
    return Figure("Gates and states of one unit over time", svg.stack(drawings, 4), caption)
