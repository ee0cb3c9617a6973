"""Report on texts with a number each: columns, lengths, distribution of the numbers, duplicates (`unrolled data`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from unrolled.config import DataConfig
from unrolled.data.encoding.choose import learn
from unrolled.data.encoding.numbers import Scale
from unrolled.data.examples.labelled import Examples
from unrolled.data.examples.labels import DECIMALS, is_number
from unrolled.data.examples.numbers import numbers_of
from unrolled.data.reading.counts import accounts
from unrolled.data.reading.faults import Faults
from unrolled.data.reading.sources import DataSource, open_source
from unrolled.data.report.charts import Bins, Histogram, Panel, bins, number_bins
from unrolled.data.report.checks import (
    MOSTLY,
    Lengths,
    TextRepeats,
    issue_example,
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
from unrolled.data.report.issues import SHOWN, Issue
from unrolled.data.report.labelled import count_tokens
from unrolled.data.report.markup import markup_issues
from unrolled.data.report.refused import EmptyReport, refusals
from unrolled.data.report.spelling import text_spelling_issues
from unrolled.data.report.tables import SplitTable, duplicates, skipped_rows, spread
from unrolled.data.splits.numbers import split_numbers
from unrolled.data.splitting import DataSplits
from unrolled.display import Displayed
from unrolled.errors import ConfigError, excerpt

__all__ = ["NumberReport", "NumberSplit", "inspect_numbers", "ruinous_issues"]

TASK = "regress"
FAR = 3
"""Quartile ranges from the quartiles beyond which a number is an outlier (Tukey 1977: far out)."""
FEW = 2
"""Different numbers that seem to be classes."""
SHOWN_EXAMPLES = 3

Numbers = NDArray[np.float64]


@dataclass(frozen=True, repr=False)
class NumberSplit(Displayed):
    """Statistics of a split."""

    rows: int
    numbers: dict[str, float]  # min, 5 %, median, mean, 95 %, max, standard deviation
    tokens: dict[str, float]  # of a row: min, median, mean, 95 %, max
    unknown_rate: float  # fraction of the tokens that are <unk>
    mean_mae: float  # mean absolute error of the mean of the training split


@dataclass(frozen=True, repr=False)
class NumberReport(ColumnReport):
    """Report on texts with a number each."""

    splits: dict[str, NumberSplit] = field(default_factory=dict)
    tokenizer: str = ""
    vocabulary_size: int = 0
    mean: float = 0.0  # of the training split
    lengths: Bins | None = None  # of rows, in tokens
    numbers: Bins | None = None
    duplicates: dict[str, int] = field(default_factory=dict)
    examples: tuple[dict[str, str], ...] = ()  # text, number, and the text decoded from its ids
    issues: tuple[Issue, ...] = ()

    def lines(self) -> Iterator[str]:
        """Yield columns, counts, splits, the first examples; see `Report`."""
        return _lines(self)

    def panels(self) -> list[Panel]:
        """Return the numbers and the lengths; see `Report`."""
        if self.lengths is None or self.numbers is None:
            return []
        return [
            Histogram(f"{self.source}: the numbers to predict", "number", self.numbers),
            Histogram("length of the rows", "tokens", self.lengths),
        ]


def inspect_numbers(data: object, config: DataConfig, *, longest: int = 2_048) -> NumberReport | EmptyReport:
    """Read, split and tokenize `data` as a training does, and return the report; bad rows are listed as an issue.

    Args:
        data: see `load_numbers`.
        config: settings that say how it is read.
        longest: maximum number of tokens in a row without an issue.

    Raises:
        DataError: as `split_numbers`, but not for a bad row, and not for a missing column: then the report names the
            existing ones.
    """
    data_source, headerless = open_table(data, TASK, config)
    columns = data_source.columns()
    if problem := missing_columns(data_source, (config.text, config.label)):
        likely = _likely(data, data_source, headerless, config)
        return NumberReport(
            data_source.source,
            form_of(data_source),
            columns,
            problem,
            likely,
            headerless,
            numeric=is_numeric(data_source),
        )
    faults = Faults(collect=True)
    splits = split_numbers(data, config, faults)
    reads = accounts(splits.loaded, splits.named())
    if not splits.train:
        return EmptyReport.of(reads, faults)
    examples = {name: split for name, split in splits.named().items() if split}
    try:
        tokenizer = learn(splits.train.texts(), config)
    except ConfigError as error:
        return EmptyReport.of(reads, faults, error)
    numbers = {name: numbers_of(split) for name, split in examples.items()}
    tokens = {name: count_tokens(split, tokenizer) for name, split in examples.items()}
    lengths = {name: lengths for name, (lengths, _) in tokens.items()}
    mean = Scale.learn(numbers["train"]).mean
    reports = {name: _split_report(numbers[name], mean, *tokens[name]) for name in examples}
    repeats = TextRepeats(examples, sorted({label for split in examples.values() for label in split.labels()}))
    first = splits.train.items[:SHOWN_EXAMPLES]
    decoded = [tokenizer.decode(ids) for ids in tokenizer.encode([item.text for item in first])]
    return NumberReport(
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
        mean=mean,
        lengths=bins(lengths),
        numbers=number_bins(numbers),
        duplicates=repeats.counts(),
        examples=tuple(
            {"text": item.text, "number": str(item.label), "decoded": text}
            for item, text in zip(first, decoded, strict=True)
        ),
        issues=(
            *ruinous_issues(data, config, splits),
            *markup_issues(examples),
            *repeats.issues(),
            *length_issues(examples, lengths, longest, issue_example),
            *unknown_issues({name: report.unknown_rate for name, report in reports.items()}),
        ),
    )


def ruinous_issues(data: object, config: DataConfig, splits: DataSplits[Examples]) -> Iterator[Issue]:
    """Yield the issues that ruin a training and are found quickly; a training logs them.

    Raises:
        DataError: as `open_source`.
    """
    yield from table_issues(data, TASK, config)
    yield from text_spelling_issues(
        splits.named(), Examples.texts, issue_example, units="texts", normalize=config.normalize
    )
    yield from _number_issues(splits.train)


def _number_issues(train: Examples) -> Iterator[Issue]:
    """Yield the issues of numbers of the training split: few, one for nearly all, outliers."""
    counts = Counter(train.labels())
    most, rows = counts.most_common(1)[0]
    if len(counts) <= FEW:
        yield Issue(
            "few numbers",
            len(counts),
            f"train has {len(counts)} different numbers only, {' and '.join(sorted(counts, key=float))}",
            (),
            "if they stand for classes, use --task classify",
        )
    elif rows > MOSTLY * len(train):
        yield Issue(
            "one number for nearly all",
            rows,
            f"{rows:,} of the {len(train):,} rows of train have the number {most}",
            (),
            "always saying it has a small error: compare R² and the rank correlation with 0",
        )
    numbers = numbers_of(train)
    low, high = np.quantile(numbers, [0.25, 0.75])
    far = np.flatnonzero((numbers < low - FAR * (high - low)) | (numbers > high + FAR * (high - low)))
    if len(far) and high > low:
        farthest = far[np.argsort(-np.abs(numbers[far] - np.median(numbers)), kind="stable")][:SHOWN]
        noun = "number of train is" if len(far) == 1 else "numbers of train are"
        yield Issue(
            "outliers",
            len(far),
            f"{len(far):,} {noun} far from the others, half of which are from {low:.6g} to {high:.6g}",
            tuple(issue_example(train, int(row), label=True) for row in farthest),
            "check their units; if they are right, logarithms may serve better, since the loss squares errors",
        )


def _likely(data: object, data_source: DataSource, headerless: str | None, config: DataConfig) -> dict[str, str]:
    """Guess that the text is the column with the longest values, and the number the first column of numbers."""
    if headerless:
        data_source = open_source(data, TASK, config.model_copy(update={"header": False}))
    values = sample(data_source)
    numeric = {
        name: decimal
        for decimal in (DECIMALS[1], DECIMALS[0])  # of whole numbers the second, which is the default
        for name, column in values.items()
        if all(is_number(value, decimal) for value in column)
    }
    texts = {name: length for name, length in text_lengths(values).items() if name not in numeric}
    if not texts:
        return {}
    likely = {"text": max(texts, key=lambda name: texts[name])}
    label = next((name for name in values if name in numeric), None)
    if label is None:
        return likely
    decimal = {} if numeric[label] == DECIMALS[0] else {"decimal": numeric[label]}
    return likely | {"label": label} | decimal


def _split_report(numbers: Numbers, mean: float, lengths: Lengths, unknown: int) -> NumberSplit:
    return NumberSplit(
        rows=len(numbers),
        numbers=_distribution(numbers),
        tokens=spread(lengths),
        unknown_rate=unknown / int(lengths.sum()),
        mean_mae=float(np.abs(numbers - mean).mean()),
    )


def _distribution(numbers: Numbers) -> dict[str, float]:
    low, median, high = np.quantile(numbers, [0.05, 0.5, 0.95]).tolist()
    deviation = Scale.learn(numbers).deviation if len(set(numbers.tolist())) > 1 else 0.0
    return {
        "min": float(numbers.min()),
        "5 %": low,
        "median": median,
        "mean": float(numbers.mean()),
        "95 %": high,
        "max": float(numbers.max()),
        "standard deviation": deviation,
    }


def _lines(report: NumberReport) -> Iterator[str]:
    yield from report.header("--text and --label")
    if report.problem:
        return
    table = SplitTable(report.splits)
    table.add("rows", (split.rows for split in table.splits))
    table.add_spread("number", [split.numbers for split in table.splits])
    table.add_spread("tokens", [split.tokens for split in table.splits])
    table.add("unknown tokens", (split.unknown_rate for split in table.splits), ".1%")
    table.add(f"error of always {report.mean:.4g}", (split.mean_mae for split in table.splits), ",.4g")
    yield from table.lines()
    yield f"vocabulary: {report.vocabulary_size:,} tokens ({report.tokenizer}), learned from the training split"
    yield f"duplicate texts: {duplicates(report.duplicates)}"
    yield "the first examples, and their text decoded from the ids:"
    for example in report.examples:
        yield f"  {excerpt(example['number'], 30)}: {excerpt(example['text'])}"
        yield f"    {excerpt(example['decoded'])}"
