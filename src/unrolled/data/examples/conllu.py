"""A sentence from its lines, in CoNLL-U or in two columns: the words, their tags, and where each one stands.

CoNLL-U has ten columns, with tabs between them: https://universaldependencies.org/format.html. The words are the lines
whose ID is a whole number, which count from 1. A range (1-2, a multiword token: how words that are listed too are
written) and an empty node (1.1, what nobody wrote) are no words: they are looked at, counted and left out.
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
GIVEN = ("UPOS", "DEPREL")  # every word has one; in the other columns _ says that there is nothing to say
WORD = re.compile(r"[1-9][0-9]*")
RANGE = re.compile(r"([1-9][0-9]*)-([1-9][0-9]*)")
EMPTY = re.compile(r"(0|[1-9][0-9]*)\.([1-9][0-9]*)")


class Sentence(NamedTuple):
    """Words, and a tag for each."""

    words: tuple[str, ...]
    tags: tuple[str, ...] | None
    lines: Sequence[int]  # the physical line of each word, from 1; of Python objects the item, from 0
    ranges: int = 0  # multiword tokens that were left out
    empty: int = 0  # empty nodes that were left out

    @property
    def text(self) -> str:
        """The words with a space between them."""
        return " ".join(self.words)

    def line_of(self, tag: str) -> int:
        """Where its first word with this tag stands."""
        return self.lines[(self.tags or ()).index(tag)]


class Block(NamedTuple):
    """The lines of a sentence: each its number and its text."""

    file: str
    conllu: bool
    lines: list[tuple[int, str]]
    fault: BadRow | None  # the first thing wrong with its bytes

    def bad(self, reason: str, problem: str, line: int, text: str, *, column: int | None = None, fix: str) -> BadRow:
        """Say what is wrong with one of the lines; `column` from 0."""
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
    """Return where the tags stand in CoNLL-U.

    Raises:
        DataError: no such column.
    """
    if label not in COLUMNS[FORM + 1 :]:
        raise DataError(
            f'CoNLL-U has no tags in a column "{label}"{nearest(label, COLUMNS)}',
            fix=f"say with --label which column holds them: {', '.join(COLUMNS[FORM + 1 :])}",
        )
    return COLUMNS.index(label)


def sentence_of(block: Block, *, column: int | None, known: Collection[str] | None) -> Sentence | BadRow:
    """Return the sentence of a block, or what is wrong with it.

    Args:
        block: its lines. column: of CoNLL-U the one that holds the tags (see `tag_column`); None: tags are not read.
        known: the tags there may be, where they are known.
    """
    if block.fault:
        return block.fault
    for number, text in block.lines:
        if "\r" in text:
            fix = "let lines end with a line feed (tr '\\r' '\\n' < OLD > NEW)"
            problem = "a carriage return without a line feed stands in the line"
            return block.bad("bare carriage return", problem, number, text, fix=fix)
    found = _conllu(block, column) if block.conllu else _two_columns(block, column is not None)
    if isinstance(found, BadRow):
        return found
    for line, tag in zip(found.lines, found.tags or (), strict=False):
        if known is not None and tag not in known:
            text = next(text for number, text in block.lines if number == line)
            where = column if block.conllu else 1
            problem = unknown_label(tag, known)
            return block.bad(UNKNOWN_LABEL, problem, line, text, column=where, fix="correct the tag")
    return found


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
        for place, (what, value) in enumerate(zip(("word", "tag"), (word, *rest), strict=False)):
            if not value.strip():
                return block.bad(
                    f"empty {what}", f"the {what} is empty", number, text, column=place, fix="correct the line"
                )
        words.append(word)
        tags += rest
    return Sentence(tuple(words), tuple(tags) if tagged else None, _numbers([number for number, _ in block.lines]))


def _conllu(block: Block, column: int | None) -> Sentence | BadRow:
    words: list[str] = []
    tags: list[str] = []
    lines: list[int] = []
    ranges, reach, empty, nodes = 0, 0, 0, 0  # multiword tokens, where the last one ends; empty nodes, since the word
    for number, text in block.lines:
        if text.startswith("#"):
            if lines:
                return block.bad(
                    "comment inside a sentence",
                    "a comment stands between the words of a sentence",
                    number,
                    text,
                    fix="comments stand before a sentence: put an empty line before it, or take it out",
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
                if fields[column] == "_" and COLUMNS[column] in GIVEN:
                    problem = f'the word "{excerpt(fields[FORM], 40)}" has no {COLUMNS[column]}'
                    return block.bad("missing tag", problem, number, text, column=column, fix="give it one")
                tags.append(fields[column])
        elif (found := RANGE.fullmatch(identity)) and reach <= len(words) == int(found[1]) - 1 < int(found[2]):
            ranges, reach = ranges + 1, int(found[2])
        elif (found := EMPTY.fullmatch(identity)) and (int(found[1]), int(found[2])) == (len(words), nodes + 1):
            empty, nodes = empty + 1, nodes + 1
        else:
            return block.bad(
                "wrong ID",
                f'the ID "{excerpt(identity, 40)}" cannot stand here: the next word is {len(words) + 1}',
                number,
                text,
                column=0,
                fix="words count from 1 in each sentence, a range begins with the next word, an empty node follows its "
                "word; between two sentences stands an empty line",
            )
    number, text = block.lines[-1]
    if reach > len(words):
        problem = f"a multiword token reaches to word {reach}, and the sentence has {len(words)}"
        return block.bad("wrong ID", problem, number, text, column=0, fix="correct the range, or add the words")
    if not words:
        return block.bad("no words", "the sentence has no words", number, text, fix="take the comments out")
    return Sentence(tuple(words), None if column is None else tuple(tags), _numbers(lines), ranges, empty)


def _broken(block: Block, number: int, text: str, fields: list[str]) -> BadRow | None:
    """What is wrong with the columns of a line, if anything."""
    wanted = len(COLUMNS)
    if len(fields) != wanted:
        few = len(fields) < wanted
        return block.bad(
            "too few fields" if few else "too many fields",
            f"{wanted} columns with tabs between them are expected: got {_fields(len(fields))}",
            number,
            text,
            column=min(len(fields), wanted),
            fix="correct the line (what is not known is written _)",
        )
    for place, field in enumerate(fields):
        if not field.strip():
            return block.bad(
                "empty field", "the column is empty", number, text, column=place, fix="write _ where nothing is known"
            )
    return None


def _fields(count: int) -> str:
    return f"{count} field" + "s"[: count != 1]


def _numbers(lines: list[int]) -> Sequence[int]:
    """The numbers of the lines, as a range where they follow each other."""
    whole = range(lines[0], lines[-1] + 1)
    return whole if len(whole) == len(lines) else tuple(lines)
