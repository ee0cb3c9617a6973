"""Frame of every picture: the request, panels of the traces, title and caption."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from unrolled import svg
from unrolled.errors import ConfigError
from unrolled.inside import Trace
from unrolled.palette import CARD, INK, SOFT
from unrolled.svg import Drawing

__all__ = [
    "BOLD",
    "WIDTH",
    "Figure",
    "Picture",
    "Request",
    "frame",
    "heading",
    "input_of",
    "marked",
    "panel_name",
    "panels",
    "resolve_index",
    "translated",
    "truth_of",
    "verdict",
]

WIDTH = 760  # pixels of the drawing; the picture adds a margin at each side
WIDE_FROM, NARROWEST = 600, 320
MARGIN, NARROW_MARGIN = 20, 8
CAPTION, PRINT = 12.5, 11  # sizes of characters: of the caption, and of the small print
BOLD = 8.2  # pixels of a bold character of size 12


@dataclass(frozen=True, kw_only=True)
class Request:
    """Selection of a part of a trace to be drawn; with None the picture chooses, and its heading names the choice.

    unit, step, head: indices from 0. layer: prefix of its tensors, "lstm.l0", "decoder.gru.l1". units: number of units
    to draw, those that vary most. gate: the gate of a cell to be highlighted, "f". below: without a layer, the number
    of layers to go down from the highest. truth: the true answers by input (see `input_of`), by which the drawn ones
    are marked right or wrong. width: pixels of the drawing, at least NARROWEST; below WIDE_FROM it has a layout of its
    own.

    Raises:
        ConfigError: the width is below NARROWEST.
    """

    unit: int | None = None
    step: int | None = None
    head: int | None = None
    layer: str | None = None
    units: int | None = None
    gate: str | None = None
    below: int = 0
    truth: Mapping[str, Sequence[str]] = field(default_factory=dict)
    width: int = WIDTH

    def __post_init__(self) -> None:
        if self.width < NARROWEST:
            raise ConfigError(f"a picture is at least {NARROWEST} pixels wide: got {self.width}")

    @property
    def is_narrow(self) -> bool:
        """True for a drawing for a narrow screen, where time runs down."""
        return self.width < WIDE_FROM


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
    """Return the picture as SVG: title, drawing, caption; runs, truncated inputs and unknown tokens as small print.

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
    notes += dict.fromkeys(f"{trace.about.unknown}." for trace in traces if trace.about.unknown)
    margin = MARGIN if width >= WIDE_FROM else NARROW_MARGIN
    title = _lines([figure.title], width, 15, (margin, MARGIN + 12), INK, bold=True)
    top = title.height - 4
    caption = _lines([figure.caption], width, CAPTION, (margin, top + figure.drawing.height + 26), INK)
    small = _lines(notes, width, PRINT, (margin, caption.height + 4), SOFT)
    drawn = f'<g transform="translate({margin} {top:.1f})">\n{figure.drawing.body}\n</g>'
    body = [svg.subscripts(title.body), drawn, caption.body, small.body]
    height = small.height + MARGIN / 2
    return svg.document(width + 2 * margin, height, body, title=figure.title, description=figure.caption, paper=CARD)


def _lines(
    paragraphs: Sequence[str], width: float, size: float, at: tuple[float, float], fill: str, *, bold: bool = False
) -> Drawing:
    """Return paragraphs as lines, the first at a baseline from `at`; the height is the next baseline."""
    x, y = at
    lines = [line for each in paragraphs for line in svg.wrapped(each, width, size * (1.1 if bold else 0.95))]
    body = [svg.text(x, y + i * (size + 5), line, size=size, fill=fill, bold=bold) for i, line in enumerate(lines)]
    return Drawing(width, y + len(lines) * (size + 5), "\n".join(body))


def _source(trace: Trace) -> str:
    """Return the line of small print that names a trace's run, model and score."""
    about = trace.about
    names = (about.run, about.architecture if about.model_name else "", about.score)
    return " · ".join(filter(None, names))


def input_of(trace: Trace) -> str:
    """Return the text that a trace's network read, of a translation the source, and the name of an image."""
    return trace.about.source_text or trace.about.text


def truth_of(trace: Trace, request: Request) -> Sequence[str]:
    """Return the true answers to the input of a trace; () where they are not known."""
    return request.truth.get(input_of(trace), ())


def marked(traces: Sequence[Trace], request: Request) -> str:
    """Return the sentence of a caption on the marks of `verdict`, after a space; "" where the truth is not known."""
    known = dict.fromkeys(f"“{' '.join(truth)}”" for trace in traces if (truth := truth_of(trace, request)))
    return f" ✓ is a right answer, ✗ a wrong one; the truth is {' and '.join(known)}." if known else ""


def verdict(answers: Sequence[str], index: int, truth: Sequence[str]) -> str:
    """Return a mark for an answer: "✓" for a right one, "✗" for a wrong one, "" where the truth is not known."""
    if index >= len(truth):
        return ""
    return "✓" if answers[index] == truth[index] else "✗"


def heading(trace: Trace, traces: Sequence[Trace], more: str = "", most: float = WIDTH) -> Drawing:
    """Return the heading of a panel: the trace's name among several, and `more`; empty where there is neither."""
    words = " · ".join(each for each in (panel_name(trace, traces), more) if each)
    width = min(most, BOLD * svg.columns(words))
    return Drawing(width, 20, svg.text(0, 12, words, bold=True, fill=INK, most=most)) if words else Drawing(0, 0, "")


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


def panels(drawings: Sequence[Drawing], gap: float = 24, most: float = WIDTH) -> Drawing:
    """Arrange drawings side by side as far as `most` pixels allow, then on the next line."""
    lines: list[list[Drawing]] = [[]]
    for drawing in drawings:
        if lines[-1] and sum(each.width + gap for each in lines[-1]) + drawing.width > most + 1:
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
