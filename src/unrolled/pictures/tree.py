"""Tree of the most probable answers at each step, with the path of the actual answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from unrolled import svg
from unrolled.inside import Trace
from unrolled.palette import ABOVE, INK, SOFT, WIRE
from unrolled.pictures.figure import Figure, Request, resolve_index
from unrolled.pictures.matrix import number
from unrolled.svg import Drawing

__all__ = ["can_draw", "draw"]

STEPS, NARROW_STEPS, GUESSES = 8, 3, 3  # steps drawn, on a narrow screen, and answers drawn at each step
COLUMN, LEAF, WIDE, HIGH = 97, 27, 80, 22  # pixels: from step to step, from leaf to leaf, of a box
TINT = 0.35  # opacity of the colour of a probability of 1


@dataclass
class Node:
    """Answer that follows those on the path to it.

    probability: given the path. element: the element of a tensor that holds it. taken: whether it is the actual answer
    of a trace. following: the next answers by their words.
    """

    word: str
    probability: float
    element: str
    taken: bool = False
    following: dict[str, Node] = field(default_factory=dict)


def can_draw(trace: Trace) -> bool:
    """Return whether the trace has answers after several steps, and the most probable alternatives of each."""
    return "top_log_prob" in trace and len(set(trace["steps"].tolist())) > 1


def draw(traces: Sequence[Trace], request: Request) -> Figure:
    """Draw the steps from the requested one on; by default from the start, or where several traces first differ."""
    steps = NARROW_STEPS if request.is_narrow else STEPS
    shortest = min(len(trace.about.answers) for trace in traces)
    differ = next((a for a in range(shortest) if len({trace.about.answers[a] for trace in traces}) > 1), shortest)
    default = max(0, min(differ - 2, shortest - steps)) if len(traces) > 1 else 0
    first = resolve_index(request.step, shortest, "step", default)
    root = Node("", 1, "")
    for trace in traces:
        _grow(root, trace, first, steps)
    last = min(first + steps, max(len(trace.about.answers) for trace in traces))
    nodes: list[str] = []
    _draw_children(root, 0, 4, nodes)
    before = "".join(f" {word}" for word in traces[0].about.answers[max(0, first - 6) : first])
    start = f"after “…{before}”" if first else "from the start"
    words = f"Answers {first} to {last - 1}, {start}"
    title = Drawing(request.width, 22, svg.text(0, 12, words, fill=INK, most=request.width))
    height = LEAF * _leaves(root)
    caption = (
        f"Time runs to the right: each step has its {GUESSES} most probable answers, and the one that was given, in "
        "bold, goes on. A wider branch is a more probable answer."
    )
    drawn = Drawing(COLUMN * (last - first) - COLUMN + WIDE, height, "\n".join(nodes))
    return Figure("The most probable answers at each step", svg.stack([title, drawn]), caption)


def _grow(root: Node, trace: Trace, first: int, steps: int) -> None:
    """Add a trace's answers and their alternatives to the tree."""
    node, about = root, trace.about
    for a in range(first, min(first + steps, len(about.answers))):
        for k, word in enumerate(about.guesses[a][:GUESSES]):
            probability = float(trace["top_log_prob"][a, k].exp())
            node.following.setdefault(word, Node(word, probability, f"exp top_log_prob[{a},{k}]"))
        word = about.answers[a]
        probability = float(trace["log_prob"][a].exp())
        node = node.following.setdefault(word, Node(word, probability, f"exp log_prob[{a}]"))
        node.taken = True


def _leaves(node: Node) -> int:
    return sum(map(_leaves, node.following.values())) or 1


def _draw_children(node: Node, column: int, y: float, body: list[str]) -> float:
    """Draw the answers that follow a node, from y down; return the y of the node's own middle."""
    middles = []
    for child in sorted(node.following.values(), key=lambda child: -child.probability):
        middle = _draw_children(child, column + 1, y, body)
        y += LEAF * _leaves(child)
        middles.append((child, middle))
    if not middles:
        return y + LEAF / 2
    own = next((middle for child, middle in middles if child.taken), middles[0][1])
    for child, middle in middles:
        x = column * COLUMN
        if column:
            start, end = (x - COLUMN + WIDE, own), (x, middle)
            body.append(svg.line([start, end], stroke=SOFT, width=0.6 + 4 * child.probability))
        name = f"{child.element} = {number(child.probability)}"
        edge = INK if child.taken else WIRE
        body.append(
            svg.box(
                x,
                middle - HIGH / 2,
                WIDE,
                HIGH,
                ABOVE,
                opacity=TINT * child.probability,
                stroke=edge,
                radius=3,
                name=name,
            )
        )
        style = {"size": 11, "fill": INK, "bold": child.taken}
        body.append(svg.text(x + 4, middle + 4, child.word.replace(" ", "␣"), most=WIDE - 34, **style))  # type: ignore[arg-type]
        body.append(svg.text(x + WIDE - 3, middle + 4, number(child.probability), anchor="end", size=11, fill=SOFT))
    return own
