"""Diagram of a recurrent cell with the real numbers of one unit at one step."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from unrolled import svg
from unrolled.errors import ConfigError, nearest
from unrolled.inside import Trace
from unrolled.inside.diagrams import DIAGRAMS, Diagram, Node, Value, Wire, load
from unrolled.pictures.figure import Figure, Request, heading, resolve_index, translated
from unrolled.pictures.layers import Layer, recurrent, requested_layer, strongest
from unrolled.pictures.matrix import number
from unrolled.svg import INK, Drawing

__all__ = ["can_draw", "diagram_drawing", "draw"]

COLUMN, ROW, WIDE, HIGH = 128, 58, 98, 42  # pixels from box to box, and of a box
FILLS = {  # colour and dash of the edge: the kinds differ without colour too
    "input": ("#f6f8fa", "2 2"),
    "term": ("#f6f8fa", ""),
    "sum": ("#eaeef2", ""),
    "gate": ("#fff1d6", ""),
    "candidate": ("#e6f4ea", ""),
    "operation": ("#ffffff", "4 2"),
    "state": ("#dbe9f6", ""),
}


def can_draw(trace: Trace) -> bool:
    """Return whether the trace has a recurrent layer whose cell has a diagram."""
    return any(layer.cell in DIAGRAMS for layer in recurrent(trace))


def draw(traces: Sequence[Trace], request: Request) -> Figure:
    """Draw the cell of each trace at a step and a unit: by default the last step and the unit that varies most."""
    drawings, selections = [], []
    for trace in traces:
        layer = requested_layer(trace, request)
        steps, units = trace[f"{layer.name}.h"].shape
        step = resolve_index(request.step, steps, "step", steps - 1)
        unit = resolve_index(request.unit, units, "unit", strongest(trace, layer, 1)[0])
        more = f"{layer.name}, step {step} ({layer.tokens[step]}), unit {unit}"
        selections.append(f"step {step}, unit {unit} of {layer.name}")
        drawings += [heading(trace, traces, more), _cell(trace, layer, step, unit, request.gate)]
    cells = dict.fromkeys(requested_layer(trace, request).cell for trace in traces)
    title = " · ".join(load(cell).title for cell in cells)
    states = "h′ and c′ are the states" if "lstm" in cells else "h′ is the state"
    caption = (
        f"The cell at {'; '.join(dict.fromkeys(selections))}. x is the input of this step; {states} "
        "after the previous step. Each box holds the number of this one unit. A dotted arrow is a product with a "
        "learned matrix, which combines all units of the input or of h′. A gate is a number from 0 (closed) to 1 "
        "(open); the boxes below it show the terms of its sum: from the input, from h′ and the bias. The numbers have "
        "no unit."
    )
    return Figure(title, svg.stack(drawings, 4), caption)


def _cell(trace: Trace, layer: Layer, step: int, unit: int, gate: str | None) -> Drawing:
    diagram = load(layer.cell)
    highlighted = diagram.nodes if gate is None else _neighbours(diagram, gate)
    values = diagram.values(trace, layer.name)
    numbers = {name: _at(value, {"T": step, "H": unit}) for name, value in values.items()}
    texts = {name: number(value) for name, value in numbers.items()} | {"x": layer.tokens[step]}
    titles = {name: f"{_element(diagram, name, layer, step, unit)} = {texts[name]}" for name in numbers}
    return diagram_drawing(diagram, texts, titles, highlighted=highlighted)


def _neighbours(diagram: Diagram, gate: str) -> set[str]:
    """Return the nodes of a gate: the gate, those it is computed from, those it acts on, and their other inputs.

    Raises:
        ConfigError: the cell has no gate of that name.
    """
    gates = [name for name, node in diagram.nodes.items() if node.kind in ("gate", "candidate")]
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


def diagram_drawing(
    diagram: Diagram,
    texts: Mapping[str, str],
    titles: Mapping[str, str],
    pictures: Mapping[str, Drawing] | None = None,
    highlighted: Collection[str] | None = None,
) -> Drawing:
    """Draw a diagram with a text or a picture in each node.

    Args:
        texts: a number or word by node. titles: the text under the pointer by node. pictures: a drawing by node, at
            most a box wide, instead of a text. highlighted: the nodes that are not faded; None: all.
    """
    nodes = diagram.nodes.values()
    left = min(
        min(node.position[0] for node in nodes), min((x for wire in diagram.wires for x, _ in wire.via), default=0)
    )
    top, right = min(node.position[1] for node in nodes), max(node.position[0] for node in nodes)
    bottom = max(node.position[1] for node in nodes)

    def pixels(position: tuple[float, float]) -> tuple[float, float]:
        return (position[0] - left) * COLUMN + WIDE / 2 + 8, (position[1] - top) * ROW + HIGH / 2 + 4

    highlighted = diagram.nodes if highlighted is None else highlighted
    body = []
    for wire in diagram.wires:
        body.append(_faded(_wire(diagram, wire, pixels), {wire.source, wire.target} <= set(highlighted)))
    for name, node in diagram.nodes.items():
        box = _box(node, pixels(node.position), texts.get(name, ""), titles.get(name, ""), (pictures or {}).get(name))
        body.append(_faded(box, name in highlighted))
    width, height = (right - left) * COLUMN + WIDE + 28, (bottom - top) * ROW + HIGH + 10
    return Drawing(width, height, "\n".join(body))


def _faded(body: str, highlighted: bool) -> str:
    return body if highlighted else f'<g opacity="0.25">\n{body}\n</g>'


def _wire(diagram: Diagram, wire: Wire, pixels: Callable[[tuple[float, float]], tuple[float, float]]) -> str:
    source, target = diagram.nodes[wire.source], diagram.nodes[wire.target]
    points = [pixels(position) for position in (source.position, *wire.via, target.position)]
    (x0, y0), (x1, y1) = points[-2:]
    dx, dy = x1 - x0, y1 - y0  # the arrow ends at the edge of the target's box
    fraction = min(WIDE / 2 / abs(dx) if dx else 1e9, HIGH / 2 / abs(dy) if dy else 1e9, 1)
    points[-1] = (x1 - dx * fraction, y1 - dy * fraction)
    learned = wire.source in target.learned
    return svg.line(points, stroke="#8c959f", width=1.2, arrow=True, dash="2 3" if learned else "")


def _box(node: Node, centre: tuple[float, float], text: str, title: str, picture: Drawing | None) -> str:
    x, y = centre[0] - WIDE / 2, centre[1] - HIGH / 2
    fill, dash = FILLS[node.kind]
    stroke = "#57606a" if node.kind in ("gate", "candidate", "state") else "#afb8c1"
    radius = 8 if node.kind in ("gate", "candidate") else 3
    body = [svg.box(x, y, WIDE, HIGH, fill, stroke=stroke, radius=radius, dash=dash, name=title)]
    body.append(svg.text(centre[0], y + 15, node.label, anchor="middle", size=10, fill="#57606a", most=WIDE - 4))
    if picture is None:
        body.append(svg.text(centre[0], y + 33, text, anchor="middle", size=13, fill=INK, bold=True, most=WIDE - 6))
    else:
        body.append(translated(picture, centre[0] - picture.width / 2, y + 20).body)
    return "\n".join(body)
