"""Symbols of the drawings of cells: wires whose width is their number, gates that are filled to their value.

A single wire carries one number, a double one all numbers of a vector. A box is a layer with weights, a circle works
element by element, a pill has no weights. Where wires cross without joining, the upper one leaves a gap in the lower.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import hypot

from unrolled import svg
from unrolled.palette import ABOVE, BELOW, BELT, CARD, INK, KEEP, LINE, MEMORY, PALE, RESET, SHOW, SOFT, WIRE, WRITE

__all__ = [
    "ROLES",
    "band",
    "box",
    "bus",
    "colour_of",
    "function",
    "label",
    "missing_band",
    "operation",
    "visible",
    "wire",
    "word",
    "word_width",
]

ROLES = {"keep": KEEP, "write": WRITE, "show": SHOW, "reset": RESET, "memory": MEMORY}
RADIUS, GAP, BAND = 9.0, 3.5, 34.0
WIDE, HIGH = 82.0, 58.0  # pixels of a box
THIN, THICK = 1.5, 6.5  # pixels of a wire: at 0, and more at 1

Point = Sequence[float]


def colour_of(value: float, role: str = "") -> str:
    """Return the colour of a number: of its gate, or else of its sign."""
    return ROLES.get(role) or (BELOW if value < 0 else ABOVE)


def band(path: Sequence[Point]) -> str:
    """Return the band that the memory moves on."""
    return _drawn(_rounded(path), BELT, BAND)


def missing_band(path: Sequence[Point]) -> str:
    """Return the outline of a band that an architecture lacks."""
    (x0, y0), (x1, y1) = path[0], path[-1]
    down, half = abs(y1 - y0) > abs(x1 - x0), BAND / 2
    edges = [(half, 0.0), (-half, 0.0)] if down else [(0.0, half), (0.0, -half)]
    return "\n".join(
        svg.line([(x0 + dx, y0 + dy), (x1 + dx, y1 + dy)], stroke=WIRE, width=1.2, dash="5 5") for dx, dy in edges
    )


def bus(path: Sequence[Point], *, arrow: bool = False, both: bool = False, name: str = "") -> str:
    """Return a double wire.

    Args:
        path: its points.
        arrow: whether it ends in an arrowhead.
        both: whether it begins with one too.
        name: the text under the pointer.
    """
    points, heads = [*path], []
    for turned in (False, True)[: arrow + both]:
        points = points[::-1] if turned else points
        corners, points[-1] = _head(points, 9, 5.5)
        heads.append(f'<polygon points="{corners}" fill="{WIRE}"/>')
    d = _rounded(points)
    return "\n".join([_drawn(d, WIRE, 5.5, name=name), _drawn(d, CARD, 2.5), *heads])


def wire(
    path: Sequence[Point],
    value: float | None,
    *,
    role: str = "",
    largest: float = 1,
    joins: bool = False,
    name: str = "",
) -> str:
    """Return a wire with an arrowhead.

    Args:
        path: its points.
        value: the number that it carries, of at most `largest`; None: a faded wire.
        role: of a gate.
        joins: whether it lies on the band, or branches off another wire, so that it leaves no gap.
        name: the text under the pointer.
    """
    colour = LINE if value is None else colour_of(value, role)
    width = THIN + THICK * min(1, abs(value or 0) / largest)
    corners, end = _head(path, 7 + width * 0.5, 5 + width * 0.55)
    gap = [] if joins else [_drawn(_rounded(_inner(path)), CARD, width + 2 * GAP)]
    line = _drawn(_rounded([*path[:-1], end]), colour, width, name=name)
    return "\n".join([*gap, line, f'<polygon points="{corners}" fill="{colour}"/>'])


def label(x: float, y: float, anchor: str, value: float, shown: str, *, letter: str = "", role: str = "") -> str:
    """Return the number of a wire, with its letter before it, on a halo."""
    size = 14.5 if letter else 12
    first = f'<tspan fill="{SOFT}" font-style="italic" font-weight="normal">{letter} </tspan>' if letter else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" font-weight="bold" '
        f'fill="{colour_of(value, role)}" stroke="{CARD}" stroke-width="4" paint-order="stroke" '
        f'stroke-linejoin="round">{first}{shown}</text>'
    )


def box(x: float, y: float, value: float | None, sign: str, words: str, *, role: str = "", name: str = "") -> str:
    """Return a layer with weights as a glass: of a gate filled from below, of a candidate from the middle.

    Args:
        x, y: its centre.
        value: the number that it is filled to; None: a faded box.
        sign: its function.
        words: its name.
        role: of a gate; a box without one is filled up or down by the sign of its number.
        name: the text under the pointer.
    """
    left, top, edge = x - WIDE / 2, y - HIGH / 2, LINE if value is None else ROLES.get(role, INK)
    body = [svg.box(left, top, WIDE, HIGH, CARD, radius=10)]
    if value is not None:
        height = HIGH * min(1, abs(value)) / (1 if role else 2)
        low = top + HIGH - height if role else y - height if value > 0 else y
        fill = PALE[colour_of(value, role)]
        body += [svg.box(left + 1, low, WIDE - 2, height, fill, radius=min(9, height / 2) if abs(value) > 0.9 else 0)]
        level = low + height if not role and value < 0 else low
        body += (
            [svg.line([(left, level), (left + WIDE, level)], stroke=edge, width=1.2)]
            if 0.02 < abs(value) < 0.98
            else []
        )
    ink = SOFT if value is None else INK
    body += [
        svg.box(left, top, WIDE, HIGH, "none", stroke=edge, radius=10, name=name),
        _bold(x, y + 3, sign, 17, ink),
        svg.text(x, y + 21, words, anchor="middle", size=11.5, fill=SOFT if value is None else ROLES.get(role, SOFT)),
    ]
    return "\n".join(body)


def operation(x: float, y: float, sign: str, *, faded: bool = False, name: str = "") -> str:
    """Return an operation element by element, as a circle."""
    edge = LINE if faded else INK
    size = 15 if len(sign) > 1 else 20
    circle = svg.dot(x, y, 17, CARD, stroke=edge, name=name)
    return f"{circle}\n{_bold(x, y + size * 0.36, sign, size, SOFT if faded else INK)}"


def function(x: float, y: float, sign: str, *, faded: bool = False, name: str = "") -> str:
    """Return a function without weights, as a pill."""
    pill = svg.box(x - 33, y - 17, 66, 34, CARD, stroke=LINE if faded else INK, radius=17, name=name)
    return f"{pill}\n{_bold(x, y + 5, sign, 14.5, SOFT if faded else INK)}"


def visible(token: str) -> str:
    """Return a token whose spaces at its ends can be seen: "␣" for a space."""
    return re.sub(r"^ +| +$", lambda spaces: "␣" * len(spaces[0]), token)


def word(x: float, y: float, words: str, *, most: float = 160, size: float = 14.5) -> str:
    """Return a token, as a dark pill. most: pixels of its width. size: of its characters."""
    wide, high = word_width(words, most=most, size=size), size * 2.35
    shown = svg.shorten(visible(words), most - size * 1.8, size)
    pill = svg.box(x - wide / 2, y - high / 2, wide, high, INK, radius=high / 2)
    return f"{pill}\n{_bold(x, y + size * 0.38, shown, size, CARD)}"


def word_width(words: str, *, most: float = 160, size: float = 14.5) -> float:
    """Return the pixels of a token's pill."""
    shown = svg.shorten(visible(words), most - size * 1.8, size)
    return max(size * 3, svg.columns(shown) * svg.UNIT * size / 12 + size * 1.8)


