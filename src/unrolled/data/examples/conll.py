"""Parser of a tagged sentence in columns, as in the shared tasks CoNLL-2000 and CoNLL-2003.

Columns are separated by spaces or tabs. The first one is the word, and one of the others its tag: the last, unless
another is named. Lines that begin with # and have another number of columns than the rest are comments before a
sentence.
"""

from __future__ import annotations

from unrolled.data.examples.blocks import Block, Layout, Sentence, numbers
from unrolled.data.reading.rows import BadRow
from unrolled.errors import DataError

__all__ = ["columns_sentence", "tag_index"]

LAST = -1


def tag_index(column: int, layout: Layout, file: str) -> int:
    """Return the index of the column with the tag.

    Args:
        column: number of the column, from 1, or -1 for the last.
        layout: layout of the file.
        file: its name in messages.

    Raises:
        DataError: there is no such column.
    """
    last = layout.width - 1
    if last < 1:
        problem = "its lines have one column: a word and its tag, with a space or tab between them, are expected"
        raise DataError(problem, file=file, fix="write the tag behind each word, or name another file")
    if column > layout.width:
        others = "column 2" if last == 1 else f"columns 2 to {layout.width}"
        raise DataError(
            f"has no column {column}: its lines have {layout.width} columns, of which the first is the word",
            file=file,
            fix=f"name one of {others} with --column, or leave --column out for the last",
        )
    return last if column == LAST else column - 1


def columns_sentence(block: Block, layout: Layout, column: int | None) -> Sentence | BadRow:
    """Return the sentence of a block, or a bad row with the first problem.

    Args:
        block: lines of the sentence.
        layout: layout of the file.
        column: index of the tag; None: tags are not read.
    """
    words: list[str] = []
    tags: list[str] = []
    lines: list[int] = []
    for number, text in block.lines:
        fields = layout.fields(text)
        if len(fields) != layout.width:
            if not words and text.startswith("#"):
                continue
            return _another_width(block, layout, number, text, len(fields))
        for index, name in ((0, "word"), (column, "tag")):
            if index is not None and not fields[index].strip():
                fix = "correct the line" if name == "word" else "correct the line, or name another column with --column"
                return block.bad(f"empty {name}", f"the {name} is empty", number, text, column=index, fix=fix)
        words.append(fields[0])
        lines.append(number)
        if column is not None:
            tags.append(fields[column])
    if not words:
        number, text = block.lines[-1]
        return block.bad("no words", "the sentence has no words", number, text, fix="remove the comments")
    return Sentence(tuple(words), None if column is None else tuple(tags), numbers(lines))


def _another_width(block: Block, layout: Layout, number: int, text: str, width: int) -> BadRow:
    few, separator = width < layout.width, "tab" if layout.tabs else "space"
    return block.bad(
        "too few fields" if few else "too many fields",
        f"{layout.width} columns with a {separator} between them are expected, as in most lines: got "
        f"{width} field{'s'[: width != 1]}",
        number,
        text,
        column=min(width, layout.width),
        fix="correct the line; an empty line ends a sentence",
    )
