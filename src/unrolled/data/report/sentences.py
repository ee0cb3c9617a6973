"""Report on tagged sentences: lengths, tags, subwords, duplicates (`unrolled data FILE --task tag`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from unrolled.config import DataConfig
from unrolled.data.encoding.choose import learn
from unrolled.data.encoding.tokenizers import UNK, marked
from unrolled.data.encoding.words import Subwords
from unrolled.data.examples.blocks import Sentence
from unrolled.data.examples.remedies import HEADER_TAGS, HEADER_WORDS
from unrolled.data.examples.sentences import Sentences
from unrolled.data.examples.spans import Scheme
from unrolled.data.reading.addresses import is_sample
from unrolled.data.reading.counts import Counts, Skipped, accounts
from unrolled.data.reading.faults import Faults
from unrolled.data.report.charts import Bins, Histogram, Panel, bins, label_bars
from unrolled.data.report.checks import Repeats, key_of, label_issues, length_issues, unknown_issues
from unrolled.data.report.issues import Issue, IssueExample, Report, location
from unrolled.data.report.refused import EmptyReport, refusals
from unrolled.data.report.schemes import scheme_issues
from unrolled.data.report.spelling import label_spelling_issues, text_spelling_issues
from unrolled.data.report.tables import SplitTable, duplicates, loads, skipped_rows, spread
from unrolled.data.splits.sentences import TagSplits, split_sentences
from unrolled.display import Displayed
from unrolled.errors import ConfigError, excerpt
from unrolled.strings import normalized

__all__ = ["TagReport", "TagSplitReport", "inspect_sentences", "ruinous_issues"]

NO_TAG = "_"
SHOWN_TAGS = 40
SHOWN_EXAMPLES = 3


@dataclass(frozen=True, repr=False)
class TagSplitReport(Displayed):
    """Statistics of a split."""

    sentences: int
    words: int
    tags: dict[str, int]  # words of each tag
    left_out: dict[str, int]  # multiword tokens and empty nodes, which are not words
    lengths: dict[str, float]  # words of a sentence: min, median, mean, 95 %, max
    subwords: int  # without the whole words after them
    unknown_rate: float  # fraction of the subwords that are <unk>
    unseen_rate: float  # fraction of the words that are not in the training split
    baseline_rate: float  # accuracy of the most frequent tag of each word in training


@dataclass(frozen=True, repr=False)
class TagReport(Report):
    """Report on tagged sentences."""

    source: str
    how: str  # a sentence on the split
    loaded: dict[str, Counts]  # see `accounts`
    skipped: tuple[tuple[str, Skipped], ...]  # (source, sentence), the first of each source and reason
    splits: dict[str, TagSplitReport]
    tokenizer: str
    vocabulary_size: int
    ambiguous_words: int  # different words of the training split with more than one tag
    different_words: int  # of the training split
    duplicates: dict[str, int]  # sentences
    examples: tuple[dict[str, Any], ...]  # words, tags, and the subwords of each word
    lengths: Bins  # of sentences, in ids
    scheme: Scheme | None = None  # of the tags, if they are tags of spans
    whole_words: int = 0  # in the vocabulary
    issues: tuple[Issue, ...] = ()
    refusals: tuple[str, ...] = ()
    problem: str | None = None  # always None

    def lines(self) -> Iterator[str]:
        """Yield counts, splits, the first sentences; see `Report`."""
        return _lines(self)

    def panels(self) -> list[Panel]:
        """Return the lengths and the tags; see `Report`."""
        tags = {name: split.tags for name, split in self.splits.items()}
        return [
            Histogram(f"{self.source}: length of the sentences", "subwords", self.lengths),
            label_bars("words of each tag", tags, SHOWN_TAGS),
        ]


def inspect_sentences(data: object, config: DataConfig, *, longest: int = 2_048) -> Report:
    """Read, split and tokenize tagged sentences as a training does, and return the report.

    Args:
        data: see `load_sentences`.
        config: settings that say how it is read.
        longest: maximum number of ids in a sentence without an issue.

    Raises:
        DataError: no sentence can be read.
        ConfigError: as `split_sentences`.
    """
    faults = Faults(collect=True)
    splits = split_sentences(data, config, faults)
    reads = accounts(splits.loaded, splits.named())
    if not splits.train:
        return EmptyReport.of(reads, faults)
    words = chain.from_iterable(map(marked, splits.train.words()))
    try:
        tokenizer = learn(words, config, usual="bpe")
    except ConfigError as error:
        return EmptyReport.of(reads, faults, error)
    usual = splits.train.usual_tags(config.normalize)
    counts = Counter(splits.train.tags())
    majority = max(splits.labels, key=lambda label: counts[label])
    pairs = {pair for sentence in splits.train.items for pair in zip(sentence.words, sentence.tags or (), strict=True)}
    first = splits.train.items[:SHOWN_EXAMPLES]
    sentences = {name: split for name, split in splits.named().items() if split}
    repeats = SentenceRepeats.of(sentences)
    subwords = {name: Subwords(tokenizer, split.words()) for name, split in sentences.items()}
    whole = tokenizer.num_whole_words > 0
    lengths = {name: ids.lengths.numpy() for name, ids in subwords.items()}
    reports = {
        name: _split_report(split, splits.labels, usual, majority, subwords[name], config.normalize, whole=whole)
        for name, split in sentences.items()
    }
    return TagReport(
        data if is_sample(data) else splits.train.source,
        splits.how,
        {name: read.counts for name, read in reads.items()},
        skipped_rows(reads),
        reports,
        tokenizer.kind,
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
        scheme=splits.scheme,
        whole_words=tokenizer.num_whole_words,
        refusals=refusals(faults),
        issues=(
            *ruinous_issues(config, splits),
            *repeats.issues(),
            *label_issues({name: report.tags for name, report in reports.items()}),
            *length_issues(sentences, lengths, longest, _issue_example),
            *unknown_issues({name: report.unknown_rate for name, report in reports.items()}),
        ),
    )


def ruinous_issues(config: DataConfig, splits: TagSplits) -> Iterator[Issue]:
    """Yield the issues that ruin a training and are found quickly; a training logs them."""
    yield from _tag_issues(splits)
    yield from scheme_issues(splits.named(), splits.scheme)
    yield from label_spelling_issues(splits.labels)
    yield from text_spelling_issues(
        splits.named(),
        lambda split: (sentence.text for sentence in split.items),
        _issue_example,
        units="sentences",
        normalize=config.normalize,
    )


def _tag_issues(splits: TagSplits) -> Iterator[Issue]:
    """Yield the issues of words without a tag, of words with a space, and of a header in a file of two columns."""
    tags = Counter(chain.from_iterable(sentences.tags() for sentences in splits.loaded))
    if tags[NO_TAG]:
        yield Issue(
            "missing tags",
            tags[NO_TAG],
            f'{tags[NO_TAG]:,} words have the tag "{NO_TAG}", which means none in CoNLL-U and is a class here',
            (),
            "give them a tag, or choose another column with --label",
        )
    for sentences in splits.loaded:
        first = sentences.items[0]
        header = (first.words[0].casefold() in HEADER_WORDS, (first.tags or ("",))[0].casefold() in HEADER_TAGS)
        if all(header) and tags[(first.tags or ("",))[0]] <= len(splits.loaded):
            yield Issue(
                "header",
                1,
                f"the first line of {sentences.source} seems to be a header, and is read as a word with a tag",
                (_issue_example(sentences, 0),),
                "remove the line",
            )
        if spaced := sum(" " in word for words in sentences.words() for word in words):
            yield Issue(
                "words with spaces",
                spaced,
                f"{spaced:,} words of {sentences.source} hold a space, at which decode splits a text into words",
                (),
                "nothing, if sentences to decode are given as files or lists of words",
            )


def _split_report(
    split: Sentences,
    labels: tuple[str, ...],
    usual: Mapping[str, str],
    majority: str,
    subwords: Subwords,
    form: str,
    *,
    whole: bool,
) -> TagSplitReport:
    lengths = np.array([len(sentence.words) for sentence in split.items])
    words = [normalized(word, form) for sentence in split.items for word in sentence.words]
    tags = [*split.tags()]
    counts = Counter(tags)
    ids = subwords.ids[:-1]
    if whole:  # the last id of each word is its own, which is no subword and unknown for rare words
        ids = ids[~subwords.is_end[:-1]]
    right = sum(usual.get(word, majority) == tag for word, tag in zip(words, tags, strict=True))
    return TagSplitReport(
        sentences=len(split),
        words=len(words),
        tags={label: counts[label] for label in labels},
        left_out=split.left_out(),
        lengths=spread(lengths),
        subwords=len(ids),
        unknown_rate=float((ids == UNK).mean()),
        unseen_rate=sum(word not in usual for word in words) / len(words),
        baseline_rate=right / len(words),
    )


class SentenceRepeats(Repeats[Sentences]):
    """Repeated sentences; the label of a sentence is the sequence of its tags."""

    ONE, MANY = "a sentence", "sentences"

    @classmethod
    def of(cls, splits: Mapping[str, Sentences]) -> SentenceRepeats:
        """Return the repeated sentences of splits, by name."""
        taggings = dict.fromkeys(_tagging(sentence) for split in splits.values() for sentence in split.items)
        return cls(splits, tuple(taggings))

    def keys(self, split: Sentences) -> Iterator[int]:
        """Yield the first 64 bits of each sentence's SHA-256."""
        return (key_of(sentence.text) for sentence in split.items)

    def classes(self, split: Sentences) -> Iterator[int]:
        """Yield the index of each sentence's tags."""
        index = {label: k for k, label in enumerate(self.labels)}
        return (index[_tagging(sentence)] for sentence in split.items)

    def issue_example(self, split: Sentences, index: int) -> IssueExample:
        """Return a sentence with its tags as the example of an issue."""
        return _issue_example(split, index)


