"""Pairs for the task *translate*: a source and a target, both texts, from a file, a sample or Python objects.

A text is any sequence: a sentence, the letters of a word, phonemes separated by spaces. A source may occur in several
rows with different targets, which are its references. A row is bad if its source or target is missing, empty or not a
string.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from unrolled.config import DataConfig
from unrolled.data.examples.columns import Pair, PairItems, View
from unrolled.data.examples.labelled import text_fault
from unrolled.data.examples.table import ExampleTable, fingerprint_of
from unrolled.data.reading.counts import Skipped, sift, skip
from unrolled.data.reading.faults import RAISED, Faults
from unrolled.data.reading.progress import watched
from unrolled.data.reading.rows import BadRow, Row
from unrolled.data.reading.sources import open_source
from unrolled.errors import DataError, excerpt

__all__ = ["SIDES", "TASK", "Pair", "PairedTexts", "load_pairs", "read_sources"]

TASK = "translate"
SIDES = ("source", "target")


@dataclass(frozen=True)
class PairedTexts(ExampleTable[PairItems]):
    """Sources with targets."""

    UNITS: ClassVar[str] = "pairs"
    ITEMS: ClassVar[type[PairItems]] = PairItems

    def sources(self) -> View[str]:
        """Return the sources, in order."""
        return self.items.sources

    def targets(self) -> View[str]:
        """Return the targets, in order."""
        return self.items.targets

    def references(self) -> dict[str, list[str]]:
        """Return the different targets of each source, both in order of occurrence."""
        references: dict[str, dict[str, None]] = {}
        for pair in self.items:
            references.setdefault(pair.source, {})[pair.target] = None
        return {source: list(targets) for source, targets in references.items()}

    def select(self, rows: Iterable[int]) -> PairedTexts:
        """Return the pairs with these indices, in this order; all count as read and used."""
        return self.with_items(self.items.select(rows))

    def without(self, bad: Mapping[int, str]) -> PairedTexts:
        """Return the pairs without the bad ones; `bad` has the reason for each, by index."""

        def listed(row: int, reason: str) -> Skipped:
            pair = self.items[row]
            return Skipped(pair.line, reason, excerpt(pair.source), self.unit, pair.file)

        return skip(self, bad, listed)

    def error(self, row: int, side: str, problem: str, fix: str) -> DataError:
        """Return an error about one side of a pair, with its location."""
        pair = self.items[row]
        return self.error_at(pair.line, getattr(pair, side), problem, fix, file=pair.file)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the pairs in order."""
        return fingerprint_of(text for pair in self.items for text in (pair.source, pair.target))


def load_pairs(data: object, config: DataConfig, *, need_targets: bool = True, faults: Faults = RAISED) -> PairedTexts:
    """Read all pairs of `data`.

    Args:
        data: a path; "-", which is standard input; "sample:letters" or "sample:letters/test"; "hub:NAME"; an iterable
            of (source, target) pairs or of mappings with the source and target keys; a mapping of two lists of equal
            length; a pandas or polars data frame. Without targets an iterable of texts is read, too.
        config: the columns of source and target (samples have their own), and whether a bad row is an error.
        need_targets: whether targets are read; if not, every target is "".
        faults: the collector, which raises a fault or keeps it for a report.

    Raises:
        DataError: a bad row (unless bad rows are skipped), a file that cannot be read, or no usable row.
    """
    columns = (config.source, config.target) if need_targets else (config.source,)
    if need_targets and config.source == config.target:
        raise DataError(
            f'source and target are both read from "{config.source}"',
            fix="name two columns with --source and --target",
        )
    data_source, items = open_source(data, TASK, config), PairItems()
    counts, skipped = sift(
        watched(data_source.rows(columns), data_source.source),
        _pair,
        lambda pair: items.append(*pair),
        stop=config.on_bad_row == "stop",
        source=data_source.source,
        units=PairedTexts.UNITS,
        faults=faults,
    )
    return PairedTexts(data_source.name, data_source.source, items, counts, skipped, data_source.unit)


def read_sources(path: str | Path, config: DataConfig) -> PairedTexts:
    """Read the source column of a file; every target is "".

    Raises:
        DataError: as `load_pairs`.
    """
    return load_pairs(path, config, need_targets=False)


def _pair(row: Row | BadRow) -> Pair | BadRow:
    if isinstance(row, BadRow):
        return row
    for which, side in zip(range(len(row.values)), SIDES, strict=False):
        if fault := text_fault(row, which, side):
            return fault
    source, *target = map(str, row.values)
    return Pair(source, target[0] if target else "", row.line, row.location.shard)
