"""Training, validation and test split of pairs, as `splits` makes them of texts: the source decides.

So equal sources (but for case and spaces) stand in one part, with all their targets.
"""

from __future__ import annotations

from dataclasses import dataclass

from unrolled.config import DataConfig
from unrolled.data.assign import read_splits, refuse_empty
from unrolled.data.examples.pairs import TASK, PairedTexts, load_pairs
from unrolled.data.reading.sources import open_source

__all__ = ["PairSplits", "split_pairs"]


@dataclass(frozen=True)
class PairSplits:
    """The three parts of a data set of pairs."""

    train: PairedTexts
    valid: PairedTexts
    test: PairedTexts  # may be empty, if no share was asked for
    how: str  # one sentence: what the parts are and why
    loaded: tuple[PairedTexts, ...]  # what was read, file by file: counts and bad rows before the split

    def named(self) -> dict[str, PairedTexts]:
        """Return the parts by name."""
        return {"train": self.train, "valid": self.valid, "test": self.test}


def split_pairs(data: object, config: DataConfig) -> PairSplits:
    """Read `data` and the files that `config.valid` and `config.test` name, and split off what they do not give.

    Raises:
        DataError: as `load_pairs`; or a part that is needed has no rows.
    """
    data_source = open_source(data, TASK)
    parts, loaded, how = read_splits(
        config,
        {"train": data, **data_source.parts},
        data_source.source,
        lambda given, train: load_pairs(given, config),
        PairedTexts.sources,
        by="source",
    )
    refuse_empty(parts, "rows")
    return PairSplits(parts["train"], parts["valid"], parts["test"], how, loaded)
