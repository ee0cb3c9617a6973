"""Pairs for the task *translate*: a source and a target, both texts, from a file, a sample or Python objects.

Whatever is a sequence is a text here: a sentence, a word as its letters, phonemes with spaces between them. A source
may stand in several rows, with another target in each: these are its references. A row is bad if one of its sides is
missing, empty or not text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from unrolled.config import DataConfig
from unrolled.data.examples.columns import Pair, PairItems, View
from unrolled.data.examples.labelled import text_fault
from unrolled.data.reading.counts import LISTED, Counts, Skipped, sift
from unrolled.data.reading.objects import PYTHON
from unrolled.data.reading.progress import watched
from unrolled.data.reading.rows import BadRow, Row
from unrolled.data.reading.sources import open_source
from unrolled.errors import DataError, excerpt

__all__ = ["SIDES", "TASK", "Pair", "PairedTexts", "load_pairs", "read_sources"]

TASK = "translate"
SIDES = ("source", "target")
WHAT = "pairs"


@dataclass(frozen=True)
class PairedTexts:
    """Sources with targets, and what is known about where they came from."""

    name: str  # for run folders: the file's stem, the sample's name, or "data"
    source: str  # where: the path as given, an address like "sample:letters", or "python objects"
    items: PairItems
    counts: Counts
    skipped: Sequence[Skipped] = ()  # the first 20 that were bad
    unit: str = "line"  # see `Location.unit`

    def __len__(self) -> int:
        return len(self.items)

    def sources(self) -> View[str]:
        """Return the sources, in order."""
        return self.items.sources

    def targets(self) -> View[str]:
        """Return the targets, in order."""
        return self.items.targets

    def references(self) -> dict[str, list[str]]:
        """Return each source once, with its different targets, both in the order in which they come."""
        found: dict[str, dict[str, None]] = {}
        for pair in self.items:
            found.setdefault(pair.source, {})[pair.target] = None
        return {source: list(targets) for source, targets in found.items()}

    def select(self, rows: Iterable[int]) -> PairedTexts:
        """Return the pairs with these numbers, in this order, all of them used."""
        items = self.items.select(rows)
        return replace(self, items=items, counts=Counts(len(items), len(items), {}, WHAT), skipped=())

    def without(self, bad: Mapping[int, str]) -> PairedTexts:
        """Return the pairs but for those that are bad after all; `bad` has the reason of each."""
        reasons = list(bad.values())
        listed = [
            Skipped(pair.line, bad[row], excerpt(pair.source), self.unit)
            for row, pair in zip(list(bad)[:LISTED], self.items.select(list(bad)[:LISTED]), strict=True)
        ]
        return replace(
            self,
            items=self.items.select(row for row in range(len(self)) if row not in bad),
            counts=self.counts.without({reason: reasons.count(reason) for reason in dict.fromkeys(reasons)}),
            skipped=[*self.skipped, *listed],
        )

    def error(self, row: int, side: str, problem: str, fix: str) -> DataError:
        """Return an error about one side of a pair that names where it came from."""
        pair, file = self.items[row], None if self.source == PYTHON else self.source
        return DataError(problem, file=file, line=pair.line, unit=self.unit, row=getattr(pair, side), fix=fix)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the pairs in order, each text's length first, so that no two lists are confused."""
        digest = hashlib.sha256()
        for pair in self.items:
            for text in (pair.source, pair.target):
                data = text.encode()
                digest.update(b"%d:" % len(data) + data)
        return digest.hexdigest()


def load_pairs(data: object, config: DataConfig, *, need_targets: bool = True) -> PairedTexts:
    """Read all pairs of `data`.

    Args:
        data: a path; "-", which is standard input; "sample:letters" or "sample:letters/test"; "hub:NAME"; an iterable
            of (source, target) pairs or of mappings with the source and target keys; a mapping of two lists of equal
            length; a pandas or polars data frame. Without targets an iterable of texts is read, too.
        config: which columns hold source and target (a sample knows its own), and whether a bad row stops.
        need_targets: whether targets are read at all; if not, every target is "".

    Raises:
        DataError: a bad row (unless they are skipped), a file that cannot be read, or nothing left to use.
    """
    columns = (config.source, config.target) if need_targets else (config.source,)
    if need_targets and config.source == config.target:
        raise DataError(
            f'source and target are both read from "{config.source}"',
            fix="name two columns with --source and --target",
        )
    data_source, items = open_source(data, TASK), PairItems()
    counts, skipped = sift(
        watched(data_source.rows(columns), data_source.source),
        _pair,
        lambda pair: items.append(*pair),
        stop=config.on_bad_row == "stop",
        source=data_source.source,
        what=WHAT,
    )
    return PairedTexts(data_source.name, data_source.source, items, counts, skipped, data_source.unit)


def read_sources(path: str | Path, config: DataConfig) -> PairedTexts:
    """Read the source column of a file, for decoding it: every target is "".

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
    return Pair(source, target[0] if target else "", row.line)
