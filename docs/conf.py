"""Settings of the documentation site (Sphinx)."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

from sphinx.application import Sphinx

import unrolled.page
from unrolled import palette
from unrolled.version import __version__

project = "unrolled"
author = "the authors of unrolled"
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton", "mathml", "narrow"]
exclude_patterns = ["_build"]
myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 4

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
napoleon_google_docstring = True

suppress_warnings = ["toc.not_included"]  # decisions, which their own page lists

copybutton_prompt_text = "$ "
copybutton_only_copy_prompt_lines = True

html_math_renderer = "mathml"
html_theme = "furo"
html_title = "unrolled"
html_show_copyright = False
html_static_path = ["_static"]
html_css_files = ["site.css"]


def _theme(of: Callable[[str], str]) -> dict[str, str]:
    """Return the theme's colours. of: the colour of the palette, or its counterpart for a dark background."""
    return {
        "color-background-primary": of(palette.PAPER),
        "color-background-secondary": of(palette.CARD),
        "color-background-border": of(palette.LINE),
        "color-foreground-primary": of(palette.INK),
        "color-foreground-secondary": of(palette.SOFT),
        "color-foreground-muted": of(palette.SOFT),
        "color-brand-primary": of(palette.MEMORY),
        "color-brand-content": of(palette.MEMORY),
        "color-brand-visited": of(palette.MEMORY),
    }


html_theme_options = {
    "light_css_variables": _theme(str),
    "dark_css_variables": _theme(palette.DARK.__getitem__),
}


def setup(app: Sphinx) -> None:
    """Lead links to pages outside of this folder to their places on the site; set docstrings of modules."""

    def read(_: Sphinx, name: str, text: list[str]) -> None:
        text[0] = re.sub(r"\]\(\.\./README\.md[^)]*\)", "](index.md)", text[0])
        text[0] = text[0].replace("](../CHANGELOG.md", "](changelog.md")

    def page(app: Sphinx, problem: Exception | None) -> None:
        """Write the page that computes in the reader's tab."""
        if problem is None and app.builder.format == "html":
            (Path(app.outdir) / "page.html").write_text(unrolled.page.page(unrolled.page.networks()), encoding="utf-8")

    app.connect("source-read", read)
    app.connect("build-finished", page)
    app.connect("autodoc-process-docstring", set_literal, priority=400)  # before napoleon


def set_literal(_: Sphinx, kind: str, name: str, module: object, options: object, lines: list[str]) -> None:
    """Keep the line breaks of indented paragraphs of a module's docstring: they are code, or columns."""
    paragraphs = [i for i, line in enumerate(lines) if line.startswith("    ") and i > 1 and not lines[i - 1]]
    for i in reversed(paragraphs) if kind == "module" else ():
        if not lines[i - 2].startswith("    "):
            lines[i:i] = ["::", ""]
