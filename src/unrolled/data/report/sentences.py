"""What is known of tagged sentences before anything is trained: what `unrolled data FILE --task tag` prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from unrolled.config import DataConfig
from unrolled.data.encoding.tokenizers import UNK, Tokenizer, marked
from unrolled.data.encoding.words import Subwords
from unrolled.data.examples.conllu import Sentence
from unrolled.data.examples.sentences import Sentences
from unrolled.data.reading.counts import Counts, Skipped, accounts
from unrolled.data.reading.objects import PYTHON
from unrolled.data.reading.samples import PREFIX
from unrolled.data.report.charts import Bars, Bins, Histogram, Panel, bins
from unrolled.data.report.checks import Repeats, key_of, label_issues, length_issues, unknown_issues
from unrolled.data.report.issues import Issue, IssueExample, Report, loads, spread, table
from unrolled.data.splits.sentences import split_sentences
from unrolled.errors import excerpt

__all__ = ["TagReport", "TagSplitReport", "inspect_sentences"]

SHOWN_TAGS = 40
SHOWN_EXAMPLES = 3


@dataclass(frozen=True)
class TagSplitReport:
    """One part of the split."""

    sentences: int
    words: int
    tags: dict[str, int]  # words of each tag
    left_out: dict[str, int]  # multiword tokens and empty nodes, which are no words
    lengths: dict[str, float]  # words of a sentence: min, median, mean, 95 %, max
    subwords: int  # ids of all the words
    unknown_rate: float  # share of the ids that are <unk>
    unseen_rate: float  # share of the words that the training split does not have
    baseline_rate: float  # accuracy of giving each word its most frequent tag in training


@dataclass(frozen=True)
class TagReport(Report):
    """What is understood of tagged sentences."""

    source: str
    how: str  # the split, in a sentence
    loaded: dict[str, Counts]  # see `accounts`
    skipped: tuple[tuple[str, Skipped], ...]  # (file, sentence), the first of each
    splits: dict[str, TagSplitReport]
    tokenizer: str
    vocabulary_size: int
    ambiguous_words: int  # different words of the training split that have more than one tag there
    different_words: int  # of the training split
    duplicates: dict[str, int]  # sentences
    examples: tuple[dict[str, Any], ...]  # words, tags, and the subwords of each word
    lengths: Bins  # of sentences, in ids
    issues: tuple[Issue, ...] = ()
    problem: str | None = None  # nothing that is readable has one

    def lines(self) -> Iterator[str]:
        """Yield the counts, the parts, the first sentences; see `Report`."""
        return _lines(self)

    def panels(self) -> list[Panel]:
        """Return the lengths and the tags; see `Report`."""
        tags = _by_frequency(self)
        bars = {tag: {name: part.tags[tag] for name, part in self.splits.items()} for tag in tags[:SHOWN_TAGS]}
        return [
            Histogram(f"{self.source}: length of the sentences", "subwords", self.lengths),
            Bars("words of each tag", bars, len(tags) - len(bars)),
        ]


def inspect_sentences(data: object, config: DataConfig, *, longest: int = 2_048) -> TagReport:
    """Read, split and tokenise tagged sentences as a training would, and say what comes of it.

    Args:
        data: see `load_sentences`. config: how it is read.
        longest: ids of a sentence beyond which it is a issue.

    Raises:
        DataError: as `split_sentences`.
    """
    splits = split_sentences(data, config)
    reads = accounts(splits.loaded, splits.named())
    words = chain.from_iterable(map(marked, splits.train.words()))
    tokenizer = Tokenizer.learn(words, config)
    usual = splits.train.usual_tags()
    counts = Counter(splits.train.tags())
    majority = max(splits.labels, key=lambda label: counts[label])
    pairs = {pair for sentence in splits.train.items for pair in zip(sentence.words, sentence.tags or (), strict=True)}
    first = splits.train.items[:SHOWN_EXAMPLES]
    parts = {name: part for name, part in splits.named().items() if part}
    taggings = dict.fromkeys(_tagging(sentence) for part in parts.values() for sentence in part.items)
    repeats = SentenceRepeats(parts, tuple(taggings))
    subwords = {name: Subwords(tokenizer, part.words()) for name, part in parts.items()}
    lengths = {name: found.lengths.numpy() for name, found in subwords.items()}
    reports = {name: _part(part, splits.labels, usual, majority, subwords[name]) for name, part in parts.items()}
    return TagReport(
        data if isinstance(data, str) and data.startswith(PREFIX) else splits.train.source,
        splits.how,
        {name: read.counts for name, read in reads.items()},
        tuple((name, row) for name, read in reads.items() for row in read.skipped),
        reports,
        config.tokenizer,
        tokenizer.vocabulary_size,
        ambiguous_words=sum(count > 1 for count in Counter(word for word, _ in pairs).values()),
        different_words=len(usual),
        duplicates=repeats.counts(),
        examples=tuple(
            {
                "words": list(sentence.words),
                "tags": list(sentence.tags or ()),
                "subwords": [tokenizer.tokens(ids) for ids in tokenizer.encode_words(sentence.words)],
            }
            for sentence in first
        ),
        lengths=bins(lengths),
        issues=(
            *repeats.issues(),
            *label_issues({name: part.tags for name, part in reports.items()}),
            *length_issues(parts, lengths, longest, _issue_example),
            *unknown_issues({name: part.unknown_rate for name, part in reports.items()}),
        ),
    )


def _part(
    part: Sentences, labels: tuple[str, ...], usual: Mapping[str, str], majority: str, subwords: Subwords
) -> TagSplitReport:
    lengths = np.array([len(sentence.words) for sentence in part.items])
    words = [word for sentence in part.items for word in sentence.words]
    tags, found = part.tags(), Counter(part.tags())
    ids = subwords.ids[:-1]
    right = sum(usual.get(word, majority) == tag for word, tag in zip(words, tags, strict=True))
    return TagSplitReport(
        sentences=len(part),
        words=len(words),
        tags={label: found[label] for label in labels},
        left_out=part.left_out(),
        lengths=spread(lengths),
        subwords=len(ids),
        unknown_rate=float((ids == UNK).double().mean()),
        unseen_rate=sum(word not in usual for word in words) / len(words),
        baseline_rate=right / len(words),
    )


class SentenceRepeats(Repeats[Sentences]):
    """Sentences that stand several times; the label of one is the tags of all its words."""

    ONE, MANY = "a sentence", "sentences"

    def keys(self, part: Sentences) -> Iterator[int]:
        """The first 64 bits of each sentence's SHA-256."""
        return (key_of(sentence.text) for sentence in part.items)

    def classes(self, part: Sentences) -> Iterator[int]:
        """As indices."""
        index = {label: k for k, label in enumerate(self.labels)}
        return (index[_tagging(sentence)] for sentence in part.items)

    def issue_example(self, part: Sentences, index: int) -> IssueExample:
        """With its tags."""
        return _issue_example(part, index)


