"""Training, validation and test split of texts with a number each; see `unrolled.data.splits.labelled`."""

from __future__ import annotations

from unrolled.config import DataConfig
from unrolled.data.examples.labelled import Examples
from unrolled.data.examples.numbers import load_numbers
from unrolled.data.reading.faults import RAISED, Faults
from unrolled.data.splits.labelled import split_texts
from unrolled.data.splitting import DataSplits, refuse_empty, refuse_one_label

__all__ = ["split_numbers"]


def split_numbers(data: object, config: DataConfig, faults: Faults = RAISED) -> DataSplits[Examples]:
    """Read `data` and the files `config.valid` and `config.test`, and split off the missing splits.

    Args:
        data: see `load_numbers`.
        config: settings that say how it is read.
        faults: the collector, which raises a fault or keeps it for a report.

    Raises:
        DataError: as `load_numbers`; or the validation split is empty, or the training split has one number only.
    """

    def load(source: object, train: Examples | None) -> Examples:
        return load_numbers(source, config, faults)

    splits = split_texts(data, config, load, task="regress", faults=faults)
    different = tuple(dict.fromkeys(splits.train.labels()))
    fix = f'check that "{config.label}" is the column with the number to predict'
    refuse_one_label(different, splits.train, label="number", units="rows", fix=fix, faults=faults)
    if splits.train:
        refuse_empty(splits.valid, "rows", train=splits.train, faults=faults)
    return splits
