"""Report on plain text: sizes, tokens, repeated lines (`unrolled data TEXT --task generate`)."""

from __future__ import annotations

import hashlib
import unicodedata
from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unrolled.config import DataConfig
from unrolled.data.encoding.corpus import load_corpus, refuse_short
from unrolled.data.examples.texts import Text, find_texts, split, text_lines
from unrolled.data.reading.faults import Faults
from unrolled.data.report.charts import Bars, Bins, Histogram, Panel, bins
from unrolled.data.report.checks import unknown_issues
from unrolled.data.report.issues import SHOWN, Issue, IssueExample, Report, location
from unrolled.data.report.refused import refusals
from unrolled.data.report.tables import SplitTable
from unrolled.display import Displayed
from unrolled.errors import excerpt

__all__ = ["TextReport", "TextSplitReport", "inspect_text"]

SHOWN_TOKENS = 12
SHOWN_CHARACTERS = 60
LONG = 40  # characters; a line of this length is hardly in two texts by chance
MILLION = 1_000_000


@dataclass(frozen=True, repr=False)
class TextSplitReport(Displayed):
    """Statistics of a split."""

    files: int
    characters: int
    tokens: int
    unknown: int  # number of tokens that are <unk>
    begins: str  # its first tokens, decoded


@dataclass(frozen=True, repr=False)
class TextReport(Report):
    """Report on a plain text."""

    source: str
    how: str  # a sentence on the split
    tokenizer: str
    vocabulary_size: int
    frequent: dict[str, float]  # the most frequent tokens of the training split, and their frequency
    splits: dict[str, TextSplitReport]
    lengths: Bins  # of lines, in characters
    problem: str | None = None  # always None
    issues: tuple[Issue, ...] = ()
    refusals: tuple[str, ...] = ()

    def lines(self) -> Iterator[str]:
        """Yield the splits, the most frequent tokens, the beginning of each split; see `Report`."""
        return _lines(self)

    def panels(self) -> list[Panel]:
        """Return the lengths of lines and the most frequent tokens; see `Report`."""
        often = {f'"{token}"': {"train": round(rate * MILLION)} for token, rate in self.frequent.items()}
        return [
            Histogram(f"{self.source}: length of the lines", "characters", self.lengths),
            Bars("the most frequent tokens, in a million", often),
        ]


def inspect_text(data: object, config: DataConfig, *, chunk: int = 1) -> TextReport:
    """Read, split and tokenize a text as a training does, and return the report.

    Args:
        data: see `find_texts`.
        config: settings that say how it is read.
        chunk: tokens of a chunk, the minimum of a training.

    Raises:
        DataError: as `load_corpus`.
    """
    corpus, faults = load_corpus(data, config), Faults(collect=True)
    refuse_short(corpus, chunk, faults)
    texts = {name: texts for name, texts in split(find_texts(data, config), config).splits.items() if texts}
    lines = {name: Lines.read(files) for name, files in texts.items()}
    total = max(1, int(corpus.counts.sum()))
    order = [int(i) for i in (-corpus.counts).argsort(kind="stable")[:SHOWN_TOKENS] if corpus.counts[i]]
    return TextReport(
        corpus.source,
        corpus.how,
        config.tokenizer,
        corpus.tokenizer.vocabulary_size,
        {token: int(corpus.counts[i]) / total for i, token in zip(order, corpus.tokenizer.tokens(order), strict=True)},
        {
            name: TextSplitReport(
                split.files,
                split.characters,
                len(split),
                split.unknown,
                corpus.tokenizer.decode(split.ids[:SHOWN_CHARACTERS].tolist()),
            )
            for name, split in corpus.splits.items()
        },
        bins({name: split.lengths for name, split in lines.items()}),
        refusals=refusals(faults),
        issues=(
            *_spelling(lines, config),
            *_repeated(texts, lines),
            *unknown_issues({name: ids.unknown / max(1, len(ids)) for name, ids in corpus.splits.items()}),
        ),
    )


class Lines(NamedTuple):
    """Lines of a split: their lengths in characters, (N,), and the first 64 bits of each line's SHA-256, (N,)."""

    lengths: NDArray[np.int64]
    keys: NDArray[np.uint64]
    decomposed: int  # number of lines with decomposed characters
    marks: int  # number of lines with a byte order mark

    @classmethod
    def read(cls, texts: Iterable[Text]) -> Lines:
        """Read the lines of texts, block by block."""
        lengths, keys, decomposed, marks = array("q"), array("Q"), 0, 0
        for _, _, line in text_lines(texts):
            lengths.append(len(line))
            keys.append(int.from_bytes(hashlib.sha256(line.encode()).digest()[:8]))
            decomposed += not unicodedata.is_normalized("NFC", line)
            marks += "\ufeff" in line
        return cls(np.asarray(lengths), np.asarray(keys), decomposed, marks)


def _spelling(lines: Mapping[str, Lines], config: DataConfig) -> Iterator[Issue]:
    """Yield the issues of decomposed characters, and of byte order marks within the text."""
    decomposed, marks = (sum(getattr(split, name) for split in lines.values()) for name in ("decomposed", "marks"))
    if decomposed and config.normalize == "none":
        yield Issue(
            "Unicode forms",
            decomposed,
            f"{decomposed:,} line{'s'[: decomposed != 1]} with decomposed characters: e and an accent, in place of é",
            (),
            "add --normalize nfc, so that both spellings are read as one",
        )
    if marks:
        yield Issue(
            "byte order marks",
            marks,
            f"{marks:,} line{'s'[: marks != 1]} with a byte order mark (U+FEFF), which is read as a character",
            (),
            "remove it: files were joined with their marks",
        )


def _repeated(texts: Mapping[str, tuple[Text, ...]], lines: Mapping[str, Lines]) -> Iterator[Issue]:
    """Yield the issue of long lines that are in two splits."""
    for k, later in enumerate(texts):
        for earlier in list(texts)[:k]:
            long = lines[later].lengths >= LONG
            repeated = np.flatnonzero(long & np.isin(lines[later].keys, lines[earlier].keys))
            if len(repeated) == 0:
                continue
            shown = set(repeated[:SHOWN].tolist())
            examples = tuple(
                IssueExample(location(source, "line", number), excerpt(line))
                for i, (source, number, line) in enumerate(text_lines(texts[later]))
                if i in shown
            )
            yield Issue(
                "leakage",
                len(repeated),
                f"{len(repeated):,} of the {int(long.sum()):,} lines of {later} with at least {LONG} characters are "
                f"also in {earlier}",
                examples,
                f"remove them from one of the two, unless they are a refrain: results on {later} are too good",
            )


def _lines(report: TextReport) -> Iterator[str]:
    yield f"{report.source}: plain text"
    yield f"split: {report.how}"
    table = SplitTable(report.splits)
    table.add("files", (split.files for split in table.splits))
    table.add("characters", (split.characters for split in table.splits))
    table.add("tokens", (split.tokens for split in table.splits))
    table.add("unknown tokens", (split.unknown for split in table.splits))
    table.add("characters a token", (split.characters / max(1, split.tokens) for split in table.splits), ".2f")
    yield from table.lines()
    yield f"vocabulary: {report.vocabulary_size:,} tokens ({report.tokenizer}), learned from the training split"
    frequent = ", ".join(f'"{excerpt(token, 20)}" {rate:.1%}' for token, rate in report.frequent.items())
    yield f"most frequent: {frequent}"
    yield "the beginning of each split, decoded from the ids:"
    for name, statistics in report.splits.items():
        yield f"  {name}: {excerpt(statistics.begins)}"
