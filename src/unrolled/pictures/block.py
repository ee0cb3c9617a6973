"""Block of a Transformer at one step: a vector on its way up, and the vectors that the sublayers add to it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unrolled import svg
from unrolled.errors import ConfigError, nearest
from unrolled.inside import Trace
from unrolled.palette import CARD, INK, MEMORY, SOFT, WIRE
from unrolled.pictures import sentences, wiring
from unrolled.pictures.attention import Weights, transformer_weights
from unrolled.pictures.figure import Figure, Request, heading, resolve_index, translated
from unrolled.svg import Drawing

__all__ = ["can_draw", "draw"]

HIGH, RISE = 54.0, 62.0  # pixels of a sublayer's box, and from its middle up to the + on the belt
NUMBER = 16.0  # pixels that the number of a token takes beyond the token's column
KEYS = 96.0  # pixels from the middle of a box down to the tokens that it attends to


class Space(NamedTuple):
    """Horizontal positions of a layout, in pixels: the belt, the middle of a norm, a sublayer's box, a token in it."""

    belt: float
    norm: float
    left: float
    right: float
    token: float


class Sublayer(NamedTuple):
    """Part of a block that adds a vector to the belt.

    name: the words in its box. detail: its second line. added, after: lengths of its output and of the belt above it.
    output: the tensor that it adds. weights: of an attention.
    """

    name: str
    detail: str
    output: str
    added: float
    after: float
    weights: Weights | None = None


class Block(NamedTuple):
    """Block of a trace at a step. start: the length of its input. norm_first: whether a norm precedes a sublayer."""

    token: str
    start: float
    sublayers: Sequence[Sublayer]
    norm_first: bool


def can_draw(trace: Trace) -> bool:
    """Return whether the trace has the vectors of a Transformer's blocks."""
    return bool(_layers(trace))


def draw(traces: Sequence[Trace], request: Request) -> Figure:
    """Draw the block of each trace: by default the highest, at the last step."""
    drawings, texts = [], []
    for trace in traces:
        layer = _requested(trace, request)
        step = resolve_index(request.step, len(trace[f"{layer}.x"]), "step", len(trace[f"{layer}.x"]) - 1)
        block = _block(trace, layer, step, request)
        drawings += [
            heading(trace, traces, f"{layer}, step {step} ({block.token})"),
            _drawing(trace, layer, step, block, request),
        ]
        read = [
            (each.name, *_read_most(each.weights, step, request))
            for each in block.sublayers
            if each.weights is not None
        ]
        texts += sentences.block([(each.name, each.added, each.after) for each in block.sublayers], read)
    return Figure("A Transformer block at one step", svg.stack(drawings, 6), " ".join(texts))


def _layers(trace: Trace) -> list[str]:
    """Return the prefixes of the tensors of every block, in order."""
    return [match[1] for name in trace if (match := re.fullmatch(r"(.*transformer\.l\d+)\.attention_input", name))]


def _requested(trace: Trace, request: Request) -> str:
    """Return the requested block, or the highest one.

    Raises:
        ConfigError: there is no block of this name.
    """
    names = _layers(trace)
    if request.layer is None:
        return names[-1]
    if request.layer not in names:
        near = nearest(request.layer, names)
        raise ConfigError(f'there is no block "{request.layer}"{near}; blocks are {", ".join(names)}')
    return request.layer


def _length(trace: Trace, tensor: str, step: int) -> float:
    return float(trace[tensor][step].norm())


def _block(trace: Trace, layer: str, step: int, request: Request) -> Block:
    """Return the numbers of a block at a step."""
    heads = {each.tensor: each for each in transformer_weights(trace)}
    own = heads[f"{layer}.weights"]
    count, inner = len(trace[f"{layer}.weights"]), trace[f"{layer}.inner"][step]
    detail = f"{count} heads" if request.head is None else f"head {request.head} of {count}"
    found: list[tuple[str, str, str, Weights | None]] = [("attention", detail, "attention_", own)]
    if f"{layer}.cross.weights" in trace:
        found.append(("cross-attention", f"{detail}, on the source", "cross.", heads[f"{layer}.cross.weights"]))
    found.append(("feedforward", f"{int((inner > 0).sum())} of {len(inner)} units above 0", "feedforward_", None))
    after = [f"{layer}.{prefix}input" for _, _, prefix, _ in found[1:]] + [f"{layer}.y"]
    norm_first = not bool((trace[f"{layer}.attention_input"] == trace[f"{layer}.x"]).all())
    x, sublayers = trace[f"{layer}.x"][step], []
    for (name, words, prefix, weights), above in zip(found, after, strict=True):
        output = f"{layer}.{prefix}output"
        x = x + trace[output][step] if norm_first else trace[above][step]
        sublayers.append(Sublayer(name, words, output, _length(trace, output, step), float(x.norm()), weights))
    return Block(own.keys[own.before + step], _length(trace, f"{layer}.x", step), sublayers, norm_first)


