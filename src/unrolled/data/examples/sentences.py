"""Sentences for the task *tag*: words with a tag each, from CoNLL-U, from columns, or from Python objects.

- `.conllu`                 ten columns, a line a word, an empty line after each sentence; see `conllu.py`
- `.conll` `.bio` `.tsv` …  columns with spaces or tabs between them, a word and its tag, no header; see `conll.py`

All may be compressed (.gz, .xz, .bz2). A faulty line makes its whole sentence a bad row, which is an error or is
skipped and counted.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

from unrolled.config import TASK_DEFAULTS, DataConfig
from unrolled.data.examples.blocks import Block, Sentence, blocks, file_layout, refuse_joined_words, tag_columns
from unrolled.data.examples.columns import View
from unrolled.data.examples.conll import columns_sentence, tag_index
from unrolled.data.examples.conllu import conllu_sentence, tag_column
from unrolled.data.examples.labelled import UNKNOWN_LABEL, unknown_label
from unrolled.data.examples.labels import label_form
from unrolled.data.examples.sentence_items import SentenceItems
from unrolled.data.examples.table import ExampleTable, fingerprint_of
from unrolled.data.reading.addresses import PYTHON, STDIN, STDIN_NAME, is_sample
from unrolled.data.reading.counts import sift
from unrolled.data.reading.faults import RAISED, Faults
from unrolled.data.reading.objects import kind_of
from unrolled.data.reading.remedies import line_feeds
from unrolled.data.reading.rows import SKIP, BadRow
from unrolled.data.reading.samples import find, split_files, tagged
from unrolled.data.reading.stdin import standard_input
from unrolled.errors import ConfigError, DataError
from unrolled.strings import NOT_UNICODE, has_surrogate, normalized

__all__ = ["Sentences", "load_sentences", "other_columns", "read_sentences", "refuse_other_column", "string_fault"]

TASK = "tag"


@dataclass(frozen=True)
class Sentences(ExampleTable[SentenceItems]):
    """Sentences with tags."""

    UNITS: ClassVar[str] = "sentences"
    ITEMS: ClassVar[type[SentenceItems]] = SentenceItems

    def select(self, rows: Iterable[int]) -> Self:
        """Return the sentences with these indices, in this order; all count as read and used."""
        return self.with_items(self.items.select(rows))

    def words(self) -> View[tuple[str, ...]]:
        """Return the words of each sentence."""
        return self.items.mapped(lambda sentence: sentence.words)

    def tags(self) -> Iterator[str]:
        """Yield the tags of all words, sentence after sentence; none without tags."""
        return chain.from_iterable(sentence.tags or () for sentence in self.items)

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
    data: object,
    config: DataConfig,
    *,
    labels: Sequence[str] | None = None,
    need_labels: bool = True,
    faults: Faults = RAISED,
) -> Sentences:
    """Read all sentences of `data`.

    Args:
        data: a path; "sample:tags" or "sample:tags/test"; "synthetic:copy?length=5"; an iterable of (words, tags)
            pairs, two lists of strings.
        config: the column of the tags (`label` of CoNLL-U, else `column`), and whether a bad sentence is an error.
        labels: the allowed tags; a sentence with another tag is bad. None: all.
        need_labels: whether tags are read. If not, a file may have a single column, of words.
        faults: the collector, which raises a fault or keeps it for a report.

    Raises:
        DataError: a bad sentence (unless bad rows are skipped), a file that cannot be read, or no usable sentence.
    """
    known = None if labels is None else dict.fromkeys(labels)
    stop, units = config.on_bad_row == "stop", Sentences.UNITS
    name, source, files = _files(data)
    items = SentenceItems()
    sentences: Iterable[Parsed]
    if files is None:
        sentences = map(_pair, _python(tagged(data) if is_sample(data) else data))
    else:
        sentences = chain.from_iterable(_sentences(path, file, config, need_labels) for file, path in files.items())
    parse = partial(_with_known_tags, form=label_form(config, str.upper), known=known)
    counts, skipped = sift(sentences, parse, items.append, stop=stop, source=source, units=units, faults=faults)
    return Sentences(name, source, items, counts, skipped, "item" if files is None else "line")


def read_sentences(path: str | Path, config: DataConfig) -> Sentences:
    """Read the words of a file; every sentence's tags are None.

    Raises:
        DataError: as `load_sentences`.
    """
    return load_sentences(path, config, need_labels=False)


def other_columns(data: object) -> str:
    """Return the flags that name columns with several tags, "" for CoNLL-U and Python objects."""
    for file, path in (_files(data)[2] or {}).items():
        if (layout := file_layout(path, file)) and (numbers := tag_columns(path, file, layout)):
            return " or ".join(f"--column {number}" for number in numbers)
    return ""


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
    """Return name and source of `data`, and its files by their names in messages (None without files)."""
    if data == STDIN:
        return "input", STDIN_NAME, {STDIN_NAME: standard_input(plain=True)}
    if is_sample(data):
        sample, _ = find(data, TASK)
        return sample.name, data, split_files(data, ".conllu") or None
    if isinstance(data, (str, os.PathLike)):
        return Path(data).name.split(".")[0] or "data", str(data), {str(data): Path(data)}
    return "data", PYTHON, None


def _sentences(path: Path, file: str, config: DataConfig, need_labels: bool) -> Iterator[Parsed]:
    """Yield the sentences of a file, and its bad rows; arguments as in `load_sentences`."""
    layout, column = file_layout(path, file), None
    if need_labels:
        if layout is not None:
            refuse_joined_words(path, file)
        column = tag_column(config.label) if layout is None else tag_index(config.column, layout, file)
    for block in blocks(path, file, layout):
        yield Parsed(block, None, None) if isinstance(block, BadRow) else _sentence(block, column)


class Parsed(NamedTuple):
    """A sentence, or a bad row.

    Args:
        sentence: one of both.
        block: its lines; None for Python objects.
        column: index of the column with the tags.
    """

    sentence: Sentence | BadRow
    block: Block | None
    column: int | None

    def unknown(self, index: int, tag: str, known: Collection[str]) -> BadRow:
        """Return the sentence as a bad row, because of the tag of a word, which does not occur in training."""
        assert isinstance(self.sentence, Sentence)
        line, problem = self.sentence.lines[index], unknown_label(tag, known)
        if self.block is None:
            return _bad(line, UNKNOWN_LABEL, problem)
        text = next(text for number, text in self.block.lines if number == line)
        return self.block.bad(UNKNOWN_LABEL, problem, line, text, column=self.column, fix="correct the tag")


def _sentence(block: Block, column: int | None) -> Parsed:
    """Return the sentence of a block, or a bad row with the first problem; `column` is the index of its tags."""
    if block.fault:
        return Parsed(block.fault, block, column)
    for number, text in block.lines:
        if "\r" in text:
            fix = f"let lines end with a line feed: {line_feeds(block.file)}"
            problem = "the line holds a carriage return without a line feed"
            return Parsed(block.bad("bare carriage return", problem, number, text, fix=fix), block, column)
    layout = block.layout
    sentence = conllu_sentence(block, column) if layout is None else columns_sentence(block, layout, column)
    return Parsed(sentence, block, column)


def _with_known_tags(parsed: Parsed, *, form: Callable[[str], str], known: Collection[str] | None) -> Sentence | BadRow:
    """Return a sentence with its tags in one form, or a bad row if one of them is not known."""
    sentence = parsed.sentence
    if isinstance(sentence, BadRow) or sentence.tags is None:
        return sentence
    tags = tuple(map(form, sentence.tags))
    for index, tag in enumerate(tags):
        if known is not None and tag not in known:
            return parsed.unknown(index, tag, known)
    return sentence._replace(tags=tags)


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


def _bad(number: int, reason: str, problem: str) -> BadRow:
    return BadRow(reason, DataError(problem, line=number, unit="item", fix=f"correct the item, {SKIP}"))


def _pair(pair: Pair) -> Parsed:
    """Return the sentence of a pair (words, tags), or a bad row."""
    return Parsed(_checked(pair), None, None)


def _checked(pair: Pair) -> Sentence | BadRow:
    number, item = pair
    if (
        not isinstance(item, (tuple, list))
        or len(item) != 2
        or not all(isinstance(side, (tuple, list)) for side in item)
    ):
        return _bad(number, "not a sentence", "a pair (words, tags) of two lists of strings is expected")
    words, tags = map(tuple, item)
    if len(words) != len(tags):
        problem = f"{_count(words, 'word')} and {_count(tags, 'tag')}: give one tag a word"
        return _bad(number, "another length", problem)
    if not words:
        return _bad(number, "no words", "the sentence has no words")
    for name, values in (("word", words), ("tag", tags)):
        for i, value in enumerate(values):
            if fault := string_fault(value):
                return _bad(number, f"bad {name}", f"{name} {i} {fault}")
    return Sentence(words, tags, (number,) * len(words))


def string_fault(value: object) -> str | None:
    """Return the reason why a value cannot be a word or a tag, if there is one."""
    if not isinstance(value, str):
        return f"is {kind_of(value)}, not a string"
    if not value.strip():
        return "is empty"
    if any(end in value for end in "\t\r\n"):
        return "holds a tab or a line end, which separate words"
    if has_surrogate(value):
        return NOT_UNICODE
    return None


def _count(values: Sequence[object], noun: str) -> str:
    return f"{len(values)} {noun}" + "s"[: len(values) != 1]
