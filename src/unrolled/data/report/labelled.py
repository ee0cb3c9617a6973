"""Report on labelled texts: columns, lengths, labels, duplicates, unknown tokens (`unrolled data FILE`)."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from unrolled.config import DataConfig
from unrolled.data.encoding.choose import learn
from unrolled.data.encoding.tokenizers import UNK, Tokenizer
from unrolled.data.examples.class_names import class_names
from unrolled.data.examples.labelled import Examples
from unrolled.data.examples.labels import are_numbers, is_number, not_classes, regression
from unrolled.data.reading.addresses import is_file
from unrolled.data.reading.counts import accounts
from unrolled.data.reading.faults import Faults
from unrolled.data.reading.flags import likely_labels
from unrolled.data.reading.shards import files_of
from unrolled.data.reading.sources import DataSource, open_source
from unrolled.data.reading.text_folders import open_folder
from unrolled.data.report.charts import Bins, Histogram, Panel, bins, label_bars
from unrolled.data.report.checks import (
    MOSTLY,
    Lengths,
    TextRepeats,
    issue_example,
    label_issues,
    length_issues,
    unknown_issues,
)
from unrolled.data.report.columns import (
    ColumnReport,
    form_of,
    is_numeric,
    missing_columns,
    open_table,
    sample,
    table_issues,
    text_lengths,
)
from unrolled.data.report.issues import SHOWN, Issue, Report
from unrolled.data.report.markup import markup_issues
from unrolled.data.report.refused import EmptyReport, refusals
from unrolled.data.report.spelling import label_spelling_issues, quoted, similar, text_spelling_issues
from unrolled.data.report.tables import SplitTable, duplicates, skipped_rows, spread
from unrolled.data.splits.labelled import Splits, load_splits
from unrolled.display import Displayed
from unrolled.errors import ConfigError, excerpt

__all__ = [
    "SHOWN_EXAMPLES",
    "SHOWN_LABELS",
    "DataReport",
    "SplitReport",
    "count_tokens",
    "inspect",
    "likely_columns",
    "ruinous_issues",
]

TASK = "classify"
SHOWN_LABELS = 20
SHOWN_EXAMPLES = 3
MANY_LABELS, MIN_ROWS = 20, 3  # more labels are too many, with fewer rows each on average


@dataclass(frozen=True, repr=False)
class SplitReport(Displayed):
    """Statistics of a split."""

    rows: int
    labels: dict[str, int]  # rows of each label
    tokens: dict[str, float]  # of a row: min, median, mean, 95 %, max
    unknown_rate: float  # fraction of the tokens that are <unk>
    majority_rate: float  # accuracy of the most frequent label of training


@dataclass(frozen=True, repr=False)
class DataReport(ColumnReport):
    """Report on labelled texts."""

    splits: dict[str, SplitReport] = field(default_factory=dict)
    tokenizer: str = ""
    vocabulary_size: int = 0
    majority: str = ""  # the most frequent label in training
    lengths: Bins | None = None  # of rows, in tokens
    similar_labels: tuple[tuple[str, ...], ...] = ()  # that differ only in case or spaces
    duplicates: dict[str, int] = field(default_factory=dict)
    examples: tuple[dict[str, str], ...] = ()  # text, label, and the text decoded from its ids
    issues: tuple[Issue, ...] = ()

    def lines(self) -> Iterator[str]:
        """Yield columns, counts, splits, the first examples; see `Report`."""
        return _lines(self)

    def panels(self) -> list[Panel]:
        """Return the lengths and the labels; see `Report`."""
        if self.lengths is None:
            return []
        labels = {name: split.labels for name, split in self.splits.items()}
        return [
            Histogram(f"{self.source}: length of the rows", "tokens", self.lengths),
            label_bars("rows of each label", labels, SHOWN_LABELS),
        ]


def inspect(data: object, config: DataConfig, *, longest: int = 2_048) -> Report:
    """Read, split and tokenize `data` as a training does, and return the report.

    Bad rows and other faults for which a training would refuse the data are listed; the rest is made without them.

    Args:
        data: see `load_examples`.
        config: settings that say how it is read.
        longest: maximum number of tokens in a row without an issue.

    Raises:
        DataError: no row can be read.
    """
    data_source, headerless = open_table(data, TASK, config)
    columns = data_source.columns()
    if problem := missing_columns(data_source, (config.text, config.label)):
        likely, others = likely_columns(data, data_source, headerless, config)
        return DataReport(
            data_source.source,
            form_of(data_source),
            columns,
            problem,
            likely,
            headerless,
            numeric=is_numeric(data_source),
            others=others,
        )
    faults = Faults(collect=True)
    splits = load_splits(data, config, faults)
    names = class_names(splits.labels, config)
    reads = accounts(splits.loaded, splits.named())
    if not splits.train:
        return EmptyReport.of(reads, faults)
    examples = {name: split for name, split in splits.named().items() if split}
    repeats = TextRepeats(examples, splits.labels)
    try:
        tokenizer = learn(splits.train.texts(), config)
    except ConfigError as error:
        return EmptyReport.of(reads, faults, error)
    train_labels = Counter(splits.train.labels())
    majority = max(splits.labels, key=lambda label: train_labels[label])
    first = splits.train.items[:SHOWN_EXAMPLES]
    decoded = [tokenizer.decode(ids) for ids in tokenizer.encode([item.text for item in first])]
    tokens = {name: count_tokens(split, tokenizer) for name, split in examples.items()}
    lengths = {name: lengths for name, (lengths, _) in tokens.items()}
    reports = {name: _split_report(split, names, majority, *tokens[name]) for name, split in examples.items()}
    return DataReport(
        data_source.source,
        form_of(data_source),
        columns,
        how=splits.how,
        loaded={name: read.counts for name, read in reads.items()},
        skipped=skipped_rows(reads),
        refusals=refusals(faults),
        splits=reports,
        tokenizer=tokenizer.kind,
        vocabulary_size=tokenizer.vocabulary_size,
        majority=names[majority],
        lengths=bins(lengths),
        similar_labels=similar(splits.labels),
        duplicates=repeats.counts(),
        examples=tuple(
            {"text": item.text, "label": names[str(item.label)], "decoded": text}
            for item, text in zip(first, decoded, strict=True)
        ),
        issues=(
            *ruinous_issues(data, config, splits),
            *markup_issues(examples),
            *repeats.issues(),
            *label_issues({name: report.labels for name, report in reports.items()}),
            *length_issues(examples, lengths, longest, issue_example),
            *unknown_issues({name: report.unknown_rate for name, report in reports.items()}),
        ),
    )


def ruinous_issues(data: object, config: DataConfig, splits: Splits) -> Iterator[Issue]:
    """Yield the issues that ruin a training and are found quickly; a training logs them.

    Raises:
        DataError: as `open_source`.
    """
    yield from table_issues(data, TASK, config)
    for examples in splits.loaded:
        yield from _empty_classes(examples.source)
    for examples in splits.loaded:
        if examples.mixed:
            yield Issue(
                "labels of several types",
                len(examples.mixed),
                f"labels of {examples.source} that are text in some rows, and a number, true or false in others: "
                + quoted(examples.mixed),
                (),
                "write them the same way: both are read as one label",
            )
    yield from label_spelling_issues(splits.labels, texts=True)
    yield from _number_issues(splits)
    yield from text_spelling_issues(
        splits.named(), Examples.texts, issue_example, units="texts", normalize=config.normalize
    )


def _number_issues(splits: Splits) -> Iterator[Issue]:
    """Yield the issues of labels that are numbers, of nearly as many labels as rows, and of texts that are numbers."""
    counts, rows = Counter(splits.train.labels()), len(splits.train)
    if are_numbers(counts):
        yield Issue(
            "numbers as labels", len(counts), not_classes(counts), (), f"predict numbers with {regression(counts)}"
        )
    elif len(counts) > MANY_LABELS and rows < MIN_ROWS * len(counts):
        yield Issue(
            "many classes",
            len(counts),
            f"{len(counts):,} classes for {rows:,} rows of train, which are too few to learn from",
            (),
            "check that --label names the column with the label, or merge classes",
        )
    numbers = [index for index, text in enumerate(splits.train.texts()) if is_number(text)]
    if len(numbers) > MOSTLY * rows:
        yield Issue(
            "numbers as texts",
            len(numbers),
            f"{len(numbers):,} of the {rows:,} texts of train are numbers",
            tuple(issue_example(splits.train, index) for index in numbers[:SHOWN]),
            "check that --text names the column with the text: numbers are read as words, without their values",
        )


def _empty_classes(source: str) -> Iterator[Issue]:
    """Yield the issue of a folder of texts with folders or files of classes that hold no text."""
    is_folder = is_file(source) and Path(source).is_dir() and not files_of(Path(source))
    empty = open_folder(Path(source)).empty if is_folder else ()
    if empty:
        yield Issue(
            "empty classes",
            len(empty),
            f"folders or files of {source} without a text, which are no class: {quoted(empty)}",
            (),
            "put texts into them, or remove them",
        )


def count_tokens(split: Examples, tokenizer: Tokenizer) -> tuple[Lengths, int]:
    """Return the number of tokens of each row, (N,), and the number of <unk> in total."""
    lengths, unknown = array("i"), 0
    for ids in tokenizer.encode_each(split.texts()):
        lengths.append(len(ids))
        unknown += ids.count(UNK)
    return np.asarray(lengths), unknown


def likely_columns(
    data: object, data_source: DataSource, headerless: str | None, config: DataConfig
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return a guess at the columns of text and label, and other columns that may hold the label.

    If the file seems to have no header, they are numbers of columns.
    """
    if headerless:
        data_source = open_source(data, TASK, config.model_copy(update={"header": False}))
    return _likely(data_source)