def _tagging(sentence: Sentence) -> str:
    return " ".join(sentence.tags or ())


def _issue_example(split: Sentences, index: int) -> IssueExample:
    sentence = split.items[index]
    words = (f"{word}/{tag}" for word, tag in zip(sentence.words, sentence.tags or (), strict=True))
    return IssueExample(location(split.source, split.unit, sentence.lines[0]), excerpt(" ".join(words)))


def _lines(report: TagReport) -> Iterator[str]:
    yield f"{report.source}: sentences with tags"
    yield from loads(report.loaded, report.skipped, report.how)
    table = SplitTable(report.splits)
    splits = table.splits
    table.add("sentences", (split.sentences for split in splits))
    table.add("words", (split.words for split in splits))
    table.add_labels([split.tags for split in splits], SHOWN_TAGS, "tags")
    for kind in splits[0].left_out:
        if any(split.left_out[kind] for split in splits):
            table.add(f"{kind}, left out", (split.left_out[kind] for split in splits))
    table.add_spread("words of a sentence", [split.lengths for split in splits])
    table.add("subwords of a word", (split.subwords / split.words for split in splits), ".2f")
    table.add("unknown subwords", (split.unknown_rate for split in splits), ".1%")
    table.add("words not seen in training", (split.unseen_rate for split in splits), ".1%")
    table.add("each word's most frequent tag", (split.baseline_rate for split in splits), ".1%")
    yield from table.lines()
    yield f"vocabulary: {report.vocabulary_size:,} tokens ({report.tokenizer}), learned from the training split"
    if report.scheme:
        yield f"tags of spans: {report.scheme}"
    yield f"{report.ambiguous_words:,} of the {report.different_words:,} different words of training have several tags"
    yield f"duplicate sentences: {duplicates(report.duplicates)}"
    yield "the first sentences, as subwords" + ", each word whole after them" * bool(report.whole_words) + ":"
    for example in report.examples:
        words = zip(example["subwords"], example["tags"], strict=True)
        shown = ("|".join(subword.strip() for subword in subwords) + f"/{tag}" for subwords, tag in words)
        yield f"  {excerpt(' '.join(shown))}"