def _of_step(weights: Weights, step: int, request: Request) -> NDArray[np.float32]:
    """Return the weights of a step, of the requested head or their mean over the heads, (S,)."""
    whole = weights.trace[weights.tensor][:, step]
    head = resolve_index(request.head, len(whole), "head", 0)
    chosen: NDArray[np.float32] = (whole.mean(dim=0) if request.head is None else whole[head]).numpy()
    return chosen


def _read_most(weights: Weights, step: int, request: Request) -> tuple[str, float]:
    """Return the token with the largest weight, and that weight."""
    values = _of_step(weights, step, request)
    largest = int(values.argmax())
    return weights.keys[largest], float(values[largest])


def _drawing(trace: Trace, layer: str, step: int, block: Block, request: Request) -> Drawing:
    """Draw a block from below; y falls on the way up, and the whole is moved down at the end."""
    wide, width = not request.is_narrow, float(request.width)
    space = Space(120, 250, 330, width - 8, 74) if wide else Space(30, 96, 136, width - 4, 45)
    body, y = _entry(trace, layer, step, block, space)
    first, y = y, y - 24
    for sublayer in block.sublayers:
        drawn, y = _sublayer(sublayer, step, block.norm_first, y, space, request)
        body += drawn
    top = y - 34
    belt = [wiring.band([(space.belt, first), (space.belt, top + 12)]), _arrow(space.belt, first, top)]
    body.append(svg.text(space.belt + 24, top + 10, "to the next layer", size=12, fill=SOFT))
    return translated(Drawing(width, 0, "\n".join([*belt, *body])), 0, 8 - top, width, 8 - top + 14)


def _arrow(x: float, bottom: float, top: float) -> str:
    return f"{wiring.bus([(x, bottom), (x, top + 10)])}\n{_head(x, top, 13, WIRE)}"


def _head(x: float, tip: float, size: float, fill: str) -> str:
    """Return an arrowhead that points up."""
    half, low = 0.65 * size, tip + size
    corners = f"{x:.1f},{tip:.1f} {x - half:.1f},{low:.1f} {x + half:.1f},{low:.1f}"
    return f'<polygon points="{corners}" fill="{fill}"/>'


def _entry(trace: Trace, layer: str, step: int, block: Block, space: Space) -> tuple[list[str], float]:
    """Draw the vector that enters the block: the token and its position, or the output of the block below."""
    phase = layer[: layer.index("transformer")]
    position = f"{phase}transformer.position"
    body, y = [wiring.word(space.belt, -9, block.token, most=2 * space.belt)], -26.0
    if position in trace and layer.endswith(".l0"):
        y -= 34
        body += [
            wiring.bus([(space.belt, -26), (space.belt, y)]),
            wiring.bus([(space.left, y), (space.belt + 17, y)], name=f"{position}[{step}]"),
            wiring.operation(space.belt, y, "+"),
            svg.box(space.left, y - 17, 112, 34, CARD, stroke=INK, radius=17),
            svg.text(space.left + 56, y + 5, f"position {step}", anchor="middle", size=13, fill=INK, bold=True),
            _length_label((space.belt + space.left) / 2, y - 9, _length(trace, position, step), "middle"),
        ]
        y -= 17
    elif not layer.endswith(".l0"):
        body.append(svg.text(space.left, -5, "from the block below", size=12, fill=SOFT))
    body.append(_length_label(space.belt + 24, y - 20, block.start, "start", "length "))
    return body, y


def _length_label(x: float, y: float, length: float, anchor: str, before: str = "") -> str:
    first = f'<tspan fill="{SOFT}" font-weight="normal">{before}</tspan>' if before else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="13" font-weight="bold" fill="{INK}" '
        f'stroke="{CARD}" stroke-width="4" paint-order="stroke" stroke-linejoin="round">'
        f"{first}{sentences.number(length)}</text>"
    )


