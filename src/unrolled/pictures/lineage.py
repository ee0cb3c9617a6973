"""Cards of architectures on the same input: the way to the answer, the answer, what each adds, and its limit."""

from __future__ import annotations

from collections.abc import Sequence

from unrolled import svg
from unrolled.inside import Trace
from unrolled.lineage import LINEAGE, Architecture
from unrolled.palette import CARD, INK, LINE, PAPER, SOFT
from unrolled.pictures.figure import BOLD, Figure, Request, input_of, truth_of
from unrolled.pictures.miniature import HEIGHT, miniature
from unrolled.svg import Drawing

__all__ = ["can_draw", "draw"]

ACROSS, GAP, PAD = 4, 12.0, 12.0  # cards beside each other where there is room; pixels between and inside them
LEAST = 150.0  # pixels of the narrowest card
LINE_HEIGHT = 16.0
HEADING = 3  # lines of the input
LOOSE = 1.12  # lines are broken for wide letters; words in small ones are narrower
KNOWN = {each.name: each for each in LINEAGE}


def can_draw(trace: Trace) -> bool:
    """Return whether the trace is of an architecture of the lineage and has an answer."""
    return trace.about.model_name in KNOWN and bool(trace.about.answers)


def draw(traces: Sequence[Trace], request: Request) -> Figure:
    """Draw a card for each trace; an input is written once above its cards, which are in the order of the lineage."""
    across = max(1, min(ACROSS, int((request.width + GAP) // (LEAST + GAP))))
    width = (request.width - GAP * (across - 1)) / across
    drawings = []
    for read in dict.fromkeys(map(input_of, traces)):
        cards = sorted((trace for trace in traces if input_of(trace) == read), key=_place)
        drawings.append(_heading(cards[0], request.width, truth_of(cards[0], request)))
        for first in range(0, len(cards), across):
            row = cards[first : first + across]
            drawings.append(svg.side_by_side(_row(row, width, request), GAP))
    caption = (
        "A wire from a token is as wide as the bits that the answer loses without it (orange: gains); the token that "
        "counts most is named. Violet: attention, or between steps the fraction of a step that is left at the end."
    )
    return Figure("Each architecture with its answer", svg.stack(drawings, GAP), caption)


def answer_of(trace: Trace) -> str:
    """Return the answer as text: a label, the translation, the tags or the continuation."""
    about = trace.about
    return about.text if about.source else " ".join(about.answers)


def _place(trace: Trace) -> int:
    """Return the index of a trace's architecture in the lineage."""
    return [*KNOWN].index(trace.about.model_name)


def _heading(trace: Trace, width: float, truth: Sequence[str]) -> Drawing:
    """Write the input, and below it the right answer if it is known."""
    lines = svg.wrapped(f"“{input_of(trace)}”", width, 17) if input_of(trace) else ["the input"]
    if len(lines) > HEADING:
        lines = [*lines[: HEADING - 1], svg.shorten(" ".join(lines[HEADING - 1 :]), width, 17)]
    body = [svg.text(0, 24 + 22 * i, line, size=17, bold=True, fill=INK, most=width) for i, line in enumerate(lines)]
    y = 24.0 + 22 * (len(body) - 1)
    if truth:
        y += 20
        body.append(svg.text(0, y, f"right answer: {' '.join(truth)}", fill=SOFT, most=width))
    return Drawing(width, y + 4, "\n".join(body))


def _row(traces: Sequence[Trace], width: float, request: Request) -> list[Drawing]:
    """Draw cards beside each other, whose lines stand at equal heights."""
    inner = width - 2 * PAD
    known = [KNOWN[trace.about.model_name] for trace in traces]
    adds, cannot = (
        max(len(svg.wrapped(getattr(each, name), LOOSE * inner)) for each in known) for name in ("adds", "cannot")
    )
    return [
        _card(trace, each, width, (adds, cannot), truth_of(trace, request))
        for trace, each in zip(traces, known, strict=True)
    ]


def _card(trace: Trace, known: Architecture, width: float, lines: tuple[int, int], truth: Sequence[str]) -> Drawing:
    """Draw one card.

    Args:
        lines: the number of lines of the two sentences, of the longest in the row.
        truth: the true answers, if they are known.
    """
    inner = width - 2 * PAD
    small = miniature(trace, inner)
    y = 40.0
    body = [
        svg.text(PAD, y - 18, str(known.year), size=11, fill=SOFT),
        svg.text(PAD, y, known.title, size=14, bold=True, fill=INK, most=inner),
        f'<g transform="translate({PAD} {y + 8:.1f})">\n{small.body}\n</g>',
    ]
    y += 8 + HEIGHT + 24
    body += _answer(trace, y, inner)
    if truth:
        body.append(_verdict(answer_of(trace) == " ".join(truth), PAD, y + 10))
    y += 52 if truth else 26
    for name, words, count, ink in (
        ("adds", known.adds, lines[0], INK), ("limit", known.cannot, lines[1], SOFT)
    ):  # fmt: skip
        body.append(svg.text(PAD, y, name, size=11, fill=SOFT))
        for i, line in enumerate(svg.wrapped(words, LOOSE * inner)):
            body.append(svg.text(PAD, y + LINE_HEIGHT * (i + 1), line, fill=ink, most=LOOSE * inner))
        y += LINE_HEIGHT * (count + 1) + 10
    return Drawing(width, y, "\n".join([svg.box(0, 0, width, y, CARD, stroke=LINE, radius=14), *body]))


def _answer(trace: Trace, y: float, width: float) -> list[str]:
    """Write the answer, with its probability where it is one label."""
    words = answer_of(trace)
    if len(trace.about.answers) == 1 and "log_prob" in trace:
        probability = float(trace["log_prob"][0].exp())
        percent = "> 99 %" if probability > 0.995 else f"{100 * probability:.0f} %"
        beside = svg.columns(percent) * BOLD * 17 / 12 + 6
        return [
            svg.text(PAD, y, percent, size=17, bold=True, fill=INK),
            svg.text(PAD + beside, y, words, fill=SOFT, most=LOOSE * width - beside),
        ]
    return [svg.text(PAD, y, words, size=14, bold=True, fill=INK, most=width)]


def _verdict(right: bool, x: float, y: float) -> str:
    """Return a pill that says whether the answer is right."""
    words = "✓ right" if right else "✗ wrong"
    pill = svg.box(x, y, 62, 20, PAPER if right else INK, stroke=LINE if right else INK, radius=10)
    return (
        f"{pill}\n{svg.text(x + 31, y + 14, words, anchor='middle', size=11, bold=True, fill=INK if right else CARD)}"
    )
