"""Beam search as a tree: the hypotheses that are kept at each step, and the candidates that are cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp
from typing import NamedTuple

from unrolled import svg
from unrolled.inside import Trace
from unrolled.palette import CARD, INK, MEMORY, SOFT, WIRE
from unrolled.pictures import sentences
from unrolled.pictures.figure import Figure, Request, heading
from unrolled.pictures.matrix import number
from unrolled.pictures.wiring import visible
from unrolled.svg import Drawing

__all__ = ["can_draw", "draw"]

STEPS = 8  # drawn at most
CUT = 2  # candidates drawn of those that are cut at a step, the most probable ones
PILL, HIGH = 72.0, 38.0  # pixels of a candidate


@dataclass(frozen=True)
class Node:
    """Candidate of a search.

    parent: index of the candidate that it continues, −1 for none. log_prob: of all tokens up to it.
    """

    index: int
    word: str
    step: int
    parent: int
    log_prob: float
    kept: bool


class Grid(NamedTuple):
    """Positions in pixels: the first candidate, and from step to step and from rank to rank."""

    first: tuple[float, float]
    step: tuple[float, float]
    rank: tuple[float, float]

    def at(self, step: float, rank: float) -> tuple[float, float]:
        """Return the middle of a candidate."""
        x, y = (self.first[i] + step * self.step[i] + rank * self.rank[i] for i in (0, 1))
        return x, y


def can_draw(trace: Trace) -> bool:
    """Return whether the trace has a beam search: that of a translator for a source alone."""
    return "beam.step" in trace


def draw(traces: Sequence[Trace], request: Request) -> Figure:
    """Draw the search of each trace, from its first step."""
    drawings, texts = [], []
    for trace in traces:
        nodes = _nodes(trace)
        answers = _answers(nodes)
        best = _path(nodes, max(answers, key=lambda node: node.log_prob))
        drawings += [
            heading(trace, traces, f"“{trace.about.source_text}”"),
            _tree(nodes, best, request),
            Drawing(0, 8, ""),
        ]
        words = [nodes[index].word for index in best]
        texts.append(sentences.beam(len(answers), words, nodes[best[-1]].log_prob))
    caption = (
        "The number is the probability of all tokens up to there, which decides who stays. A wider branch is a token "
        f"that is more probable after those before it. Filled: the answer. Dashed: cut (the {CUT} best of them)."
    )
    return Figure("A beam search", svg.stack(drawings, 6), " ".join([caption, *dict.fromkeys(texts)]))


def _nodes(trace: Trace) -> list[Node]:
    columns = (trace[f"beam.{name}"].tolist() for name in ("step", "parent", "log_prob", "kept"))
    return [
        Node(index, word, step, parent, log_prob, bool(kept))
        for index, (word, step, parent, log_prob, kept) in enumerate(zip(trace.about.beam, *columns, strict=True))
    ]


def _answers(nodes: Sequence[Node]) -> list[Node]:
    """Return the answers: kept candidates that nothing continues."""
    continued = {node.parent for node in nodes}
    return [node for node in nodes if node.kept and node.index not in continued]


def _path(nodes: Sequence[Node], node: Node) -> list[int]:
    """Return the indices from the first step to a candidate."""
    path = [node.index]
    while nodes[path[0]].parent >= 0:
        path.insert(0, nodes[path[0]].parent)
    return path


def _places(nodes: Sequence[Node]) -> dict[int, tuple[int, int]]:
    """Return step and rank of the candidates that are drawn: answers and kept ones first, then some that are cut."""
    places: dict[int, tuple[int, int]] = {}
    for step in range(min(STEPS, 1 + max(node.step for node in nodes))):
        here = sorted((node for node in nodes if node.step == step), key=lambda node: (not node.kept, -node.log_prob))
        kept = [node for node in here if node.kept]
        for rank, node in enumerate([*kept, *[node for node in here if not node.kept][:CUT]]):
            places[node.index] = step, rank
    return places


def _tree(nodes: Sequence[Node], best: Sequence[int], request: Request) -> Drawing:
    places = _places(nodes)
    steps, ranks = (1 + max(place[i] for place in places.values()) for i in (0, 1))
    wide = not request.is_narrow
    if wide:
        grid = Grid((PILL / 2, 26), ((request.width - PILL) / max(5, steps - 1), 0), (0, 50))
    else:
        grid = Grid((PILL / 2, 26), (0, 68), ((request.width - PILL) / max(4, ranks - 1), 0))
    body = [_branch(nodes, node, places, grid, wide, best) for node in nodes if _is_joined(node, places)]
    body += [_pill(nodes[index], grid.at(*place), index in best, grid) for index, place in places.items()]
    x, y = grid.at(steps - 1, ranks - 1)
    return Drawing(max(request.width, x + PILL / 2), y + 26, "\n".join(body))


def _is_joined(node: Node, places: dict[int, tuple[int, int]]) -> bool:
    return node.index in places and node.parent in places


def _probability(nodes: Sequence[Node], node: Node) -> float:
    """Return the probability of a candidate's token, given those before it."""
    return exp(node.log_prob - (nodes[node.parent].log_prob if node.parent >= 0 else 0))


def _branch(
    nodes: Sequence[Node],
    node: Node,
    places: dict[int, tuple[int, int]],
    grid: Grid,
    wide: bool,
    best: Sequence[int],
) -> str:
    (x0, y0), (x1, y1) = grid.at(*places[node.parent]), grid.at(*places[node.index])
    width = 1 + 7 * _probability(nodes, node)
    dash = "" if node.kept else "3 3"
    colour = MEMORY if node.index in best else SOFT if node.kept else WIRE
    if wide:
        x0, x1 = x0 + PILL / 2, x1 - PILL / 2
        middle = (x0 + x1) / 2
        d = f"M{x0:.1f} {y0:.1f}C{middle:.1f} {y0:.1f} {middle:.1f} {y1:.1f} {x1:.1f} {y1:.1f}"
        return svg.path(d, stroke=colour, width=round(width, 1), dash=dash)
    y0, y1 = y0 + HIGH / 2, y1 - HIGH / 2
    middle = (y0 + y1) / 2
    d = f"M{x0:.1f} {y0:.1f}C{x0:.1f} {middle:.1f} {x1:.1f} {middle:.1f} {x1:.1f} {y1:.1f}"
    return svg.path(d, stroke=colour, width=round(width, 1), dash=dash)


def _pill(node: Node, place: tuple[float, float], is_best: bool, grid: Grid) -> str:
    x, y = place
    wide = min(PILL, abs(grid.rank[0]) - 6) if grid.rank[0] else min(PILL, grid.step[0] - 22)
    fill, edge = (INK, INK) if is_best else (CARD, INK if node.kept else WIRE)
    words, numbers = (CARD, CARD) if is_best else (INK, SOFT) if node.kept else (SOFT, SOFT)
    name = f"exp beam.log_prob[{node.index}] = {number(exp(node.log_prob))}"
    return "\n".join([
        svg.box(x - wide / 2, y - HIGH / 2, wide, HIGH, fill, stroke=edge, radius=12,
                dash="" if node.kept else "3 3", name=name),
        svg.text(x, y - 2, visible(node.word), anchor="middle", size=13, fill=words, bold=node.kept,
                 most=wide - 6),
        svg.text(x, y + 13, number(exp(node.log_prob)), anchor="middle", size=11, fill=numbers),
    ])  # fmt: skip
