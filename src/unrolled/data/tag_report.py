"""What is known of tagged sentences before anything is trained: what `unrolled data FILE --task tag` prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unrolled.config import DataConfig
from unrolled.data.checks import label_findings, unknown_findings
from unrolled.data.counts import Counts, Skipped
from unrolled.data.doctor import SHOWN, Finding, Report, Witness, spread, table
from unrolled.data.objects import PYTHON
from unrolled.data.picture import Bars, Bins, Histogram, Panel, bins
from unrolled.data.pieces import Pieces
from unrolled.data.splits import fold
from unrolled.data.tagged import Sentences
from unrolled.data.tagged_lines import Sentence
from unrolled.data.tagged_splits import split_sentences
from unrolled.data.tokenizers import UNK, Tokenizer, marked
from unrolled.errors import excerpt

__all__ = ["TagPartReport", "TagReport", "inspect_sentences"]

SHOWN_TAGS = 40
SHOWN_EXAMPLES = 3


@dataclass(frozen=True)
class TagPartReport:
    """One part of the split."""

    sentences: int
    words: int
    tags: dict[str, int]  # words of each tag
    left_out: dict[str, int]  # multiword tokens and empty nodes, which are no words
    lengths: dict[str, float]  # words of a sentence: min, median, mean, 95 %, max
    pieces: int  # ids of all the words
    unknown_rate: float  # share of the ids that are <unk>
    unseen_rate: float  # share of the words that the training part does not have
    baseline_rate: float  # accuracy of giving each word its most frequent tag in training


@dataclass(frozen=True)
class TagReport(Report):
    """What is understood of tagged sentences."""

    source: str
    how: str  # the split, in a sentence
    loaded: dict[str, Counts]  # by file
    skipped: tuple[tuple[str, Skipped], ...]  # (file, sentence), the first of each file
    parts: dict[str, TagPartReport]
    tokenizer: str
    vocabulary_size: int
    ambiguous_words: int  # different words of the training part that have more than one tag there
    different_words: int  # of the training part
    duplicates: dict[str, int]  # sentences
    examples: tuple[dict[str, Any], ...]  # words, tags, and the pieces of each word
    lengths: Bins  # of sentences, in ids
    findings: tuple[Finding, ...] = ()
    problem: str | None = None  # nothing that is readable has one

    def lines(self) -> Iterator[str]:
        """Yield the counts, the parts, the first sentences; see `Report`."""
        return _lines(self)

    def panels(self) -> list[Panel]:
        """Return the lengths and the tags; see `Report`."""
        tags = _by_frequency(self)
        bars = {tag: {name: part.tags[tag] for name, part in self.parts.items()} for tag in tags[:SHOWN_TAGS]}
        return [
            Histogram(f"{self.source}: length of the sentences", "pieces", self.lengths),
            Bars("words of each tag", bars, len(tags) - len(bars)),
        ]


def inspect_sentences(data: object, config: DataConfig, *, longest: int = 2_048) -> TagReport:
    """Read, split and tokenise tagged sentences as a training would, and say what comes of it.

    Args:
        data: see `load_sentences`. config: how it is read.
        longest: ids of a sentence beyond which it is a finding.

    Raises:
        DataError: as `split_sentences`.
    """
    splits = split_sentences(data, config)
    words = chain.from_iterable(map(marked, splits.train.words()))
    tokenizer = Tokenizer.learn(words, config)
    usual = splits.train.usual_tags()
    counts = Counter(splits.train.tags())
    majority = max(splits.labels, key=lambda label: counts[label])
    pairs = {pair for sentence in splits.train.items for pair in zip(sentence.words, sentence.tags or (), strict=True)}
    first = splits.train.items[:SHOWN_EXAMPLES]
    parts = {name: part for name, part in splits.parts().items() if part}
    pieces = {name: Pieces(tokenizer, part.words()) for name, part in parts.items()}
    lengths = {name: found.lengths.numpy() for name, found in pieces.items()}
    reports = {name: _part(part, splits.labels, usual, majority, pieces[name]) for name, part in parts.items()}
    return TagReport(
        splits.train.source,
        splits.how,
        {loaded.source: loaded.counts for loaded in splits.loaded},
        tuple((loaded.source, row) for loaded in splits.loaded for row in loaded.skipped),
        reports,
        config.tokenizer,
        tokenizer.vocabulary_size,
        ambiguous_words=sum(count > 1 for count in Counter(word for word, _ in pairs).values()),
        different_words=len(usual),
        duplicates=_duplicates(parts),
        examples=tuple(
            {
                "words": list(sentence.words),
                "tags": list(sentence.tags or ()),
                "pieces": [tokenizer.tokens(ids) for ids in tokenizer.encode_words(sentence.words)],
            }
            for sentence in first
        ),
        lengths=bins(lengths),
        findings=(
            *_repeat_findings(parts),
            *label_findings({name: part.tags for name, part in reports.items()}, ()),
            *_length_findings(parts, lengths, longest),
            *unknown_findings({name: part.unknown_rate for name, part in reports.items()}),
        ),
    )


def _part(
    part: Sentences, labels: tuple[str, ...], usual: Mapping[str, str], majority: str, pieces: Pieces
) -> TagPartReport:
    lengths = np.array([len(sentence.words) for sentence in part.items])
    words = [word for sentence in part.items for word in sentence.words]
    tags, found = part.tags(), Counter(part.tags())
    ids = pieces.ids[:-1]
    right = sum(usual.get(word, majority) == tag for word, tag in zip(words, tags, strict=True))
    return TagPartReport(
        sentences=len(part),
        words=len(words),
        tags={label: found[label] for label in labels},
        left_out=part.left_out(),
        lengths=spread(lengths),
        pieces=len(ids),
        unknown_rate=float((ids == UNK).double().mean()),
        unseen_rate=sum(word not in usual for word in words) / len(words),
        baseline_rate=right / len(words),
    )


def _duplicates(parts: Mapping[str, Sentences]) -> dict[str, int]:
    """Count the sentences that stood before, but for case: in the same part, or in an earlier one."""
    texts = {name: [fold(sentence.text) for sentence in part.items] for name, part in parts.items()}
    found = {f"within {name}": len(these) - len(set(these)) for name, these in texts.items()}
    for earlier, later in combinations(texts, 2):
        known = set(texts[earlier])
        found[f"{later} in {earlier}"] = sum(text in known for text in texts[later])
    return found


def _repeat_findings(parts: Mapping[str, Sentences]) -> Iterator[Finding]:
    """Yield equal sentences with other tags, and sentences that stand in two parts."""
    first: dict[str, tuple[str, Sentence]] = {}
    other: list[Witness] = []
    leaked: list[Witness] = []
    for name, part in parts.items():
        for sentence in part.items:
            where, before = first.setdefault(fold(sentence.text), (name, sentence))
            if before.tags != sentence.tags:
                other += [_witness(parts[where], before), _witness(part, sentence)]
            if where != name:
                leaked += [_witness(parts[where], before), _witness(part, sentence)]
    for kind, found, what, advice in (
        ("conflicting labels", other, "have other tags than before", "decide for one tag each, or leave them out"),
        ("leakage", leaked, "stand in an earlier part, too", "take them out of the later part: they were seen"),
    ):
        if found:
            count = len(found) // 2
            yield Finding(kind, count, f"{count:,} sentences {what}", tuple(found[: 2 * SHOWN]), advice)


def _length_findings(
    parts: Mapping[str, Sentences], lengths: Mapping[str, NDArray[np.int64]], most: int
) -> Iterator[Finding]:
    """Yield sentences with more than `most` ids."""
    long = [(part, int(i)) for name, part in parts.items() for i in np.flatnonzero(lengths[name] > most)]
    if long:
        yield Finding(
            "long sequences",
            len(long),
            f"{len(long):,} sentences have more pieces than a batch ({most:,})",
            tuple(_witness(part, part.items[i]) for part, i in long[:SHOWN]),
            "look for an empty line that is missing, or give batches more room with --batch-tokens",
        )


def _witness(part: Sentences, sentence: Sentence) -> Witness:
    file = "" if part.source == PYTHON else f"{part.source}, "
    return Witness(f"{file}{part.unit} {sentence.lines[0]}", excerpt(sentence.text))


def _lines(report: TagReport) -> Iterator[str]:
    yield f"{report.source}: sentences with tags"
    for source, counts in report.loaded.items():
        yield f"{source}: {counts}"
    for source, row in report.skipped:
        yield f"  skipped: {source}, line {row.line}: {row.reason}: {row.row}"
    yield f"split: {report.how}"
    yield ""
    parts = list(report.parts.values())
    rows = [["", *report.parts], ["sentences", *(f"{part.sentences:,}" for part in parts)]]
    rows.append(["words", *(f"{part.words:,}" for part in parts)])
    tags = _by_frequency(report)
    for tag in tags[:SHOWN_TAGS]:
        rows.append([f'  "{excerpt(tag, 30)}"', *(f"{part.tags[tag]:,}" for part in parts)])
    if len(tags) > SHOWN_TAGS:
        rows.append([f"  … and {len(tags) - SHOWN_TAGS:,} more tags"])
    for what in parts[0].left_out:
        if any(part.left_out[what] for part in parts):
            rows.append([f"{what}, left out", *(f"{part.left_out[what]:,}" for part in parts)])
    for name in parts[0].lengths:
        rows.append([f"words of a sentence, {name}", *(f"{part.lengths[name]:,.4g}" for part in parts)])
    rows.append(["pieces of a word", *(f"{part.pieces / part.words:.2f}" for part in parts)])
    rows.append(["unknown pieces", *(f"{part.unknown_rate:.1%}" for part in parts)])
    rows.append(["words not seen in training", *(f"{part.unseen_rate:.1%}" for part in parts)])
    rows.append(["each word's most frequent tag", *(f"{part.baseline_rate:.1%}" for part in parts)])
    yield from table(rows)
    yield ""
    yield f"vocabulary: {report.vocabulary_size:,} tokens ({report.tokenizer}), learned from the training part"
    yield f"{report.ambiguous_words:,} of the {report.different_words:,} different words of training have several tags"
    doubled = ", ".join(f"{count:,} {where}" for where, count in report.duplicates.items() if count)
    yield f"duplicate sentences: {doubled or 'none'}"
    yield "the first sentences, as a model sees them:"
    for example in report.examples:
        words = zip(example["pieces"], example["tags"], strict=True)
        cut = ("|".join(piece.strip() for piece in pieces) + f"/{tag}" for pieces, tag in words)
        yield f"  {excerpt(' '.join(cut))}"


def _by_frequency(report: TagReport) -> list[str]:
    train = next(iter(report.parts.values())).tags
    return sorted(train, key=lambda tag: -train[tag])
