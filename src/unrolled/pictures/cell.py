"""The cell with its real numbers: a diagram at one step and one unit, each box what the trace has of it there."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from unrolled import svg
from unrolled.errors import ConfigError, nearest
from unrolled.inside import Trace
from unrolled.inside.diagrams import DIAGRAMS, Diagram, Node, Value, Wire, load
from unrolled.pictures.figure import Asked, Figure, chosen, heading, placed
from unrolled.pictures.layers import Layer, asked_layer, recurrent, strongest
from unrolled.pictures.matrix import number
from unrolled.svg import INK, Drawing

__all__ = ["draw", "drawn", "shows"]

COLUMN, ROW, WIDE, HIGH = 128, 58, 98, 42  # pixels, from box to box, and of a box
FILLS = {  # colour, dash of the edge: kinds differ without colour, too
    "input": ("#f6f8fa", "2 2"),
    "term": ("#f6f8fa", ""),
    "sum": ("#eaeef2", ""),
    "gate": ("#fff1d6", ""),
    "candidate": ("#e6f4ea", ""),
    "operation": ("#ffffff", "4 2"),
    "state": ("#dbe9f6", ""),
}
BARS = 12  # places of a vector that are drawn; of a longer one, the largest


def shows(trace: Trace) -> bool:
    """Return whether there is a recurrent layer whose cell has a diagram."""
    return any(layer.cell in DIAGRAMS for layer in recurrent(trace))


def draw(traces: Sequence[Trace], asked: Asked) -> Figure:
    """Draw the cell of each trace at a step and a unit: by default the last step, the unit that varies most."""
    parts, where = [], []
    for trace in traces:
        layer = asked_layer(trace, asked)
        steps, units = trace[f"{layer.name}.h"].shape
        step = chosen(asked.step, steps, "step", steps - 1)
        unit = chosen(asked.unit, units, "unit", strongest(trace, layer, 1)[0])
        more = f"{layer.name}, step {step} ({layer.tokens[step]}), unit {unit}"
        where.append(f"step {step}, unit {unit} of {layer.name}")
        parts += [heading(trace, traces, more), _cell(trace, layer, step, unit, asked.gate)]
    cells = dict.fromkeys(asked_layer(trace, asked).cell for trace in traces)
    title = " · ".join(load(cell).title for cell in cells)
    caption = (
        f"The cell at {'; '.join(dict.fromkeys(where))}. x is what this step reads, h′ and c′ what the step before "
        "left; dotted wires go through learned matrices, from all units to this one. A gate is 0 where it is shut "
        "and 1 where it is open; the sum before it is split into what the token, the past and the bias say. Numbers "
        "without unit."
    )
    return Figure(title, svg.above(parts, 4), caption)


def _cell(trace: Trace, layer: Layer, step: int, unit: int, gate: str | None) -> Drawing:
    diagram = load(layer.cell)
    lit = diagram.nodes if gate is None else _around(diagram, gate)
    values = diagram.values(trace, layer.name)
    here = {name: _at(value, {"T": step, "H": unit}) for name, value in values.items()}
    said = {name: number(value) for name, value in here.items()} | {"x": layer.tokens[step]}
    named = {name: f"{_element(diagram, name, layer, step, unit)} = {said[name]}" for name in here}
    return drawn(diagram, said, named, lit=lit)


def _around(diagram: Diagram, gate: str) -> set[str]:
    """A gate, what it follows from, what it acts on, and what comes of that.

    Raises:
        ConfigError: the cell has no gate of that name.
    """
    gates = [name for name, node in diagram.nodes.items() if node.kind in ("gate", "candidate")]
    if gate not in gates:
        have = f"has {', '.join(gates)}" if gates else "has none"
        raise ConfigError(f'there is no gate "{gate}" in this cell{nearest(gate, gates)}: {diagram.name} {have}')
    found, waiting = set[str](), [gate]
    while waiting:
        found.add(name := waiting.pop())
        waiting += diagram.nodes[name].reads - found
    acted = {name for name, node in diagram.nodes.items() if gate in node.reads}
    return found | acted | {source for name in acted for source in diagram.nodes[name].reads}


def _element(diagram: Diagram, name: str, layer: Layer, step: int, unit: int) -> str:
    """What a node's number is called in the trace; where it has no tensor, its formula."""
    node, tensor = diagram.nodes[name], diagram.element(name, layer.name)
    if tensor is None:
        return str(node.formula)
    if node.before:
        back = step + 1 if layer.name.endswith(".reverse") else step - 1
        return f"{tensor}[{back},{unit}]" if 0 <= back < len(layer.tokens) else f"{tensor}0[{unit}]"
    index = [step] * ("T" in node.axes) + ([] if node.gate is None else [node.gate]) + [unit]
    return f"{tensor}[{','.join(map(str, index))}]"


