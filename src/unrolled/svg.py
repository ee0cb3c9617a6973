"""SVG elements as text, without dependencies: the same values give the same bytes.

Texts are shortened to fit; wide characters count as two columns. Colours of the palette turn dark where the reader
prefers a dark background. A scale of numbers without sign is monotonic in lightness; one with a sign is pale at zero.
"""

from __future__ import annotations

import re
import struct
import zlib
from base64 import b64encode
from collections.abc import Iterable, Sequence
from html import escape
from itertools import chain
from typing import Any, NamedTuple
from unicodedata import category, combining, east_asian_width

import numpy as np
from numpy.typing import NDArray

from unrolled.errors import printable
from unrolled.palette import ABOVE, BELOW, CARD, INK, SOFT, dark_rules

__all__ = [
    "UNIT",
    "Drawing",
    "Scale",
    "box",
    "columns",
    "curve",
    "document",
    "dot",
    "line",
    "path",
    "raster",
    "scaled",
    "shorten",
    "side_by_side",
    "stack",
    "subscripts",
    "text",
    "triangle",
    "visible",
    "wrapped",
]

UNIT = 7.2  # pixels of a character of size 12 that is not wide
JOINER = re.compile(r"(?<=\S)([\u200c\u200d])(?=\S)")  # within an emoji of several characters, or a word of Persian
INVISIBLE = re.compile(r"[\ufe00-\ufe0f]+")
FONT = "DejaVu Sans, Helvetica, Arial, sans-serif"


class Scale(NamedTuple):
    """Colour scale for numbers.

    Args:
        low, high: the numbers at its ends; numbers beyond have the colour of the end.
        anchors: colours, evenly spaced.
        log: whether it is logarithmic; then low is above 0, and smaller numbers count as low.
        photo: whether the numbers are those of an image, whose colours are the same on a dark background.
    """

    low: float
    high: float
    anchors: tuple[str, ...] = (CARD, "#dbe9f6", "#9dc1ea", "#4f8fd4", ABOVE, "#0d3566")
    log: bool = False
    photo: bool = False

    @classmethod
    def signed(cls, largest: float) -> Scale:
        """Return a scale from −largest, orange, over 0, pale, to largest, blue."""
        return cls(-largest, largest, ("#7a2a05", BELOW, "#ec9c75", "#f7f5f1", "#86b4e8", ABOVE, "#0d3566"))

    @classmethod
    def gate(cls, colour: str) -> Scale:
        """Return a scale from 0, pale, to 1, in the colour of a gate."""
        return cls(0, 1, ("#f7f5f1", colour))

    def indices(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        """Return the indices of values in the palette, 0 to 255; NaN counts as low."""
        low, high = self.low, self.high
        values = np.nan_to_num(values, nan=low, posinf=high, neginf=low)
        if self.log:
            values, low, high = np.log(np.maximum(values, low)), np.log(low), np.log(high)
        fraction = (values - low) / ((high - low) or 1)
        return np.rint(np.clip(fraction, 0, 1) * 255).astype(np.uint8)

    def palette(self) -> NDArray[np.uint8]:
        """Return the 256 colours of the scale, (256, 3)."""
        anchors = np.array([[int(each[i : i + 2], 16) for i in (1, 3, 5)] for each in self.anchors])
        at = np.linspace(0, len(anchors) - 1, 256)
        return np.rint([np.interp(at, range(len(anchors)), channel) for channel in anchors.T]).T.astype(np.uint8)

    def colour(self, value: float) -> str:
        """Return the colour of one number."""
        red, green, blue = self.palette()[self.indices(np.array([value]))[0]]
        return f"#{red:02x}{green:02x}{blue:02x}"


class Drawing(NamedTuple):
    """SVG elements in the space from (0, 0) to (width, height)."""

    width: float
    height: float
    body: str


def stack(drawings: Sequence[Drawing], gap: float = 0) -> Drawing:
    """Arrange drawings one below the other."""
    y, body = 0.0, []
    for drawing in drawings:
        body.append(f'<g transform="translate(0 {_n(y)})">\n{drawing.body}\n</g>')
        y += drawing.height + gap
    return Drawing(max((each.width for each in drawings), default=0), max(0.0, y - gap), "\n".join(body))


def side_by_side(drawings: Sequence[Drawing], gap: float = 0) -> Drawing:
    """Arrange drawings from left to right."""
    x, body = 0.0, []
    for drawing in drawings:
        body.append(f'<g transform="translate({_n(x)} 0)">\n{drawing.body}\n</g>')
        x += drawing.width + gap
    return Drawing(max(0.0, x - gap), max((each.height for each in drawings), default=0), "\n".join(body))


def document(
    width: float, height: float, body: Iterable[str], *, title: str = "", description: str = "", paper: str = ""
) -> str:
    """Return the SVG of a whole picture.

    Args:
        title, description: texts for screen readers.
        paper: the background colour.
    """
    role = ' role="img"' if title else ""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_n(width)} {_n(height)}" width="{_n(width)}" '
        f'height="{_n(height)}" font-family="{FONT}" font-size="12"{role}>'
    )
    about = [
        f"<{tag}>{escape(printable(words))}</{tag}>"
        for tag, words in (("title", title), ("desc", description))
        if words
    ]
    drawn = "\n".join([*([box(0, 0, width, height, paper)] if paper else []), *body])
    rules = dark_rules(drawn)
    return "\n".join([head, *about, *([f"<style>{rules}</style>"] if rules else []), drawn, "</svg>", ""])


