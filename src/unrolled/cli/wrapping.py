"""Lines for narrow terminals: broken between words, never within a path, a quotation or a command."""

from __future__ import annotations

import re
import shutil
from typing import Any

__all__ = ["width_of", "wrapped"]

WORD = re.compile(r"(?:`[^`\n]*`|\"[^\"\n]*\"|\[default: [^\]\n]*\]|\S)+")
"""A command in backquotes, a text in quotes and a default are one word."""

NAME = "unrolled:"
"""The beginning of a message, which has no line of its own."""


def wrapped(text: str, width: int | None, *, indent: str = "", prefix: str = "") -> str:
    """Return a text in lines of at most `width` characters; a longer word has a line of its own.

    Lines that begin with a space (rows, remedies, commands) are broken in the same way, with their own indentation.

    Args:
        text: lines to break.
        width: None: the lines are not broken.
        indent: beginning of each line.
        prefix: beginning of the first line, never separated from its first word.
    """
    first, *rest = text.split("\n")
    return "\n".join([_wrapped(first, width, indent, prefix), *(_wrapped(line, width, indent) for line in rest)])


def _wrapped(line: str, width: int | None, indent: str, prefix: str = "") -> str:
    if width is None or len(indent) + len(prefix) + len(line) <= width:
        return indent + prefix + line
    own = indent + line[: len(line) - len(line.lstrip())]
    lines: list[str] = []
    for word in WORD.findall(line):
        if lines and (len(lines[-1]) + 1 + len(word) <= width or lines == [own + NAME]):
            lines[-1] += f" {word}"
        else:
            lines.append(own + word if lines else own + prefix + word)
    return "\n".join(lines)


def width_of(stream: Any) -> int | None:
    """Return the width of the terminal that a stream writes to; None for a file or a pipe, whose lines stay whole."""
    return shutil.get_terminal_size().columns if stream is not None and stream.isatty() else None
