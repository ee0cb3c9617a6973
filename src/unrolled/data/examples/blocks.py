"""Blocks of lines of a file of tagged words: a block is a sentence, in CoNLL-U or in columns."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from unrolled.data.examples.remedies import joined_words, way_to_columns
from unrolled.data.reading.addresses import STDIN_NAME
from unrolled.data.reading.files import PACKINGS, unpacked_name
from unrolled.data.reading.foreign import TAGGED
from unrolled.data.reading.formats import of_splits
from unrolled.data.reading.lines import open_lines
from unrolled.data.reading.rows import SKIP, BadRow
from unrolled.errors import DataError
from unrolled.strings import words_of

__all__ = [
    "COLUMNS",
    "DOCUMENT",
    "Block",
    "Layout",
    "Sentence",
    "blocks",
    "file_layout",
    "numbers",
    "refuse_joined_words",
    "tag_columns",
]

COLUMNS = ("ID", "FORM", "LEMMA", "UPOS", "XPOS", "FEATS", "HEAD", "DEPREL", "DEPS", "MISC")
CONLLU = ".conllu"
EXTENSIONS = (*TAGGED, ".tsv", ".txt")  # the first is that of CoNLL-U
ID = re.compile(r"\d+([-.]\d+)?")
SAMPLED = 200  # lines from which the layout is recognised
DOCUMENT = "-DOCSTART-"  # first word of a line between documents
BETWEEN_DOCUMENTS = BadRow(f"{DOCUMENT} line", None)


class Sentence(NamedTuple):
    """Words with a tag each."""

    words: tuple[str, ...]
    tags: tuple[str, ...] | None
    lines: Sequence[int]  # physical line of each word, from 1; for Python objects the item, from 0
    ranges: int = 0  # multiword tokens that were left out
    empty: int = 0  # empty nodes that were left out

    @property
    def text(self) -> str:
        """The words with a space between them."""
        return " ".join(self.words)

    def line_of(self, tag: str) -> int:
        """Return the line of its first word with this tag."""
        return self.lines[(self.tags or ()).index(tag)]


class Layout(NamedTuple):
    """Columns of a file that is not CoNLL-U."""

    tabs: bool  # whether only tabs separate them, or spaces, too
    width: int = 0  # number of columns

    def fields(self, text: str) -> list[str]:
        """Return the columns of a line; tabs separate them, or spaces where there is no tab.

        A line of a file with one column is a word as it is.
        """
        if self.width == 1:
            return [text]
        return text.split("\t") if self.tabs or "\t" in text else words_of(text)


class Block(NamedTuple):
    """The lines of a sentence, each with its number and text."""

    file: str
    layout: Layout | None  # None: CoNLL-U
    lines: list[tuple[int, str]]
    fault: BadRow | None  # the first fault in its bytes

    def bad(self, reason: str, problem: str, line: int, text: str, *, column: int | None = None, fix: str) -> BadRow:
        """Return the sentence as a bad row, because of one of its lines; `column` from 0."""
        named = self.layout is None and column is not None and column < len(COLUMNS)
        error = DataError(
            problem,
            file=self.file,
            line=line,
            column=None if column is None else column + 1,
            column_name=COLUMNS[column] if named and column is not None else None,
            row=text,
            fix=f"{fix}, {SKIP}",
        )
        return BadRow(reason, error)


def blocks(path: Path, file: str, layout: Layout | None) -> Iterator[Block | BadRow]:
    """Yield the blocks of lines between blank lines, and a bad row without an error for a line between documents.

    Args:
        path: path of the file.
        file: its name in messages.
        layout: see `file_layout`.

    Raises:
        DataError: the file is empty, or cannot be read.
    """
    with open_lines(path, file) as lines:
        block: list[tuple[int, str]] = []
        lines.begin()
        for text in lines:
            text = text.rstrip("\r\n")
            document = layout is not None and text.startswith(DOCUMENT)
            if text.strip(" \t") and not document:
                block.append((lines.number, text))
                continue
            if block:
                yield Block(file, layout, block, lines.fault)
                block = []
            if document:
                yield BETWEEN_DOCUMENTS
            lines.begin()
        if block:
            yield Block(file, layout, block, lines.fault)
        if not lines.number:
            raise DataError("the file is empty", file=file, line=1, fix="check that the right file was named")


def file_layout(path: Path, file: str) -> Layout | None:
    """Return the layout of a file, recognised from its first lines; None for CoNLL-U.

    A file is CoNLL-U by its extension, or if its lines have ten columns that begin with an ID.

    Raises:
        DataError: the name has none of the extensions, or the file cannot be read.
    """
    if file != STDIN_NAME and _extension(path, file) == CONLLU:
        return None
    sample = _first_lines(path, file)
    layout = Layout(tabs=2 * sum("\t" in text for text in sample) >= len(sample))
    rows = list(map(layout.fields, sample))
    if 2 * sum(len(row) == len(COLUMNS) and ID.fullmatch(row[0]) is not None for row in rows) > len(rows):
        return None
    widths = Counter(map(len, rows)).most_common(1)
    return layout._replace(width=widths[0][0] if widths else 1)


def tag_columns(path: Path, file: str, layout: Layout) -> list[int]:
    """Return the numbers of the columns that have several values in the first lines, from 2; see `file_layout`."""
    rows = [row for row in map(layout.fields, _first_lines(path, file)) if len(row) == layout.width]
    return [number for number, column in enumerate(zip(*rows, strict=True), start=1) if number > 1 < len(set(column))]


def refuse_joined_words(path: Path, file: str) -> None:
    """Refuse a file with a sentence a line, whose words have their tags behind them; see `joined_words`.

    Raises:
        DataError: it is such a file.
    """
    if error := joined_words(_first_lines(path, file), file):
        raise error


def _first_lines(path: Path, file: str) -> list[str]:
    """Return the first lines of a file with words, or with comments, if there are only these."""
    with open_lines(path, file) as lines:
        texts = (text.rstrip("\r\n") for text in lines)
        sample = list(islice((text for text in texts if text.strip(" \t") and not text.startswith(DOCUMENT)), SAMPLED))
    return [text for text in sample if not text.startswith("#")] or sample


def _extension(path: Path, file: str) -> str:
    """Return the extension of a file with tagged words.

    Raises:
        DataError: it is another, or the file is a folder.
    """
    if path.is_dir():
        problem = "is a folder, not a file with tagged sentences"
        raise of_splits(path, EXTENSIONS) or DataError(problem, file=file, fix="name one file in it")
    extension = Path(unpacked_name(path.name)).suffix
    if extension not in EXTENSIONS:
        got = f'"{extension}"' if extension else "a name without an extension"
        raise DataError(
            f"cannot tell the format from {got}",
            file=file,
            fix=f"files with tagged sentences end in {CONLLU}, or, with a word and its tag in columns, in "
            f"{', '.join(EXTENSIONS[1:])}; each also with {', '.join(PACKINGS)}: {way_to_columns(path, file)}",
        )
    return extension


def numbers(lines: list[int]) -> Sequence[int]:
    """Return the numbers of the lines, as a range if they are consecutive."""
    whole = range(lines[0], lines[-1] + 1)
    return whole if len(whole) == len(lines) else tuple(lines)
