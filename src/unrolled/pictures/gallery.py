"""Table of all pictures, and the function that draws one of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from unrolled.errors import ConfigError, TraceError, nearest
from unrolled.inside import Trace
from unrolled.pictures import (
    attention,
    attention_step,
    attribution,
    backpropagation,
    beam,
    block,
    cell,
    feedforward,
    gates,
    gradient,
    lineage,
    network,
    text,
    tree,
)
from unrolled.pictures.figure import Picture, Request, frame

__all__ = ["PICTURES", "available", "draw"]

PICTURES: dict[str, Picture] = {
    "lineage": Picture(
        "a card for each architecture: its answer, what it adds, and its limit",
        lineage.can_draw,
        lineage.draw,
    ),
    "network": Picture("the network, rolled up and unrolled over the input", network.can_draw, network.draw),
    "feedforward": Picture(
        "a feedforward network: input, strongest units, answers", feedforward.can_draw, feedforward.draw
    ),
    "text": Picture("the text, coloured by attribution and by units", text.can_draw, text.draw),
    "cell": Picture("the cell with its real numbers, for one unit at one step", cell.can_draw, cell.draw),
    "gates": Picture("every gate and state over time", gates.can_draw, gates.draw),
    "attention": Picture("attention to the source, as a matrix", attention.can_draw, attention.draw),
    "alignment": Picture("attention to the source, as lines", attention.can_draw, attention.draw_lines),
    "heads": Picture(
        "attention heads of a Transformer, one matrix each", attention.can_draw_heads, attention.draw_heads
    ),
    "attention-step": Picture(
        "one attention step: query, scores, weights, context", attention_step.can_draw, attention_step.draw
    ),
    "block": Picture("a block of a Transformer at one step, with its numbers", block.can_draw, block.draw),
    "attribution": Picture(
        "gradient norm, retention, occlusion and path length of every token", attribution.can_draw, attribution.draw
    ),
    "backpropagation": Picture(
        "backpropagation through time: the gradient at every step", backpropagation.can_draw, backpropagation.draw
    ),
    "gradient": Picture("gradient by distance, of each run and its snapshots", gradient.can_draw, gradient.draw),
    "beam": Picture("a beam search as a tree, with the branches that were cut", beam.can_draw, beam.draw),
    "tree": Picture("the most probable answers at each step, as a tree", tree.can_draw, tree.draw),
}
"""Every picture by its name, in the order of a page."""


def available(traces: Sequence[Trace]) -> list[str]:
    """Return the names of the pictures that at least one of the traces allows, in the order of PICTURES."""
    return [name for name, picture in PICTURES.items() if any(picture.can_draw(trace) for trace in traces)]


def draw(name: str, traces: Sequence[Trace], **request: Any) -> str:
    """Return a picture as SVG; the same traces give the same bytes. Traces without the needed tensors are left out.

    Args:
        name: a key of PICTURES.
        traces: at least one.
        request: fields of Request.

    Raises:
        ConfigError: there is no such picture, unit, step, head or layer.
        TraceError: no trace has the needed tensors.
    """
    picture = PICTURES.get(name)
    if picture is None:
        raise ConfigError(f'there is no picture "{name}"{nearest(name, PICTURES)}; there are {", ".join(PICTURES)}')
    drawable = [trace for trace in traces if picture.can_draw(trace)]
    if not drawable:
        models = ", ".join(dict.fromkeys(trace.about.model_name for trace in traces))
        problem = f"cannot be drawn from a trace of model {models}" if models else "needs a trace: got none"
        others = ", ".join(available(traces)) or "none"
        raise TraceError(f'picture "{name}" ({picture.summary}) {problem}; available pictures: {others}')
    chosen = Request(**request)
    return frame(picture.draw(drawable, chosen), drawable, chosen.width)
