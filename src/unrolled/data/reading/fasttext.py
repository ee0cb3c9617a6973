"""Lines of fastText: `__label__good a text`, a text a line after its labels.

A line with several labels has a list of them, which only `--multi-label` takes. Recognised by the first line of a file
that ends in .txt, or in no ending of a table.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

from unrolled.data.reading.files import unpacked_name
from unrolled.data.reading.foreign import foreign
from unrolled.data.reading.formats import EXTENSIONS
from unrolled.data.reading.lines import open_lines
from unrolled.data.reading.rows import Location, Row, Rows

__all__ = ["COLUMNS", "is_fasttext", "read_fasttext"]

COLUMNS = ("text", "label")
PREFIX = "__label__"


def is_fasttext(path: Path) -> bool:
    """Return whether the first line of a file begins with a label of fastText.

    Raises:
        DataError: the file cannot be read.
    """
    other = EXTENSIONS.get(Path(unpacked_name(path.name)).suffix, "txt") != "txt"
    if other or not path.is_file() or not path.stat().st_size or foreign(path, str(path)):
        return False  # files of /proc have no size, and reading one may wait for ever
    with open_lines(path, str(path)) as lines:
        return next((text for text in lines if text.strip()), "").startswith(PREFIX)


def read_fasttext(path: Path, columns: Sequence[str], *, several: bool) -> Rows:
    """Yield the lines as rows of a text and, if two columns are requested, its labels.

    Args:
        path: path of the file.
        columns: as many as are requested.
        several: whether labels are a list, even if it is one.
    """
    with open_lines(path, str(path)) as lines:
        location = Location(
            str(path), COLUMNS[: len(columns)], (None,) * len(columns), fraction_read=lines.fraction_read
        )
        for text in lines.rows():
            words = text.split(" ")
            labels = [word.removeprefix(PREFIX) for word in takewhile(lambda word: word.startswith(PREFIX), words)]
            label = labels if several or len(labels) > 1 else labels[0] if labels else None
            values = (" ".join(words[len(labels) :]).strip(), label)
            if fault := lines.fault_of(text):
                yield fault
            elif label is None and len(columns) > 1:
                yield lines.bad("no label", f"the line does not begin with {PREFIX}")
            else:
                yield Row(location, lines.start, values[: len(columns)], lines.raw)
