"""The tree of what might have been written: at each step the likeliest answers, and the way that was taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from unrolled import svg
from unrolled.inside import Trace
from unrolled.pictures.figure import WIDTH, Asked, Figure, chosen
from unrolled.pictures.matrix import number
from unrolled.svg import INK, Drawing, Scale

__all__ = ["draw", "shows"]

STEPS, GUESSES = 8, 3  # that are drawn: of a sequence, of a step
COLUMN, LEAF, WIDE, HIGH = 92, 24, 74, 19  # pixels: from step to step, from leaf to leaf, of a box
SHARE = Scale(0, 1, ("#ffffff", "#dbe9f6", "#9dcae1"))


@dataclass
class Node:
    """An answer after those before it. share: its probability. element: the tensor's. taken: whether a trace took "
    "it."""

    word: str
    share: float
    element: str
    taken: bool = False
    after: dict[str, Node] = field(default_factory=dict)


def shows(trace: Trace) -> bool:
    """Whether it answers step by step, and its guesses are known."""
    return len(trace.about.answers) > 1 and "top_log_prob" in trace


def draw(traces: Sequence[Trace], asked: Asked) -> Figure:
    """Draw the steps from the one asked for on; of several traces, from where their answers part."""
    shortest = min(len(trace.about.answers) for trace in traces)
    parting = next((a for a in range(shortest) if len({trace.about.answers[a] for trace in traces}) > 1), shortest)
    first = chosen(asked.step, shortest, "step", max(0, min(parting - 2, shortest - STEPS)) if len(traces) > 1 else 0)
    root = Node("", 1, "")
    for trace in traces:
        _grow(root, trace, first)
    last = min(first + STEPS, max(len(trace.about.answers) for trace in traces))
    nodes: list[str] = []
    _place(root, 0, 4, nodes)
    before = "".join(f" {word}" for word in traces[0].about.answers[max(0, first - 6) : first])
    start = f"after “…{before}”" if first else "from the beginning"
    title = Drawing(
        WIDTH, 22, svg.text(0, 12, f"Answers {first} to {last - 1}, {start}", size=11, fill=INK, most=WIDTH)
    )
    height = LEAF * _leaves(root)
    caption = (
        f"At each step the {GUESSES} likeliest answers with their probabilities, and the one that was taken, in bold; "
        "the wider a branch, the more probable. Probabilities are of 1, and follow on what stands left."
    )
    drawn = Drawing(COLUMN * (last - first), height, "\n".join(nodes))
    return Figure("What might have been written", svg.above([title, drawn]), caption)


def _grow(root: Node, trace: Trace, first: int) -> None:
    """Add a trace's answers and guesses to the tree."""
    node, about = root, trace.about
    for a in range(first, min(first + STEPS, len(about.answers))):
        for k, word in enumerate(about.guesses[a][:GUESSES]):
            share = float(trace["top_log_prob"][a, k].exp())
            node.after.setdefault(word, Node(word, share, f"exp top_log_prob[{a},{k}]"))
        word = about.answers[a]
        share = float(trace["log_prob"][a].exp())
        node = node.after.setdefault(word, Node(word, share, f"exp log_prob[{a}]"))
        node.taken = True


def _leaves(node: Node) -> int:
    return sum(map(_leaves, node.after.values())) or 1


def _place(node: Node, column: int, y: float, body: list[str]) -> float:
    """Draw what comes after a node, from y down; return the height of its own middle."""
    middles = []
    for child in sorted(node.after.values(), key=lambda child: -child.share):
        middle = _place(child, column + 1, y, body)
        y += LEAF * _leaves(child)
        middles.append((child, middle))
    if not middles:
        return y + LEAF / 2
    own = next((middle for child, middle in middles if child.taken), middles[0][1])
    for child, middle in middles:
        x = column * COLUMN
        if column:
            start, end = (x - COLUMN + WIDE, own), (x, middle)
            body.append(svg.line([start, end], stroke="#57606a", width=0.6 + 4 * child.share))
        name = f"{child.element} = {number(child.share)}"
        edge = INK if child.taken else "#afb8c1"
        body.append(
            svg.box(x, middle - HIGH / 2, WIDE, HIGH, SHARE.colour(child.share), stroke=edge, radius=3, name=name)
        )
        style = {"size": 11, "fill": INK, "bold": child.taken}
        body.append(svg.text(x + 4, middle + 4, child.word.replace(" ", "␣"), most=WIDE - 34, **style))  # type: ignore[arg-type]
        body.append(svg.text(x + WIDE - 3, middle + 4, number(child.share), anchor="end", size=9, fill="#57606a"))
    return own
