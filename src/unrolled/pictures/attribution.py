"""Who can gradient_norm whom: gradient_norm, retention and occlusion of every answer by every token, on one scale for all traces."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from unrolled import svg
from unrolled.inside import Trace, find
from unrolled.pictures.figure import WIDTH, Asked, Figure, heading, panels
from unrolled.pictures.matrix import Shown, legend, matrix
from unrolled.svg import INK, Drawing, Scale

__all__ = ["draw", "shows"]

DECADES = 6  # of a scale in powers of ten, down from the largest number
MEANINGS = {
    "gradient_norm": "Reach: how much the answer's log-probability changes as the token's vector moves; in powers of ten.",
    "retention": "Retention: what the direct path alone keeps from one step to another, other ways left out.",
    "occlusion": "Occlusion: how many bits the answer loses when the token is replaced; below 0, it gains.",
    "path_length": "Path length: nonlinear steps on the shortest way, whatever they carry.",
}


def tensors(trace: Trace) -> list[str]:
    """The measures that a trace has, in the order in which they are drawn, first those of what was read before."""
    return [name for side in ("source.", "") for kind in MEANINGS if (name := side + kind) in trace]


def shows(trace: Trace) -> bool:
    """Whether one of them was computed."""
    return bool(tensors(trace))


def draw(traces: Sequence[Trace], asked: Asked) -> Figure:
    """Draw a row of matrices a trace."""
    kinds: dict[str, list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]]] = {}
    for trace in traces:
        for name in tensors(trace):
            kinds.setdefault(_kind(name), []).append(trace[name].numpy())
    scales = {
        kind: _scale(kind, max(float(np.abs(values).max(initial=0)) for values in many)) for kind, many in kinds.items()
    }
    room = max(230, (WIDTH - 20 * (len(kinds) - 1)) / max(1, len(kinds)))
    parts = []
    for trace in traces:
        drawn = []
        for name in tensors(trace):
            answers, steps = trace[name].shape
            about = trace.about
            above = about.source if name.startswith("source.") else about.tokens
            down = about.answers if name != "retention" else about.tokens
            shown, scale = Shown(trace, name, range(answers), range(steps)), scales[_kind(name)]
            space = (room, room if answers > 1 else 40)
            one = matrix(shown, scale, down=down[:answers], above=above[:steps], room=space, square=answers > 1)
            title = Drawing(room, 18, svg.text(0, 12, name, size=11, bold=True, fill=INK, most=room))
            drawn.append(svg.above([title, one]))
        parts += [heading(trace, traces), panels(drawn, 20), Drawing(0, 8, "")]
    legends = panels([legend(scale, _said(kind)) for kind, scale in scales.items()], 16)
    caption = (
        "Attribution of every token, a column, on every answer, a row; absolute, on one scale for all traces. "
        + " ".join(MEANINGS[kind] for kind in kinds)
    )
    return Figure("Who can gradient_norm whom", svg.above([*parts, legends], 4), caption)


def _kind(name: str) -> str:
    return name.rsplit(".", 1)[-1]


def _said(kind: str) -> str:
    spec = find(kind)
    return f"{kind}, {spec.unit}" if spec and spec.unit else kind


def _scale(kind: str, most: float) -> Scale:
    if kind == "occlusion":
        return Scale.signed(most or 1)
    if kind == "retention":
        return Scale(10.0**-DECADES, 1, log=True)
    if kind == "path_length":
        return Scale(0, most or 1)
    top = 10.0 ** np.ceil(np.log10(most or 1))
    return Scale(float(top / 10**DECADES), float(top), log=True)
