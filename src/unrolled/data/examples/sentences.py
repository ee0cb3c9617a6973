"""Sentences for the task *tag*: words with a tag each, from CoNLL-U, from columns, or from Python objects.

- `.conllu`                 ten columns, a line a word, an empty line after each sentence; see `conllu.py`
- `.conll` `.bio` `.tsv` …  columns with spaces or tabs between them, a word and its tag, no header; see `conll.py`

All may be compressed (.gz, .xz, .bz2). A faulty line makes its whole sentence a bad row, which is an error or is
skipped and counted.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

from unrolled.config import TASK_DEFAULTS, DataConfig
from unrolled.data.examples.blocks import Block, Sentence, blocks, file_layout
from unrolled.data.examples.conll import columns_sentence, tag_index
from unrolled.data.examples.conllu import conllu_sentence, tag_column
from unrolled.data.examples.labelled import UNKNOWN_LABEL, unknown_label
from unrolled.data.examples.table import ExampleTable, fingerprint_of
from unrolled.data.reading.counts import sift
from unrolled.data.reading.objects import PYTHON
from unrolled.data.reading.rows import SKIP, BadRow
from unrolled.data.reading.samples import PREFIX, SPLITS, find, split_file
from unrolled.data.reading.stdin import STDIN, STDIN_NAME, standard_input
from unrolled.errors import ConfigError, DataError
from unrolled.strings import NOT_UNICODE, has_surrogate, normalized

__all__ = ["Sentences", "load_sentences", "read_sentences", "refuse_other_column", "string_fault"]

TASK = "tag"


@dataclass(frozen=True)
class Sentences(ExampleTable[Sequence[Sentence]]):
    """Sentences with tags."""

    UNITS: ClassVar[str] = "sentences"

    def select(self, rows: Iterable[int]) -> Self:
        """Return the sentences with these indices, in this order; all count as read and used."""
        return self.with_items([self.items[row] for row in rows])

    def words(self) -> list[tuple[str, ...]]:
        """Return the words of each sentence."""
        return [sentence.words for sentence in self.items]

    def tags(self) -> list[str]:
        """Return the tags of all words, sentence after sentence; empty without tags."""
        return list(chain.from_iterable(sentence.tags or () for sentence in self.items))

    def left_out(self) -> dict[str, int]:
        """Return the numbers of multiword tokens and empty nodes, which are not words and were left out."""
        return {
            "multiword tokens": sum(sentence.ranges for sentence in self.items),
            "empty nodes": sum(sentence.empty for sentence in self.items),
        }

    def usual_tags(self, form: str = "none") -> dict[str, str]:
        """Return the most frequent tag of each word, in a Unicode normal form; of equally frequent ones the first."""
        tags: dict[str, Counter[str]] = {}
        for word, tag in zip(chain.from_iterable(self.words()), self.tags(), strict=True):
            tags.setdefault(normalized(word, form), Counter())[tag] += 1
        return {word: counts.most_common(1)[0][0] for word, counts in tags.items()}

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the number of words, the words and the tags of each sentence, in order."""
        return fingerprint_of(
            value
            for sentence in self.items
            for value in (str(len(sentence.words)), *sentence.words, *(sentence.tags or ()))
        )


def load_sentences(
    data: object, config: DataConfig, *, labels: Sequence[str] | None = None, need_labels: bool = True
) -> Sentences:
    """Read all sentences of `data`.

    Args:
        data: a path; "sample:tags" or "sample:tags/test"; an iterable of (words, tags) pairs, two lists of strings.
        config: the column of the tags (`label` of CoNLL-U, else `column`), and whether a bad sentence is an error.
        labels: the allowed tags; a sentence with another tag is bad. None: all.
        need_labels: whether tags are read. If not, a file may have a single column, of words.

    Raises:
        DataError: a bad sentence (unless bad rows are skipped), a file that cannot be read, or no usable sentence.
    """
    known = None if labels is None else dict.fromkeys(labels)
    stop = config.on_bad_row == "stop"
    name, source, files = _files(data)
    items: list[Sentence] = []
    if files is None:
        parse_pair = partial(_pair, known=known)
        counts, skipped = sift(_python(data), parse_pair, items.append, stop=stop, source=source, units=Sentences.UNITS)
        return Sentences(name, source, items, counts, skipped, "item")
    sentences = (
        sentence for file, path in files.items() for sentence in _sentences(path, file, config, known, need_labels)
    )
    counts, skipped = sift(sentences, _parsed, items.append, stop=stop, source=source, units=Sentences.UNITS)
    return Sentences(name, source, items, counts, skipped)


def read_sentences(path: str | Path, config: DataConfig) -> Sentences:
    """Read the words of a file; every sentence's tags are None.

    Raises:
        DataError: as `load_sentences`.
    """
    return load_sentences(path, config, need_labels=False)


