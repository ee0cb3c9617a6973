"""The network, rolled and unrolled: its weights once, and beside them a copy for each step with what it holds there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from unrolled import svg
from unrolled.inside import Trace
from unrolled.pictures.attention import Weights, to_source, within
from unrolled.pictures.figure import WIDTH, Asked, Figure, chosen, heading
from unrolled.pictures.layers import recurrent
from unrolled.pictures.matrix import Shown, legend, number
from unrolled.svg import INK, Drawing, Scale

__all__ = ["draw", "shows"]

COLUMN, WIDE, HIGH, BACK = 76, 62, 34, 16  # pixels: from step to step, of a box, more of one that reads both ways
RISE, LOOK, LINK = (
    24,
    66,
    96,
)  # pixels between rows: plainly, where steps look at each other, where they look at a source
ROLLED = 150  # pixels, of the rolled network at the left
WORDS = 34  # pixels, of the words below and above
WIRE, LOOKS = "#57606a", "#1764ab"


class Row(NamedTuple):
    """A layer: its tensor (T, H), and what its steps take from each other.

    ahead: 1 where each takes from the one before, −1 from the one behind, 0 from none so. back: the tensor of a second
    direction. looks: weights of a head.
    """

    tensor: str
    label: str
    ahead: int = 0
    back: str = ""
    looks: Weights | None = None

    @property
    def high(self) -> float:
        """Pixels, of a box."""
        return HIGH + BACK * bool(self.back)

    @property
    def rise(self) -> float:
        """Pixels, from the row below."""
        return LOOK if self.looks else RISE


class Stack(NamedTuple):
    """Layers on top of each other over the same steps, lowest first. part: "encoder", "decoder" or ""."""

    part: str
    tokens: Sequence[str]
    rows: Sequence[Row]


def shows(trace: Trace) -> bool:
    """Whether it has layers over steps."""
    return bool(_stacks(trace, Asked()))


def draw(traces: Sequence[Trace], asked: Asked) -> Figure:
    """Draw each network with as many steps as fit: the first ones, and the last two."""
    parts: list[Drawing] = []
    most = max(1e-9, *(abs(float(trace[row.tensor].abs().max())) for trace in traces
                       for stack in _stacks(trace, asked) for row in stack.rows))  # fmt: skip
    scale = Scale.signed(most)
    for trace in traces:
        parts += [heading(trace, traces), _network(trace, asked, scale), Drawing(0, 10, "")]
    caption = (
        "The network, with a copy of every layer for each step (of more than fit, the first ones and the last two); "
        "left, where a state returns, the same layer rolled up: its weights are there only once. A strip holds the "
        "numbers of h, or of what a block puts out, without unit, on one scale. Above a step stands its answer with "
        "its probability."
    )
    if any((trace.about.source and to_source(trace)) or within(trace) for trace in traces):
        caption += " Blue lines are attention, the wider the larger the weight, from 0.02 on; of one head of several."
    return Figure("The network, unrolled", svg.above([*parts, legend(scale, "h")], 4), caption)


def _stacks(trace: Trace, asked: Asked) -> list[Stack]:
    about = trace.about
    found: dict[str, list[Row]] = {}
    layers = {layer.name: layer for layer in recurrent(trace)}
    for name, layer in layers.items():
        back = f"{name}.reverse"
        if name.endswith(".reverse") and name.removesuffix(".reverse") in layers:
            continue
        ahead = -1 if name.endswith(".reverse") else 1
        label = "Elman" if layer.cell == "elman" else layer.cell.upper()
        found.setdefault(layer.part, []).append(Row(f"{name}.h", label, ahead, f"{back}.h" if back in layers else ""))
    heads = within(trace)
    for name in trace:
        if match := re.fullmatch(r"(?:(encoder|decoder)\.)?transformer\.l\d+\.y", name):
            own = [each for each in heads if each.tensor == name.removesuffix("y") + "weights"]
            looks = own[chosen(asked.head, len(own), "head", 0)] if own else None
            found.setdefault(match[1] or "", []).append(Row(name, "block", looks=looks))
    tokens = {"encoder": about.source, "decoder": about.tokens, "": about.tokens}
    return [Stack(part, tokens[part], found[part]) for part in ("encoder", "decoder", "") if part in found]


def some(count: int, most: int) -> list[int | None]:
    """Of `count` steps those that are drawn where `most` places are: all, or the first, None for a gap, the last "
    "two."""
    return [*range(count)] if count <= most else [*range(most - 3), None, count - 2, count - 1]


