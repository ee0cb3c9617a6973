"""The network rolled up, with its weights once, and unrolled, with a copy of every layer for each step.

Wide drawings let time run to the right, and layers rise; in narrow ones time runs down, and layers stand side by side.
Both are one drawing: a position is (step, across), which a Plan turns into pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from unrolled import svg
from unrolled.inside import Trace
from unrolled.palette import BELT, INK, LINE, MEMORY, PAPER, SOFT
from unrolled.pictures import wiring
from unrolled.pictures.attention import Weights, source_weights, threshold, transformer_weights
from unrolled.pictures.figure import Figure, Request, heading, marked, resolve_index, truth_of, verdict
from unrolled.pictures.layers import most_varied, recurrent
from unrolled.pictures.matrix import View, legend, number
from unrolled.pictures.stacks import LayerBoxes, Stack, drawn_steps, stacks_of
from unrolled.svg import Drawing, Scale

__all__ = ["can_draw", "draw"]

WIDE, HIGH, SECOND = 64.0, 46.0, 16.0  # pixels of a box, and of its strip for a second direction
UNITS = 6  # of a state, drawn in its box
TOKEN = 12.5  # size of a token's characters
BUS = 8.0  # pixels from the middle of a box to the wire of each direction, where there are two
STRIP, ROOM, MOST_ROWS = 8.0, 22.0, 14  # pixels of a unit, of the headings; steps of a narrow drawing


class Plan(NamedTuple):
    """Geometry of a drawing. Pixels across are counted from the tokens of the lowest stack.

    down: whether time runs down. step: pixels from step to step. start: pixels before the first step, where the network
    stands rolled up. words, rise, link: pixels across, of the tokens, from one layer to the next, and from an encoder
    to its decoder. answers: pixels across, of the answers. floor: the y of 0 across, where time runs to the right.
    """

    down: bool
    step: float
    start: float
    words: float
    rise: float
    link: float
    answers: float
    floor: float = 0

    def at(self, step: float, across: float) -> tuple[float, float]:
        """Return the pixels of a position; step −1 is the middle of the network rolled up."""
        along = (self.start - 24) / 2 if step < 0 else self.start + self.step * (step + 0.5)
        return (across, ROOM + along) if self.down else (along, self.floor - across)

    def half(self, two: bool) -> tuple[float, float]:
        """Return half the pixels of a box, along and across. two: whether it has two directions."""
        sizes = (WIDE / 2, (HIGH + SECOND * two) / 2)
        return sizes[::-1] if self.down else sizes

    def moved(self, position: tuple[float, float], along: float, across: float = 0) -> tuple[float, float]:
        """Return a position moved by pixels."""
        x, y = position
        return (x + across, y + along) if self.down else (x + along, y - across)


class Placed(NamedTuple):
    """A stack with the pixels across of its tokens and of each layer's middle, and the drawn steps."""

    stack: Stack
    words: float
    layers: Sequence[float]
    top: float
    steps: Sequence[int | None]


def can_draw(trace: Trace) -> bool:
    """Return whether the trace has layers with an output at each step."""
    return bool(stacks_of(trace, None))


def draw(traces: Sequence[Trace], request: Request) -> Figure:
    """Draw each network with all of its steps or, where they do not fit, the first ones and the last two."""
    drawings: list[Drawing] = []
    largest = max(1e-9, *(abs(float(trace[layer.tensor].abs().max())) for trace in traces
                          for stack in stacks_of(trace, request.head) for layer in stack.layers))  # fmt: skip
    scale = Scale.signed(largest)
    for trace in traces:
        drawings += [heading(trace, traces, most=request.width), _network(trace, request, scale), Drawing(0, 10, "")]
    key = legend(scale, f"number of a vector; the {UNITS} that vary most are shown", most=request.width)
    return Figure("The network, unrolled", svg.stack([*drawings, key], 4), _caption(traces, request))


def _caption(traces: Sequence[Trace], request: Request) -> str:
    words = "One network, drawn twice: rolled up, with a loop; and unrolled, once for each step with the same weights."
    if not any(recurrent(trace) for trace in traces):
        words = "Every step has the same blocks, with the same weights."
    marks = marked(traces, request)
    for trace in traces:
        if source_weights(trace) or transformer_weights(trace):
            return f"{words} Violet lines are attention: a wider line is a larger weight.{marks}"
        if "encoder.summary" in trace:
            return f"{words} All that the decoder learns of the source passes through one vector.{marks}"
    return f"{words} A double wire hands the state, a vector, to the next step.{marks}"