def _tagging(sentence: Sentence) -> str:
    return " ".join(sentence.tags or ())


def _issue_example(part: Sentences, index: int) -> IssueExample:
    """A sentence with its tags."""
    sentence = part.items[index]
    file = "" if part.source == PYTHON else f"{part.source}, "
    words = (f"{word}/{tag}" for word, tag in zip(sentence.words, sentence.tags or (), strict=True))
    return IssueExample(f"{file}{part.unit} {sentence.lines[0]}", excerpt(" ".join(words)))


def _lines(report: TagReport) -> Iterator[str]:
    yield f"{report.source}: sentences with tags"
    yield from loads(report.loaded, report.skipped)
    yield f"split: {report.how}"
    yield ""
    parts = list(report.splits.values())
    rows = [["", *report.splits], ["sentences", *(f"{part.sentences:,}" for part in parts)]]
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
    rows.append(["subwords of a word", *(f"{part.subwords / part.words:.2f}" for part in parts)])
    rows.append(["unknown subwords", *(f"{part.unknown_rate:.1%}" for part in parts)])
    rows.append(["words not seen in training", *(f"{part.unseen_rate:.1%}" for part in parts)])
    rows.append(["each word's most frequent tag", *(f"{part.baseline_rate:.1%}" for part in parts)])
    yield from table(rows)
    yield ""
    yield f"vocabulary: {report.vocabulary_size:,} tokens ({report.tokenizer}), learned from the training split"
    yield f"{report.ambiguous_words:,} of the {report.different_words:,} different words of training have several tags"
    doubled = ", ".join(f"{count:,} {where}" for where, count in report.duplicates.items() if count)
    yield f"duplicate sentences: {doubled or 'none'}"
    yield "the first sentences, as a model sees them:"
    for example in report.examples:
        words = zip(example["subwords"], example["tags"], strict=True)
        cut = ("|".join(piece.strip() for piece in subwords) + f"/{tag}" for subwords, tag in words)
        yield f"  {excerpt(' '.join(cut))}"


def _by_frequency(report: TagReport) -> list[str]:
    train = next(iter(report.splits.values())).tags
    return sorted(train, key=lambda tag: -train[tag])