def _bold(x: float, y: float, words: str, size: float, fill: str) -> str:
    return svg.text(x, y, words, anchor="middle", size=size, fill=fill, bold=True)


def _head(path: Sequence[Point], long: float, half: float) -> tuple[str, tuple[float, float]]:
    """Return the corners of an arrowhead at the end of a path, and the end of its line. long, half: pixels."""
    (x0, y0), (x1, y1) = path[-2:]
    length = hypot(x1 - x0, y1 - y0)
    ux, uy = (x1 - x0) / length, (y1 - y0) / length
    left, right = ((x1 - ux * long - s * uy * half, y1 - uy * long + s * ux * half) for s in (1, -1))
    corners = " ".join(f"{x:.1f},{y:.1f}" for x, y in ((x1, y1), left, right))
    return corners, (x1 - ux * long * 0.8, y1 - uy * long * 0.8)


def _inner(path: Sequence[Point]) -> list[Point]:
    """Return a path without its ends, where it joins other wires or symbols."""
    points = [*path]
    for at, towards in ((0, 1), (-1, -2)):
        (x0, y0), (x1, y1) = points[at], points[towards]
        length = hypot(x1 - x0, y1 - y0)
        cut = min(8.0, length / 2 - 0.5)
        points[at] = (x0 + (x1 - x0) * cut / length, y0 + (y1 - y0) * cut / length)
    return points


def _rounded(path: Sequence[Point]) -> str:
    """Return a path with rounded corners."""
    d = f"M{path[0][0]:.1f} {path[0][1]:.1f}"
    for (x0, y0), (x1, y1), (x2, y2) in zip(path, path[1:], path[2:], strict=False):
        before, after = hypot(x1 - x0, y1 - y0), hypot(x2 - x1, y2 - y1)
        radius = min(RADIUS, before / 2, after / 2)
        ax, ay = x1 - (x1 - x0) / before * radius, y1 - (y1 - y0) / before * radius
        bx, by = x1 + (x2 - x1) / after * radius, y1 + (y2 - y1) / after * radius
        d += f"L{ax:.1f} {ay:.1f}Q{x1:.1f} {y1:.1f} {bx:.1f} {by:.1f}"
    return d + f"L{path[-1][0]:.1f} {path[-1][1]:.1f}"


def _drawn(d: str, stroke: str, width: float, *, name: str = "") -> str:
    return svg.path(d, stroke=stroke, width=width, name=name)
