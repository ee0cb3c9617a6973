"""Attribution of every answer to every token: gradient norm, retention, occlusion and path length as matrices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from unrolled import svg
from unrolled.inside import Trace
from unrolled.palette import INK, SOFT
from unrolled.pictures.figure import Figure, Request, heading, panels
from unrolled.pictures.matrix import View, legend, matrix
from unrolled.svg import Drawing, Scale

__all__ = ["can_draw", "draw"]

DECADES = 6  # of a logarithmic scale, down from the largest number
MEANINGS = {
    "gradient_norm": ("Gradient norm: how fast the answer changes with the vector of the token (logarithmic scale)."),
    "retention": (
        "Retention: the fraction of an earlier step (column) left in the lowest layer at a later one (row), along the "
        "direct path."
    ),
    "occlusion": (
        "Occlusion: what the answer loses when the token is replaced by the mean of all tokens; below 0 it gains."
    ),
    "path_length": "Path length: the nonlinear steps on the shortest way from the token to the answer.",
}


def tensors(trace: Trace) -> list[str]:
    """Return the names of the measures that a trace has, those of its source first, in the order of MEANINGS."""
    return [name for side in ("source.", "") for kind in MEANINGS if (name := side + kind) in trace]


def can_draw(trace: Trace) -> bool:
    """Return whether at least one of the measures was computed."""
    return bool(tensors(trace))


def draw(traces: Sequence[Trace], request: Request) -> Figure:
    """Draw the matrices of each trace side by side."""
    kinds: dict[str, list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]]] = {}
    for trace in traces:
        for name in tensors(trace):
            kinds.setdefault(_kind(name), []).append(trace[name].numpy())
    scales = {
        kind: _scale(kind, max(float(np.abs(values).max(initial=0)) for values in many)) for kind, many in kinds.items()
    }
    space = max(230, (request.width - 20 * (len(kinds) - 1)) / max(1, len(kinds)))
    drawings = []
    for trace in traces:
        drawn = []
        for name in tensors(trace):
            answers, steps = trace[name].shape
            about = trace.about
            above = about.source if name.startswith("source.") else about.tokens
            down = about.answers if name != "retention" else about.tokens
            view, scale = View(trace, name, range(answers), range(steps)), scales[_kind(name)]
            size = (space, space if answers > 1 else 40)
            one = matrix(view, scale, down=down[:answers], above=above[:steps], space=size, square=answers > 1)
            words = svg.text(0, 12, _named(name), bold=True, size=12.5, fill=INK, most=space)
            small = svg.text(0, 27, name, size=11, fill=SOFT, most=space)
            drawn.append(svg.stack([Drawing(space, 36, f"{words}\n{small}"), one]))
        drawings += [heading(trace, traces, most=request.width), panels(drawn, 20, request.width), Drawing(0, 8, "")]
    keys = [legend(scale, _label(kind, traces[0]), most=request.width) for kind, scale in scales.items()]
    legends = panels(keys, 16, request.width)
    caption = "A row is an answer, a column a token that was read. " + " ".join(MEANINGS[kind] for kind in kinds)
    return Figure("Influence of each token on each answer", svg.stack([*drawings, legends], 4), caption)


def _kind(name: str) -> str:
    return name.rsplit(".", 1)[-1]


def _named(name: str) -> str:
    """Return the words for a measure: "Gradient norm, of the source"."""
    words = _kind(name).replace("_", " ").capitalize()
    return f"{words}, of the source" if name.startswith("source.") else words


def _label(kind: str, trace: Trace) -> str:
    """Return the name of a measure with its unit."""
    words = kind.replace("_", " ")
    return f"{words}, {trace.unit(kind)}" if trace.unit(kind) else words


def _scale(kind: str, largest: float) -> Scale:
    if kind == "occlusion":
        return Scale.signed(largest or 1)
    if kind == "retention":
        return Scale(10.0**-DECADES, 1, log=True)
    if kind == "path_length":
        return Scale(0, largest or 1)
    top = 10.0 ** np.ceil(np.log10(largest or 1))
    return Scale(float(top / 10**DECADES), float(top), log=True)
