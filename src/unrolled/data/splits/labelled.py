"""Training, validation and test split of labelled texts.

Samples have fixed splits; a split may be a file of its own; the missing ones are split off the training data by text
(see `unrolled.data.splitting`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from unrolled.config import DataConfig
from unrolled.data.examples.labelled import UNKNOWN_LABEL, Examples, load_examples, unknown_label
from unrolled.data.examples.labels import are_numbers, not_classes, regression
from unrolled.data.reading.counts import Skipped, skip
from unrolled.data.reading.faults import RAISED, Faults
from unrolled.data.reading.rows import SKIP
from unrolled.data.reading.sources import open_source
from unrolled.data.splitting import HELD_OUT, DataSplits, read_splits, refuse_empty, refuse_one_label
from unrolled.errors import DataError, excerpt

__all__ = ["Splits", "load_splits", "split_texts", "without_unknown"]


@dataclass(frozen=True)
class Splits(DataSplits[Examples]):
    """The three splits of labelled texts.

    Args:
        labels: labels of the training split, sorted: label k is class k.
    """

    labels: tuple[str, ...]


def load_splits(data: object, config: DataConfig, faults: Faults = RAISED) -> Splits:
    """Read `data` and the files `config.valid` and `config.test`, and split off the missing splits.

    Args:
        data: see `load_examples`.
        config: settings that say how it is read.
        faults: the collector, which raises a fault or keeps it for a report.

    Raises:
        DataError: as `load_examples`; or the validation split is empty, the training split has one class only, or a
            label of another split does not occur in it.
    """

    def load(source: object, train: Examples | None) -> Examples:
        return load_examples(source, config, labels=sorted(set(train.labels())) if train else None, faults=faults)

    splits = split_texts(data, config, load, faults=faults)
    counts = Counter(splits.train.labels())
    labels = tuple(sorted(counts))
    fix = f'check that "{config.label}" is the column with the label, and that the file holds all classes'
    refuse_one_label(labels, splits.train, label="class", units="rows", fix=fix, faults=faults)
    known = {label: counts[label] for label in labels}
    held_out = {name: without_unknown(splits.named()[name], name, known, config, faults=faults) for name in HELD_OUT}
    if not held_out["valid"] and are_numbers(counts):
        fix = f"predict numbers with {regression(counts)}"
        faults.add(DataError(not_classes(counts), file=splits.train.source, fix=fix))
    elif splits.train:
        refuse_empty(held_out["valid"], "rows", train=splits.train, faults=faults)
    return Splits(**vars(splits) | held_out, labels=labels)


def split_texts(
    data: object,
    config: DataConfig,
    load: Callable[[object, Examples | None], Examples],
    *,
    task: str = "classify",
    faults: Faults = RAISED,
) -> DataSplits[Examples]:
    """Read `data` and the files of splits, and split off the missing splits by text.

    Args:
        load: (source, training split if it is known) -> examples.
        task: its name, for samples.
        faults: the collector, which raises a fault or keeps it for a report.

    Raises:
        DataError: as `load`; or there are too few texts for the splits.
    """
    data_source = open_source(data, task, config)
    sources = {"train": data, **data_source.splits}
    return read_splits(config, sources, data_source.source, load, Examples.texts, by="text", faults=faults)


def without_unknown(
    split: Examples,
    name: str,
    labels: Collection[str],
    config: DataConfig,
    members: Callable[[str], Sequence[str]] = lambda label: (label,),
    *,
    faults: Faults = RAISED,
) -> Examples:
    """Return the split without rows whose label does not occur in training; the first is a fault, as any bad row.

    Args:
        split, name, config: the rows of the split, its name, and the settings.
        labels: labels of the training split, with their counts where they may be numbers.
        members: maps what a row stores as its label to its labels.
        faults: the collector, which raises the fault or keeps it for a report.
    """
    known = set(labels)
    bad = {i: UNKNOWN_LABEL for i, label in enumerate(split.labels()) if not known.issuperset(members(label))}
    if not bad:
        return split
    if config.on_bad_row == "stop":
        first = split.items[next(iter(bad))]
        unknown = next(label for label in members(str(first.label)) if label not in known)
        problem, fix = unknown_label(unknown, labels), "give more rows with this label"
        if isinstance(labels, Mapping) and are_numbers(labels):
            problem, fix = not_classes(labels), f"predict numbers with {regression(labels)}; for classes, {fix}"
        where = f", and this row is in the {name} split"
        faults.add(split.error(first, problem + where, f"{fix}, try another --split-seed, {SKIP}"))

    def listed(row: int, reason: str) -> Skipped:
        item = split.items[row]
        return Skipped(item.line, reason, excerpt(item.text), split.unit, item.file)

    return skip(split, bad, listed)
