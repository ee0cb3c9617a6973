"""Commands that write tagged words of other forms as columns, a word and its tag a line, as messages give them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

from unrolled.data.reading.files import unpacked_name
from unrolled.data.reading.formats import EXTENSIONS, columns_of, read_rows
from unrolled.data.reading.remedies import renaming, rewriting
from unrolled.data.reading.rows import BadRow, Row
from unrolled.errors import DataError

__all__ = ["HEADER_TAGS", "HEADER_WORDS", "joined_words", "way_to_columns"]

HEADER_WORDS = {"word", "words", "token", "tokens", "form", "text"}
HEADER_TAGS = {"tag", "tags", "label", "labels", "pos", "upos", "xpos", "ner", "ner_tag", "pos_tag"}
SENTENCE = "sent"  # begins the name of a column that numbers the sentences: Sentence #, sentence_id, sent
CONLL = ".conll"
JOINTS = ("/", "_")  # between a word and its tag: of the Brown and Penn corpora, and of Stanford's tagger
BY_HAND = "write a word, a tab and its tag a line, and a blank line after each sentence"


def joined_words(lines: Sequence[str], file: str) -> DataError | None:
    """Return the error about a file with a sentence a line, as `The/DT cat/NN` or `The_DT cat_NN`; None for another.

    Args:
        lines: the first lines with words.
        file: its name in messages.
    """
    words = [line.split() for line in lines]
    several = 2 * sum(len(each) > 1 for each in words) > len(words)
    for joint in JOINTS if several else ():
        if all(re.fullmatch(rf".+{joint}[^{joint}]+", word) for each in words for word in each):
            program = (
                f'{{for (i = 1; i <= NF; i++) {{n = split($i, part, "{joint}"); '
                'print substr($i, 1, length($i) - length(part[n]) - 1) "\\t" part[n]}; print ""}'
            )
            command = rewriting(f"awk {shlex.quote(program)}", file, "", CONLL)
            problem = f'has a sentence a line, with "{joint}" between a word and its tag'
            return DataError(problem, file=file, fix=f"write a word and its tag a line: {command}")
    return None


def way_to_columns(path: Path, file: str) -> str:
    """Return the way from a file of a form that is not read to one with a word and its tag a line.

    Raises:
        DataError: the file cannot be read, or holds a row that is not UTF-8.
    """
    form = EXTENSIONS.get(Path(unpacked_name(path.name)).suffix)
    if form is None:
        return renaming(file, CONLL, packed=True)
    if form in ("json", "jsonl"):
        return _from_lists(path, file, form)
    return _from_table(path, file) if form == "csv" else BY_HAND


def _from_lists(path: Path, file: str, form: str) -> str:
    """Return the command for a list of words and one of tags in each object of JSON."""
    columns = columns_of(path, file=file)
    row = next((row for row in read_rows(path, columns, file=file) if isinstance(row, Row)), None)
    lists = [name for name, value in zip(columns, row.values, strict=True) if isinstance(value, list)] if row else []
    words, tags = lists[:2] if len(lists) > 1 else ("tokens", "tags")
    each = ".[] | " if form == "json" else ""
    program = f'{each}([.{words}, .{tags}] | transpose[] | map(tostring) | join("\\t")), ""'
    return rewriting(f"jq -r {shlex.quote(program)}", file, "", CONLL)


def _from_table(path: Path, file: str) -> str:
    """Return the command for a table with a word a row, and a column that numbers the sentences, also at their start.

    Raises:
        DataError: as `way_to_columns`.
    """
    columns = columns_of(path, file=file)
    names = [name.casefold() for name in columns]
    sentence = _index(name.startswith(SENTENCE) for name in names)
    word, tag = _index(name in HEADER_WORDS for name in names), _index(name in HEADER_TAGS for name in reversed(names))
    if sentence is None or word is None or tag is None:
        return BY_HAND
    for row in read_rows(path, [columns[word]], file=file):
        if isinstance(row, BadRow) and row.reason == "not UTF-8" and row.error:
            raise row.error
    tag = len(names) - 1 - tag
    program = (
        'import sys, csv; rows = csv.reader(sys.stdin); next(rows); at = [""]; '
        f'[(print("\\n" * (r[{sentence}] not in ("", at[-1])) + r[{word}], r[{tag}], sep="\\t"), '
        f"at.append(r[{sentence}] or at[-1])) for r in rows]"
    )
    return rewriting(f"python -c {shlex.quote(program)}", file, "", CONLL)


def _index(found: Iterable[bool]) -> int | None:
    return next((index for index, yes in enumerate(found) if yes), None)