def _network(trace: Trace, request: Request, scale: Scale) -> Drawing:
    """Draw the stacks from the lowest up, with the link from an encoder to its decoder."""
    stacks = stacks_of(trace, request.head)
    rolled = any(layer.direction for stack in stacks for layer in stack.layers)
    plan = _plan(request, rolled, stacks)
    placed = _places(trace, stacks, plan, request)
    across = placed[-1].top + plan.answers
    across = max(across, request.width) if plan.down else across
    count = max(len(each.steps) for each in placed)
    if not plan.down:
        plan = plan._replace(floor=across + ROOM)
    body = [_headings(plan, count)] if rolled else []
    if len(placed) == 2:
        body.append(_link(trace, request, placed, plan, scale))
    body += [_stack(trace, each, plan, scale) for each in placed]
    if stacks[-1].module != "encoder":
        body.append(_answers(trace, placed[-1], plan, request))
    along = plan.start + plan.step * count
    size = (across, along + ROOM) if plan.down else (along, across + ROOM + 4)
    return Drawing(*size, "\n".join(body))


def _plan(request: Request, rolled: bool, stacks: Sequence[Stack]) -> Plan:
    layers = [layer for stack in stacks for layer in stack.layers]
    rise = 72.0 if any(layer.attention for layer in layers) else 38.0
    if request.is_narrow:
        step = HIGH + 20 + SECOND * any(layer.reverse for layer in layers)
        tokens = [token for stack in stacks if stack.shows_tokens for token in stack.tokens]
        words = max((wiring.word_width(token, most=72, size=TOKEN) for token in tokens), default=0)
        return Plan(True, step, 140 if rolled else 0, words + 2, max(44, rise - 24), 72, 64)
    return Plan(False, 76, 150 if rolled else 0, 40, rise, 100, 50)