def _at(value: Value, places: Mapping[str, int]) -> float:
    index = tuple(places[letter] for letter in value.axes)
    return float(value.tensor[index])


def drawn(
    diagram: Diagram,
    said: Mapping[str, str],
    named: Mapping[str, str],
    pictures: Mapping[str, Drawing] | None = None,
    lit: Collection[str] | None = None,
) -> Drawing:
    """Return a diagram with what each node says.

    Args:
        said: a number or word by node. named: what is said of it under the pointer. pictures: what stands in a node
            instead of a number, at most a box wide. lit: the nodes that are not faded; None: all.
    """
    nodes = diagram.nodes.values()
    left = min(min(node.place[0] for node in nodes), min((x for wire in diagram.wires for x, _ in wire.via), default=0))
    low, right = min(node.place[1] for node in nodes), max(node.place[0] for node in nodes)
    down = max(node.place[1] for node in nodes)

    def at(place: tuple[float, float]) -> tuple[float, float]:
        return (place[0] - left) * COLUMN + WIDE / 2 + 8, (place[1] - low) * ROW + HIGH / 2 + 4

    lit = diagram.nodes if lit is None else lit
    parts = []
    for wire in diagram.wires:
        parts.append(_faded(_wire(diagram, wire, at), {wire.source, wire.target} <= set(lit)))
    for name, node in diagram.nodes.items():
        one = _box(node, at(node.place), said.get(name, ""), named.get(name, ""), (pictures or {}).get(name))
        parts.append(_faded(one, name in lit))
    width, height = (right - left) * COLUMN + WIDE + 28, (down - low) * ROW + HIGH + 10
    return Drawing(width, height, "\n".join(parts))


def _faded(body: str, lit: bool) -> str:
    return body if lit else f'<g opacity="0.25">\n{body}\n</g>'


def _wire(diagram: Diagram, wire: Wire, at: object) -> str:
    assert callable(at)
    points = [at(place) for place in (diagram.nodes[wire.source].place, *wire.via, diagram.nodes[wire.target].place)]
    (x0, y0), (x1, y1) = points[-2:]
    dx, dy = x1 - x0, y1 - y0  # the arrow ends where the last stretch meets the target's box
    share = min(WIDE / 2 / abs(dx) if dx else 1e9, HIGH / 2 / abs(dy) if dy else 1e9, 1)
    points[-1] = (x1 - dx * share, y1 - dy * share)
    learned = wire.source in diagram.nodes[wire.target].learned
    return svg.line(points, stroke="#8c959f", width=1.2, arrow=True, dash="2 3" if learned else "")


def _box(node: Node, at: tuple[float, float], said: str, name: str, picture: Drawing | None) -> str:
    x, y = at[0] - WIDE / 2, at[1] - HIGH / 2
    fill, dash = FILLS[node.kind]
    heavy = "#57606a" if node.kind in ("gate", "candidate", "state") else "#afb8c1"
    parts = [
        svg.box(
            x,
            y,
            WIDE,
            HIGH,
            fill,
            stroke=heavy,
            radius=8 if node.kind in ("gate", "candidate") else 3,
            dash=dash,
            name=name,
        )
    ]
    parts.append(svg.text(at[0], y + 15, node.label, anchor="middle", size=10, fill="#57606a", most=WIDE - 4))
    if picture is None:
        parts.append(svg.text(at[0], y + 33, said, anchor="middle", size=13, fill=INK, bold=True, most=WIDE - 6))
    else:
        parts.append(placed(picture, at[0] - picture.width / 2, y + 20).body)
    return "\n".join(parts)
