"""Diagram of a recurrent cell with the real numbers of one unit at one step."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from unrolled import svg
from unrolled.errors import ConfigError, nearest
from unrolled.inside import Trace
from unrolled.inside.diagrams import DIAGRAMS, Diagram, Layout, Line, Mark, Value, load
from unrolled.palette import ABOVE, BELOW, KEEP, RESET, SHOW, SOFT, WRITE
from unrolled.pictures import sentences, wiring
from unrolled.pictures.figure import Figure, Request, heading, resolve_index
from unrolled.pictures.layers import Layer, recurrent, requested_layer, strongest
from unrolled.pictures.matrix import number
from unrolled.svg import Drawing

__all__ = ["can_draw", "draw"]

NEW_STATE = "new state"  # the box of an Elman cell, which is no gate
BEFORE_SIGMA = 2.5  # the largest term of a gate's sum that has a wire of its own width
LEGEND = (
    ("above 0", ABOVE),
    ("below 0", BELOW),
    ("keeps", KEEP),
    ("writes", WRITE),
    ("outputs", SHOW),
    ("resets", RESET),
)


def can_draw(trace: Trace) -> bool:
    """Return whether the trace has a recurrent layer whose cell has a diagram."""
    return any(layer.cell in DIAGRAMS for layer in recurrent(trace))


def draw(traces: Sequence[Trace], request: Request) -> Figure:
    """Draw the cell of each trace at a step and a unit: by default the last step and the unit that varies most."""
    drawings, texts = [], []
    for trace in traces:
        layer = requested_layer(trace, request)
        steps, units = trace[f"{layer.name}.h"].shape
        step = resolve_index(request.step, steps, "step", steps - 1)
        unit = resolve_index(request.unit, units, "unit", strongest(trace, layer, 1)[0])
        more = f"step {step} ({layer.tokens[step]}), unit {unit} of {units}, {layer.name}"
        drawing, said = _cell(trace, layer, step, unit, request)
        drawings += [heading(trace, traces, more, request.width), drawing]
        texts += said
    cells = dict.fromkeys(requested_layer(trace, request).cell for trace in traces)
    title = " · ".join(_title(cell, request.gate) for cell in cells)
    return Figure(title, svg.stack([*drawings, _legend(cells, request)], 6), " ".join(texts))


def _title(cell: str, gate: str | None) -> str:
    diagram = load(cell)
    return diagram.title if gate is None else f"The {_gates(diagram)[gate]} of the {diagram.title.split(':')[0]}"


def _cell(trace: Trace, layer: Layer, step: int, unit: int, request: Request) -> tuple[Drawing, list[str]]:
    """Return the drawing of a cell and the sentences on its numbers."""
    diagram = load(layer.cell)
    layout = diagram.layouts["narrow" if request.is_narrow else "wide"]
    values = diagram.values(trace, layer.name)
    numbers = {name: _at(value, {"T": step, "H": unit}) for name, value in values.items()}
    titles = {
        name: f"{_element(diagram, name, layer, step, unit)} = {number(value)}" for name, value in numbers.items()
    }
    shown = None if request.gate is None else _neighbours(diagram, request.gate)
    first = step == (len(layer.tokens) - 1 if layer.name.endswith(".reverse") else 0)
    said = sentences.CELLS[layer.cell](numbers, first)
    if request.gate is not None:
        said = {"": sentences.of_gate(layer.cell, request.gate), "gate": said[request.gate]}
    return _drawing(diagram, layout, numbers, titles, layer.tokens[step], shown), list(said.values())


def _drawing(
    diagram: Diagram,
    layout: Layout,
    numbers: Mapping[str, float],
    titles: Mapping[str, str],
    token: str,
    shown: Collection[str] | None,
) -> Drawing:
    """Draw a layout. shown: the nodes that are not faded; None: all."""
    body = [wiring.band(layout.belt)] if layout.belt else []
    body += [wiring.missing_band(layout.missing)] if layout.missing else []
    body += [wiring.bus(line.path, name=titles.get(line.value, "")) for line in layout.wires if line.vector]
    faded = [line for line in layout.wires if not line.vector and not _is_shown(line, shown)]
    lines = [line for line in layout.wires if not line.vector and line not in faded]
    body += [wiring.wire(line.path, None, joins=True) for line in faded]
    for line in lines:
        term = diagram.nodes[line.value].kind in ("term", "sum")
        joins = line.path[0] in layout.belt or _on(layout.belt, line.path) or (not line.letter and not term)
        body.append(
            wiring.wire(
                line.path,
                numbers[line.value],
                role=line.role,
                largest=BEFORE_SIGMA if term else 1,
                joins=joins,
                name=titles[line.value],
            )
        )
    for name, mark in layout.marks.items():
        body.append(_mark(name, mark, numbers, titles, token, shown is None or name in shown))
    body += [svg.text(x, y, words, anchor=anchor, size=12, fill=SOFT) for x, y, words, anchor in layout.notes]
    for line in lines:
        if line.label is not None:
            value = numbers[line.value]
            written = sentences.number(value) if line.role else sentences.signed(value)
            body.append(wiring.label(*line.label, value, written, letter=line.letter, role=line.role))
    return Drawing(*layout.size, "\n".join(body))


def _is_shown(line: Line, shown: Collection[str] | None) -> bool:
    return shown is None or (line.value in shown and (line.target is None or line.target in shown))


def _on(belt: Sequence[Sequence[float]], path: Sequence[Sequence[float]]) -> bool:
    """Return whether a path lies on the belt."""
    return bool(belt) and any(all(point[axis] == belt[0][axis] for point in (*belt, *path)) for axis in (0, 1))


def _mark(
    name: str, mark: Mark, numbers: Mapping[str, float], titles: Mapping[str, str], token: str, shown: bool
) -> str:
    x, y = mark.at
    if mark.kind == "word":
        return wiring.word(x, y, token)
    title = titles[name] if shown else ""
    if mark.kind in ("gate", "candidate"):
        value = numbers[name] if shown else None
        return wiring.box(
            x, y, value, mark.sign or ("σ" if mark.role else "tanh"), mark.name, role=mark.role, name=title
        )
    draw = wiring.operation if mark.kind == "operation" else wiring.function
    return draw(x, y, mark.sign, faded=not shown, name=title)


def _legend(cells: Collection[str], request: Request) -> Drawing:
    """Draw the colours' meanings."""
    roles = {mark.role for cell in cells for mark in load(cell).layouts["wide"].marks.values()}
    roles |= {line.role for cell in cells for line in load(cell).layouts["wide"].wires}
    colours = {wiring.ROLES[role] for role in roles if role} | {ABOVE, BELOW}
    entries = [(words, colour) for words, colour in LEGEND if colour in colours]
    body, x, y = [], 0.0, 12.0
    for words, colour in [*entries, ("all numbers of a vector", ""), ("thicker: larger", None)]:
        wide = (0 if colour is None else 22) + svg.UNIT * 11 / 12 * svg.columns(words) + 16
        if x and x + wide > request.width:
            x, y = 0.0, y + 18
        if colour:
            body.append(svg.box(x, y - 7, 16, 5, colour, radius=2.5))
        elif colour == "":
            body.append(wiring.bus([(x, y - 4), (x + 16, y - 4)]))
        body.append(svg.text(x + (0 if colour is None else 22), y, words, size=11, fill=SOFT))
        x += wide
    return Drawing(request.width, y + 8, "\n".join(body))


