"""What every picture is made with: what is asked of it, panels of its traces, a title, a caption."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from unrolled import svg
from unrolled.errors import ConfigError
from unrolled.inside import Trace
from unrolled.svg import INK, Drawing

__all__ = ["WIDTH", "Asked", "Figure", "Picture", "chosen", "frame", "heading", "named", "panels", "placed"]

WIDTH = 760  # pixels, of what is drawn; the page around it is as wide again as two margins
MARGIN, TITLE, LINE = 20, 30, 17
BOLD = 8.2  # pixels, of a character of a heading


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What of a trace a picture shows; None: it chooses, and says so.

    unit, step, head: numbers from 0. layer: "lstm.l0", "decoder.gru.l1". units: of more, the so many strongest.
    gate: of the cell, the one that is looked at: "f". below: where no layer is named, how many below the highest.
    """

    unit: int | None = None
    step: int | None = None
    head: int | None = None
    layer: str | None = None
    units: int | None = None
    gate: str | None = None
    below: int = 0


class Figure(NamedTuple):
    """A picture without its frame. caption: what is drawn, and in which unit."""

    title: str
    drawing: Drawing
    caption: str


class Picture(NamedTuple):
    """A kind of picture. what: one line. shows: whether a trace has what it draws."""

    what: str
    shows: Callable[[Trace], bool]
    draw: Callable[[Sequence[Trace], Asked], Figure]


def frame(figure: Figure, traces: Sequence[Trace]) -> str:
    """Return the picture as SVG: title, drawing, caption, and what was left out of an input."""
    width = max(WIDTH, figure.drawing.width)
    abouts = dict.fromkeys(map(_about, traces))  # of weights as they were in training no score is known
    said = [figure.caption, *(one for one in abouts if not any(other.startswith(f"{one} ") for other in abouts))]
    said += dict.fromkeys(f"Not all was read: {trace.about.truncated}." for trace in traces if trace.about.truncated)
    lines = [part for each in said for part in svg.wrapped(each, width, 11)]
    y = MARGIN + TITLE + figure.drawing.height + LINE
    body = [
        svg.text(MARGIN, MARGIN + 12, figure.title, size=15, bold=True, fill=INK, most=width),
        f'<g transform="translate({MARGIN} {MARGIN + TITLE})">\n{figure.drawing.body}\n</g>',
        *(svg.text(MARGIN, y + i * LINE, each, size=11, fill="#57606a") for i, each in enumerate(lines)),
    ]
    height = y + len(lines) * LINE + MARGIN / 2
    return svg.document(
        width + 2 * MARGIN, height, body, title=figure.title, description=figure.caption, paper="#ffffff"
    )


def _about(trace: Trace) -> str:
    """A trace in a few words."""
    about = trace.about
    whose = ", ".join(part for part in (about.run or "a model", about.architecture if about.model_name else "") if part)
    return f"Drawn from {whose}. {about.score}".strip()


def heading(trace: Trace, traces: Sequence[Trace], more: str = "") -> Drawing:
    """The name of a panel: its run where there are several, and what is shown of it; nothing where both are clear."""
    words = " · ".join(part for part in (named(trace, traces), more) if part)
    wide = min(WIDTH, BOLD * svg.columns(words))
    return Drawing(wide, 20, svg.text(0, 12, words, bold=True, fill=INK, most=WIDTH)) if words else Drawing(0, 0, "")


def named(trace: Trace, traces: Sequence[Trace]) -> str:
    """What a trace is called among others: its row where that tells them apart, else its run too; alone, nothing."""
    if len(traces) < 2:
        return ""
    rows = [each.about.model_name for each in traces]
    names = [
        row if rows.count(row) == 1 else ", ".join(filter(None, (row, each.about.run)))
        for row, each in zip(rows, traces, strict=True)
    ]
    name = names[next(i for i, each in enumerate(traces) if each is trace)]
    return (
        name if names.count(name) == 1 else f"{name} ({1 + next(i for i, each in enumerate(traces) if each is trace)})"
    )


def panels(drawings: Sequence[Drawing], gap: float = 24) -> Drawing:
    """Panels side by side as far as the width goes, then in the next line."""
    lines: list[list[Drawing]] = [[]]
    for drawing in drawings:
        if lines[-1] and sum(each.width + gap for each in lines[-1]) + drawing.width > WIDTH + 1:
            lines.append([])
        lines[-1].append(drawing)
    return svg.above([svg.beside(line, gap) for line in lines], gap)


def placed(drawing: Drawing, x: float, y: float, width: float = 0, height: float = 0) -> Drawing:
    """A drawing moved right and down, in a space of its own."""
    body = f'<g transform="translate({x:.1f} {y:.1f})">\n{drawing.body}\n</g>'
    return Drawing(max(width, x + drawing.width), max(height, y + drawing.height), body)


def chosen(asked: int | None, count: int, what: str, otherwise: int) -> int:
    """Return the unit, step or head that is asked for, or another one.

    Raises:
        ConfigError: there is none of that number.
    """
    if asked is None:
        return otherwise
    if not 0 <= asked < count:
        raise ConfigError(f"{what} {asked} is not there: there are {count}, from 0 to {count - 1}")
    return asked
