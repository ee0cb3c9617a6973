"""Training, validation and test split of labelled texts.

Samples have fixed splits; a split may be a file of its own; the missing ones are split off the training data by text
(see `unrolled.data.splitting`).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from unrolled.config import DataConfig
from unrolled.data.examples.labelled import UNKNOWN_LABEL, Examples, load_examples, unknown_label
from unrolled.data.examples.labels import REGRESSION, are_numbers, not_classes
from unrolled.data.reading.counts import Skipped, skip
from unrolled.data.reading.faults import RAISED, Faults
from unrolled.data.reading.rows import SKIP
from unrolled.data.reading.sources import open_source
from unrolled.data.splitting import HELD_OUT, DataSplits, read_splits, refuse_empty, refuse_one_label
from unrolled.errors import DataError, excerpt

__all__ = ["Splits", "load_splits"]


@dataclass(frozen=True)
class Splits(DataSplits[Examples]):
    """The three splits of labelled texts.

    Args:
        labels: of the training split, sorted: label k is class k.
    """

    labels: tuple[str, ...]


def load_splits(data: object, config: DataConfig, faults: Faults = RAISED) -> Splits:
    """Read `data` and the files `config.valid` and `config.test`, and split off the missing splits.

    Args:
        data: see `load_examples`. config: how it is read. faults: raises or collects faults.

    Raises:
        DataError: as `load_examples`; or the validation split is empty, the training split has one class only, or a
            label of another split does not occur in it.
    """

    def load(source: object, train: Examples | None) -> Examples:
        return load_examples(source, config, labels=sorted(set(train.labels())) if train else None, faults=faults)

    data_source = open_source(data, "classify", config)
    sources = {"train": data, **data_source.splits}
    splits = read_splits(config, sources, data_source.source, load, Examples.texts, by="text", faults=faults)
    labels = tuple(sorted(set(splits.train.labels())))
    fix = f'check that "{config.label}" is the column with the label, and that the file holds all classes'
    refuse_one_label(labels, splits.train, label="class", units="rows", fix=fix, faults=faults)
    held_out = {name: _without_unknown(splits.named()[name], name, splits.train, config, faults) for name in HELD_OUT}
    if not held_out["valid"] and are_numbers(counts := Counter(splits.train.labels())):
        fix = f"predict numbers with {REGRESSION}"
        faults.add(DataError(not_classes(counts), file=splits.train.source, fix=fix))
    elif splits.train:
        refuse_empty(held_out["valid"], "rows", train=splits.train, faults=faults)
    return Splits(**vars(splits) | held_out, labels=labels)


def _without_unknown(split: Examples, name: str, train: Examples, config: DataConfig, faults: Faults) -> Examples:
    """Return the split without rows whose label does not occur in training; the first is a fault, as any bad row."""
    known = Counter(train.labels())
    bad = {i: UNKNOWN_LABEL for i, label in enumerate(split.labels()) if label not in known}
    if not bad:
        return split
    if config.on_bad_row == "stop":
        first = split.items[next(iter(bad))]
        problem, fix = unknown_label(str(first.label), sorted(known)), "give more rows with this label"
        if are_numbers(known):
            problem, fix = not_classes(known), f"predict numbers with {REGRESSION}; for classes, {fix}"
        where = f", and this row is in the {name} split"
        faults.add(split.error(first, problem + where, f"{fix}, try another --split-seed, {SKIP}"))

    def listed(row: int, reason: str) -> Skipped:
        return Skipped(split.items[row].line, reason, excerpt(split.items[row].text), split.unit)

    return skip(split, bad, listed)
