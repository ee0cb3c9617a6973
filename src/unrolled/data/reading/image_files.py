"""Image files, read by Pillow (an extra): single files, or a folder with a folder for each class.

Images are used without changes to their pixels. They have 8 bits a channel and one channel (grey) or three (RGB);
palettes become RGB, and a fully opaque alpha channel is dropped. An image that is damaged, larger than `MOST_PIXELS`
(by its header, before it is decoded), animated, transparent, CMYK, of 16 bits, or of another format than its extension
is a bad row. Hidden files, and all files in hidden folders, are counted and left out.
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

from unrolled.data.reading.files import no_such_file
from unrolled.data.reading.folders import walk
from unrolled.data.reading.idx import MOST_PIXELS
from unrolled.data.reading.image_names import EXTENSIONS, is_image_file
from unrolled.data.reading.rows import SKIP, BadRow
from unrolled.errors import DataError, excerpt

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

__all__ = ["EXTENSIONS", "files_below", "has_images", "is_image_file", "read_image"]

CONVERT = "convert it to 8-bit grey or RGB"
BROKEN = (OSError, EOFError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, struct.error, zlib.error)
"""Exceptions that Pillow's decoders raise for damaged files; their warnings are errors here, too."""


def has_images(folder: Path) -> bool:
    """Return whether there is an image below a folder, by its name.

    Raises:
        DataError: a folder cannot be read.
    """
    return any(is_image_file(path) and not hidden for path, hidden in walk(folder))


def files_below(folder: Path, *, labelled: bool) -> Iterator[tuple[Path, str] | BadRow]:
    """Yield each file below a folder and its label: the name of the folder on the first level, or "".

    Raises:
        DataError: a folder cannot be read.
    """
    for path, hidden in walk(folder):
        first, *rest = path.relative_to(folder).parts
        if hidden:
            yield BadRow("hidden", None)
        elif path.is_dir():
            yield _bad(path, "linked twice", "is a link to a folder that is read already", fix=f"remove it, {SKIP}")
        elif not path.exists():
            yield _bad(path, "broken link", "is a link to nothing", fix=f"remove it, {SKIP}")
        elif not is_image_file(path):
            problem = "is not an image by its name, and there are images in this folder"
            fix = f"a folder is read as images or texts of classes: keep one kind in it, {SKIP}"
            yield _bad(path, "no image", problem, fix=fix)
        elif labelled and not rest:
            yield _bad(
                path, "no class", "is not in the folder of a class", fix=f"move it into the folder of its class, {SKIP}"
            )
        else:
            yield path, first if rest else ""


def read_image(path: Path) -> NDArray[np.uint8] | BadRow:
    """Return an image, (H, W, C), or a bad row with the reason.

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
    if not path.exists():
        return BadRow("no file", no_such_file(path, str(path)))
    if not path.is_file():
        return _bad(path, "no file", "is a folder, a pipe or a device, not a file", fix=f"remove it, {SKIP}")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            with Image.open(path) as image:
                image.verify()  # checks checksums, which decoding ignores
            with Image.open(path) as image:
                return _fault(image, path) or _pixels(image, path)
        except (Image.DecompressionBombError, Image.DecompressionBombWarning):
            return _bad(path, "too large", f"has more than {MOST_PIXELS:,} pixels", fix=f"make it smaller, {SKIP}")
        except UnidentifiedImageError:
            problem = "is not an image, or its header is damaged" if path.stat().st_size else "is empty"
            return _bad(path, "damaged", problem, fix=f"check it, or fetch it again, {SKIP}")
        except (*BROKEN, Warning) as error:
            problem = f"cannot be decoded: {excerpt(str(error))}"
            return _bad(path, "damaged", problem, fix=f"fetch it again, {SKIP}")


def _fault(image: ImageFile, path: Path) -> BadRow | None:
    """Return the problem that an image's header shows, if any."""
    from PIL.Image import registered_extensions

    width, height = image.size
    if width * height > MOST_PIXELS:
        problem = f"is {width:,} × {height:,} pixels, more than {MOST_PIXELS:,} in all"
        return _bad(path, "too large", problem, fix=f"make it smaller, {SKIP}")
    if (frames := getattr(image, "n_frames", 1)) > 1:
        return _bad(path, "animated", f"holds {frames:,} images", fix=f"save one of them, {SKIP}")
    if image.format != registered_extensions().get(path.suffix.lower()):
        problem = f"is {image.format}, but its name ends in {path.suffix}"
        return _bad(path, "renamed", problem, fix=f"rename it by its format, {SKIP}")
    if image.mode.startswith(("I", "F")) or any(";16" in str(tile) for tile in image.tile):
        return _bad(path, "not 8 bits", f"has more than 8 bits a channel (mode {image.mode})")
    if image.mode not in ("1", "L", "LA", "P", "PA", "RGB", "RGBA"):
        return _bad(path, "colour space", f"is {image.mode}, neither grey nor RGB")
    return None


def _pixels(image: Image, path: Path) -> NDArray[np.uint8] | BadRow:
    from PIL import ImageOps

    image = ImageOps.exif_transpose(image)  # rotated as the camera was held
    if image.has_transparency_data:
        image = image.convert("LA" if image.mode in ("L", "LA") else "RGBA")
        if image.getchannel("A").getextrema()[0] != 255:
            return _bad(path, "transparent", "has transparent pixels: their background is not known")
    pixels: NDArray[np.uint8] = np.asarray(image.convert("L" if image.mode in ("1", "L", "LA") else "RGB"))
    return pixels.reshape(*pixels.shape[:2], -1)


def _bad(path: Path, reason: str, problem: str, *, fix: str = f"{CONVERT}, {SKIP}", **more: Any) -> BadRow:
    return BadRow(reason, DataError(problem, file=str(path), fix=fix, **more))
