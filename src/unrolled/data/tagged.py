"""Sentences for the task *tag*: words with a tag each, from CoNLL-U, from two columns, or from Python.

- `.conllu`        ten columns, tabs between them, a line a word, an empty line after each sentence, comments before it:
                   https://universaldependencies.org/format.html. The words are the lines whose ID is a whole number,
                   which count from 1. A range (1-2, a multiword token: how words that are listed too are written) and
                   an empty node (1.1, what nobody wrote) are no words: they are looked at, counted and left out.
- `.tsv` `.txt`    two columns, a word and its tag, and an empty line after each sentence; no header, no comments

Each also packed as .gz, .xz or .bz2. What is wrong with a line makes its sentence a bad row, which stops the load or is
skipped and counted: a sentence is used whole or not at all.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from unrolled.config import DataConfig
from unrolled.data.examples import LISTED, UNKNOWN_LABEL, Counts, Skipped, unknown_label
from unrolled.data.files import unpacked_name
from unrolled.data.lines import open_lines
from unrolled.data.objects import PYTHON
from unrolled.data.rows import SKIP, BadRow
from unrolled.data.samples import PARTS, PREFIX, find, part_file
from unrolled.data.stdin import STDIN, STDIN_NAME, standard_input
from unrolled.errors import DataError, excerpt, nearest

__all__ = ["COLUMNS", "Sentence", "Sentences", "load_sentences", "read_sentences", "string_fault"]

TASK = "tag"
COLUMNS = ("ID", "FORM", "LEMMA", "UPOS", "XPOS", "FEATS", "HEAD", "DEPREL", "DEPS", "MISC")
FORM = COLUMNS.index("FORM")
GIVEN = ("UPOS", "DEPREL")  # every word has one; in the other columns _ says that there is nothing to say
WORD = re.compile(r"[1-9][0-9]*")
RANGE = re.compile(r"([1-9][0-9]*)-([1-9][0-9]*)")
EMPTY = re.compile(r"(0|[1-9][0-9]*)\.([1-9][0-9]*)")
SENTENCES = "sentences"


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


@dataclass(frozen=True)
class Sentences:
    """Sentences with tags, and what is known about where they came from."""

    name: str  # for run folders: the file's stem, the sample's name, or "data"
    source: str  # the path as given, an address like "sample:tags", or "python objects"
    items: Sequence[Sentence]
    counts: Counts
    skipped: Sequence[Skipped] = ()  # the first 20 that were bad
    unit: str = "line"  # see `Place.unit`

    def __len__(self) -> int:
        return len(self.items)

    def words(self) -> list[tuple[str, ...]]:
        """Return the words of each sentence."""
        return [sentence.words for sentence in self.items]

    def tags(self) -> list[str]:
        """Return the tags of all words, sentence after sentence; empty where they were read without."""
        return list(chain.from_iterable(sentence.tags or () for sentence in self.items))

    def left_out(self) -> dict[str, int]:
        """Count what is no word, and so was left out: multiword tokens and empty nodes."""
        return {
            "multiword tokens": sum(sentence.ranges for sentence in self.items),
            "empty nodes": sum(sentence.empty for sentence in self.items),
        }

    def usual_tags(self) -> dict[str, str]:
        """Return for each word the tag that it has most often; of equals the one it had first."""
        found: dict[str, Counter[str]] = {}
        for word, tag in zip(chain.from_iterable(self.words()), self.tags(), strict=True):
            found.setdefault(word, Counter())[tag] += 1
        return {word: counts.most_common(1)[0][0] for word, counts in found.items()}

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over words and tags in order, each length first, so that no two lists are confused."""
        digest = hashlib.sha256()
        for sentence in self.items:
            for value in (str(len(sentence.words)), *sentence.words, *(sentence.tags or ())):
                data = value.encode()
                digest.update(b"%d:" % len(data) + data)
        return digest.hexdigest()


