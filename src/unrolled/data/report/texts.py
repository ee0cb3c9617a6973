"""What is known of a plain text before anything is trained on it: what `unrolled data TEXT --task generate` prints."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unrolled.config import DataConfig
from unrolled.data.encoding.corpus import load_corpus
from unrolled.data.examples.texts import Text, find_texts, split, text_lines
from unrolled.data.report.charts import Bars, Bins, Histogram, Panel, bins
from unrolled.data.report.checks import unknown_issues
from unrolled.data.report.issues import SHOWN, Issue, IssueExample, Report, table
from unrolled.errors import excerpt

__all__ = ["TextReport", "TextSplitReport", "inspect_text"]

SHOWN_TOKENS = 12
SHOWN_CHARACTERS = 60
LONG = 40  # characters of a line that hardly stands in two texts by chance
MILLION = 1_000_000


@dataclass(frozen=True)
class TextSplitReport:
    """One part of the split."""

    files: int
    characters: int
    tokens: int
    unknown: int  # tokens that are <unk>
    begins: str  # its first characters, as a model sees them


@dataclass(frozen=True)
class TextReport(Report):
    """What is understood of a text."""

    source: str
    how: str  # the split, in a sentence
    tokenizer: str
    vocabulary_size: int
    frequent: dict[str, float]  # the most frequent tokens of the training split, and their share of it
    splits: dict[str, TextSplitReport]
    lengths: Bins  # of lines, in characters
    problem: str | None = None  # nothing that is readable has one
    issues: tuple[Issue, ...] = ()

    def lines(self) -> Iterator[str]:
        """Yield the parts, the most frequent tokens, how the parts begin; see `Report`."""
        return _lines(self)

    def panels(self) -> list[Panel]:
        """Return the lengths of lines and the most frequent tokens; see `Report`."""
        often = {f'"{token}"': {"train": round(share * MILLION)} for token, share in self.frequent.items()}
        return [
            Histogram(f"{self.source}: length of the lines", "characters", self.lengths),
            Bars("the most frequent tokens, in a million", often),
        ]


def inspect_text(data: object, config: DataConfig) -> TextReport:
    """Read, split and tokenise a text as a training would, and say what comes of it.

    Raises:
        DataError: as `load_corpus`.
    """
    corpus = load_corpus(data, config)
    texts = {name: texts for name, texts in split(find_texts(data, config), config).splits.items() if texts}
    lines = {name: Lines.read(some) for name, some in texts.items()}
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
                part.files,
                part.characters,
                len(part),
                part.unknown,
                corpus.tokenizer.decode(part.ids[:SHOWN_CHARACTERS].tolist()),
            )
            for name, part in corpus.splits.items()
        },
        bins({name: found.lengths for name, found in lines.items()}),
        issues=(
            *_repeated(texts, lines),
            *unknown_issues({name: part.unknown / max(1, len(part)) for name, part in corpus.splits.items()}),
        ),
    )


class Lines(NamedTuple):
    """The lines of one part: (N,) their lengths in characters, (N,) the first 64 bits of each one's SHA-256."""

    lengths: NDArray[np.int64]
    keys: NDArray[np.uint64]

    @classmethod
    def read(cls, texts: Iterable[Text]) -> Lines:
        """Read them, block by block."""
        lengths, keys = array("q"), array("Q")
        for _, _, line in text_lines(texts):
            lengths.append(len(line))
            keys.append(int.from_bytes(hashlib.sha256(line.encode()).digest()[:8]))
        return cls(np.asarray(lengths), np.asarray(keys))


def _repeated(parts: Mapping[str, tuple[Text, ...]], lines: Mapping[str, Lines]) -> Iterator[Issue]:
    """Long lines that stand in two parts."""
    for k, later in enumerate(parts):
        for earlier in list(parts)[:k]:
            long = lines[later].lengths >= LONG
            found = np.flatnonzero(long & np.isin(lines[later].keys, lines[earlier].keys))
            if len(found) == 0:
                continue
            wanted = set(found[:SHOWN].tolist())
            shown = [
                IssueExample(f"{source}, line {number}", excerpt(line))
                for i, (source, number, line) in enumerate(text_lines(parts[later]))
                if i in wanted
            ]
            yield Issue(
                "leakage",
                len(found),
                f"{len(found):,} of the {int(long.sum()):,} lines of {later} with at least {LONG} characters stand in "
                f"{earlier}, too",
                tuple(shown),
                f"take them out of one of the two, if they are no refrain: figures on {later} flatter the model",
            )


def _lines(report: TextReport) -> Iterator[str]:
    yield f"{report.source}: plain text"
    yield f"split: {report.how}"
    yield ""
    parts = report.splits.values()
    rows = [["", *report.splits]]
    rows += [[what, *(f"{getattr(part, what):,}" for part in parts)] for what in ("files", "characters", "tokens")]
    rows.append(["unknown tokens", *(f"{part.unknown:,}" for part in parts)])
    rows.append(["characters a token", *(f"{part.characters / max(1, part.tokens):.2f}" for part in parts)])
    yield from table(rows)
    yield ""
    yield f"vocabulary: {report.vocabulary_size:,} tokens ({report.tokenizer}), learned from the training split"
    often = ", ".join(f'"{excerpt(token, 20)}" {share:.1%}' for token, share in report.frequent.items())
    yield f"most frequent: {often}"
    yield "how the parts begin, as a model sees them:"
    for name, part in report.splits.items():
        yield f"  {name}: {excerpt(part.begins)}"