def box(
    x: float,
    y: float,
    width: float,
    height: float,
    fill: str,
    *,
    stroke: str = "",
    radius: float = 0,
    name: str = "",
    dash: str = "",
    opacity: float = 1,
) -> str:
    """Return a rectangle, or "" where it has no area.

    Args:
        opacity: opacity of its fill.
        name: the text under the pointer.
    """
    if width <= 0 or height <= 0:
        return ""
    more = (f' stroke="{stroke}"' if stroke else "") + (f' rx="{_n(radius)}"' if radius else "")
    more += f' stroke-dasharray="{dash}"' if dash else ""
    more += f' fill-opacity="{opacity:.2f}"' if opacity < 1 else ""
    return _element(
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{fill}"{more}', name
    )


def dot(x: float, y: float, radius: float, fill: str, *, stroke: str = "none", name: str = "") -> str:
    """Return a disc around (x, y).

    Args:
        name: the text under the pointer.
    """
    return _element(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{_n(radius)}" fill="{fill}" stroke="{stroke}"', name)


def triangle(x: float, y: float, radius: float, fill: str, *, stroke: str = "none", name: str = "") -> str:
    """Return a triangle around (x, y) that points up. name: the text under the pointer."""
    corners = f"{x:.1f},{y - radius:.1f} {x + radius:.1f},{y + radius:.1f} {x - radius:.1f},{y + radius:.1f}"
    return _element(f'<polygon points="{corners}" fill="{fill}" stroke="{stroke}"', name)


def line(
    points: Sequence[tuple[float, float]],
    *,
    stroke: str = INK,
    width: float = 1,
    opacity: float = 1,
    dash: str = "",
    arrow: bool = False,
    name: str = "",
) -> str:
    """Return straight lines from point to point.

    Args:
        arrow: whether the last one ends in an arrowhead.
    """
    d = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    drawn = path(d, stroke=stroke, width=width, opacity=opacity, dash=dash, name=name)
    if not arrow or len(points) < 2:
        return drawn
    (x0, y0), (x1, y1) = points[-2:]
    length = max(1e-9, ((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5)
    ux, uy, size = (x1 - x0) / length, (y1 - y0) / length, 4 + width
    left, right = ((x1 - size * ux + s * size / 2 * uy, y1 - size * uy - s * size / 2 * ux) for s in (1, -1))
    corners = " ".join(f"{x:.1f},{y:.1f}" for x, y in ((x1, y1), left, right))
    faint = f' opacity="{opacity:.2f}"' if opacity < 1 else ""
    return f'{drawn}\n<polygon points="{corners}" fill="{stroke}"{faint}/>'


def curve(
    start: tuple[float, float],
    end: tuple[float, float],
    *,
    stroke: str = INK,
    width: float = 1,
    opacity: float = 1,
    name: str = "",
) -> str:
    """Return a curve from start to end that is vertical at both ends."""
    (x0, y0), (x1, y1) = start, end
    middle = (y0 + y1) / 2
    d = f"M{x0:.1f} {y0:.1f}C{x0:.1f} {middle:.1f} {x1:.1f} {middle:.1f} {x1:.1f} {y1:.1f}"
    return path(d, stroke=stroke, width=width, opacity=opacity, name=name)


def text(
    x: float,
    y: float,
    words: str,
    *,
    anchor: str = "start",
    most: float = 1e9,
    bold: bool = False,
    size: float = 12,
    fill: str = SOFT,
    italic: bool = False,
    turned: bool = False,
) -> str:
    """Return text on a baseline.

    Args:
        most: its maximum width in pixels.
        turned: whether it reads upwards.
    """
    style = (f' font-size="{_n(size)}"' if size != 12 else "") + (' font-weight="bold"' if bold else "")
    style += ' font-style="italic"' if italic else ""
    style += f' transform="rotate(-90 {x:.1f} {y:.1f})"' if turned else ""
    shown = escape(shorten(words, most, size))
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{fill}"{style}>{shown}</text>'


def subscripts(drawn: str) -> str:
    """Return text elements in which the word after an underscore is a subscript, as in W_x."""
    return re.sub(r"(?<=\w)_(\w+)", r'<tspan dy="3" font-size="75%">\1</tspan><tspan dy="-3">&#8203;</tspan>', drawn)


def raster(
    x: float, y: float, width: float, height: float, values: NDArray[Any], scale: Scale, *, label: str, **data: object
) -> str:
    """Return a matrix as an image with one pixel a number, drawn from (x, y) to (x + width, y + height).

    Args:
        values: (rows, columns).
        label: the text under the pointer.
        data: attributes for a page; `rows` becomes data-rows.
    """
    rows, across = values.shape
    if not rows or not across:
        return ""
    more = "".join(f' data-{key}="{escape(str(value))}"' for key, value in data.items())
    more += "" if scale.photo else ' data-scale=""'
    png = b64encode(_png(scale.indices(values), scale.palette())).decode()
    return (
        f'<image x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" preserveAspectRatio="none" '
        f'style="image-rendering:pixelated"{more} href="data:image/png;base64,{png}">'
        f"<title>{escape(printable(label))}</title></image>"
    )


def scaled(body: str) -> str:
    """Return elements in colours of a scale, which turn with its legend on a dark background."""
    return f'<g data-scale="">\n{body}\n</g>'


def shorten(words: str, most: float, size: float = 12) -> str:
    """Return the words, printable, and ended by … where they are wider than `most` pixels."""
    shown, unit = visible(words[:400]), UNIT * size / 12
    if unit * columns(shown) > most:
        while shown and unit * (columns(shown) + 1) > most:
            shown = shown[:-1]
        shown += "…"
    return shown


def visible(words: str) -> str:
    """Return the words printable; joiners between characters stay, and characters invisible alone are escaped."""
    if INVISIBLE.fullmatch(words):
        return words.encode("unicode_escape").decode()
    parts = JOINER.split(words)  # every second one is a joiner
    shown = "".join(part if i % 2 else printable(part) for i, part in enumerate(parts))
    return f"◌{shown}" if words and category(words[0]).startswith("M") else shown


def wrapped(words: str, most: float, size: float = 12) -> list[str]:
    """Return the words as lines of at most `most` pixels; a longer word is broken, as are texts without spaces."""
    lines, unit = [""], UNIT * size / 12
    for word in chain.from_iterable(_broken(word, most / unit) for word in words.split()):
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and unit * columns(longer) > most:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def _broken(word: str, most: float) -> list[str]:
    """Return the pieces of a word, of at most `most` columns each."""
    pieces = [""]
    for each in word:
        if pieces[-1] and columns(pieces[-1] + each) > most:
            pieces.append("")
        pieces[-1] += each
    return pieces


def columns(words: str) -> int:
    """Return the number of columns that words take: two for a wide character, none for a combining one."""
    return sum(2 if east_asian_width(each) in "WF" else 0 if combining(each) else 1 for each in words)


def path(d: str, *, stroke: str = INK, width: float = 1, opacity: float = 1, dash: str = "", name: str = "") -> str:
    """Return a path without a fill.

    Args:
        d: commands of the path.
    """
    more = (f' stroke-width="{_n(width)}"' if width != 1 else "") + (f' opacity="{opacity:.2f}"' if opacity < 1 else "")
    more += f' stroke-dasharray="{dash}"' if dash else ""
    return _element(f'<path d="{d}" fill="none" stroke="{stroke}"{more}', name)


def _element(head: str, name: str) -> str:
    return f"{head}><title>{escape(printable(name))}</title></{head[1 : head.index(' ')]}>" if name else f"{head}/>"


def _n(value: float) -> str:
    """Return a number with at most one digit after the point."""
    return f"{value:.1f}".removesuffix(".0")


def _png(indices: NDArray[np.uint8], palette: NDArray[np.uint8]) -> bytes:
    """Return an image as PNG, with the colours that it uses: indices (rows, columns) into a palette (256, 3)."""
    rows, across = indices.shape
    used, own = np.unique(indices, return_inverse=True)
    palette, indices = palette[used], own.reshape(rows, across).astype(np.uint8)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    lines = np.pad(indices, ((0, 0), (1, 0))).tobytes()  # each line begins with its filter, 0
    head = struct.pack(">IIBBBBB", across, rows, 8, 3, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"PLTE", palette.tobytes()), (b"IDAT", zlib.compress(lines, 9)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in chunks)
