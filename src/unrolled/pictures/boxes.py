"""Diagram of nodes as boxes, each with a number, a word or a picture."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from unrolled import svg
from unrolled.inside.diagrams import Diagram, Node, Wire
from unrolled.palette import ABOVE, CARD, INK, LINE, PALE, PAPER, SHOW, SOFT, WIRE, WRITE
from unrolled.pictures.figure import translated
from unrolled.svg import Drawing

__all__ = ["diagram_drawing"]

COLUMN, ROW, WIDE, HIGH = 128, 58, 98, 42  # pixels from box to box, and of a box
FILLS = {  # colour and dash of the edge: the kinds differ without colour too
    "input": (PAPER, "2 2"),
    "term": (PAPER, ""),
    "sum": (LINE, ""),
    "gate": (PALE[SHOW], ""),
    "candidate": (PALE[WRITE], ""),
    "operation": (CARD, "4 2"),
    "state": (PALE[ABOVE], ""),
}


def diagram_drawing(
    diagram: Diagram,
    texts: Mapping[str, str],
    titles: Mapping[str, str],
    pictures: Mapping[str, Drawing] | None = None,
    highlighted: Collection[str] | None = None,
) -> Drawing:
    """Draw a diagram with a text or a picture in each node.

    Args:
        texts: a number or word by node.
        titles: the text under the pointer by node.
        pictures: a drawing by node, at most a box wide, instead of a text.
        highlighted: the nodes that are not faded; None: all.
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
    return svg.line(points, stroke=WIRE, width=1.2, arrow=True, dash="2 3" if learned else "")


def _box(node: Node, centre: tuple[float, float], text: str, title: str, picture: Drawing | None) -> str:
    x, y = centre[0] - WIDE / 2, centre[1] - HIGH / 2
    fill, dash = FILLS[node.kind]
    stroke = SOFT if node.kind in ("gate", "candidate", "state") else WIRE
    radius = 8 if node.kind in ("gate", "candidate") else 3
    body = [svg.box(x, y, WIDE, HIGH, fill, stroke=stroke, radius=radius, dash=dash, name=title)]
    body.append(svg.text(centre[0], y + 15, node.label, anchor="middle", size=10, fill=SOFT, most=WIDE - 4))
    if picture is None:
        body.append(svg.text(centre[0], y + 33, text, anchor="middle", size=13, fill=INK, bold=True, most=WIDE - 6))
    else:
        body.append(translated(picture, centre[0] - picture.width / 2, y + 20).body)
    return "\n".join(body)
