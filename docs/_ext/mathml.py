"""Equations as MathML, which browsers typeset themselves: no script, no font and no network."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator

ALIGNED = {  # browsers know alignment in a table from style sheets alone
    'columnalign="right"': 'style="text-align:right;padding-right:0"',
    'columnalign="left"': 'style="text-align:left;padding-left:0"',
}


def inline(writer: HTML5Translator, node: nodes.math) -> None:
    """Write an equation in a line of text."""
    writer.body.append(convert(node.astext(), display="inline"))
    raise nodes.SkipNode


def block(writer: HTML5Translator, node: nodes.math_block) -> None:
    """Write an equation on lines of its own; a line that is too long for the screen scrolls."""
    mathml = convert(node.astext().replace("{aligned}", "{align*}"), display="block")  # the same in latex2mathml
    for attribute, style in ALIGNED.items():
        mathml = mathml.replace(attribute, style)
    writer.body.append(f'<div class="math" style="overflow-x:auto;overflow-y:hidden">{mathml}</div>\n')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the renderer under its name, for `html_math_renderer`."""
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
