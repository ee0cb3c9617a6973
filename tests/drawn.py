"""Bounding boxes of the texts and shapes of an SVG, with transforms applied, for tests of pictures."""

import re
import xml.etree.ElementTree as ET
from typing import NamedTuple

from unrolled.svg import UNIT, columns

SVG = "{http://www.w3.org/2000/svg}"
NARROW = 0.86  # a character's mean width, of UNIT, which counts on wide ones
FIGURES, BOLD = {"+": 0.84, "−": 0.84, ".": 0.32} | dict.fromkeys("0123456789", 0.64), 1.09
"""Widths of the characters of a number as a fraction of the size of its font, DejaVu Sans, and the factor for bold."""


class Box(NamedTuple):
    """Bounding box in pixels. content: the text, or the element's tag."""

    left: float
    top: float
    right: float
    bottom: float
    content: str

    def overlaps(self, other: "Box") -> bool:
        return (
            self.left < other.right - 0.5
            and other.left < self.right - 0.5
            and self.top < other.bottom - 0.5
            and other.top < self.bottom - 0.5
        )


def tree(svg: str) -> ET.Element:
    return ET.fromstring(svg)


def size(svg: str) -> tuple[float, float]:
    _, _, width, height = map(float, tree(svg).get("viewBox", "").split())
    return width, height


def texts(svg: str) -> list[Box]:
    return [each for each in _walk(tree(svg), 0, 0) if not each.content.startswith("<")]


def shapes(svg: str) -> list[Box]:
    return [each for each in _walk(tree(svg), 0, 0) if each.content.startswith("<")]


def titles(svg: str) -> list[str]:
    """Return the texts under the pointer, of elements other than images."""
    root = tree(svg)
    return [title.text or "" for each in root.iter() if each.tag not in (f"{SVG}svg", f"{SVG}image")
            for title in each.findall(f"{SVG}title")]  # fmt: skip


def _walk(element: ET.Element, x: float, y: float):
    if moved := re.match(r"translate\(([\d.]+) ([\d.]+)\)", element.get("transform", "")):
        x, y = x + float(moved[1]), y + float(moved[2])
    tag = element.tag.removeprefix(SVG)
    if tag == "text" and "".join(element.itertext()):
        yield _text(element, x, y)
    elif tag in ("rect", "image"):
        left, top = x + float(element.get("x")), y + float(element.get("y"))
        yield Box(left, top, left + float(element.get("width")), top + float(element.get("height")), f"<{tag}>")
    elif tag == "circle":
        cx, cy, r = (float(element.get(key)) for key in ("cx", "cy", "r"))
        yield Box(x + cx - r, y + cy - r, x + cx + r, y + cy + r, "<circle>")
    elif tag == "path":
        numbers = [float(each) for each in re.findall(r"-?[\d.]+", element.get("d"))]
        xs, ys = numbers[::2], numbers[1::2]
        yield Box(x + min(xs), y + min(ys), x + max(xs), y + max(ys), "<path>")
    for child in element:
        yield from _walk(child, x, y)


def _text(element: ET.Element, x: float, y: float) -> Box:
    points, words = float(element.get("font-size", 12)), "".join(element.itertext())
    wide, high = _width(words, points, element.get("font-weight") == "bold"), 0.72 * points
    before = {"start": 0.0, "middle": wide / 2, "end": wide}[element.get("text-anchor", "start")]
    x, y = x + float(element.get("x")), y + float(element.get("y"))
    if "rotate(-90" in element.get("transform", ""):
        return Box(x - high, y + before - wide, x, y + before, words)
    return Box(x - before, y - high, x - before + wide, y, words)


def _width(words: str, points: float, bold: bool) -> float:
    if all(each in FIGURES for each in words):
        return points * sum(map(FIGURES.__getitem__, words)) * (BOLD if bold else 1)
    return UNIT * NARROW * points / 12 * columns(words)
