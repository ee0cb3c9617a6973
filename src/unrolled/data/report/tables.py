"""Tables and lines that the reports share: a column for each split, sources, duplicates."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from unrolled.data.reading.counts import Counts, Read, Skipped
from unrolled.errors import excerpt

__all__ = ["SplitTable", "by_frequency", "duplicates", "loads", "skipped_rows", "spread"]

S = TypeVar("S")


class SplitTable(Generic[S]):
    """A table with a column for each split.

    Args:
        splits: the reports of the splits by name.
    """

    def __init__(self, splits: Mapping[str, S]) -> None:
        self.splits = list(splits.values())
        self._rows: list[tuple[str, ...]] = [("", *splits)]

    def add(self, name: str, values: Iterable[object], form: str = ",") -> None:
        """Add a row: its name, and a value for each split in the format `form`."""
        self._rows.append((name, *(format(value, form) for value in values)))

    def add_labels(self, counts: Sequence[Mapping[str, int]], shown: int, units: str = "labels") -> None:
        """Add a row for each of the most frequent labels.

        Args:
            counts: number of examples of each label in each split, train first.
            shown: maximum number of labels.
            units: plural noun for the labels.
        """
        labels = by_frequency(counts[0])
        for label in labels[:shown]:
            self.add(f'  "{excerpt(label, 30)}"', (split[label] for split in counts))
        if len(labels) > shown:
            self.add(f"  … and {len(labels) - shown:,} more {units}", ())

    def add_spread(self, name: str, spreads: Sequence[Mapping[str, float]]) -> None:
        """Add the rows of lengths; `spreads` has the result of `spread` for each split."""
        for statistic in spreads[0]:
            self.add(f"{name}, {statistic}", (lengths[statistic] for lengths in spreads), ",.4g")

    def lines(self) -> Iterator[str]:
        """Yield the table as lines, between empty lines."""
        yield ""
        for name, *cells in self._rows:
            yield f"{name:<34}" + "".join(f"{cell:>12}" for cell in cells)
        yield ""


def spread(lengths: NDArray[np.integer[Any]]) -> dict[str, float]:
    """Return minimum, median, mean, 95th percentile and maximum of the lengths (N,) in a split."""
    return {
        "min": int(lengths.min()),
        "median": float(np.median(lengths)),
        "mean": float(lengths.mean()),
        "95 %": float(np.percentile(lengths, 95)),
        "max": int(lengths.max()),
    }


def by_frequency(counts: Mapping[str, int]) -> list[str]:
    """Return the labels from the most to the least frequent."""
    return sorted(counts, key=lambda label: -counts[label])


def skipped_rows(tables: Mapping[str, Read]) -> tuple[tuple[str, Skipped], ...]:
    """Return the first skipped rows of each table, with the name of the table."""
    return tuple((name, row) for name, table in tables.items() for row in table.skipped)


def loads(loaded: Mapping[str, Counts], skipped: Iterable[tuple[str, Skipped]], how: str) -> Iterator[str]:
    """Yield the counts of all sources, the first skipped rows of each reason, and the sentence on the split."""
    rows = list(skipped)
    for source, counts in loaded.items():
        yield f"{source}: {counts}"
        for reason, count in counts.skipped.items():
            shown = [row for name, row in rows if name == source and row.reason == reason]
            if shown:
                yield f"  {count:,} skipped: {reason}"
                yield from (f"    {row.position}: {row.row}" for row in shown)
            if shown and count > len(shown):
                yield f"    … and {count - len(shown):,} more"
    yield f"split: {how}"


def duplicates(counts: Mapping[str, int]) -> str:
    """Return the numbers of repeated examples in words, by the splits in which they are."""
    return ", ".join(f"{count:,} {where}" for where, count in counts.items() if count) or "none"
