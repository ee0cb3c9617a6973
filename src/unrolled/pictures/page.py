"""One offline HTML file with every picture that the traces allow, wide and narrow, and the value under the pointer.

The file holds the numbers of every matrix that is drawn, as float16 (float32 where the scale is logarithmic), one byte
plane after the other, deflated.
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
from unrolled.pictures.figure import NARROWEST, WIDTH
from unrolled.pictures.gallery import PICTURES, available, draw
from unrolled.pictures.layers import recurrent
from unrolled.pictures.matrix import View, fingerprint

__all__ = ["MAX_NUMBERS", "STRONGEST", "page"]

MAX_NUMBERS = 450_000
"""Maximum of numbers in a file; with more, only the STRONGEST units of each layer are drawn, and a note says so."""
STRONGEST = 64

IMAGE = re.compile(r'<image [^>]*data-tensor="[^>]*>')


def page(traces: Sequence[Trace]) -> str:
    """Return the page of the traces as HTML.

    Raises:
        ConfigError: there is no trace, or no picture can be drawn from them.
    """
    final = available(_final(traces))
    names = [name for name in available(traces) if name in final or name == "gradient"]
    if not names:
        problem = "got traces without the tensors of any picture" if traces else "got none"
        raise ConfigError(f"a page needs a trace from which a picture can be drawn: {problem}")
    units, notes = None, []
    sections = _sections(traces, names, units)
    if (whole := _total(sections)) > MAX_NUMBERS:
        units = STRONGEST
        sections = _sections(traces, names, units)
        if (left := _total(sections)) < whole:
            notes.append(
                f"All pictures would hold {whole:,} numbers, more than the {MAX_NUMBERS:,} that a page holds. Only the "
                f"{STRONGEST} units of each layer that vary most are drawn."
            )
        if left > MAX_NUMBERS:
            notes.append(
                f"This page is large: it holds {left:,} numbers, most of them in matrices of all pairs of tokens. For "
                "a smaller page, read fewer tokens (--max-length)."
            )
    store = _Store(traces)
    body = [
        f'<section id="{name}"><h2>{escape(_title(name))}</h2>\n'
        f'<div class="wide">\n{store.with_values(wide)}</div>\n<div class="narrow">\n{store.with_values(narrow)}</div>'
        "</section>"
        for (name, wide), (_, narrow) in zip(sections, _sections(traces, names, units, NARROWEST), strict=True)
    ]
    rows = "\n".join(map(_table_row, _final(traces)))
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
    summary = PICTURES[name].summary
    return summary[0].upper() + summary[1:]


def _file(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _sections(
    traces: Sequence[Trace], names: Sequence[str], units: int | None, width: int = WIDTH
) -> list[tuple[str, str]]:
    """Return the SVG of every picture by name; gates once for each layer, the highest first.

    Snapshots of a training are drawn in the picture "gradient" only.
    """
    final = _final(traces)
    deepest = max((len(recurrent(trace)) for trace in final), default=0)
    sections = []
    for name in names:
        if name == "gates":
            layers = [[trace for trace in final if len(recurrent(trace)) > below] for below in range(deepest)]
            svgs = [draw(name, some, below=below, units=units, width=width) for below, some in enumerate(layers)]
        else:
            svgs = [draw(name, traces if name == "gradient" else final, width=width)]
        sections.append((name, "\n".join(svgs)))
    return sections


def _final(traces: Sequence[Trace]) -> Sequence[Trace]:
    """Return the traces of final weights, or all traces where every one is of a snapshot."""
    return [trace for trace in traces if trace.about.update is None] or traces


def _table_row(trace: Trace) -> str:
    about = trace.about
    answer = about.answers[-1] if len(about.answers) == 1 else " ".join(about.answers)
    cells = {
        "run": about.run,
        "model": about.model_name,
        "task": about.task,
        "answer": answer[:200],
        "score": "; ".join(note for note in (about.score, about.truncated, about.unknown) if note),
    }
    shown = (f'<td data-name="{name}">{escape(printable(cell))}</td>' for name, cell in cells.items())
    return f"<tr>{''.join(shown)}</tr>"


def _attributes(image: str) -> dict[str, str]:
    return {name: unescape(value) for name, value in re.findall(r'data-([a-z]+)="([^"]*)"', image)}


def _indices(text: str) -> list[int]:
    """Return the indices of a short form such as "0-4,7,9-10"."""
    ends = ([int(end) for end in each.split("-")] for each in text.split(","))
    return [index for first, *last in ends for index in range(first, (last or [first])[0] + 1)]


def _count(svg: str) -> int:
    """Return the number of numbers in the matrices of pictures."""
    images = (_attributes(image) for image in IMAGE.findall(svg))
    return sum(len(_indices(each["rows"])) * len(_indices(each["columns"])) for each in images)


def _total(sections: Sequence[tuple[str, str]]) -> int:
    return sum(_count(svgs) for _, svgs in sections)


class _Store:
    """Numbers of the images of a page, each matrix once."""

    def __init__(self, traces: Sequence[Trace]) -> None:
        self.traces = {fingerprint(trace): trace for trace in traces}
        self.values: list[dict[str, object]] = []
        self._indices: dict[str, int] = {}

    def with_values(self, svg: str) -> str:
        """Return the pictures in which every image has the index of its numbers."""
        return IMAGE.sub(lambda match: self._image(match[0]), svg)

    def _image(self, image: str) -> str:
        own = _attributes(image)
        lead = tuple(int(index) for index in own["lead"].split(",") if index)
        turned = own["order"] != "row,column"
        view = View(
            self.traces[own["trace"]], own["tensor"], _indices(own["rows"]), _indices(own["columns"]), lead, turned
        )
        matrix = "|".join(own[name] for name in ("trace", "tensor", "lead", "rows", "columns", "order"))
        if matrix not in self._indices:
            self._indices[matrix] = len(self.values)
            self.values.append(_packed(view.values(), exact=own.get("log") == "1"))
        letters = _letters(view)
        return image.replace("<image ", f'<image data-values="{self._indices[matrix]}" data-letters="{letters}" ', 1)


def _letters(view: View) -> str:
    """Return the axis letters of a matrix's rows and columns: T for steps of the input or target, S of a source."""
    spec = find(view.tensor)
    axes = spec.axes.split()[-2:] if spec else ["", ""]
    letters = ["T" if axis == "P" else axis for axis in axes]
    if view.tensor.startswith("encoder."):
        letters = ["S" if letter == "T" else letter for letter in letters]
    return ",".join(reversed(letters) if view.turned else letters)


def _packed(values: NDArray[np.float32], *, exact: bool) -> dict[str, object]:
    """Return numbers in the form that the page's script reads: deflated byte planes in base64."""
    numbers = np.ascontiguousarray(values, dtype="<f4" if exact else "<f2")
    planes = numbers.reshape(-1).view(np.uint8).reshape(-1, numbers.itemsize).T
    packed = zlib.compress(np.ascontiguousarray(planes).tobytes(), 9)
    return {"bytes": numbers.itemsize, "data": b64encode(packed).decode()}
