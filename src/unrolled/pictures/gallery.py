"""The one table of pictures, and how one of them is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from unrolled.errors import ConfigError, TraceError, nearest
from unrolled.inside import Trace
from unrolled.pictures import (
    attention,
    attribution,
    cell,
    feedforward,
    gates,
    gradient,
    looking,
    network,
    text,
    tree,
)
from unrolled.pictures.figure import Asked, Picture, frame

__all__ = ["PICTURES", "draw", "shown_by"]

PICTURES: dict[str, Picture] = {
    "network": Picture("the network, rolled and unrolled over the input", network.shows, network.draw),
    "feedforward": Picture("what enters, the strongest units, the answers", feedforward.shows, feedforward.draw),
    "text": Picture("the text, coloured by unit and by attribution on the answer", text.shows, text.draw),
    "cell": Picture("the cell with its real numbers, of one unit at one step", cell.shows, cell.draw),
    "gates": Picture("every gate and state over time", gates.shows, gates.draw),
    "attention": Picture("attention to the source as a matrix", attention.shows, attention.draw),
    "alignment": Picture("attention to the source as lines", attention.shows, attention.draw_lines),
    "heads": Picture("a Transformer's heads, each a matrix", attention.shows_heads, attention.draw_heads),
    "looking": Picture("the inside of one look: query, scores, weights, context", looking.shows, looking.draw),
    "attribution": Picture("gradient_norm, retention, occlusion and path length", attribution.shows, attribution.draw),
    "gradient": Picture("gradient by distance, over training", gradient.shows, gradient.draw),
    "tree": Picture("what might have been written at each step", tree.shows, tree.draw),
}
"""Every picture by its name, in the order of a page."""


def shown_by(traces: Sequence[Trace]) -> list[str]:
    """Return the pictures that at least one of the traces can fill, in the order of PICTURES."""
    return [name for name, picture in PICTURES.items() if any(picture.shows(trace) for trace in traces)]


def draw(name: str, traces: Sequence[Trace], **asked: Any) -> str:
    """Return a picture as SVG: the same traces give the same bytes. Traces that have nothing of it are left out.

    Args:
        name: a key of PICTURES. traces: at least one. asked: see Asked.

    Raises:
        ConfigError: no such picture, unit, step, head or layer. TraceError: no trace has what it draws.
    """
    picture = PICTURES.get(name)
    if picture is None:
        raise ConfigError(f'there is no picture "{name}"{nearest(name, PICTURES)}; there are {", ".join(PICTURES)}')
    fit = [trace for trace in traces if picture.shows(trace)]
    if not fit:
        rows = ", ".join(dict.fromkeys(trace.about.model_name for trace in traces)) or "no trace"
        have = ", ".join(shown_by(traces)) or "none"
        raise TraceError(f'picture "{name}" ({picture.what}) has nothing to draw of {rows}; pictures of it are: {have}')
    return frame(picture.draw(fit, Asked(**asked)), fit)
