"""Narrow drawings on small screens, for every picture that has one in `pictures/lineage/narrow`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

FOLDER = "pictures/lineage/narrow"
SMALL = "(max-width: 640px)"


def add_sources(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Offer the narrow drawing of each picture of a page next to the wide one."""
    narrow = {path.name for path in (Path(app.srcdir) / FOLDER).glob("*.svg")}

    def picture(image: re.Match[str]) -> str:
        if image[1] not in narrow:
            return image[0]
        source = context["pathto"](f"_static/{image[1]}", 1)
        return f'<picture><source media="{SMALL}" srcset="{source}">{image[0]}</picture>'

    context["body"] = re.sub(r'<img [^>]*src="[^"]*_images/([^"/]+\.svg)"[^>]*>', picture, context.get("body", ""))


def setup(app: Sphinx) -> dict[str, Any]:
    """Copy the narrow drawings to the site, and offer them."""
    app.connect("html-page-context", add_sources)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