def _gates(diagram: Diagram) -> dict[str, str]:
    """Return the gates and candidates of a cell with their names: {"f": "forget gate"}."""
    return {
        name: mark.name if mark.kind == "candidate" else f"{mark.name} gate"
        for name, mark in diagram.layouts["wide"].marks.items()
        if mark.kind in ("gate", "candidate") and mark.name != NEW_STATE
    }


def _neighbours(diagram: Diagram, gate: str) -> set[str]:
    """Return the nodes of a gate: the gate, those it is computed from, those it acts on, and their other inputs.

    Raises:
        ConfigError: the cell has no gate of that name.
    """
    gates = _gates(diagram)
    if gate not in gates:
        have = f"has {', '.join(gates)}" if gates else "has none"
        raise ConfigError(f'there is no gate "{gate}" in this cell{nearest(gate, gates)}: {diagram.name} {have}')
    before, waiting = set[str](), [gate]
    while waiting:
        before.add(name := waiting.pop())
        waiting += diagram.nodes[name].reads - before
    after = {name for name, node in diagram.nodes.items() if gate in node.reads}
    return before | after | {source for name in after for source in diagram.nodes[name].reads}


def _element(diagram: Diagram, name: str, layer: Layer, step: int, unit: int) -> str:
    """Return the name of a node's number in the trace, "lstm.l0.f[2,37]", or its formula where it has no tensor."""
    node, tensor = diagram.nodes[name], diagram.tensor_name(name, layer.name)
    if tensor is None:
        return str(node.formula)
    if node.before:
        back = step + 1 if layer.name.endswith(".reverse") else step - 1
        return f"{tensor}[{back},{unit}]" if 0 <= back < len(layer.tokens) else f"{tensor}0[{unit}]"
    index = [step] * ("T" in node.axes) + ([] if node.gate is None else [node.gate]) + [unit]
    return f"{tensor}[{','.join(map(str, index))}]"


def _at(value: Value, indices: Mapping[str, int]) -> float:
    """Return one number of a value. indices: the index on each axis, by its letter."""
    return float(value.tensor[tuple(indices[letter] for letter in value.axes)])
