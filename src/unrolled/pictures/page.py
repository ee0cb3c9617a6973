"""The page: one HTML file with every picture that the traces can fill, and the value under the pointer. No network.

The numbers of every matrix that is drawn stand in the file, as float16 (float32 where a scale is in powers of ten),
byte plane after byte plane, deflated.
"""

from __future__ import annotations

import json
import re
import zlib
from base64 import b64encode
from collections.abc import Sequence
from html import escape, unescape
from importlib.resources import files
from string import Template

import numpy as np
from numpy.typing import NDArray

from unrolled.errors import ConfigError, printable
from unrolled.inside import Trace, find
from unrolled.pictures.gallery import PICTURES, draw, shown_by
from unrolled.pictures.layers import recurrent
from unrolled.pictures.matrix import Shown, key

__all__ = ["MOST_NUMBERS", "STRONGEST", "page"]

MOST_NUMBERS = 700_000
"""How many numbers a file holds; where there are more, the STRONGEST units of each layer are drawn, and it says so."""
STRONGEST = 64

IMAGE = re.compile(r'<image [^>]*data-tensor="[^>]*>')


def page(traces: Sequence[Trace]) -> str:
    """Return the page of the traces as HTML.

    Raises:
        ConfigError: there is no trace, or nothing in them can be drawn.
    """
    here = shown_by(_final(traces))
    names = [name for name in shown_by(traces) if name in here or name == "gradient"]
    if not names:
        raise ConfigError(
            "a page needs a trace with something to draw: got " + ("no trace" if not traces else "none such")
        )
    sections, notes = _drawn(traces, names, None), []
    if (whole := _total(sections)) > MOST_NUMBERS:
        sections = _drawn(traces, names, STRONGEST)
        if (left := _total(sections)) < whole:
            notes.append(
                f"{whole:,} numbers are more than a page holds: of each layer the {STRONGEST} strongest units are "
                "drawn."
            )
        if left > MOST_NUMBERS:
            notes.append(
                f"{left:,} numbers stand in it, most of them in matrices of all pairs of tokens, and make it large: "
                "read fewer tokens (--limit) for a smaller one."
            )
    store = _Store(traces)
    body = [
        f'<section id="{name}"><h2>{escape(_title(name))}</h2>\n' + "\n".join(map(store.filled, svgs)) + "</section>"
        for name, svgs in sections
    ]
    rows = "\n".join(map(_row, _final(traces)))
    title = "Inside " + ", ".join(
        dict.fromkeys(trace.about.run or trace.about.model_name or "a model" for trace in traces)
    )
    links = "".join(f'<a href="#{name}">{name}</a>' for name, _ in sections)
    style, script, html = (_file(f"page.{kind}") for kind in ("css", "js", "html"))
    return Template(html).substitute(
        title=escape(printable(title)),
        style=style,
        rows=rows,
        note="\n".join(f'<p class="note">{escape(note)}</p>' for note in notes),
        links=links,
        body="\n".join(body),
        values=json.dumps(store.values),
        script=script,
    )


def _title(name: str) -> str:
    what = PICTURES[name].what
    return what[0].upper() + what[1:]


def _file(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _drawn(traces: Sequence[Trace], names: Sequence[str], units: int | None) -> list[tuple[str, list[str]]]:
    """Every picture by name; gates once for each layer, the highest first.

    Weights as they were in training make the gradient's picture, and no other.
    """
    final = _final(traces)
    deepest = max((len(recurrent(trace)) for trace in final), default=0)
    sections = []
    for name in names:
        if name == "gates":
            layers = [[trace for trace in final if len(recurrent(trace)) > below] for below in range(deepest)]
            svgs = [draw(name, some, below=below, units=units) for below, some in enumerate(layers)]
        else:
            svgs = [draw(name, traces if name == "gradient" else final)]
        sections.append((name, svgs))
    return sections


def _final(traces: Sequence[Trace]) -> Sequence[Trace]:
    """The traces of weights as they were at the end of a training, where there are such."""
    return [trace for trace in traces if trace.about.update is None] or traces


def _row(trace: Trace) -> str:
    about = trace.about
    answer = about.answers[-1] if len(about.answers) == 1 else " ".join(about.answers)
    cells = (
        about.run,
        about.model_name,
        about.task,
        answer[:200],
        " ".join(part for part in (about.score, about.truncated) if part),
    )
    return "<tr>" + "".join(f"<td>{escape(printable(cell))}</td>" for cell in cells) + "</tr>"


def _attributes(image: str) -> dict[str, str]:
    return {name: unescape(value) for name, value in re.findall(r'data-([a-z]+)="([^"]*)"', image)}


def _indices(text: str) -> list[int]:
    ends = ([int(end) for end in part.split("-")] for part in text.split(","))
    return [index for first, *last in ends for index in range(first, (last or [first])[0] + 1)]


def _count(svg: str) -> int:
    """How many numbers the matrices of a picture hold."""
    found = (_attributes(image) for image in IMAGE.findall(svg))
    return sum(len(_indices(each["rows"])) * len(_indices(each["columns"])) for each in found)


def _total(sections: Sequence[tuple[str, list[str]]]) -> int:
    return sum(_count(svg) for _, svgs in sections for svg in svgs)


class _Store:
    """The numbers of the images, each matrix once."""

    def __init__(self, traces: Sequence[Trace]) -> None:
        self.traces = {key(trace): trace for trace in traces}
        self.values: list[dict[str, object]] = []
        self._places: dict[str, int] = {}

    def filled(self, svg: str) -> str:
        """Return the picture with every image told where its numbers are."""
        return IMAGE.sub(lambda found: self._image(found[0]), svg)

    def _image(self, image: str) -> str:
        own = _attributes(image)
        lead = tuple(int(index) for index in own["lead"].split(",") if index)
        turned = own["order"] != "row,column"
        shown = Shown(
            self.traces[own["trace"]], own["tensor"], _indices(own["rows"]), _indices(own["columns"]), lead, turned
        )
        same = "|".join(own[name] for name in ("trace", "tensor", "lead", "rows", "columns", "order"))
        if same not in self._places:
            self._places[same] = len(self.values)
            self.values.append(_packed(shown.values(), exact=own.get("log") == "1"))
        letters = _letters(shown)
        return image.replace("<image ", f'<image data-values="{self._places[same]}" data-letters="{letters}" ', 1)


def _letters(shown: Shown) -> str:
    """The letters of a matrix's rows and columns, T being the steps of what is read last, S those of a source."""
    spec = find(shown.tensor)
    axes = spec.axes.split()[-2:] if spec else ["", ""]
    letters = ["T" if axis == "P" else axis for axis in axes]
    if shown.tensor.startswith("encoder."):
        letters = ["S" if letter == "T" else letter for letter in letters]
    return ",".join(reversed(letters) if shown.turned else letters)


def _packed(values: NDArray[np.float32], *, exact: bool) -> dict[str, object]:
    """Numbers as the page reads them."""
    numbers = np.ascontiguousarray(values, dtype="<f4" if exact else "<f2")
    planes = numbers.reshape(-1).view(np.uint8).reshape(-1, numbers.itemsize).T
    packed = zlib.compress(np.ascontiguousarray(planes).tobytes(), 9)
    return {"bytes": numbers.itemsize, "data": b64encode(packed).decode()}
