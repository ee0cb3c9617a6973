"""Parser of a tagged sentence, in CoNLL-U or in two columns: words, tags and line numbers.

CoNLL-U has ten columns separated by tabs: https://universaldependencies.org/format.html. Words are the lines whose ID
is an integer, from 1. Ranges (1-2: a multiword token, the written form of words that are also listed) and empty nodes
(1.1: a word that was not written) are not words: they are checked, counted and left out.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import NamedTuple

from unrolled.data.examples.labelled import UNKNOWN_LABEL, unknown_label
from unrolled.data.reading.rows import SKIP, BadRow
from unrolled.errors import DataError, excerpt, nearest

__all__ = ["COLUMNS", "Block", "Sentence", "sentence_of", "tag_column"]

COLUMNS = ("ID", "FORM", "LEMMA", "UPOS", "XPOS", "FEATS", "HEAD", "DEPREL", "DEPS", "MISC")
FORM = COLUMNS.index("FORM")
REQUIRED = ("UPOS", "DEPREL")  # every word has one; in other columns _ means that there is none
WORD = re.compile(r"[1-9][0-9]*")
RANGE = re.compile(r"([1-9][0-9]*)-([1-9][0-9]*)")
EMPTY = re.compile(r"(0|[1-9][0-9]*)\.([1-9][0-9]*)")


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


class Block(NamedTuple):
    """The lines of a sentence, each with its number and text."""

    file: str
    conllu: bool
    lines: list[tuple[int, str]]
    fault: BadRow | None  # the first fault in its bytes

    def bad(self, reason: str, problem: str, line: int, text: str, *, column: int | None = None, fix: str) -> BadRow:
        """Return the sentence as a bad row, because of one of its lines; `column` from 0."""
        error = DataError(
            problem,
            file=self.file,
            line=line,
            column=None if column is None else column + 1,
            column_name=COLUMNS[column] if self.conllu and column is not None and column < len(COLUMNS) else None,
            row=text,
            fix=f"{fix}, {SKIP}",
        )
        return BadRow(reason, error)


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


def sentence_of(block: Block, *, column: int | None, known: Collection[str] | None) -> Sentence | BadRow:
    """Return the sentence of a block, or a bad row with the first problem.

    Args:
        block: its lines.
        column: the CoNLL-U column with the tags (see `tag_column`); None: tags are not read.
        known: the allowed tags; None: all.
    """
    if block.fault:
        return block.fault
    for number, text in block.lines:
        if "\r" in text:
            fix = "let lines end with a line feed (tr '\\r' '\\n' < OLD > NEW)"
            problem = "the line holds a carriage return without a line feed"
            return block.bad("bare carriage return", problem, number, text, fix=fix)
    sentence = _conllu(block, column) if block.conllu else _two_columns(block, column is not None)
    if isinstance(sentence, BadRow):
        return sentence
    for line, tag in zip(sentence.lines, sentence.tags or (), strict=False):
        if known is not None and tag not in known:
            text = next(text for number, text in block.lines if number == line)
            problem = unknown_label(tag, known)
            return block.bad(
                UNKNOWN_LABEL, problem, line, text, column=column if block.conllu else 1, fix="correct the tag"
            )
    return sentence


def _two_columns(block: Block, tagged: bool) -> Sentence | BadRow:
    words, tags = [], []
    for number, text in block.lines:
        word, *rest = text.split("\t")
        if len(rest) != 1 and (tagged or rest):
            few = not rest
            problem = f"a word, a tab and its tag are expected: got {_fields(1 + len(rest))}"
            fix = "write a word and its tag in each line, and an empty line after each sentence"
            return block.bad(
                "too few fields" if few else "too many fields", problem, number, text, column=1 if few else 2, fix=fix
            )
        for i, (name, value) in enumerate(zip(("word", "tag"), (word, *rest), strict=False)):
            if not value.strip():
                return block.bad(
                    f"empty {name}", f"the {name} is empty", number, text, column=i, fix="correct the line"
                )
        words.append(word)
        tags += rest
    return Sentence(tuple(words), tuple(tags) if tagged else None, _numbers([number for number, _ in block.lines]))


def _conllu(block: Block, column: int | None) -> Sentence | BadRow:
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
    return Sentence(tuple(words), None if column is None else tuple(tags), _numbers(lines), ranges, empty)


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


def _numbers(lines: list[int]) -> Sequence[int]:
    """Return the numbers of the lines, as a range if they are consecutive."""
    whole = range(lines[0], lines[-1] + 1)
    return whole if len(whole) == len(lines) else tuple(lines)
