"""What is known of a data set before anything is trained on it: what `unrolled data FILE` prints."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np

from unrolled.config import DataConfig
from unrolled.data.encoding.tokenizers import UNK, Tokenizer
from unrolled.data.examples.labelled import Examples
from unrolled.data.reading.counts import Counts, Skipped, accounts
from unrolled.data.reading.rows import Row
from unrolled.data.reading.sources import DataSource, open_source
from unrolled.data.report.charts import Bars, Bins, Histogram, Panel, bins
from unrolled.data.report.checks import (
    Lengths,
    TextRepeats,
    issue_example,
    label_issues,
    length_issues,
    similar,
    unknown_issues,
)
from unrolled.data.report.issues import Issue, Report, loads, spread, table
from unrolled.data.splits.labelled import load_splits
from unrolled.errors import DataError, excerpt

__all__ = ["DataReport", "SplitReport", "inspect"]

GUESSED_FROM = 200  # rows
SHOWN_LABELS = 20
SHOWN_EXAMPLES = 3


@dataclass(frozen=True)
class SplitReport:
    """One part of the split."""

    rows: int
    labels: dict[str, int]  # rows of each label
    tokens: dict[str, float]  # of a row: min, median, mean, 95 %, max
    unknown_rate: float  # share of the tokens that are <unk>
    majority_rate: float  # accuracy of always answering what is most frequent in training


@dataclass(frozen=True)
class DataReport(Report):
    """What is understood of a data set; where the columns that were asked for are missing, what to ask for instead."""

    source: str
    format: str
    columns: tuple[str, ...]  # all there are, where they have names
    problem: str | None = None  # why the rest is empty
    likely: dict[str, str] = field(default_factory=dict)  # {"text": column, "label": column}, a guess
    how: str = ""  # the split, in a sentence
    loaded: dict[str, Counts] = field(default_factory=dict)  # see `accounts`
    skipped: tuple[tuple[str, Skipped], ...] = ()  # (file, row), the first of each
    splits: dict[str, SplitReport] = field(default_factory=dict)
    tokenizer: str = ""
    vocabulary_size: int = 0
    majority: str = ""  # the most frequent label in training
    lengths: Bins | None = None  # of rows, in tokens
    similar_labels: tuple[tuple[str, ...], ...] = ()  # that differ only in case or spaces
    duplicates: dict[str, int] = field(default_factory=dict)
    examples: tuple[dict[str, str], ...] = ()  # text, label, and the text decoded back from its ids
    issues: tuple[Issue, ...] = ()

    def lines(self) -> Iterator[str]:
        """Yield the columns, the counts, the parts, the first examples; see `Report`."""
        return _lines(self)

    def panels(self) -> list[Panel]:
        """Return the lengths and the labels; see `Report`."""
        if self.lengths is None:
            return []
        labels = _by_frequency(self)
        bars = {
            label: {name: part.labels[label] for name, part in self.splits.items()} for label in labels[:SHOWN_LABELS]
        }
        return [
            Histogram(f"{self.source}: length of the rows", "tokens", self.lengths),
            Bars("rows of each label", bars, len(labels) - len(bars)),
        ]


def inspect(data: object, config: DataConfig, *, longest: int = 2_048) -> DataReport:
    """Read, split and tokenise `data` as a training would, and say what comes of it.

    Args:
        data: see `load_examples`. config: how it is read.
        longest: tokens of a row beyond which it is a issue.

    Raises:
        DataError: as `load_splits`, but for a column that a file does not have: then the report says which there are.
    """
    data_source = open_source(data, "classify")
    columns = data_source.columns()
    missing = [
        name for name in (config.text, config.label) if columns and not data_source.fixed and name not in columns
    ]
    if missing:
        problem = " and ".join(f'no column "{name}"' for name in missing)
        return DataReport(data_source.source, data_source.form, columns, problem, _likely(data_source, columns))
    splits = load_splits(data, config)
    reads = accounts(splits.loaded, splits.named())
    parts = {name: part for name, part in splits.named().items() if part}
    repeats = TextRepeats(parts, splits.labels)
    tokenizer = Tokenizer.learn(splits.train.texts(), config)
    train_labels = Counter(splits.train.labels())
    majority = max(splits.labels, key=lambda label: train_labels[label])
    first = splits.train.items[:SHOWN_EXAMPLES]
    decoded = [tokenizer.decode(ids) for ids in tokenizer.encode([item.text for item in first])]
    cut = {name: _tokens(part, tokenizer) for name, part in parts.items()}
    lengths = {name: lengths for name, (lengths, _) in cut.items()}
    reports = {name: _part(part, splits.labels, majority, *cut[name]) for name, part in parts.items()}
    return DataReport(
        data_source.source,
        data_source.form,
        columns,
        how=splits.how,
        loaded={name: read.counts for name, read in reads.items()},
        skipped=tuple((name, row) for name, read in reads.items() for row in read.skipped),
        splits=reports,
        tokenizer=config.tokenizer,
        vocabulary_size=tokenizer.vocabulary_size,
        majority=majority,
        lengths=bins(lengths),
        similar_labels=similar(splits.labels),
        duplicates=repeats.counts(),
        examples=tuple(
            {"text": item.text, "label": str(item.label), "decoded": back}
            for item, back in zip(first, decoded, strict=True)
        ),
        issues=(
            *repeats.issues(),
            *label_issues({name: part.labels for name, part in reports.items()}),
            *length_issues(parts, lengths, longest, issue_example),
            *unknown_issues({name: part.unknown_rate for name, part in reports.items()}),
        ),
    )


def _tokens(part: Examples, tokenizer: Tokenizer) -> tuple[Lengths, int]:
    """How many tokens each row has, (N,), and how many of all are <unk>."""
    lengths, unknown = array("i"), 0
    for ids in tokenizer.encode_each(part.texts()):
        lengths.append(len(ids))
        unknown += ids.count(UNK)
    return np.asarray(lengths), unknown


def _likely(data_source: DataSource, columns: Sequence[str]) -> dict[str, str]:
    """Guess: the text is the column with the longest values, the label the one with the fewest different ones."""
    once = [name for name in columns if list(columns).count(name) == 1]
    rows = (row.values for row in data_source.rows(once) if isinstance(row, Row))
    try:
        values = dict(zip(once, zip(*islice(rows, GUESSED_FROM), strict=True), strict=False))
    except DataError:
        return {}
    texts = {name: sum(map(len, column)) for name, column in values.items() if all(isinstance(v, str) for v in column)}
    if not texts:
        return {}
    likely = {"text": max(texts, key=lambda name: texts[name])}
    kinds = {
        name: len(set(column))
        for name, column in values.items()
        if name != likely["text"] and all(isinstance(value, (str, int)) for value in column)
    }
    few = {name: count for name, count in kinds.items() if 2 <= count <= max(2, len(values[name]) // 2)}
    if few:
        likely["label"] = min(few, key=lambda name: few[name])
    return likely


def _part(part: Examples, labels: Sequence[str], majority: str, lengths: Lengths, unknown: int) -> SplitReport:
    found = Counter(part.labels())
    return SplitReport(
        rows=len(part),
        labels={label: found[label] for label in labels},
        tokens=spread(lengths),
        unknown_rate=unknown / int(lengths.sum()),
        majority_rate=found[majority] / len(part),
    )


def _by_frequency(report: DataReport) -> list[str]:
    train = next(iter(report.splits.values())).labels
    return sorted(train, key=lambda label: -train[label])


def _lines(report: DataReport) -> Iterator[str]:
    columns = ", ".join(f'"{excerpt(name, 40)}"' for name in report.columns)
    yield f"{report.source}: {report.format}" + (f" with the columns {columns}" if columns else "")
    if report.problem:
        yield f"{report.problem} to read from"
        options = " ".join(f'--{role} "{excerpt(name, 40)}"' for role, name in report.likely.items())
        yield f"likely: {options}" if options else "say which columns to read with --text and --label"
        return
    yield from loads(report.loaded, report.skipped)
    yield f"split: {report.how}"
    yield ""
    names = list(report.splits)
    parts = list(report.splits.values())
    rows = [["", *names], ["rows", *(f"{part.rows:,}" for part in parts)]]
    labels = _by_frequency(report)
    for label in labels[:SHOWN_LABELS]:
        rows.append([f'  "{excerpt(label, 30)}"', *(f"{part.labels[label]:,}" for part in parts)])
    if len(labels) > SHOWN_LABELS:
        rows.append([f"  … and {len(labels) - SHOWN_LABELS:,} more labels"])
    for name in parts[0].tokens:
        rows.append([f"tokens, {name}", *(f"{part.tokens[name]:,.4g}" for part in parts)])
    rows.append(["unknown tokens", *(f"{part.unknown_rate:.1%}" for part in parts)])
    rows.append([f'always "{excerpt(report.majority, 20)}"', *(f"{part.majority_rate:.1%}" for part in parts)])
    yield from table(rows)
    yield ""
    yield f"vocabulary: {report.vocabulary_size:,} tokens ({report.tokenizer}), learned from the training split"
    doubled = ", ".join(f"{count:,} {where}" for where, count in report.duplicates.items() if count)
    yield f"duplicate texts: {doubled or 'none'}"
    yield "the first examples, and what a model sees of them:"
    for example in report.examples:
        yield f"  {excerpt(example['label'], 30)}: {excerpt(example['text'])}"
        yield f"    {excerpt(example['decoded'])}"
