"""Long texts in blocks: cut where no token spans the cut, in a normal form, and as codes of characters or bytes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unrolled.data.encoding.pipeline import Kind
from unrolled.strings import normalized

__all__ = ["at_line_ends", "codes_of", "normalized_blocks"]

LINE_END = re.compile(r"(?<=\S)\n(?=\S)")


def codes_of(text: str, kind: Kind) -> NDArray[np.integer[Any]]:
    """Return the byte values of a text, or the code points of its characters."""
    if kind == "byte":
        return np.frombuffer(text.encode(), dtype=np.uint8)
    return np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)


def at_line_ends(blocks: Iterable[str], most: int = 1 << 24) -> Iterator[str]:
    """Yield the text in chunks that end with a line end between two characters that are not white space.

    No token of the library spans such a line end. A chunk without one ends after `most` characters.
    """
    rest = ""
    for block in blocks:
        rest += block
        end = max((match.end() for match in LINE_END.finditer(rest)), default=len(rest) if len(rest) >= most else 0)
        if end:
            yield rest[:end]
            rest = rest[end:]
    if rest:
        yield rest


def normalized_blocks(blocks: Iterable[str], form: str, most: int = 1 << 24) -> Iterator[str]:
    """Yield the normal form of a text, in blocks that end before an ASCII character.

    ASCII characters never combine with what is before them. A block without one ends after `most` characters.
    """
    rest = ""
    for block in blocks:
        rest += block
        last = next((i for i in range(len(rest) - 1, 0, -1) if rest[i].isascii()), 0)
        if last or len(rest) >= most:
            yield normalized(rest[: last or None], form)
            rest = rest[last:] if last else ""
    if rest:
        yield normalized(rest, form)
