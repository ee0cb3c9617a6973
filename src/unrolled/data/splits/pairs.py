"""Training, validation and test split of pairs, by source.

Equal sources (except for case and spaces) are always in the same split, with all their targets.
"""

from __future__ import annotations

from dataclasses import dataclass

from unrolled.config import DataConfig
from unrolled.data.examples.pairs import TASK, PairedTexts, load_pairs
from unrolled.data.reading.faults import RAISED, Faults
from unrolled.data.reading.sources import open_source
from unrolled.data.splitting import DataSplits, read_splits, refuse_empty

__all__ = ["PairSplits", "split_pairs"]


@dataclass(frozen=True)
class PairSplits(DataSplits[PairedTexts]):
    """The three splits of a data set of pairs."""


def split_pairs(data: object, config: DataConfig, faults: Faults = RAISED) -> PairSplits:
    """Read `data` and the files `config.valid` and `config.test`, and split off the missing splits.

    Args:
        data: see `load_pairs`.
        config: settings that say how it is read.
        faults: the collector, which raises a fault or keeps it for a report.

    Raises:
        DataError: as `load_pairs`; or the validation split is empty.
    """
    data_source = open_source(data, TASK, config)
    splits = read_splits(
        config,
        {"train": data, **data_source.splits},
        data_source.source,
        lambda source, train: load_pairs(source, config, faults=faults),
        PairedTexts.sources,
        by="source",
        faults=faults,
    )
    if splits.train:
        refuse_empty(splits.valid, "rows", train=splits.train, faults=faults)
    return PairSplits(**vars(splits))