def load_sentences(
    data: object, config: DataConfig, *, labels: Sequence[str] | None = None, need_labels: bool = True
) -> Sentences:
    """Read all sentences of `data`.

    Args:
        data: a path; "sample:tags" or "sample:tags/test"; an iterable of (words, tags) pairs, two lists of strings.
        config: which column of CoNLL-U is the tag (`label`), and whether a bad sentence stops.
        labels: the tags there may be, where they are known; another one makes a bad sentence.
        need_labels: whether tags are read at all. If not, a file of two columns may lack the second.

    Raises:
        DataError: a bad sentence (unless they are skipped), a file that cannot be read, or nothing left to use.
    """
    known = None if labels is None else dict.fromkeys(labels)
    column = _column(config.label) if need_labels else None
    stop = config.on_bad_row == "stop"
    name, source, files = _files(data)
    if files is None:
        return _collect(name, source, _python(data), partial(_pair, known=known), stop=stop, unit="item")
    blocks = (block for file, path in files.items() for block in _blocks(path, file))
    return _collect(name, source, blocks, partial(_sentence, column=column, known=known), stop=stop)


def read_sentences(path: str | Path, config: DataConfig) -> Sentences:
    """Read the words of a file, for tagging them: every sentence's tags are None.

    Raises:
        DataError: as `load_sentences`.
    """
    return load_sentences(path, config, need_labels=False)


R = TypeVar("R")


def _collect(
    name: str,
    source: str,
    rows: Iterable[R],
    make: Callable[[R], Sentence | BadRow],
    *,
    stop: bool,
    unit: str = "line",
) -> Sentences:
    """Make a sentence of every row, and count what became of each."""
    items: list[Sentence] = []
    skipped: Counter[str] = Counter()
    listed: list[Skipped] = []
    for row in rows:
        made = make(row)
        if isinstance(made, Sentence):
            items.append(made)
            continue
        assert made.error is not None
        if stop:
            raise made.error
        skipped[made.reason] += 1
        if len(listed) < LISTED:
            listed.append(Skipped(made.error.line, made.reason, excerpt(made.error.row or ""), unit))
    counts = Counts(len(items) + skipped.total(), len(items), dict(skipped), SENTENCES)
    if not items:
        problem = f"none of its sentences can be used: {counts}" if counts.read else "there are no sentences"
        raise DataError(problem, file=source, fix="check that the right data and the right column were named")
    return Sentences(name, source, items, counts, listed, unit)


class Block(NamedTuple):
    """The lines of a sentence: each its number and its text."""

    file: str
    conllu: bool
    lines: list[tuple[int, str]]
    fault: BadRow | None  # the first thing wrong with its bytes

    @property
    def line(self) -> int:
        """The first one's number."""
        return self.lines[0][0]

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


def _column(label: str) -> int:
    """Where the tag stands in CoNLL-U."""
    if label not in COLUMNS[FORM + 1 :]:
        raise DataError(
            f'CoNLL-U has no tags in a column "{label}"{nearest(label, COLUMNS)}',
            fix=f"say with --label which column holds them: {', '.join(COLUMNS[FORM + 1 :])}",
        )
    return COLUMNS.index(label)


def _files(data: object) -> tuple[str, str, dict[str, Path] | None]:
    """The name and source of `data`, and its files by their names in messages; None of Python objects."""
    if data == STDIN:
        return "input", STDIN_NAME, {STDIN_NAME: standard_input(plain=True)}
    if isinstance(data, str) and data.startswith(PREFIX):
        sample, part = find(data, TASK)
        wanted = [part] if part else PARTS
        return sample.name, data, {f"{PREFIX}{sample.name}/{p}": part_file(sample.name, p, ".conllu") for p in wanted}
    if isinstance(data, (str, os.PathLike)):
        return Path(data).name.split(".")[0] or "data", str(data), {str(data): Path(data)}
    return "data", PYTHON, None


