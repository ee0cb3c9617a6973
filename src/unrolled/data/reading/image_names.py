"""Images by their names: IDX files and image files."""

from __future__ import annotations

import re
from pathlib import Path

from unrolled.data.reading.files import PACKINGS

__all__ = ["EXTENSIONS", "PACKING", "is_idx", "is_image_file"]

PACKING = "|".join(map(re.escape, PACKINGS))
IDX = re.compile(rf".*[-._](idx|idx[134]|idx[134][-._]ubyte|ubyte)({PACKING})?", re.I)
EXTENSIONS = {".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".pbm", ".pgm", ".ppm", ".pnm"}


def is_idx(path: Path) -> bool:
    """Return whether a file's name is that of an IDX file."""
    return IDX.fullmatch(path.name) is not None


def is_image_file(path: Path) -> bool:
    """Return whether a file is an image by its extension."""
    return path.suffix.lower() in EXTENSIONS
