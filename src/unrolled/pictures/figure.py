"""Frame of every picture: the request, panels of the traces, title and caption."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from unrolled import svg
from unrolled.errors import ConfigError
from unrolled.inside import Trace
from unrolled.palette import CARD, INK, SOFT
from unrolled.svg import Drawing

__all__ = [
    "WIDTH",
    "Figure",
    "Picture",
    "Request",
    "frame",
    "heading",
    "panel_name",
    "panels",
    "resolve_index",
    "translated",
]

WIDTH = 760  # pixels of the drawing; the picture adds a margin at each side
MARGIN, TITLE, LINE = 20, 30, 17
BOLD = 8.2  # pixels of a bold character of size 12


@dataclass(frozen=True, kw_only=True)
class Request:
    """Selection of a part of a trace to be drawn; with None the picture chooses, and its heading names the choice.

    unit, step, head: indices from 0. layer: prefix of its tensors, "lstm.l0", "decoder.gru.l1". units: number of units
    to draw, those that vary most. gate: the gate of a cell to be highlighted, "f". below: without a layer, the number
    of layers to go down from the highest. width: pixels of the drawing. expected: the right answers by
    input, where they are known.
    """

    unit: int | None = None
    step: int | None = None
    head: int | None = None
    layer: str | None = None
    units: int | None = None
    gate: str | None = None
    below: int = 0
    width: int = WIDTH
    expected: Mapping[str, str] | None = None


class Figure(NamedTuple):
    """Picture without its frame. caption: the content of the drawing and its units."""

    title: str
    drawing: Drawing
    caption: str


class Picture(NamedTuple):
    """Kind of picture. summary: one line for lists and headings. can_draw: whether a trace has the tensors it needs."""

    summary: str
    can_draw: Callable[[Trace], bool]
    draw: Callable[[Sequence[Trace], Request], Figure]


def frame(figure: Figure, traces: Sequence[Trace], width: float = WIDTH) -> str:
    """Return the picture as SVG: title, drawing, caption, the runs with their scores, and truncated inputs.

    Args:
        width: pixels at least.
        traces: those that are drawn.
    """
    width = max(width, figure.drawing.width)
    sources = dict.fromkeys(map(_source, traces))
    # A snapshot of a run has no score: its line is left out where the run itself has one.
    notes = [one for one in sources if not any(other.startswith(f"{one} ") for other in sources)]
    notes += dict.fromkeys(
        f"The input was shortened: {trace.about.truncated}." for trace in traces if trace.about.truncated
    )
    lines = [line for note in (figure.caption, *notes) for line in svg.wrapped(note, width, 11)]
    y = MARGIN + TITLE + figure.drawing.height + LINE
    body = [
        svg.text(MARGIN, MARGIN + 12, figure.title, size=15, bold=True, fill=INK, most=width),
        f'<g transform="translate({MARGIN} {MARGIN + TITLE})">\n{figure.drawing.body}\n</g>',
        *(svg.text(MARGIN, y + i * LINE, line, size=11, fill=SOFT) for i, line in enumerate(lines)),
    ]
    height = y + len(lines) * LINE + MARGIN / 2
    return svg.document(width + 2 * MARGIN, height, body, title=figure.title, description=figure.caption, paper=CARD)


def _source(trace: Trace) -> str:
    """Return the line of the caption that names a trace's run, model and score."""
    about = trace.about
    names = ", ".join(name for name in (about.run or "a model", about.architecture if about.model_name else "") if name)
    return f"Drawn from {names}. {about.score}".strip()


def heading(trace: Trace, traces: Sequence[Trace], more: str = "") -> Drawing:
    """Return the heading of a panel: the trace's name among several, and `more`; empty where there is neither."""
    words = " · ".join(each for each in (panel_name(trace, traces), more) if each)
    width = min(WIDTH, BOLD * svg.columns(words))
    return Drawing(width, 20, svg.text(0, 12, words, bold=True, fill=INK, most=WIDTH)) if words else Drawing(0, 0, "")


def panel_name(trace: Trace, traces: Sequence[Trace]) -> str:
    """Return the name of a trace among others: its model where that is unique, else with its run; "" for one alone."""
    if len(traces) < 2:
        return ""
    models = [each.about.model_name for each in traces]
    names = [
        model if models.count(model) == 1 else ", ".join(filter(None, (model, each.about.run)))
        for model, each in zip(models, traces, strict=True)
    ]
    index = next(i for i, each in enumerate(traces) if each is trace)
    return names[index] if names.count(names[index]) == 1 else f"{names[index]} ({1 + index})"


def panels(drawings: Sequence[Drawing], gap: float = 24) -> Drawing:
    """Arrange drawings side by side as far as the width allows, then on the next line."""
    lines: list[list[Drawing]] = [[]]
    for drawing in drawings:
        if lines[-1] and sum(each.width + gap for each in lines[-1]) + drawing.width > WIDTH + 1:
            lines.append([])
        lines[-1].append(drawing)
    return svg.stack([svg.side_by_side(line, gap) for line in lines], gap)


def translated(drawing: Drawing, x: float, y: float, width: float = 0, height: float = 0) -> Drawing:
    """Return a drawing moved by (x, y), in a space of at least (width, height)."""
    body = f'<g transform="translate({x:.1f} {y:.1f})">\n{drawing.body}\n</g>'
    return Drawing(max(width, x + drawing.width), max(height, y + drawing.height), body)


def resolve_index(requested: int | None, count: int, noun: str, default: int) -> int:
    """Return the requested unit, step or head, or `default` where none is requested.

    Raises:
        ConfigError: it is not from 0 to count − 1.
    """
    if requested is None:
        return default
    if not 0 <= requested < count:
        raise ConfigError(f"{noun} {requested} does not exist: there are {count}, from 0 to {count - 1}")
    return requested
