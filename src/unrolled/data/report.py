"""What is known of a data set before anything is trained on it: what `unrolled data FILE` prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any

import numpy as np

from unrolled.config import DataConfig
from unrolled.data.doors import Door, find_door
from unrolled.data.examples import Counts, Examples, Skipped
from unrolled.data.rows import Row
from unrolled.data.splits import fold, load_splits
from unrolled.data.tokenizers import UNK, Tokenizer
from unrolled.errors import DataError, excerpt

__all__ = ["DataReport", "PartReport", "inspect"]

GUESSED_FROM = 200  # rows
SHOWN_LABELS = 20
SHOWN_EXAMPLES = 3


@dataclass(frozen=True)
class PartReport:
    """One part of the split."""

    rows: int
    labels: dict[str, int]  # rows of each label
    tokens: dict[str, float]  # of a row: min, median, mean, 95 %, max
    unknown_rate: float  # share of the tokens that are <unk>
    majority_rate: float  # accuracy of always answering what is most frequent in training


@dataclass(frozen=True)
class DataReport:
    """What is understood of a data set; where the columns that were asked for are missing, what to ask for instead."""

    source: str
    format: str
    columns: tuple[str, ...]  # all there are, where they have names
    problem: str | None = None  # why the rest is empty
    likely: dict[str, str] = field(default_factory=dict)  # {"text": column, "label": column}, a guess
    how: str = ""  # the split, in a sentence
    loaded: dict[str, Counts] = field(default_factory=dict)  # by file
    skipped: tuple[tuple[str, Skipped], ...] = ()  # (file, row), the first of each file
    parts: dict[str, PartReport] = field(default_factory=dict)
    tokenizer: str = ""
    vocabulary_size: int = 0
    majority: str = ""  # the most frequent label in training
    similar_labels: tuple[tuple[str, ...], ...] = ()  # that differ only in case or spaces
    duplicates: dict[str, int] = field(default_factory=dict)
    examples: tuple[dict[str, str], ...] = ()  # text, label, and the text decoded back from its ids

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return asdict(self)

    def text(self) -> str:
        """Return the report as lines to print."""
        return "\n".join(_lines(self))


def inspect(data: object, config: DataConfig) -> DataReport:
    """Read, split and tokenise `data` as a training would, and say what comes of it.

    Raises:
        DataError: as `load_splits`, but for a column that a file does not have: then the report says which there are.
    """
    door = find_door(data, "classify")
    columns = door.columns()
    missing = [name for name in (config.text, config.label) if columns and not door.fixed and name not in columns]
    if missing:
        problem = " and ".join(f'no column "{name}"' for name in missing)
        return DataReport(door.source, door.form, columns, problem, _likely(door, columns))
    splits = load_splits(data, config)
    tokenizer = Tokenizer.train(
        splits.train.texts(),
        kind=config.tokenizer,
        vocabulary_size=config.vocabulary_size,
        min_frequency=config.min_frequency,
        lowercase=config.lowercase,
    )
    train_labels = Counter(splits.train.labels())
    majority = max(splits.labels, key=lambda label: train_labels[label])
    first = splits.train.items[:SHOWN_EXAMPLES]
    decoded = [tokenizer.decode(ids) for ids in tokenizer.encode([item.text for item in first])]
    return DataReport(
        door.source,
        door.form,
        columns,
        how=splits.how,
        loaded={loaded.source: loaded.counts for loaded in splits.loaded},
        skipped=tuple((loaded.source, row) for loaded in splits.loaded for row in loaded.skipped),
        parts={name: _part(part, splits.labels, majority, tokenizer) for name, part in splits.parts().items() if part},
        tokenizer=config.tokenizer,
        vocabulary_size=tokenizer.vocabulary_size,
        majority=majority,
        similar_labels=_similar(splits.labels),
        duplicates=splits.duplicates(),
        examples=tuple(
            {"text": item.text, "label": str(item.label), "decoded": back}
            for item, back in zip(first, decoded, strict=True)
        ),
    )


def _likely(door: Door, columns: Sequence[str]) -> dict[str, str]:
    """Guess: the text is the column with the longest values, the label the one with the fewest different ones."""
    once = [name for name in columns if list(columns).count(name) == 1]
    rows = (row.values for row in door.rows(once) if isinstance(row, Row))
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


def _part(part: Examples, labels: Sequence[str], majority: str, tokenizer: Tokenizer) -> PartReport:
    found = Counter(part.labels())
    ids = tokenizer.encode(part.texts())
    lengths = np.array([len(row) for row in ids])
    unknown = sum(row.count(UNK) for row in ids)
    return PartReport(
        rows=len(part),
        labels={label: found[label] for label in labels},
        tokens={
            "min": int(lengths.min()),
            "median": float(np.median(lengths)),
            "mean": float(lengths.mean()),
            "95 %": float(np.percentile(lengths, 95)),
            "max": int(lengths.max()),
        },
        unknown_rate=unknown / int(lengths.sum()),
        majority_rate=found[majority] / len(part),
    )


def _similar(labels: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    groups: dict[str, list[str]] = {}
    for label in labels:
        groups.setdefault(fold(label), []).append(label)
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)


def _lines(report: DataReport) -> Iterator[str]:
    columns = ", ".join(f'"{excerpt(name, 40)}"' for name in report.columns)
    yield f"{report.source}: {report.format}" + (f" with the columns {columns}" if columns else "")
    if report.problem:
        yield f"{report.problem} to read from"
        options = " ".join(f'--{role} "{excerpt(name, 40)}"' for role, name in report.likely.items())
        yield f"likely: {options}" if options else "say which columns to read with --text and --label"
        return
    for source, counts in report.loaded.items():
        yield f"{source}: {counts}"
    for source, row in report.skipped:
        yield f"  skipped: {source}, {row}"
    yield f"split: {report.how}"
    yield ""
    names = list(report.parts)
    parts = list(report.parts.values())
    rows = [["", *names], ["rows", *(f"{part.rows:,}" for part in parts)]]
    labels = sorted(parts[0].labels, key=lambda label: -parts[0].labels[label])
    for label in labels[:SHOWN_LABELS]:
        rows.append([f'  "{excerpt(label, 30)}"', *(f"{part.labels[label]:,}" for part in parts)])
    if len(labels) > SHOWN_LABELS:
        rows.append([f"  … and {len(labels) - SHOWN_LABELS:,} more labels"])
    for name in parts[0].tokens:
        rows.append([f"tokens, {name}", *(f"{part.tokens[name]:,.4g}" for part in parts)])
    rows.append(["unknown tokens", *(f"{part.unknown_rate:.1%}" for part in parts)])
    rows.append([f'always "{excerpt(report.majority, 20)}"', *(f"{part.majority_rate:.1%}" for part in parts)])
    for cells in rows:
        yield f"{cells[0]:<34}" + "".join(f"{cell:>12}" for cell in cells[1:])
    yield ""
    yield f"vocabulary: {report.vocabulary_size:,} tokens ({report.tokenizer}), learned from the training part"
    doubled = ", ".join(f"{count:,} {where}" for where, count in report.duplicates.items() if count)
    yield f"duplicate texts: {doubled or 'none'}"
    for group in report.similar_labels:
        yield "labels that differ only in case or spaces: " + ", ".join(f'"{excerpt(label, 30)}"' for label in group)
    yield "the first examples, and what a model sees of them:"
    for example in report.examples:
        yield f"  {excerpt(example['label'], 30)}: {excerpt(example['text'])}"
        yield f"    {excerpt(example['decoded'])}"