def _blocks(path: Path, file: str) -> Iterator[Block]:
    """The lines between empty ones."""
    conllu = _looks_like_conllu(path) if file == STDIN_NAME else _is_conllu(path, file)
    with open_lines(path, file) as lines:
        block: list[tuple[int, str]] = []
        lines.begin()
        for text in lines:
            text = text.rstrip("\r\n")
            if text.strip(" "):
                block.append((lines.number, text))
                continue
            if block:
                yield Block(file, conllu, block, lines.fault)
                block = []
            lines.begin()
        if block:
            yield Block(file, conllu, block, lines.fault)
        if not lines.number:
            raise DataError("the file is empty", file=file, line=1, fix="check that the right file was named")


def _is_conllu(path: Path, file: str) -> bool:
    """Whether a file's name says that it is CoNLL-U, and not one of two columns."""
    extension = Path(unpacked_name(path.name)).suffix
    if extension not in (".conllu", ".tsv", ".txt"):
        got = f'"{extension}"' if extension else "a name without an extension"
        raise DataError(
            f"cannot tell the format from {got}",
            file=file,
            fix="sentences with tags are in files that end in .conllu, or in .tsv or .txt with a word, a tab and a tag "
            "in each line; each also with .gz, .xz or .bz2",
        )
    return extension == ".conllu"


def _looks_like_conllu(path: Path) -> bool:
    """Whether the first line of standard input that is no comment has as many columns as CoNLL-U."""
    with open_lines(path, STDIN_NAME) as lines:
        first = next((line for line in lines if line.strip() and not line.startswith("# ")), "")
    return len(first.split("\t")) == len(COLUMNS)


def _sentence(block: Block, *, column: int | None, known: Collection[str] | None) -> Sentence | BadRow:
    """A sentence of its lines; `column` holds the tags, or is None where they are not read."""
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


class Pair(NamedTuple):
    """One Python object, and where it stood."""

    line: int
    item: Any


def _python(data: object) -> Iterator[Pair]:
    if isinstance(data, (bytes, bytearray)) or not isinstance(data, Iterable):
        raise DataError(
            f"sentences cannot be read from a Python {type(data).__name__}",
            fix="give a path, a sample, or (words, tags) pairs of two lists of strings",
        )
    return (Pair(number, item) for number, item in enumerate(data))


def _pair(pair: Pair, *, known: Collection[str] | None) -> Sentence | BadRow:
    """A sentence of a pair (words, tags)."""
    number, item = pair

    def bad(reason: str, problem: str) -> BadRow:
        return BadRow(reason, DataError(problem, line=number, unit="item", fix=f"correct the item, {SKIP}"))

    if (
        not isinstance(item, (tuple, list))
        or len(item) != 2
        or not all(isinstance(part, (tuple, list)) for part in item)
    ):
        return bad("not a sentence", "a pair (words, tags) of two lists of strings is expected")
    words, tags = map(tuple, item)
    if len(words) != len(tags):
        return bad("another length", f"{_count(words, 'word')} and {_count(tags, 'tag')}: give one tag a word")
    if not words:
        return bad("no words", "the sentence has no words")
    for what, values in (("word", words), ("tag", tags)):
        for place, value in enumerate(values):
            if fault := string_fault(value):
                return bad(f"bad {what}", f"{what} {place} {fault}")
            if what == "tag" and known is not None and value not in known:
                return bad(UNKNOWN_LABEL, unknown_label(value, known))
    return Sentence(words, tags, (number,) * len(words))


def string_fault(value: object) -> str | None:
    """Say why a value can be neither a word nor a tag, if so."""
    if not isinstance(value, str):
        return f"is a {type(value).__name__}, not a string"
    if not value.strip():
        return "is empty"
    if any(end in value for end in "\t\r\n"):
        return "holds a tab or a line end, which stand between words"
    if any("\ud800" <= character <= "\udfff" for character in value):
        return "holds half a character, which is not Unicode"
    return None


def _count(values: Sequence[object], what: str) -> str:
    return f"{len(values)} {what}" + "s"[: len(values) != 1]