def _likely(data_source: DataSource) -> tuple[dict[str, str], tuple[str, ...]]:
    """Guess that the text is the column with the longest values, and the label that with the fewest different ones."""
    values = sample(data_source)
    texts = text_lengths(values)
    if not texts:
        return {}, ()
    likely = {"text": max(texts, key=lambda name: texts[name])}
    if several := likely_labels(values):
        return likely | {"label": several, "multi_label": ""}, ()
    kinds = {
        name: len(set(column))
        for name, column in values.items()
        if name != likely["text"] and all(isinstance(value, (str, int)) for value in column)
    }
    few = [name for name, count in kinds.items() if 2 <= count <= max(2, len(values[name]) // 2)]
    if not few:
        return likely, ()
    label = min(few, key=lambda name: kinds[name])
    return likely | {"label": label}, tuple(name for name in few if name != label and kinds[name] <= MANY_LABELS)


def _split_report(
    split: Examples, names: Mapping[str, str], majority: str, lengths: Lengths, unknown: int
) -> SplitReport:
    """Return the statistics of a split.

    Args:
        names: names of the labels.
    """
    counts = Counter(split.labels())
    return SplitReport(
        rows=len(split),
        labels={name: counts[label] for label, name in names.items()},
        tokens=spread(lengths),
        unknown_rate=unknown / int(lengths.sum()),
        majority_rate=counts[majority] / len(split),
    )


def _lines(report: DataReport) -> Iterator[str]:
    yield from report.header("--text and --label")
    if report.problem:
        return
    table = SplitTable(report.splits)
    table.add("rows", (split.rows for split in table.splits))
    table.add_labels([split.labels for split in table.splits], SHOWN_LABELS)
    table.add_spread("tokens", [split.tokens for split in table.splits])
    table.add("unknown tokens", (split.unknown_rate for split in table.splits), ".1%")
    table.add(f'always "{excerpt(report.majority, 20)}"', (split.majority_rate for split in table.splits), ".1%")
    yield from table.lines()
    yield f"vocabulary: {report.vocabulary_size:,} tokens ({report.tokenizer}), learned from the training split"
    yield f"duplicate texts: {duplicates(report.duplicates)}"
    yield "the first examples, and their text decoded from the ids:"
    for example in report.examples:
        yield f"  {excerpt(example['label'], 30)}: {excerpt(example['text'])}"
        yield f"    {excerpt(example['decoded'])}"