def _network(trace: Trace, asked: Asked, scale: Scale) -> Drawing:
    """The stacks from the bottom up, with what leads from one to the next."""
    stacks = _stacks(trace, asked)
    rolled = ROLLED if any(row.ahead for stack in stacks for row in stack.rows) else 0
    places = [some(len(trace[stack.rows[0].tensor]), int((WIDTH - rolled) // COLUMN)) for stack in stacks]
    heights = [WORDS - 12 + sum(row.high + row.rise for row in stack.rows) for stack in stacks]
    total = WORDS + sum(heights) + LINK * (len(stacks) - 1)
    floor, tops, body = float(total), [], []
    for stack, steps, high in zip(stacks, places, heights, strict=True):
        body.append(_stack(trace, stack, steps, rolled, floor, scale))
        tops.append(floor - high)
        floor -= high + LINK
    if len(stacks) == 2:
        body.append(_links(trace, asked, places, rolled, tops[0], stacks, scale))
    if stacks[-1].part != "encoder":
        body += _answers(trace, places[-1], rolled, tops[-1])
    wide = rolled + COLUMN * max(map(len, places))
    return Drawing(wide, total, "\n".join(body))


def _stack(trace: Trace, stack: Stack, steps: Sequence[int | None], left: float, floor: float, scale: Scale) -> str:
    """One stack: words below, boxes with strips, wires upwards and sideways."""
    body = []
    middles = [left + COLUMN * (i + 0.5) for i in range(len(steps))]
    for x, step in zip(middles, steps, strict=True):
        word = "…" if step is None else stack.tokens[step] if step < len(stack.tokens) else ""
        body.append(svg.text(x, floor - 16, word, anchor="middle", size=11, fill=INK, most=COLUMN - 6))
        if step is not None:
            body.append(svg.text(x, floor - 3, f"step {step}", anchor="middle", size=9, fill=WIRE))
    if left:
        body.append(svg.text(left / 2, floor - 16, "x", anchor="middle", size=11, fill=INK, italic=True))
    below = floor - WORDS + 6
    for row in stack.rows:
        y = below - row.rise - row.high + (6 if row is stack.rows[0] else 0)
        if left:
            body.append(_rolled(row, left / 2, y, below))
        for i, (x, step) in enumerate(zip(middles, steps, strict=True)):
            if step is None:
                body.append(svg.text(x, y + HIGH / 2 + 4, "…", anchor="middle", fill=INK))
                continue
            if row.looks is None:
                body.append(svg.line([(x, below), (x, y + row.high + 1)], stroke=WIRE, arrow=True))
            body.append(svg.box(x - WIDE / 2, y, WIDE, row.high, "#f6f8fa", stroke=WIRE, radius=4))
            body.append(svg.text(x, y + 12, row.label, anchor="middle", size=9, fill=INK))
            for k, (tensor, ahead) in enumerate(((row.tensor, row.ahead), (row.back, -1))[: 1 + bool(row.back)]):
                at = y + 17 + k * BACK
                body.append(_strip(trace, tensor, step, x, at, scale))
                if ahead and i:
                    ends = [(middles[i - 1] + WIDE / 2, at + 6), (x - WIDE / 2, at + 6)]
                    body.append(svg.line(ends[::ahead], stroke=WIRE, width=1.6, arrow=True))
        if row.looks is not None:
            seen = [None if step is None else step + row.looks.before for step in steps]
            body += _looks(row.looks, steps, seen, middles, middles, below - 2, y + row.high + 2)
        below = y
    return "\n".join(body)


def _strip(trace: Trace, tensor: str, step: int, x: float, y: float, scale: Scale) -> str:
    """What a layer holds at a step, a number a place."""
    shown = Shown(trace, tensor, [step], range(trace[tensor].shape[1]))
    label = f"{tensor}[{step}]"
    return svg.raster(x - WIDE / 2 + 4, y, WIDE - 8, 12, shown.values(), scale, label=label, **shown.data())


def _rolled(row: Row, x: float, y: float, under: float) -> str:
    """A layer with its state returning, and what its weights are called."""
    side, over, low = x + WIDE / 2, y - 8, y + row.high
    away = x - WIDE / 2
    loop = [
        (side, y + 17),
        (side + 14, y + 17),
        (side + 14, over),
        (away - 14, over),
        (away - 14, y + 17),
        (away, y + 17),
    ]
    return "\n".join(
        [
            svg.line([(x, under), (x, low + 1)], stroke=WIRE, arrow=True),
            svg.text(x + 6, low + 15, "W_x", size=10, fill=INK, italic=True),
            svg.box(x - WIDE / 2, y, WIDE, row.high, "#fff1d6", stroke=WIRE, radius=4),
            svg.text(x, y + row.high / 2 + 4, row.label, anchor="middle", size=11, fill=INK),
            svg.line(loop[:: row.ahead], stroke=WIRE, width=1.6, arrow=True),
            *([svg.line(loop[:: -row.ahead], stroke=WIRE, width=1.6, arrow=True)] if row.back else []),
            svg.text(side + 17, y + 2, "W_h", size=10, fill=INK, italic=True),
        ]
    )


def _looks(
    one: Weights,
    asks: Sequence[int | None],
    seen: Sequence[int | None],
    above: Sequence[float],
    below: Sequence[float],
    low: float,
    high: float,
) -> list[str]:
    """Lines from what is looked at, below, to what asks, above, by their weights."""
    values = one.shown().values()
    body = []
    for x, t in zip(above, asks, strict=True):
        for from_x, s in zip(below, seen, strict=True):
            if t is None or s is None or (weight := float(values[t, s])) < 0.02:
                continue
            name = f"{one.tensor}[{','.join(map(str, (*one.lead, t, s)))}] = {number(weight)}"
            wide, faint = 0.8 + 4 * weight, 0.2 + 0.8 * weight
            body.append(svg.curve((from_x, low), (x, high), stroke=LOOKS, width=wide, opacity=faint, name=name))
    return body


def _links(
    trace: Trace, asked: Asked, places: Sequence[Sequence[int | None]], left: float, y: float, stacks: Sequence[Stack],
    scale: Scale,
) -> str:  # fmt: skip
    """What leads from an encoder, whose top is at y, to its decoder: attention, or the fixed vector."""
    seen, asks = ([left + COLUMN * (i + 0.5) for i in range(len(steps))] for steps in places)
    weights = to_source(trace) or [each for each in within(trace) if each.tensor.startswith("decoder.")]
    if weights:  # where both are one sequence, the source is what a step of the target sees first
        highest = [each for each in weights if each.tensor == weights[-1].tensor]
        one = highest[chosen(asked.head, len(highest), "head", 0)]
        return "\n".join(_looks(one, places[1], places[0], asks, seen, y - 2, y - LINK + 2))
    row, first = stacks[0].rows[-1], left - 20
    ends = [seen[-1]] * (row.ahead > 0) + [seen[0]] * (row.ahead < 0 or bool(row.back))  # where each direction is done
    last = seen[-1]
    summary = "encoder.summary"
    top = len(trace[summary]) - 1
    strip = Shown(trace, summary, [top], range(trace[summary].shape[1]))
    values, up = strip.values(), (last, y - LINK / 2 + 4)
    return "\n".join(
        [
            *(svg.line([(x, y), (x, y - 18), (last, y - 18), up], stroke=WIRE, width=2, arrow=True) for x in ends),
            svg.box(last - 90, y - LINK / 2 - 26, 118, 30, "#dbe9f6", stroke=WIRE, radius=4),
            svg.text(last - 31, y - LINK / 2 - 13, "one fixed vector", anchor="middle", size=10, fill=INK),
            svg.raster(last - 84, y - LINK / 2 - 9, 106, 9, values, scale, label=f"{summary}[{top}]", **strip.data()),
            svg.line(
                [(last - 90, y - LINK / 2 - 11), (first, y - LINK / 2 - 11), (first, y - LINK - WORDS - 26),
                 (left + COLUMN / 2 - WIDE / 2, y - LINK - WORDS - 26)],
                stroke=WIRE, width=2, arrow=True,
            ),
        ]
    )  # fmt: skip


def _answers(trace: Trace, steps: Sequence[int | None], left: float, y: float) -> list[str]:
    """Above the steps that answer, what they say and how probable it was."""
    at = {int(step): a for a, step in enumerate(trace["steps"].tolist())}
    body = []
    for i, step in enumerate(steps):
        if step in at:
            a, x = at[step], left + COLUMN * (i + 0.5)
            share = float(trace["log_prob"][a].exp())
            body.append(svg.line([(x, y), (x, y - 6)], stroke=WIRE, arrow=True))
            body.append(
                svg.text(
                    x, y - 21, trace.about.answers[a], anchor="middle", size=11, fill=INK, bold=True, most=COLUMN - 4
                )
            )
            body.append(svg.text(x, y - 9, f"p {number(share)}", anchor="middle", size=9, fill=WIRE))
    return body
