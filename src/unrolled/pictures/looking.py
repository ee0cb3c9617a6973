"""The inside of one look: how a step's query becomes scores, weights and a context, with their real numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from unrolled import svg
from unrolled.errors import ConfigError, nearest
from unrolled.inside import Trace
from unrolled.inside.diagrams import Diagram, Value, load
from unrolled.pictures.attention import Weights, to_source, within
from unrolled.pictures.cell import drawn
from unrolled.pictures.figure import WIDTH, Asked, Figure, chosen, heading
from unrolled.pictures.matrix import number
from unrolled.svg import INK, Drawing, Scale

__all__ = ["draw", "shows"]

ROWS, STRIP = 10, 84  # places looked at that are listed; pixels, of a vector in its box


class Look(NamedTuple):
    """A diagram of one step's attention: its layer and head, and the weights."""

    diagram: Diagram
    layer: str
    head: int | None
    weights: Weights


def shows(trace: Trace) -> bool:
    """Whether a step looks at others."""
    return bool(to_source(trace) or within(trace))


def _look(trace: Trace, asked: Asked) -> Look:
    """The attention to the source where there is one, of the highest layer; else that within the layers.

    Raises:
        ConfigError: the layer that is asked for looks at nothing.
    """
    found = to_source(trace) or within(trace)
    if asked.layer is not None:
        every = {each.tensor: None for each in [*within(trace), *found]}
        names = [tensor.removesuffix(".weights") for tensor in every]
        if asked.layer not in names:
            near = nearest(asked.layer, names)
            raise ConfigError(f'layer "{asked.layer}" does not look at anything{near}; these do: {", ".join(names)}')
        found = [each for each in [*within(trace), *found] if each.tensor == f"{asked.layer}.weights"]
    highest = [each for each in found if each.tensor == found[-1].tensor]
    one = highest[chosen(asked.head, len(highest), "head", 0)]
    layer = one.tensor.removesuffix(".weights")
    if one.lead:
        return Look(load("cross_attention" if layer.endswith(".cross") else "self_attention"), layer, one.lead[0], one)
    plain = torch.equal(trace[f"{layer}.key"], trace[f"{layer}.outputs"])  # then nothing was learned for the keys
    name = "attention" if f"{layer}.v" in trace else "dot_attention" if plain else "general_attention"
    return Look(load(name), layer, None, one)


def draw(traces: Sequence[Trace], asked: Asked) -> Figure:
    """Draw one look of each trace: the step asked for, or the one whose weights are the most decided."""
    parts: list[Drawing] = []
    titles: dict[str, None] = {}
    for trace in traces:
        look = _look(trace, asked)
        weights = look.weights.shown().values()
        step = chosen(asked.step, len(weights), "step", int(weights.max(axis=1).argmax()))
        titles[look.diagram.title] = None
        more = f"{look.weights.title}, step {step} ({look.weights.asks[step]})"
        parts += [
            heading(trace, traces, more),
            _diagram(trace, look, step),
            _table(trace, look, step),
            Drawing(0, 8, ""),
        ]
    caption = (
        "One step looks: its query and every key give a score each, softmax turns the scores into weights that sum "
        "to 1, and the weighted sum of what is there is the context. A strip is a vector, each on its own scale from "
        f"its smallest number to its largest; below, the {ROWS} places with the largest weights, with their numbers, "
        "without unit."
    )
    return Figure(" · ".join(titles), svg.above(parts, 6), caption)


def _diagram(trace: Trace, look: Look, step: int) -> Drawing:
    values = look.diagram.values(trace, look.layer, look.head)
    strips, named = {}, {}
    for name, value in values.items():
        here = _at(value, step)
        element = look.diagram.element(name, look.layer)
        lead = "" if look.head is None else f"{look.head},"
        index = f"[{lead}{step}]" if "T" in value.axes else f"[{look.head}]" if look.head is not None else ""
        named[name] = (
            f"{element}{index}, {here.size} numbers from {number(float(here.min()))} to {number(float(here.max()))}"
        )
        flat = here.reshape(len(here), -1)
        shown = flat if flat.shape[1] > 1 else flat.T
        finite = shown[np.isfinite(shown)]
        scale = Scale(float(finite.min()), float(finite.max()))
        raster = svg.raster(0, 0, STRIP, 16, shown, scale, label=named[name])
        strips[name] = Drawing(STRIP, 16, raster + svg.box(0, 0, STRIP, 16, "none", stroke=svg.PALE))
    return drawn(look.diagram, {}, named, strips)


def _at(value: Value, step: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """A node at one step: what has no steps of its own is whole."""
    tensor = value.tensor.select(value.axes.index("T"), step) if "T" in value.axes else value.tensor
    found: np.ndarray[tuple[int, ...], np.dtype[np.float32]] = tensor.numpy()
    return found


def _table(trace: Trace, look: Look, step: int) -> Drawing:
    """The places with the largest weights: what stands there, score, weight as number and bar."""
    score = trace[look.layer + ".score"][look.weights.lead][step].numpy()
    weight = look.weights.shown().values()[step]
    largest = sorted(np.argsort(-weight, kind="stable")[:ROWS].tolist())
    most = float(weight.max())
    lead = "".join(f"{each}," for each in look.weights.lead)
    titles = ((0, "place"), (60, "what is there"), (230, "score"), (310, "weight"))
    body = [svg.text(x, 12, words, size=10, fill="#57606a") for x, words in titles]
    for i, place in enumerate(largest):
        y, share = 30 + 18 * i, float(weight[place])
        name = f"{look.weights.tensor}[{lead}{step},{place}] = {number(share)}"
        body += [
            svg.text(0, y, str(place), size=11, fill=INK),
            svg.text(60, y, look.weights.seen[place], size=11, fill=INK, most=160),
            svg.text(230, y, number(float(score[place])), size=11, fill=INK),
            svg.text(310, y, number(share), size=11, fill=INK, bold=True),
            svg.box(360, y - 9, 1 + (WIDTH - 370) * share / most, 10, "#4a98c9", name=name),
        ]
    return Drawing(WIDTH, 24 + 18 * len(largest), "\n".join(body))