def _sublayer(
    sublayer: Sublayer, step: int, norm_first: bool, y: float, space: Space, request: Request
) -> tuple[list[str], float]:
    """Draw a sublayer above y: its input from the belt, its box, and its output, added to the belt."""
    middle = y - (KEYS + 6 if sublayer.weights is not None else 44)
    join, centre = middle - RISE, (space.left + space.right) / 2
    body = [wiring.bus([(space.belt, middle), (space.left, middle)])]
    if norm_first:
        body.append(_norm(space.norm, middle, space))
    body += [
        wiring.bus([(centre, middle), (centre, join), (space.belt + 17, join)], name=sublayer.output),
        svg.box(space.left, middle - HIGH / 2, space.right - space.left, HIGH, CARD, stroke=INK, radius=10),
        svg.text(centre, middle - 2, sublayer.name, anchor="middle", size=14.5, fill=INK, bold=True),
        svg.text(centre, middle + 16, sublayer.detail, anchor="middle", size=12, fill=SOFT),
        _length_label((space.norm + centre) / 2, join - 9, sublayer.added, "middle", "adds "),
        wiring.operation(space.belt, join, "+", name=sublayer.output),
    ]
    if sublayer.weights is not None:
        body += _keys(sublayer.weights, step, middle + HIGH / 2, space, request)
    top = join - 17
    if not norm_first:
        top -= 44
        body.append(_norm(space.belt, top + 18, space))
    top -= 24
    body.append(_length_label(space.belt + 24, top + 4, sublayer.after, "start", "length "))
    return body, top


def _norm(x: float, y: float, space: Space) -> str:
    half = min(33.0, space.norm - space.belt - 28)
    box = svg.box(x - half, y - 15, 2 * half, 30, CARD, stroke=INK, radius=10)
    return f"{box}\n{svg.text(x, y + 5, 'norm', anchor='middle', size=13, fill=INK, bold=True)}"


def _keys(weights: Weights, step: int, edge: float, space: Space, request: Request) -> list[str]:
    """Draw the tokens that a step attends to below its box: those with the largest weights, and the next masked one."""
    values = _of_step(weights, step, request)
    scores = weights.trace[weights.tensor.removesuffix("weights") + "score"][0, step]
    masked = [int(each) for each in np.flatnonzero(~scores.isfinite().numpy() & (values == 0))][:1]
    spare = 0 if masked else NUMBER  # a masked token is the last one and has no number
    count = max(1, int((space.right - space.left - spare) // space.token) - len(masked))
    own = {weights.before + step} if ".cross." not in weights.tensor else set[int]()
    largest = [int(each) for each in np.argsort(-values, kind="stable") if each not in own and values[each] > 0]
    shown = sorted({*own, *largest[: count - len(own)]})
    left = (space.left + space.right - space.token * (len(shown) + len(masked) - 1) - spare) / 2
    body, low = [], edge + KEYS - HIGH / 2 - 12
    for column, key in enumerate([*shown, *masked]):
        x = left + column * space.token
        body += _key(weights, step, key, float(values[key]), (x, edge, low), space.token, key in masked, request)
    if rest := [each for each in range(len(values)) if each not in (*shown, *masked) and values[each] > 0]:
        words = f"{len(rest)} other{'s' * (len(rest) > 1)}: {sentences.number(float(values[rest].sum()))}"
        body.append(svg.text(space.right, low + 32, words, anchor="end", size=12, fill=SOFT))
    return body


def _key(
    weights: Weights,
    step: int,
    key: int,
    value: float,
    place: tuple[float, float, float],
    column: float,
    masked: bool,
    request: Request,
) -> list[str]:
    """Draw a token and its weight, as a wire into the box."""
    x, edge, low = place
    head = ":" if request.head is None else str(request.head)
    name = f"{'mean of ' * (request.head is None)}{weights.tensor}[{head},{step},{key}] = {sentences.number(value)}"
    is_own = ".cross." not in weights.tensor and key == weights.before + step
    ink = SOFT if masked else CARD if is_own else INK
    wide = column - 6
    pill = svg.box(x - wide / 2, low - 12, wide, 24, INK if is_own else CARD, stroke=WIRE if masked else INK, radius=12,
                   dash="3 3" if masked else "", name=name)  # fmt: skip
    words = svg.text(
        x, low + 4.5, wiring.visible(weights.keys[key]), anchor="middle", size=11.5, fill=ink, most=wide - 2
    )
    if masked:
        stop = low - 19
        return [
            pill,
            words,
            svg.line([(x, low - 12), (x, stop)], stroke=WIRE, width=1.5, dash="3 3"),
            svg.line([(x - 6, stop), (x + 6, stop)], stroke=SOFT, width=2),
            svg.text(x, edge + 12, "hidden", anchor="middle", size=11, fill=SOFT),
        ]
    return [
        pill,
        words,
        wiring.wire([(x, low - 12), (x, edge + 1)], value, role="memory", joins=True, name=name),
        f'<text x="{x + 8:.1f}" y="{(low - 12 + edge) / 2 + 4:.1f}" font-size="12" font-weight="bold" '
        f'fill="{MEMORY}">{sentences.number(value)}</text>',
    ]
