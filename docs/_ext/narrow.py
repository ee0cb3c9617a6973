"""Pictures with a drawing for narrow screens: NAME.svg is shown with NAME_narrow.svg where that stands beside it."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator

MEDIA = "(max-width: 600px)"


def visit(writer: HTML5Translator, node: nodes.image) -> None:
    """Open a picture element with the narrow drawing as its other source, which is copied to the site."""
    whole = PurePosixPath(node["uri"])
    narrow = whole.with_stem(f"{whole.stem}_narrow")
    builder = writer.builder
    node["has_narrow"] = (Path(builder.srcdir) / narrow).is_file()
    if node["has_narrow"]:
        builder.images[str(narrow)] = narrow.name
        source = PurePosixPath(builder.imgpath) / narrow.name
        writer.body.append(f'<picture><source media="{MEDIA}" srcset="{source}">')
    HTML5Translator.visit_image(writer, node)


def depart(writer: HTML5Translator, node: nodes.image) -> None:
    """Close the picture element."""
    HTML5Translator.depart_image(writer, node)
    if node["has_narrow"]:
        writer.body.append("</picture>")


def setup(app: Sphinx) -> dict[str, Any]:
    """Let images be written by this extension."""
    app.add_node(nodes.image, override=True, html=(visit, depart))
    return {"parallel_read_safe": True, "parallel_write_safe": False}
