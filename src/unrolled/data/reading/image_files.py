"""Image files, read by Pillow (an extra): one at a time, or a folder with a folder for each class.

An image is used as it is or not at all. It has 8 bits a channel and one channel (grey) or three (RGB); palettes become
RGB, and an alpha channel that hides nothing is left out. What is damaged, larger than `MOST_PIXELS` (told from the
header, before anything is decoded), animated, transparent, CMYK, of 16 bits, or not what its name says is a bad row.
"""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from unrolled.data.reading.idx import MOST_PIXELS
from unrolled.data.reading.rows import SKIP, BadRow
from unrolled.errors import DataError, excerpt

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

__all__ = ["EXTENSIONS", "files_below", "is_image_file", "read_image"]

EXTENSIONS = {".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".pbm", ".pgm", ".ppm", ".pnm"}
NO_IMAGES = {"thumbs.db", "desktop.ini"}  # what systems put into folders, beside hidden files
CONVERT = "convert it to 8-bit grey or RGB"
BROKEN = (OSError, EOFError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, struct.error, zlib.error)
"""What Pillow's decoders raise where a file is damaged; what they warn of is an error here, too."""


def is_image_file(path: Path) -> bool:
    """Whether a file is an image by its name."""
    return path.suffix.lower() in EXTENSIONS


def files_below(folder: Path, *, labelled: bool) -> Iterator[tuple[Path, str] | BadRow]:
    """Yield every file below a folder with its label: the name of the first folder on the way to it, "" if none is."""
    for path in sorted(folder.rglob("*")):
        if path.is_dir():
            continue
        first, *rest = path.relative_to(folder).parts
        if path.name.startswith(".") or path.name.lower() in NO_IMAGES:
            yield BadRow("no image", None)
        elif not is_image_file(path):
            yield _bad(path, "no image", "is not an image by its name", fix=f"take it out, {SKIP}")
        elif labelled and not rest:
            yield _bad(
                path, "no class", "stands in no class's folder", fix=f"move it into the one of its class, {SKIP}"
            )
        else:
            yield path, first if rest else ""


def read_image(path: Path) -> NDArray[np.uint8] | BadRow:
    """Return an image, (H, W, C), or what is wrong with it.

    Raises:
        DataError: Pillow is not installed.
    """
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError:
        raise DataError(
            "image files are read by Pillow, which is not installed",
            file=str(path),
            fix="pip install 'unrolled[images]' (IDX files and arrays need nothing)",
        ) from None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            with Image.open(path) as image:
                image.verify()  # checksums, which decoding passes over
            with Image.open(path) as image:
                return _fault(image, path) or _pixels(image, path)
        except (Image.DecompressionBombError, Image.DecompressionBombWarning):
            return _bad(path, "too large", f"has more than {MOST_PIXELS:,} pixels", fix=f"make it smaller, {SKIP}")
        except UnidentifiedImageError:
            what = "is no image, or its beginning is damaged" if path.stat().st_size else "is empty"
            return _bad(path, "damaged", what, fix=f"look at it, or fetch it again, {SKIP}")
        except (*BROKEN, Warning) as error:
            problem = f"cannot be decoded: {excerpt(str(error))}"
            return _bad(path, "damaged", problem, fix=f"fetch it again, {SKIP}")


def _fault(image: ImageFile, path: Path) -> BadRow | None:
    """What is wrong with an image by its header."""
    from PIL.Image import registered_extensions

    width, height = image.size
    if width * height > MOST_PIXELS:
        problem = f"is {width:,} × {height:,} pixels, more than {MOST_PIXELS:,} in all"
        return _bad(path, "too large", problem, fix=f"make it smaller, {SKIP}")
    if (frames := getattr(image, "n_frames", 1)) > 1:
        return _bad(path, "animated", f"holds {frames:,} images", fix=f"keep one of them, {SKIP}")
    if image.format != registered_extensions().get(path.suffix.lower()):
        problem = f"is {image.format}, and its name ends in {path.suffix}"
        return _bad(path, "renamed", problem, fix=f"give it the name of what it is, {SKIP}")
    if image.mode.startswith(("I", "F")) or any(";16" in str(tile) for tile in image.tile):
        return _bad(path, "not 8 bits", f"has more than 8 bits a channel (mode {image.mode})")
    if image.mode not in ("1", "L", "LA", "P", "PA", "RGB", "RGBA"):
        return _bad(path, "colour space", f"is {image.mode}, neither grey nor RGB")
    return None


def _pixels(image: Image, path: Path) -> NDArray[np.uint8] | BadRow:
    from PIL import ImageOps

    image = ImageOps.exif_transpose(image)  # as it was held
    if image.has_transparency_data:
        image = image.convert("LA" if image.mode in ("L", "LA") else "RGBA")
        if image.getchannel("A").getextrema()[0] != 255:
            return _bad(path, "transparent", "is transparent in places: what is behind it is not known")
    pixels: NDArray[np.uint8] = np.asarray(image.convert("L" if image.mode in ("1", "L", "LA") else "RGB"))
    return pixels.reshape(*pixels.shape[:2], -1)


def _bad(path: Path, reason: str, problem: str, *, fix: str = f"{CONVERT}, {SKIP}", **more: Any) -> BadRow:
    return BadRow(reason, DataError(problem, file=str(path), fix=fix, **more))
