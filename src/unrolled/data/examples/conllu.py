"""Parser of a tagged sentence in CoNLL-U: words, tags and line numbers.

CoNLL-U has ten columns separated by tabs: https://universaldependencies.org/format.html. Words are the lines whose ID
is an integer, from 1. Ranges (1-2: a multiword token, the written form of words that are also listed) and empty nodes
(1.1: a word that was not written) are not words: they are checked, counted and left out.
"""

from __future__ import annotations

import re

from unrolled.data.examples.blocks import COLUMNS, Block, Sentence, numbers
from unrolled.data.reading.rows import BadRow
from unrolled.errors import DataError, excerpt, nearest

__all__ = ["conllu_sentence", "tag_column"]

FORM = COLUMNS.index("FORM")
REQUIRED = ("UPOS", "DEPREL")  # every word has one; in other columns _ means that there is none
WORD = re.compile(r"[1-9][0-9]*")
RANGE = re.compile(r"([1-9][0-9]*)-([1-9][0-9]*)")
EMPTY = re.compile(r"(0|[1-9][0-9]*)\.([1-9][0-9]*)")


def tag_column(label: str) -> int:
    """Return the index of the CoNLL-U column with the tags.

    Raises:
        DataError: `label` is not a column with tags.
    """
    if label not in COLUMNS[FORM + 1 :]:
        raise DataError(
            f'CoNLL-U has no tags in a column "{label}"{nearest(label, COLUMNS)}',
            fix=f"name the column of the tags with --label: {', '.join(COLUMNS[FORM + 1 :])}",
        )
    return COLUMNS.index(label)


def conllu_sentence(block: Block, column: int | None) -> Sentence | BadRow:
    """Return the sentence of a block, or a bad row with the first problem.

    Args:
        block: lines of the sentence.
        column: column of the tags (see `tag_column`); None: tags are not read.
    """
    words: list[str] = []
    tags: list[str] = []
    lines: list[int] = []
    ranges, last = 0, 0  # multiword tokens, and the last word of the latest one
    empty, nodes = 0, 0  # empty nodes, and those since the latest word
    for number, text in block.lines:
        if text.startswith("#"):
            if lines:
                return block.bad(
                    "comment inside a sentence",
                    "a comment is between the words of a sentence",
                    number,
                    text,
                    fix="comments come before a sentence: put an empty line before it, or remove it",
                )
            continue
        fields = text.split("\t")
        if fault := _broken(block, number, text, fields):
            return fault
        identity = fields[0]
        if WORD.fullmatch(identity) and int(identity) == len(words) + 1:
            words.append(fields[FORM])
            lines.append(number)
            nodes = 0
            if column is not None:
                if fields[column] == "_" and COLUMNS[column] in REQUIRED:
                    problem = f'the word "{excerpt(fields[FORM], 40)}" has no {COLUMNS[column]}'
                    return block.bad("missing tag", problem, number, text, column=column, fix="give it one")
                tags.append(fields[column])
        elif (match := RANGE.fullmatch(identity)) and last <= len(words) == int(match[1]) - 1 < int(match[2]):
            ranges, last = ranges + 1, int(match[2])
        elif (match := EMPTY.fullmatch(identity)) and (int(match[1]), int(match[2])) == (len(words), nodes + 1):
            empty, nodes = empty + 1, nodes + 1
        else:
            return block.bad(
                "wrong ID",
                f'the ID "{excerpt(identity, 40)}" is out of order: the next word is {len(words) + 1}',
                number,
                text,
                column=0,
                fix="words count from 1 in each sentence, a range begins with the next word, an empty node follows its "
                "word; an empty line separates two sentences",
            )
    number, text = block.lines[-1]
    if last > len(words):
        problem = f"a multiword token reaches to word {last}, and the sentence has {len(words)}"
        return block.bad("wrong ID", problem, number, text, column=0, fix="correct the range, or add the words")
    if not words:
        return block.bad("no words", "the sentence has no words", number, text, fix="remove the comments")
    return Sentence(tuple(words), None if column is None else tuple(tags), numbers(lines), ranges, empty)


def _broken(block: Block, number: int, text: str, fields: list[str]) -> BadRow | None:
    """Return the first problem of the columns of a line, if any."""
    expected = len(COLUMNS)
    if len(fields) != expected:
        few = len(fields) < expected
        return block.bad(
            "too few fields" if few else "too many fields",
            f"{expected} columns with tabs between them are expected: got {_fields(len(fields))}",
            number,
            text,
            column=min(len(fields), expected),
            fix="correct the line (unknown values are written _)",
        )
    for i, field in enumerate(fields):
        if not field.strip():
            return block.bad(
                "empty field", "the column is empty", number, text, column=i, fix="write _ for an unknown value"
            )
    return None


def _fields(count: int) -> str:
    return f"{count} field" + "s"[: count != 1]
