"""Tree of the most probable answers at each step, with the path of the actual answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from unrolled import svg
from unrolled.inside import Trace
from unrolled.palette import ABOVE, INK, SOFT, WIRE
from unrolled.pictures.figure import Figure, Request, resolve_index
from unrolled.pictures.matrix import number
from unrolled.pictures.wiring import visible
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


class Placed(NamedTuple):
    """An answer with the indices of its column and row, and of the row of the answer before it."""

    node: Node
    column: int
    row: int
    before: int

    @property
    def corner(self) -> tuple[float, float]:
        """Left upper corner of its box, in pixels."""
        return self.column * COLUMN, self.row * LEAF + (LEAF - HIGH) / 2


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
    free = [0] * (last - first + 1)
    placed = [*_place(root, 0, 0, free)]
    before = " ".join(word.replace(" ", "␣") for word in traces[0].about.answers[max(0, first - 6) : first])
    start = f"after “{'… ' * (first > 6)}{before}”" if first else "from the start"
    words = f"Answers {first} to {last - 1}, {start}"
    title = Drawing(request.width, 22, svg.text(0, 12, words, fill=INK, most=request.width))
    caption = (
        "Time runs to the right. In bold the answer that was given, below it the others of the "
        f"{GUESSES} most probable ones at that step. A wider branch is a more probable answer."
    )
    drawn = Drawing(COLUMN * (last - first) - COLUMN + WIDE, LEAF * max(free), "\n".join(map(_drawn, placed)))
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


def _place(node: Node, column: int, row: int, free: list[int]) -> Iterator[Placed]:
    """Yield the answers that follow a node in its row: the actual one first, then its alternatives in free rows below.

    Args:
        node: the node.
        column: index of the column of the answers.
        row: index of the node's row.
        free: the first free row of each column, which is kept up to date.
    """
    children = sorted(node.following.values(), key=lambda child: (not child.taken, -child.probability))
    for child in children:
        at = max(row, free[column])
        free[column] = at + 1
        yield Placed(child, column, at, row)
        if child.taken:
            yield from _place(child, column + 1, at, free)


def _drawn(placed: Placed) -> str:
    """Return the box of an answer, with its probability, and the branch that leads to it."""
    node, (x, y) = placed.node, placed.corner
    body = []
    if placed.column:
        start = (x - COLUMN + WIDE, placed.before * LEAF + LEAF / 2)
        body.append(svg.line([start, (x, y + HIGH / 2)], stroke=SOFT, width=0.6 + 4 * node.probability))
    name, edge = f"{node.element} = {number(node.probability)}", INK if node.taken else WIRE
    fill = TINT * node.probability
    body.append(svg.box(x, y, WIDE, HIGH, ABOVE, opacity=fill, stroke=edge, radius=3, name=name))
    word, low = visible(node.word), y + HIGH / 2 + 4
    body.append(svg.text(x + 4, low, word, most=WIDE - 34, size=11, fill=INK, bold=node.taken))
    body.append(svg.text(x + WIDE - 3, low, number(node.probability), anchor="end", size=11, fill=SOFT))
    return "\n".join(body)