def _places(trace: Trace, stacks: Sequence[Stack], plan: Plan, request: Request) -> list[Placed]:
    columns = MOST_ROWS if plan.down else int((request.width - plan.start) // plan.step)
    placed: list[Placed] = []
    across = 0.0
    for stack in stacks:
        words = across + plan.words / 2
        across += plan.words if stack.shows_tokens else 0
        layers = []
        for i, layer in enumerate(stack.layers):
            _, half = plan.half(bool(layer.reverse))
            across += (plan.rise if i or layer.attention else 16 * stack.shows_tokens) + half
            layers.append(across)
            across += half
        steps = drawn_steps(len(trace[stack.layers[0].tensor]), columns)
        placed.append(Placed(stack, words, layers, across, steps))
        across += plan.link
    return placed


def _headings(plan: Plan, count: int) -> str:
    """Draw the words above both halves, and the sign between them."""
    middle = (plan.start - 24) / 2
    left = 0 if plan.down else middle
    first = (0.0, ROOM + plan.start - 14) if plan.down else (plan.start, 12.0)
    sign = (WIDE / 2 + 76, ROOM + plan.start - 34) if plan.down else (plan.start - 10, plan.floor / 2 + ROOM)
    words = "unrolled: the same weights at every step"
    return "\n".join(
        [
            svg.text(left, 12, "rolled up", anchor="start" if plan.down else "middle", fill=SOFT),
            svg.text(*first, words, fill=SOFT, most=plan.step * count if not plan.down else 1e9),
            "" if plan.down else svg.text(*sign, "=", anchor="middle", size=22, fill=SOFT),
        ]
    )


def _stack(trace: Trace, placed: Placed, plan: Plan, scale: Scale) -> str:
    """Draw one stack: tokens, boxes with their strongest units, and the wires between layers and between steps."""
    body: list[str] = []
    stack, below = placed.stack, placed.words + 17
    for layer, across in zip(stack.layers, placed.layers, strict=True):
        _, half = plan.half(bool(layer.reverse))
        if layer.direction:
            body.append(_rolled(layer, plan, below if stack.shows_tokens or layer != stack.layers[0] else None, across))
        if layer.attention is not None:
            keys = [None if step is None else step + layer.attention.before for step in placed.steps]
            body += _attention(layer.attention, plan, (keys, below), (placed.steps, across - half))
        units = (
            most_varied(trace[layer.tensor], UNITS),
            most_varied(trace[layer.reverse], UNITS) if layer.reverse else [],
        )
        for i, step in enumerate(placed.steps):
            if step is None:
                body.append(
                    svg.text(*plan.moved(plan.at(i, across), 4 if plan.down else 0), "…", anchor="middle", fill=INK)
                )
                continue
            if layer.attention is None and (stack.shows_tokens or layer != stack.layers[0]):
                body.append(wiring.bus([plan.at(i, below), plan.at(i, across - half)], arrow=True))
            body += _between(layer, plan, i, across)
            body.append(_box(trace, layer, units, step, plan.at(i, across), scale))
        below = across + half
    if stack.shows_tokens:
        body += _tokens(placed, plan)
    return "\n".join(body)


def _tokens(placed: Placed, plan: Plan) -> list[str]:
    body = []
    for i, step in enumerate(placed.steps):
        token = placed.stack.tokens[step] if step is not None and step < len(placed.stack.tokens) else ""
        if token:
            body.append(wiring.word(*plan.at(i, placed.words), token, most=72, size=TOKEN))
    if plan.start:
        body.append(wiring.word(*plan.at(-1, placed.words), "x", most=72, size=TOKEN))
    return body


def _between(layer: LayerBoxes, plan: Plan, i: int, across: float) -> list[str]:
    """Draw the wires that hand the state from the step before to step i, or back."""
    if not i:
        return []
    along, _ = plan.half(bool(layer.reverse))
    before, after = plan.at(i - 1, across), plan.at(i, across)
    if not layer.reverse:
        ends = [plan.moved(before, along), plan.moved(after, -along)]
        return [wiring.bus(ends[:: layer.direction], arrow=True)] if layer.direction else []
    forward = [plan.moved(before, along, BUS), plan.moved(after, -along, BUS)]
    back = [plan.moved(after, -along, -BUS), plan.moved(before, along, -BUS)]
    return [wiring.bus(forward, arrow=True), wiring.bus(back, arrow=True)]


def _box(
    trace: Trace, layer: LayerBoxes, units: tuple[Sequence[int], Sequence[int]], step: int, at: tuple[float, float],
    scale: Scale,
) -> str:  # fmt: skip
    """Draw a layer at a step, with some units of its output."""
    x, y = at
    high = HIGH + SECOND * bool(layer.reverse)
    top = y - high / 2
    body = [
        svg.box(x - WIDE / 2, top, WIDE, high, PAPER, stroke=INK, radius=10),
        svg.text(x, top + 16, layer.label, anchor="middle", size=11.5, fill=INK),
    ]
    for k, tensor in enumerate(filter(None, (layer.tensor, layer.reverse))):
        view = View(trace, tensor, [step], units[k])
        wide, low = STRIP * len(units[k]), top + 24 + SECOND * k
        label = f"{tensor}[{step}]"
        body.append(svg.raster(x - wide / 2, low, wide, 12, view.values(), scale, label=label, **view.data()))
        body.append(svg.box(x - wide / 2, low, wide, 12, "none", stroke=LINE))
    return "\n".join(body)


def _rolled(layer: LayerBoxes, plan: Plan, below: float | None, across: float) -> str:
    """Draw a layer rolled up, with its state returning to it. below: where its input comes from."""
    centre = plan.at(-1, across)
    along, half = plan.half(bool(layer.reverse))
    out, over = 14.0, half + 12
    loop = [
        plan.moved(centre, along), plan.moved(centre, along + out), plan.moved(centre, along + out, over),
        plan.moved(centre, -along - out, over), plan.moved(centre, -along - out), plan.moved(centre, -along),
    ]  # fmt: skip
    x, y = centre
    high = HIGH + SECOND * bool(layer.reverse)
    return "\n".join(
        [
            *([wiring.bus([plan.at(-1, below), plan.at(-1, across - half)], arrow=True)] if below is not None else []),
            wiring.bus(loop[:: layer.direction], arrow=True, both=bool(layer.reverse)),
            svg.box(x - WIDE / 2, y - high / 2, WIDE, high, PAPER, stroke=INK, radius=10),
            svg.text(x, y + 4, layer.label, anchor="middle", size=13, fill=INK, bold=True),
        ]
    )


def _attention(
    weights: Weights,
    plan: Plan,
    keys: tuple[Sequence[int | None], float],
    queries: tuple[Sequence[int | None], float],
) -> list[str]:
    """Draw lines from the keys to the queries, as wide as their weights. Each: their indices, and pixels across."""
    values, least = weights.view().values(), threshold(weights)
    body = []
    for i, t in enumerate(queries[0]):
        for j, s in enumerate(keys[0]):
            if t is None or s is None or (weight := float(values[t, s])) < least:
                continue
            name = f"{weights.tensor}[{','.join(map(str, (*weights.lead, t, s)))}] = {number(weight)}"
            ends = [plan.at(j, keys[1] + 3), plan.at(i, queries[1] - 3)]
            body.append(svg.line(ends, stroke=MEMORY, width=0.8 + 5 * weight, name=name))
    return body


def _link(trace: Trace, request: Request, placed: Sequence[Placed], plan: Plan, scale: Scale) -> str:
    """Draw the link from an encoder to its decoder: attention, or the fixed vector."""
    encoder, decoder = placed
    weights = source_weights(trace) or [
        each for each in transformer_weights(trace) if each.tensor.startswith("decoder.")
    ]
    if weights:  # where source and target are one sequence, the first keys are those of the source
        highest = [each for each in weights if each.tensor == weights[-1].tensor]
        one = highest[resolve_index(request.head, len(highest), "head", 0)]
        end = encoder.top + plan.link
        return "\n".join(_attention(one, plan, (encoder.steps, encoder.top), (decoder.steps, end)))
    return _fixed_vector(trace, encoder, plan, scale)


def _fixed_vector(trace: Trace, encoder: Placed, plan: Plan, scale: Scale) -> str:
    layer, across = encoder.stack.layers[-1], encoder.top + plan.link / 2
    last = len(encoder.steps) - 1
    middle = last / 2
    wide, high = (66.0, 58.0) if plan.down else (150.0, 44.0)
    along = (high if plan.down else wide) / 2
    tensor = "encoder.summary"
    top = len(trace[tensor]) - 1
    units = most_varied(trace[layer.tensor], UNITS)
    view = View(trace, tensor, [top], units)
    x, y = plan.at(middle, across)
    words = ["one fixed", "vector"] if plan.down else ["one fixed vector"]
    # A direction ends at the last step, or at the first one where it reads from the end.
    ends = [last] * (layer.direction > 0) + [0] * (layer.direction < 0 or bool(layer.reverse))
    wires = [
        wiring.bus(
            [
                plan.at(i, encoder.top),
                plan.at(i, across - 12),
                plan.moved(plan.at(middle, across - 12), along if i else -along),
            ],
            arrow=True,
        )
        for i in ends
    ]
    out = [
        plan.moved(plan.at(middle, across + 12), -along),
        plan.at(0, across + 12),
        plan.at(0, encoder.top + plan.link),
    ]
    return "\n".join(
        [
            *wires,
            wiring.bus(out, arrow=True),
            svg.box(x - wide / 2, y - high / 2, wide, high, BELT, stroke=MEMORY, radius=10),
            *(svg.text(x, y - high / 2 + 16 + 14 * k, each, anchor="middle", fill=INK) for k, each in enumerate(words)),
            svg.raster(x - STRIP * len(units) / 2, y + high / 2 - 20, STRIP * len(units), 12, view.values(), scale,
                       label=f"{tensor}[{top}]", **view.data()),
        ]
    )  # fmt: skip


def _answers(trace: Trace, placed: Placed, plan: Plan, request: Request) -> str:
    """Draw the answers with their probabilities at their steps, and whether they are right where that is known."""
    at = {int(step): a for a, step in enumerate(trace["steps"].tolist())}
    body = []
    for i, step in enumerate(placed.steps):
        if step not in at:
            continue
        a = at[step]
        body.append(wiring.bus([plan.at(i, placed.top), plan.at(i, placed.top + 16)], arrow=True))
        x, y = plan.at(i, placed.top + 20)
        anchor, lines = ("start", [y, y + 15]) if plan.down else ("middle", [y - 16, y - 2])
        mark = verdict(trace.about.answers, a, truth_of(trace, request))
        answer = f"{trace.about.answers[a]} {mark}".strip()
        alone = request.width - x if plan.down else 2 * (request.width - x)
        most = alone if plan.down or len(at) == 1 else plan.step - 4
        body.append(svg.text(x, lines[0], answer, anchor=anchor, size=13, fill=INK, bold=True, most=most))
        if "log_prob" in trace:
            probability = number(float(trace["log_prob"][a].exp()))
            body.append(svg.text(x, lines[1], f"p {probability}", anchor=anchor, size=11, fill=SOFT))
    return "\n".join(body)
