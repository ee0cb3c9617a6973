"""SVG pictures of traces, for files, notebooks, documents and one offline HTML page.

    draw("cell", [trace], unit=37, step=12)        one picture, of one trace or of several on the same axes
    PICTURES["cell"].can_draw(trace)               whether a trace has the tensors that the picture needs
    page([trace, other])                           one offline HTML file with every picture that the traces allow
    score_by_length({"gru": run.evaluate(), …})    the one picture of evaluations

A picture takes traces and gives SVG text. Every number in it is an element of a named tensor of a trace. The tensors of
a trace, not the name of its model, decide which pictures can be drawn.
"""

import html

from unrolled.inside import Trace
from unrolled.pictures.figure import Picture, Request, input_of
from unrolled.pictures.gallery import PICTURES, available, draw
from unrolled.pictures.lengths import score_by_length
from unrolled.pictures.page import page

__all__ = ["PICTURES", "Picture", "Request", "available", "draw", "input_of", "page", "score_by_length"]


def _notebook_html(trace: Trace) -> str:
    """Return the page of a trace in an iframe, or the list of its tensors where no picture can be drawn."""
    if not available([trace]):
        return f"<pre>{html.escape(trace.summary())}</pre>"
    return f'<iframe srcdoc="{html.escape(page([trace]))}" width="100%" height="640" loading="lazy"></iframe>'


Trace.notebook_html = _notebook_html
