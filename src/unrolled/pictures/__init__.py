"""Pictures of what was traced, as SVG: the same in a terminal's file, a notebook, a document and a page.

    draw("cell", [trace], unit=37, step=12)        one picture, of one trace or of several on the same axes
    PICTURES["cell"].shows(trace)                  whether a trace has what the picture draws
    page([trace, other])                           one offline HTML file with every picture that the traces can fill
    score_by_length({"gru": run.evaluate(), …})    the one picture that is of evaluations

A picture takes traces and gives SVG text; every number in it is an element of a named tensor of a trace. What is drawn
is decided by the tensors that a trace has, not by the name of its row.
"""

import html

from unrolled.inside import Trace
from unrolled.pictures.figure import Asked, Picture
from unrolled.pictures.gallery import PICTURES, draw, shown_by
from unrolled.pictures.lengths import score_by_length
from unrolled.pictures.page import page

__all__ = ["PICTURES", "Asked", "Picture", "draw", "page", "score_by_length", "shown_by"]


def _for_a_notebook(trace: Trace) -> str:
    """The page of a trace in a frame of its own, or a list of its tensors where no picture can be drawn."""
    if not shown_by([trace]):
        return f"<pre>{html.escape(trace.summary())}</pre>"
    return f'<iframe srcdoc="{html.escape(page([trace]))}" width="100%" height="640" loading="lazy"></iframe>'


Trace.shown = _for_a_notebook
