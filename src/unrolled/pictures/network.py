"""The network rolled up, with its weights once, and unrolled, with a copy of every layer for each step."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from unrolled import svg
from unrolled.inside import Trace
from unrolled.palette import BELT, CARD, INK, MEMORY, PAPER, SOFT
from unrolled.pictures.attention import Weights, source_weights, transformer_weights
from unrolled.pictures.figure import WIDTH, Figure, Request, heading, resolve_index
from unrolled.pictures.layers import recurrent
from unrolled.pictures.matrix import View, legend, number
from unrolled.svg import Drawing, Scale

__all__ = ["can_draw", "draw"]

COLUMN, WIDE, HIGH, BACK = 76, 62, 34, 16  # pixels: from step to step, of a box, added for a second direction
RISE, ATTENTION_RISE, LINK = 24, 66, 96  # pixels below a layer: without attention, with it, and below a decoder
ROLLED = 150  # pixels of the rolled-up network at the left
WORDS = 34  # pixels of the words below and above
WIRE, ATTENTION = SOFT, MEMORY


class LayerBoxes(NamedTuple):
    """One layer, drawn as a box for each step: its tensor (T, H) and the connections between its steps.

    direction: 1 where a step reads the state of the step before it, −1 of the step after it, 0 where there is no state.
    reverse: the tensor of a second direction. attention: the weights of a head.
    """

    tensor: str
    label: str
    direction: int = 0
    reverse: str = ""
    attention: Weights | None = None

    @property
    def height(self) -> float:
        """Height of a box in pixels."""
        return HIGH + BACK * bool(self.reverse)

    @property
    def rise(self) -> float:
        """Pixels between the layer below and the box."""
        return ATTENTION_RISE if self.attention else RISE


class Stack(NamedTuple):
    """Layers over the same steps, lowest first. module: "encoder", "decoder" or ""."""

    module: str
    tokens: Sequence[str]
    layers: Sequence[LayerBoxes]


def can_draw(trace: Trace) -> bool:
    """Return whether the trace has layers with an output at each step."""
    return bool(_stacks(trace, Request()))


def draw(traces: Sequence[Trace], request: Request) -> Figure:
    """Draw each network with all of its steps or, where they do not fit, the first ones and the last two."""
    drawings: list[Drawing] = []
    largest = max(1e-9, *(abs(float(trace[layer.tensor].abs().max())) for trace in traces
                          for stack in _stacks(trace, request) for layer in stack.layers))  # fmt: skip
    scale = Scale.signed(largest)
    for trace in traces:
        drawings += [heading(trace, traces), _network(trace, request, scale), Drawing(0, 10, "")]
    caption = (
        "The network, unrolled: every layer is drawn once for each step, always with the same weights. Where the steps "
        "do not fit, the first ones and the last two are shown. The coloured strip in a box is the output vector of "
        "the layer at that step (h of a recurrent layer), without unit, on one scale. Above a step stands its answer "
        "with the probability p."
    )
    if any(recurrent(trace) for trace in traces):
        caption += " At the left, the same layers are drawn rolled up, with the state h returning to its layer."
    if any(source_weights(trace) or transformer_weights(trace) for trace in traces):
        caption += " Violet lines are the attention of one head: a wider line is a larger weight; the smallest is 0.02."
    return Figure("The network, unrolled", svg.stack([*drawings, legend(scale, "h, or output of a block")], 4), caption)


def _stacks(trace: Trace, request: Request) -> list[Stack]:
    """Return the stacks of a trace, from the encoder up."""
    about = trace.about
    boxes: dict[str, list[LayerBoxes]] = {}
    layers = {layer.name: layer for layer in recurrent(trace)}
    for name, layer in layers.items():
        reverse = f"{name}.reverse"
        if name.endswith(".reverse") and name.removesuffix(".reverse") in layers:
            continue
        direction = -1 if name.endswith(".reverse") else 1
        label = "Elman" if layer.cell == "elman" else layer.cell.upper()
        second = f"{reverse}.h" if reverse in layers else ""
        boxes.setdefault(layer.part, []).append(LayerBoxes(f"{name}.h", label, direction, second))
    heads = transformer_weights(trace)
    for name in trace:
        if match := re.fullmatch(r"(?:(encoder|decoder)\.)?transformer\.l\d+\.y", name):
            own = [each for each in heads if each.tensor == name.removesuffix("y") + "weights"]
            attention = own[resolve_index(request.head, len(own), "head", 0)] if own else None
            boxes.setdefault(match[1] or "", []).append(LayerBoxes(name, "block", attention=attention))
    tokens = {"encoder": about.source, "decoder": about.tokens, "": about.tokens}
    return [Stack(module, tokens[module], boxes[module]) for module in ("encoder", "decoder", "") if module in boxes]


def drawn_steps(count: int, columns: int) -> list[int | None]:
    """Return the steps to draw in that many columns: all, or the first ones, None for a gap, and the last two."""
    return [*range(count)] if count <= columns else [*range(columns - 3), None, count - 2, count - 1]


def _network(trace: Trace, request: Request, scale: Scale) -> Drawing:
    """Draw the stacks from the bottom up, with the link from an encoder to its decoder."""
    stacks = _stacks(trace, request)
    rolled = ROLLED if any(layer.direction for stack in stacks for layer in stack.layers) else 0
    columns = int((WIDTH - rolled) // COLUMN)
    steps = [drawn_steps(len(trace[stack.layers[0].tensor]), columns) for stack in stacks]
    heights = [WORDS - 12 + sum(layer.height + layer.rise for layer in stack.layers) for stack in stacks]
    total = WORDS + sum(heights) + LINK * (len(stacks) - 1)
    floor, tops, body = float(total), [], []
    for stack, own, height in zip(stacks, steps, heights, strict=True):
        body.append(_stack(trace, stack, own, rolled, floor, scale))
        tops.append(floor - height)
        floor -= height + LINK
    if len(stacks) == 2:
        body.append(_link(trace, request, steps, rolled, tops[0], stacks, scale))
    if stacks[-1].module != "encoder":
        body += _answers(trace, steps[-1], rolled, tops[-1])
    return Drawing(rolled + COLUMN * max(map(len, steps)), total, "\n".join(body))


def _stack(trace: Trace, stack: Stack, steps: Sequence[int | None], left: float, floor: float, scale: Scale) -> str:
    """Draw one stack: tokens below, boxes with strips, and the connections upwards and between steps."""
    body = []
    centres = [left + COLUMN * (i + 0.5) for i in range(len(steps))]
    for x, step in zip(centres, steps, strict=True):
        word = "…" if step is None else stack.tokens[step] if step < len(stack.tokens) else ""
        body.append(svg.text(x, floor - 16, word, anchor="middle", size=11, fill=INK, most=COLUMN - 6))
        if step is not None:
            body.append(svg.text(x, floor - 3, f"step {step}", anchor="middle", size=9, fill=WIRE))
    if left:
        body.append(svg.text(left / 2, floor - 16, "x", anchor="middle", size=11, fill=INK, italic=True))
    below = floor - WORDS + 6
    for layer in stack.layers:
        y = below - layer.rise - layer.height + (6 if layer is stack.layers[0] else 0)
        if left:
            body.append(_rolled(layer, left / 2, y, below))
        for i, (x, step) in enumerate(zip(centres, steps, strict=True)):
            if step is None:
                body.append(svg.text(x, y + HIGH / 2 + 4, "…", anchor="middle", fill=INK))
                continue
            if layer.attention is None:
                body.append(svg.line([(x, below), (x, y + layer.height + 1)], stroke=WIRE, arrow=True))
            body.append(svg.box(x - WIDE / 2, y, WIDE, layer.height, PAPER, stroke=WIRE, radius=4))
            body.append(svg.text(x, y + 12, layer.label, anchor="middle", size=9, fill=INK))
            directions = ((layer.tensor, layer.direction), (layer.reverse, -1))
            for k, (tensor, direction) in enumerate(directions[: 1 + bool(layer.reverse)]):
                at = y + 17 + k * BACK
                body.append(_strip(trace, tensor, step, x, at, scale))
                if direction and i:
                    ends = [(centres[i - 1] + WIDE / 2, at + 6), (x - WIDE / 2, at + 6)]
                    body.append(svg.line(ends[::direction], stroke=WIRE, width=1.6, arrow=True))
        if layer.attention is not None:
            keys = [None if step is None else step + layer.attention.before for step in steps]
            body += _attention(layer.attention, steps, keys, centres, centres, below - 2, y + layer.height + 2)
        below = y
    return "\n".join(body)


def _strip(trace: Trace, tensor: str, step: int, x: float, y: float, scale: Scale) -> str:
    """Draw the output vector of a layer at a step, one pixel column a number."""
    view = View(trace, tensor, [step], range(trace[tensor].shape[1]))
    label = f"{tensor}[{step}]"
    return svg.raster(x - WIDE / 2 + 4, y, WIDE - 8, 12, view.values(), scale, label=label, **view.data())


def _rolled(layer: LayerBoxes, x: float, y: float, under: float) -> str:
    """Draw a layer rolled up, with its state returning to it and the names of its weights."""
    right, over, low = x + WIDE / 2, y - 8, y + layer.height
    left = x - WIDE / 2
    loop = [
        (right, y + 17),
        (right + 14, y + 17),
        (right + 14, over),
        (left - 14, over),
        (left - 14, y + 17),
        (left, y + 17),
    ]
    return "\n".join(
        [
            svg.line([(x, under), (x, low + 1)], stroke=WIRE, arrow=True),
            svg.text(x + 6, low + 15, "W_x", size=10, fill=INK, italic=True),
            svg.box(x - WIDE / 2, y, WIDE, layer.height, CARD, stroke=WIRE, radius=4),
            svg.text(x, y + layer.height / 2 + 4, layer.label, anchor="middle", size=11, fill=INK),
            svg.line(loop[:: layer.direction], stroke=WIRE, width=1.6, arrow=True),
            *([svg.line(loop[:: -layer.direction], stroke=WIRE, width=1.6, arrow=True)] if layer.reverse else []),
            svg.text(right + 17, y + 2, "W_h", size=10, fill=INK, italic=True),
        ]
    )


def _attention(
    weights: Weights,
    queries: Sequence[int | None],
    keys: Sequence[int | None],
    query_xs: Sequence[float],
    key_xs: Sequence[float],
    low: float,
    high: float,
) -> list[str]:
    """Draw lines from the keys, at y = low, to the queries, at y = high, as wide as their weights.

    Args:
        queries, keys: their indices, None for a gap.
        query_xs, key_xs: the x of each.
    """
    values = weights.view().values()
    body = []
    for x, t in zip(query_xs, queries, strict=True):
        for from_x, s in zip(key_xs, keys, strict=True):
            if t is None or s is None or (weight := float(values[t, s])) < 0.02:
                continue
            name = f"{weights.tensor}[{','.join(map(str, (*weights.lead, t, s)))}] = {number(weight)}"
            width, opacity = 0.8 + 4 * weight, 0.2 + 0.8 * weight
            body.append(svg.curve((from_x, low), (x, high), stroke=ATTENTION, width=width, opacity=opacity, name=name))
    return body


def _link(
    trace: Trace, request: Request, steps: Sequence[Sequence[int | None]], left: float, y: float,
    stacks: Sequence[Stack], scale: Scale,
) -> str:  # fmt: skip
    """Draw the link from an encoder, whose top is at y, to its decoder: attention, or the fixed vector."""
    key_xs, query_xs = ([left + COLUMN * (i + 0.5) for i in range(len(each))] for each in steps)
    weights = source_weights(trace) or [
        each for each in transformer_weights(trace) if each.tensor.startswith("decoder.")
    ]
    if weights:  # where source and target are one sequence, the first keys are those of the source
        highest = [each for each in weights if each.tensor == weights[-1].tensor]
        one = highest[resolve_index(request.head, len(highest), "head", 0)]
        return "\n".join(_attention(one, steps[1], steps[0], query_xs, key_xs, y - 2, y - LINK + 2))
    layer, first, last = stacks[0].layers[-1], left - 20, key_xs[-1]
    # A direction ends at the last step, or at the first one where it reads from the end.
    ends = [last] * (layer.direction > 0) + [key_xs[0]] * (layer.direction < 0 or bool(layer.reverse))
    summary = "encoder.summary"
    top = len(trace[summary]) - 1
    strip = View(trace, summary, [top], range(trace[summary].shape[1]))
    values, up = strip.values(), (last, y - LINK / 2 + 4)
    return "\n".join(
        [
            *(svg.line([(x, y), (x, y - 18), (last, y - 18), up], stroke=WIRE, width=2, arrow=True) for x in ends),
            svg.box(last - 90, y - LINK / 2 - 26, 118, 30, BELT, stroke=WIRE, radius=4),
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
    """Draw the answers with their probabilities above their steps."""
    at = {int(step): a for a, step in enumerate(trace["steps"].tolist())}
    body = []
    for i, step in enumerate(steps):
        if step in at:
            a, x = at[step], left + COLUMN * (i + 0.5)
            body.append(svg.line([(x, y), (x, y - 6)], stroke=WIRE, arrow=True))
            body.append(
                svg.text(
                    x, y - 21, trace.about.answers[a], anchor="middle", size=11, fill=INK, bold=True, most=COLUMN - 4
                )
            )
            if "log_prob" in trace:
                probability = number(float(trace["log_prob"][a].exp()))
                body.append(svg.text(x, y - 9, f"p {probability}", anchor="middle", size=9, fill=WIRE))
    return body
