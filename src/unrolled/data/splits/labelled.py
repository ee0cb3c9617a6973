"""Training, validation and test split of labelled texts.

Samples have fixed splits; a split may be a file of its own; the missing ones are split off the training data by text
(see `unrolled.data.splitting`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from unrolled.config import DataConfig
from unrolled.data.examples.labelled import UNKNOWN_LABEL, Examples, load_examples, unknown_label
from unrolled.data.reading.counts import Skipped, skip
from unrolled.data.reading.rows import SKIP
from unrolled.data.reading.sources import open_source
from unrolled.data.splitting import HELD_OUT, DataSplits, read_splits, refuse_empty, refuse_one_label
from unrolled.errors import excerpt

__all__ = ["Splits", "load_splits", "split_texts", "without_unknown"]


@dataclass(frozen=True)
class Splits(DataSplits[Examples]):
    """The three splits of labelled texts.

    Args:
        labels: of the training split, sorted: label k is class k.
    """

    labels: tuple[str, ...]


def load_splits(data: object, config: DataConfig) -> Splits:
    """Read `data` and the files `config.valid` and `config.test`, and split off the missing splits.

    Raises:
        DataError: as `load_examples`; or the validation split is empty, the training split has one class only, or a
            label of another split does not occur in it.
    """

    def load(source: object, train: Examples | None) -> Examples:
        return load_examples(source, config, labels=None if train is None else sorted(set(train.labels())))

    splits = split_texts(data, config, load)
    labels = tuple(sorted(set(splits.train.labels())))
    fix = f'check that "{config.label}" is the column with the label, and that the file holds all classes'
    refuse_one_label(labels, splits.train, label="class", units="rows", fix=fix)
    held_out = {name: without_unknown(splits.named()[name], name, labels, config) for name in HELD_OUT}
    refuse_empty(held_out["valid"], "rows", train=splits.train)
    return Splits(**vars(splits) | held_out, labels=labels)


def split_texts(
    data: object, config: DataConfig, load: Callable[[object, Examples | None], Examples], *, task: str = "classify"
) -> DataSplits[Examples]:
    """Read `data` and the files of splits, and split off the missing splits by text.

    Args:
        load: (source, training split if it is known) -> examples. task: its name, for samples.

    Raises:
        DataError: as `load`; or there are too few texts for the splits.
    """
    data_source = open_source(data, task, header=config.header)
    sources = {"train": data, **data_source.splits}
    return read_splits(config, sources, data_source.source, load, Examples.texts, by="text")


def without_unknown(
    split: Examples,
    name: str,
    labels: Sequence[str],
    config: DataConfig,
    members: Callable[[str], Sequence[str]] = lambda label: (label,),
) -> Examples:
    """Return the split without rows whose label does not occur in training; the first is an error, as any bad row.

    members: maps what a row stores as its label to its labels.
    """
    known = set(labels)
    bad = {i: UNKNOWN_LABEL for i, label in enumerate(split.labels()) if not known.issuperset(members(label))}
    if not bad:
        return split
    if config.on_bad_row == "stop":
        first = split.items[next(iter(bad))]
        unknown = next(label for label in members(str(first.label)) if label not in known)
        problem = f"{unknown_label(unknown, labels)}, and this row is in the {name} split"
        raise split.error(first, problem, f"give more rows with this label, try another --split-seed, {SKIP}")

    def listed(row: int, reason: str) -> Skipped:
        return Skipped(split.items[row].line, reason, excerpt(split.items[row].text), split.unit)

    return skip(split, bad, listed)
