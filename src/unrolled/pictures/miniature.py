"""Small picture of the way of an input through an architecture to its answer.

Wires from the tokens are as wide as the bits that the answer loses without the token (blue; orange where it gains).
The wire between the steps of a recurrent layer is as wide as the fraction of the step that is left at the end, and
violet wires are attention.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from unrolled import svg
from unrolled.cells import CELLS
from unrolled.inside import Trace
from unrolled.palette import ABOVE, BELOW, BELT, CARD, INK, MEMORY, SOFT, WIRE
from unrolled.pictures.attention import source_weights, transformer_weights
from unrolled.pictures.layers import recurrent
from unrolled.pictures.matrix import number
from unrolled.svg import Drawing

__all__ = ["HEIGHT", "miniature"]

HEIGHT = 108.0
TOP, MIDDLE, LOW, WORDS = 24.0, 52.0, 80.0, 104.0  # the rows of nodes, and the baseline of the lowest labels
SPACE, EDGE = 19.0, 6.0  # pixels between two tokens at most, and beside the outer ones
LINES = 4  # of attention, for each step
THIN, THICK = 0.8, 5.0  # pixels of a wire

Numbers = NDArray[np.float32]


def miniature(trace: Trace, width: float) -> Drawing:
    """Return the small picture of a trace, HEIGHT pixels high."""
    if trace.about.source:
        body = _one_sequence(trace, width) if _single(trace) else _pair(trace, width)
    elif recurrent(trace):
        body = _chain(trace, width)
    elif transformer_weights(trace):
        body = _blocks(trace, width)
    else:
        body = _fan(trace, width)
    return Drawing(width, HEIGHT, "\n".join(body))


def _single(trace: Trace) -> bool:
    """Return whether source and target are one sequence: a stack of blocks reads both, without attention across."""
    return bool(transformer_weights(trace)) and not source_weights(trace)


# Parts ----------------------------------------------------------------------------------------------------------------


def _places(count: int, width: float) -> list[float]:
    """Return the x of each of the tokens, in the middle of the width."""
    space = min(SPACE, (width - 2 * EDGE) / max(1, count))
    return [width / 2 + (k - (count - 1) / 2) * space for k in range(count)]


def _node(x: float, y: float, count: int, width: float, *, filled: bool = False, name: str = "") -> str:
    radius = max(1.2, min(4.5, (width - 2 * EDGE) / max(1, count) / 2.6))
    return svg.dot(x, y, radius, INK if filled else CARD, stroke=INK, name=name)


def _answer(trace: Trace, index: int) -> str:
    """Return the probability of an answer, or the predicted number, as the text under the pointer."""
    if "log_prob" in trace:
        return f"exp log_prob[{index}] = {number(float(trace['log_prob'][index].exp()))}"
    return f"value[{index}] = {number(float(trace['value'][index]))}" if "value" in trace else ""


def _occlusion(trace: Trace, steps: int) -> Numbers:
    """Return the bits that the last answer loses without each token; 0 where they were not computed."""
    if "occlusion" not in trace:
        return np.zeros(steps, np.float32)
    found: Numbers = trace["occlusion"].numpy()[-1]
    return np.pad(found[:steps], (0, max(0, steps - len(found))))


def _reading(trace: Trace, xs: Sequence[float], lost: Numbers, ends: Sequence[tuple[float, float]]) -> list[str]:
    """Draw the wire from each token to its end, as wide as the bits lost without it."""
    largest = max(1e-9, float(np.abs(lost).max(initial=0)))
    answer, body = len(trace.about.answers) - 1, []
    for k, (x, value, end) in enumerate(zip(xs, lost, ends, strict=True)):
        part = abs(float(value)) / largest
        colour = WIRE if part < 0.03 else ABOVE if value > 0 else BELOW
        name = f"occlusion[{answer},{k}] = {number(float(value))}" if "occlusion" in trace else ""
        body.append(svg.line([(x, LOW), end], stroke=colour, width=THIN + THICK * part, name=name))
    return body


def _named(trace: Trace, xs: Sequence[float], lost: Numbers, width: float) -> list[str]:
    """Name the token without which the answer loses most."""
    tokens = trace.about.tokens
    if not len(lost) or not tokens or lost.max() <= 0:
        return []
    k = int(lost.argmax())
    word = svg.shorten(tokens[k], width, 11) if k < len(tokens) else ""
    half = svg.columns(word) * svg.UNIT * 11 / 24
    x = min(max(xs[k], half), width - half)
    return [svg.text(x, WORDS, word, anchor="middle", size=11, fill=INK, bold=True)]


def _labels(words: Sequence[str], xs: Sequence[float], y: float) -> list[str]:
    """Label the nodes, where all labels have room."""
    space = xs[1] - xs[0] if len(xs) > 1 else SPACE
    if any(svg.columns(word) * 8 > space + 1 for word in words):
        return []
    return [svg.text(x, y, word, anchor="middle", size=11, fill=SOFT) for x, word in zip(xs, words, strict=False)]


def _attention(
    weights: Sequence[Numbers], from_xs: Sequence[float], to_xs: Sequence[float], low: float, high: float
) -> list[str]:
    """Draw the largest weights (T, S) of each query, as wires from the keys at y = low to the queries at y = high."""
    body = []
    for row, x in zip(weights, to_xs, strict=False):
        for s in sorted(range(len(row)), key=lambda s: -float(row[s]))[:LINES]:
            if (weight := float(row[s])) > 0.02 and s < len(from_xs):
                body.append(
                    svg.line(
                        [(from_xs[s], low), (x, high)],
                        stroke=MEMORY,
                        width=THIN + THICK * 0.8 * weight,
                        opacity=0.3 + 0.7 * weight,
                    )
                )
    return body


def _mean(trace: Trace, tensor: str) -> Sequence[Numbers]:
    """Return attention weights (T, S), their mean over the heads."""
    found = trace[tensor].numpy()
    return [*(found.mean(0) if found.ndim == 3 else found)]


# Architectures --------------------------------------------------------------------------------------------------------


def _fan(trace: Trace, width: float) -> list[str]:
    """Draw all tokens as read at once."""
    steps = max(1, len(trace.about.tokens))
    xs, lost, top = _places(steps, width), _occlusion(trace, steps), (width / 2, TOP)
    answer = _answer(trace, len(trace.about.answers) - 1)
    return [
        *_reading(trace, xs, lost, [top] * steps),
        *(_node(x, LOW, steps, width, filled=True) for x in xs),
        svg.dot(*top, 9, CARD, stroke=INK, name=answer),
        *_named(trace, xs, lost, width),
    ]


def _chain(trace: Trace, width: float) -> list[str]:
    """Draw a recurrent layer; the wire between steps shows the fraction of each step that is left at the end."""
    layer = recurrent(trace)[0]
    steps = len(trace[f"{layer.name}.h"])
    xs, lost, y = _places(steps, width), _occlusion(trace, steps), TOP + 12
    body = []
    if CELLS[layer.cell].keeps is not None:
        body.append(svg.line([(xs[0] - 5, y), (xs[-1] + 5, y)], stroke=BELT, width=20))
    left = trace["retention"].numpy()[-1] if "retention" in trace else np.zeros(steps)
    for k in range(steps - 1):
        size = THIN + 9 * min(1.0, float(left[k]))
        name = f"retention[{steps - 1},{k}] = {number(float(left[k]))}" if "retention" in trace else ""
        body.append(svg.line([(xs[k], y), (xs[k + 1], y)], stroke=MEMORY, width=size, name=name))
    return [
        *body,
        *_reading(trace, xs, lost, [(x, y) for x in xs]),
        *(_node(x, y, steps, width) for x in xs[:-1]),
        svg.dot(xs[-1], y, 7, CARD, stroke=INK, name=_answer(trace, len(trace.about.answers) - 1)),
        *(_node(x, LOW, steps, width, filled=True) for x in xs),
        *_named(trace, xs, lost, width),
    ]


def _blocks(trace: Trace, width: float) -> list[str]:
    """Draw blocks: each step attends to the steps that it may; one answer reads all of them, many answers one each."""
    weights = _mean(trace, transformer_weights(trace)[-1].tensor)
    steps = len(weights)
    xs, lost = _places(steps, width), _occlusion(trace, steps)
    answers = len(trace.about.answers)
    one = answers == 1 < steps
    top = [svg.line([(x, MIDDLE), (width / 2, 14)], stroke=WIRE, width=THIN) for x in xs] if one else []
    return [
        *_attention(weights, xs[-len(weights[0]) :], xs, LOW, MIDDLE if one else TOP),
        *top,
        *(_node(x, MIDDLE, steps, width) for x in xs if one),
        *(_node(x, TOP, steps, width, name=_answer(trace, k)) for k, x in enumerate(xs[-answers:]) if not one),
        *([svg.dot(width / 2, 14, 7, CARD, stroke=INK, name=_answer(trace, 0))] if one else []),
        *(_node(x, LOW, steps, width, filled=True) for x in xs),
        *_named(trace, xs, lost, width),
    ]


def _one_sequence(trace: Trace, width: float) -> list[str]:
    """Draw a source and target that are one sequence; each step attends to those up to itself."""
    encoder, decoder = (
        [each.tensor for each in transformer_weights(trace) if each.tensor.startswith(part)][-1]
        for part in ("encoder.", "decoder.")
    )
    weights = [*_mean(trace, encoder), *_mean(trace, decoder)]
    steps, sources, answers = len(weights), trace.about.source, trace.about.answers
    xs = _places(steps, width)
    answer = [svg.text((xs[len(sources)] + xs[-1]) / 2 + 4, WORDS, "answer", anchor="middle", size=11, fill=SOFT)]
    return [
        *_attention(weights, xs, xs, LOW, TOP),
        *(_node(x, LOW, steps, width, filled=True) for x in xs),
        *(_node(x, TOP, steps, width) for x in xs[: -len(answers)]),
        *(_node(x, TOP, steps, width, name=_answer(trace, a)) for a, x in enumerate(xs[-len(answers) :])),
        *_labels(sources, xs[: len(sources)], WORDS),
        *(answer if xs[-1] - xs[len(sources)] > 45 else []),
    ]


def _pair(trace: Trace, width: float) -> list[str]:
    """Draw a source below and the answers above, with the vector or the attention between them."""
    about = trace.about
    answers = [word for word in about.answers if word != "<eos>"]
    sources, outputs = _places(len(about.source), width), _places(len(answers), width)
    between, found = [], source_weights(trace)
    encoder = [each for each in transformer_weights(trace) if each.tensor.startswith("encoder.")]
    if found:
        low = MIDDLE if encoder else LOW
        between += _attention(_mean(trace, found[-1].tensor), sources, outputs, low, TOP)
    if encoder:
        between += _attention(_mean(trace, encoder[-1].tensor), sources, sources, LOW, MIDDLE)
        between += [_node(x, MIDDLE, len(sources), width) for x in sources]
    if not found and outputs:
        middle, right, left = width / 2, sources[-1], outputs[0]
        over, under = right + 22, left - 22
        between += [
            svg.path(f"M{right:.1f} {LOW}C{over:.1f} {LOW} {over:.1f} {MIDDLE} {middle:.1f} {MIDDLE}", stroke=WIRE),
            svg.path(f"M{middle:.1f} {MIDDLE}C{under:.1f} {MIDDLE} {under:.1f} {TOP} {left:.1f} {TOP}", stroke=WIRE),
            svg.dot(middle, MIDDLE, 8, BELT, stroke=MEMORY),
        ]
    if recurrent(trace):
        between += [svg.line([(xs[0], y), (xs[-1], y)], stroke=WIRE, width=1.6)
                    for xs, y in ((sources, LOW), (outputs, TOP)) if xs]  # fmt: skip
    return [
        *between,
        *(_node(x, LOW, len(sources), width, filled=True) for x in sources),
        *(_node(x, TOP, len(outputs), width, name=_answer(trace, a)) for a, x in enumerate(outputs)),
        *_labels(about.source, sources, WORDS),
        *_labels(answers, outputs, TOP - 10),
    ]