def refuse_other_column(data: object, config: DataConfig) -> None:
    """Refuse the name of a column for files without names, and a number for CoNLL-U.

    Raises:
        ConfigError: says which of the two settings to use.
    """
    for file, path in (_files(data)[2] or {}).items():
        conllu = file_layout(path, file) is None
        if conllu and config.column != DataConfig().column:
            raise ConfigError(f"{file} is CoNLL-U, whose columns have names: use --label XPOS or another, not --column")
        if not conllu and config.label != TASK_DEFAULTS[TASK]["label"]:
            raise ConfigError(
                f"{file} has columns without names: give the number of the tag's with --column, not --label "
                f"{config.label}"
            )


def _files(data: object) -> tuple[str, str, dict[str, Path] | None]:
    """Return name and source of `data`, and its files by their names in messages (None for Python objects)."""
    if data == STDIN:
        return "input", STDIN_NAME, {STDIN_NAME: standard_input(plain=True)}
    if isinstance(data, str) and data.startswith(PREFIX):
        sample, split = find(data, TASK)
        splits = [split] if split else SPLITS
        files = {f"{PREFIX}{sample.name}/{name}": split_file(sample.name, name, ".conllu") for name in splits}
        return sample.name, data, files
    if isinstance(data, (str, os.PathLike)):
        return Path(data).name.split(".")[0] or "data", str(data), {str(data): Path(data)}
    return "data", PYTHON, None


def _sentences(
    path: Path, file: str, config: DataConfig, known: Collection[str] | None, need_labels: bool
) -> Iterator[Sentence | BadRow]:
    """Yield the sentences of a file, and its bad rows; arguments as in `load_sentences`."""
    layout, column = file_layout(path, file), None
    if need_labels:
        column = tag_column(config.label) if layout is None else tag_index(config.column, layout, file)
    for block in blocks(path, file, layout):
        yield block if isinstance(block, BadRow) else _sentence(block, column, known)


def _parsed(sentence: Sentence | BadRow) -> Sentence | BadRow:
    return sentence


def _sentence(block: Block, column: int | None, known: Collection[str] | None) -> Sentence | BadRow:
    """Return the sentence of a block, or a bad row with the first problem.

    Args:
        block: its lines. column: index of the column with the tags; None: tags are not read.
        known: the allowed tags; None: all.
    """
    if block.fault:
        return block.fault
    for number, text in block.lines:
        if "\r" in text:
            fix = "let lines end with a line feed (tr '\\r' '\\n' < OLD > NEW)"
            problem = "the line holds a carriage return without a line feed"
            return block.bad("bare carriage return", problem, number, text, fix=fix)
    layout = block.layout
    sentence = conllu_sentence(block, column) if layout is None else columns_sentence(block, layout, column)
    if isinstance(sentence, BadRow):
        return sentence
    for line, tag in zip(sentence.lines, sentence.tags or (), strict=False):
        if known is not None and tag not in known:
            text = next(text for number, text in block.lines if number == line)
            problem = unknown_label(tag, known)
            return block.bad(UNKNOWN_LABEL, problem, line, text, column=column, fix="correct the tag")
    return sentence


class Pair(NamedTuple):
    """A Python object and its index."""

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
    """Return the sentence of a pair (words, tags), or a bad row."""
    number, item = pair

    def bad(reason: str, problem: str) -> BadRow:
        return BadRow(reason, DataError(problem, line=number, unit="item", fix=f"correct the item, {SKIP}"))

    if (
        not isinstance(item, (tuple, list))
        or len(item) != 2
        or not all(isinstance(side, (tuple, list)) for side in item)
    ):
        return bad("not a sentence", "a pair (words, tags) of two lists of strings is expected")
    words, tags = map(tuple, item)
    if len(words) != len(tags):
        return bad("another length", f"{_count(words, 'word')} and {_count(tags, 'tag')}: give one tag a word")
    if not words:
        return bad("no words", "the sentence has no words")
    for name, values in (("word", words), ("tag", tags)):
        for i, value in enumerate(values):
            if fault := string_fault(value):
                return bad(f"bad {name}", f"{name} {i} {fault}")
            if name == "tag" and known is not None and value not in known:
                return bad(UNKNOWN_LABEL, unknown_label(value, known))
    return Sentence(words, tags, (number,) * len(words))


def string_fault(value: object) -> str | None:
    """Return the reason why a value cannot be a word or a tag, if there is one."""
    if not isinstance(value, str):
        return f"is a {type(value).__name__}, not a string"
    if not value.strip():
        return "is empty"
    if any(end in value for end in "\t\r\n"):
        return "holds a tab or a line end, which separate words"
    if has_surrogate(value):
        return NOT_UNICODE
    return None


def _count(values: Sequence[object], noun: str) -> str:
    return f"{len(values)} {noun}" + "s"[: len(values) != 1]
