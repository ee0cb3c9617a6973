"""Report on texts with several labels each: columns, lengths, labels, duplicates (`unrolled data --multi-label`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from unrolled.config import DataConfig
from unrolled.data.encoding.choose import learn
from unrolled.data.examples.label_sets import label_sets
from unrolled.data.examples.labelled import Examples
from unrolled.data.reading.counts import accounts
from unrolled.data.reading.faults import Faults
from unrolled.data.reading.flags import label_columns
from unrolled.data.report.charts import Bins, Histogram, Panel, bins, label_bars
from unrolled.data.report.checks import (
    TextRepeats,
    issue_example,
    length_issues,
    rare_issues,
    unknown_issues,
)
from unrolled.data.report.columns import ColumnReport, form_of, is_numeric, missing_columns, open_table, table_issues
from unrolled.data.report.issues import Issue
from unrolled.data.report.labelled import SHOWN_EXAMPLES, SHOWN_LABELS, count_tokens, likely_columns
from unrolled.data.report.markup import markup_issues
from unrolled.data.report.refused import EmptyReport, refusals
from unrolled.data.report.spelling import label_spelling_issues, text_spelling_issues
from unrolled.data.report.tables import SplitTable, by_frequency, duplicates, skipped_rows, spread
from unrolled.data.splits.label_sets import split_label_sets
from unrolled.data.splits.labelled import Splits
from unrolled.display import Displayed
from unrolled.errors import ConfigError, excerpt

__all__ = ["LabelSetReport", "LabelSetSplit", "inspect_label_sets", "ruinous_issues", "usual_labels"]

TASK = "classify"


@dataclass(frozen=True, repr=False)
class LabelSetSplit(Displayed):
    """Statistics of a split."""

    rows: int
    labels: dict[str, int]  # rows of each label
    labels_per_row: float
    unlabelled: int  # rows without a label
    tokens: dict[str, float]  # of a row: min, median, mean, 95 %, max
    unknown_rate: float  # fraction of the tokens that are <unk>


@dataclass(frozen=True, repr=False)
class LabelSetReport(ColumnReport):
    """Report on texts with several labels each."""

    splits: dict[str, LabelSetSplit] = field(default_factory=dict)
    tokenizer: str = ""
    vocabulary_size: int = 0
    usual: tuple[str, ...] = ()  # the most frequent labels in training, as many as a text has on average
    sets: int = 0  # different sets of labels
    lengths: Bins | None = None  # of rows, in tokens
    duplicates: dict[str, int] = field(default_factory=dict)
    examples: tuple[dict[str, str], ...] = ()  # text, labels, and the text decoded from its ids
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


def inspect_label_sets(data: object, config: DataConfig, *, longest: int = 2_048) -> LabelSetReport | EmptyReport:
    """Read, split and tokenize `data` as a training does, and return the report.

    Args:
        data: see `load_label_sets`.
        config: settings that say how it is read.
        longest: maximum number of tokens in a row without an issue.

    Raises:
        DataError: as `split_label_sets`, except for a missing column: then the report names the existing ones.
    """
    data_source, headerless = open_table(data, TASK, config)
    columns = data_source.columns()
    if problem := missing_columns(data_source, (config.text, *label_columns(config, data_source.columns))):
        likely, others = likely_columns(data, data_source, headerless, config)
        return LabelSetReport(
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
    splits = split_label_sets(data, config, faults)
    reads = accounts(splits.loaded, splits.named())
    if not splits.train:
        return EmptyReport.of(reads, faults)
    examples = {name: split for name, split in splits.named().items() if split}
    try:
        tokenizer = learn(splits.train.texts(), config)
    except ConfigError as error:
        return EmptyReport.of(reads, faults, error)
    tokens = {name: count_tokens(split, tokenizer) for name, split in examples.items()}
    lengths = {name: lengths for name, (lengths, _) in tokens.items()}
    counts = {name: _counts(split, splits.labels) for name, split in examples.items()}
    reports = {
        name: LabelSetSplit(
            rows=len(split),
            labels=counts[name],
            labels_per_row=sum(counts[name].values()) / len(split),
            unlabelled=sum(not own for own in label_sets(split)),
            tokens=spread(lengths[name]),
            unknown_rate=tokens[name][1] / int(lengths[name].sum()),
        )
        for name, split in examples.items()
    }
    stored = sorted({label for split in examples.values() for label in split.labels()})
    repeats = TextRepeats(examples, stored)
    first = splits.train.items[:SHOWN_EXAMPLES]
    decoded = [tokenizer.decode(ids) for ids in tokenizer.encode([item.text for item in first])]
    return LabelSetReport(
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
        usual=tuple(usual_labels(counts["train"], len(splits.train))),
        sets=len(stored),
        lengths=bins(lengths),
        duplicates=repeats.counts(),
        examples=tuple(
            {"text": item.text, "labels": str(item.label), "decoded": text}
            for item, text in zip(first, decoded, strict=True)
        ),
        issues=(
            *ruinous_issues(data, config, splits),
            *markup_issues(examples),
            *repeats.issues(),
            *rare_issues(counts),
            *length_issues(examples, lengths, longest, issue_example),
            *unknown_issues({name: report.unknown_rate for name, report in reports.items()}),
        ),
    )


def usual_labels(counts: Mapping[str, int], rows: int) -> list[str]:
    """Return the most frequent labels: as many as a row has on average, rounded, and at least one."""
    return by_frequency(counts)[: max(1, round(sum(counts.values()) / rows))]


def ruinous_issues(data: object, config: DataConfig, splits: Splits) -> Iterator[Issue]:
    """Yield the issues that ruin a training and are found quickly; a training logs them.

    Raises:
        DataError: as `open_source`.
    """
    yield from table_issues(data, TASK, config)
    yield from label_spelling_issues(splits.labels, texts=True)
    if max(map(len, label_sets(splits.train))) == 1:
        yield Issue(
            "single labels",
            len(splits.train),
            "no row of train has more than one label",
            (),
            f"check --label-separator, which is {config.label_separator!r}; if every text has one label, write its "
            "name in place of flags, if there are any, and remove --multi-label",
        )
    yield from text_spelling_issues(
        splits.named(), Examples.texts, issue_example, units="texts", normalize=config.normalize
    )


def _counts(split: Examples, labels: tuple[str, ...]) -> dict[str, int]:
    counts = Counter(label for own in label_sets(split) for label in own)
    return {label: counts[label] for label in labels}


def _lines(report: LabelSetReport) -> Iterator[str]:
    yield from report.header("--text and --label")
    if report.problem:
        return
    table = SplitTable(report.splits)
    table.add("rows", (split.rows for split in table.splits))
    table.add_labels([split.labels for split in table.splits], SHOWN_LABELS)
    table.add("labels of a row, mean", (split.labels_per_row for split in table.splits), ".2f")
    table.add("rows without a label", (split.unlabelled for split in table.splits))
    table.add_spread("tokens", [split.tokens for split in table.splits])
    table.add("unknown tokens", (split.unknown_rate for split in table.splits), ".1%")
    yield from table.lines()
    yield f"{report.sets:,} different sets of labels"
    yield f"vocabulary: {report.vocabulary_size:,} tokens ({report.tokenizer}), learned from the training split"
    yield f"duplicate texts: {duplicates(report.duplicates)}"
    yield "the first examples, and their text decoded from the ids:"
    for example in report.examples:
        yield f"  {excerpt(example['labels'], 30)}: {excerpt(example['text'])}"
        yield f"    {excerpt(example['decoded'])}"
