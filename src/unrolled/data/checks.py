"""What may be wrong with labelled texts, though every row can be read: each check yields what it finds.

Texts count as the same if they are equal but for case and spaces. They are compared by 64 bits of their SHA-256, so
that no text has to be kept: among ten million different ones the chance of a single confusion is 3 in a million.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from unrolled.data.doctor import SHOWN, Finding, Witness
from unrolled.data.examples import Examples
from unrolled.data.objects import PYTHON
from unrolled.data.splits import fold
from unrolled.errors import excerpt

__all__ = [
    "FEW",
    "MOSTLY",
    "MUCH_UNKNOWN",
    "Repeats",
    "label_findings",
    "length_findings",
    "unknown_findings",
    "witness",
]

FEW = 10  # rows; a class with fewer in training is hardly learned
MOSTLY = 0.9  # share of one class from which accuracy says little
MUCH_UNKNOWN = 0.1  # share of unknown tokens from which a tokeniser does not fit
NAMED = 8  # labels that a sentence names


def witness(part: Examples, index: int, *, label: bool = False) -> Witness:
    """Return row `index` of a part, with its label if asked for."""
    item = part.items[index]
    file = "" if part.source == PYTHON else f"{part.source}, "
    said = f'"{excerpt(str(item.label), 30)}": ' if label else ""
    return Witness(f"{file}{part.unit} {item.line}", said + excerpt(item.text))


@dataclass(frozen=True)
class Repeats:
    """Texts that stand in several rows of a data set.

    Args:
        parts: by name, train first. labels: all of them.
    """

    parts: Mapping[str, Examples]
    labels: Sequence[str]

    def counts(self) -> dict[str, int]:
        """Count the rows whose text stood before: in the same part, or in an earlier one."""
        names = list(self.parts)
        found = {
            f"within {name}": len(self.parts[name]) - int((self._seen >> k & 1).sum()) for k, name in enumerate(names)
        }
        for k, later in enumerate(names):
            found |= {f"{later} in {earlier}": len(self._leaked(k, j)) for j, earlier in enumerate(names[:k])}
        return found

    def findings(self) -> Iterator[Finding]:
        """Yield conflicting labels, and texts that stand in two parts."""
        yield from self._conflicts()
        for k, later in enumerate(self.parts):
            for j, earlier in enumerate(list(self.parts)[:k]):
                places = self._leaked(k, j)
                if len(places):
                    pairs = [(self._first(self._group[place], j), place) for place in places[:SHOWN]]
                    yield Finding(
                        "leakage",
                        len(places),
                        f"{_rows(len(places))} of {later} {_has(len(places))} a text that stands in {earlier}, too",
                        tuple(self._witness(place) for pair in pairs for place in pair),
                        f"take them out of {later}: its figures are about rows that were seen",
                    )

    def _conflicts(self) -> Iterator[Finding]:
        lowest = np.minimum.reduceat(self._classes[self._order], self._starts)
        highest = np.maximum.reduceat(self._classes[self._order], self._starts)
        groups = np.flatnonzero(lowest != highest)
        if len(groups) == 0:
            return
        rows = int(self._sizes[groups].sum())
        first = groups[np.argsort(self._order[self._starts[groups]], kind="stable")][:SHOWN]
        shown = []
        for group in first:
            places = range(self._starts[group], self._starts[group] + self._sizes[group])
            classes = self._classes[self._order[places.start : places.stop]]
            other = int(np.flatnonzero(classes != classes[0])[0])
            shown += [self._witness(places[0]), self._witness(places[other])]
        texts = "one text" if len(groups) == 1 else f"{len(groups):,} texts"
        yield Finding(
            "conflicting labels",
            rows,
            f"{texts} in {rows:,} rows {'has' if len(groups) == 1 else 'have'} more than one label",
            tuple(shown),
            "decide for one label each, or leave these rows out: no classifier gets all of them right",
        )

    @cached_property
    def _keys(self) -> NDArray[np.uint64]:
        """(N,), of all rows, part after part."""
        texts = (text for part in self.parts.values() for text in part.texts())
        return np.fromiter((_key(text) for text in texts), np.uint64, sum(map(len, self.parts.values())))

    @cached_property
    def _classes(self) -> NDArray[np.int32]:
        """(N,), of all rows."""
        index = {label: k for k, label in enumerate(self.labels)}
        labels = (index[label] for part in self.parts.values() for label in part.labels())
        return np.fromiter(labels, np.int32, len(self._keys))

    @cached_property
    def _order(self) -> NDArray[np.int64]:
        """(N,), the rows in the order of their keys; equal ones as they came."""
        return np.argsort(self._keys, kind="stable")

    @cached_property
    def _starts(self) -> NDArray[np.int64]:
        """(G,), where a group of equal texts begins in that order."""
        keys = self._keys[self._order]
        return np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1])))

    @cached_property
    def _sizes(self) -> NDArray[np.int64]:
        """(G,), of the groups."""
        return np.diff(np.append(self._starts, len(self._keys)))

    @cached_property
    def _group(self) -> NDArray[np.int64]:
        """(N,), the group of each place in that order."""
        return np.repeat(np.arange(len(self._starts)), self._sizes)

    @cached_property
    def _part(self) -> NDArray[np.uint8]:
        """(N,), the part of each place in that order."""
        return self._part_of(self._order)

    @cached_property
    def _seen(self) -> NDArray[np.uint8]:
        """(G,), the parts in which each group stands, a bit each."""
        return np.bitwise_or.reduceat(np.left_shift(np.uint8(1), self._part), self._starts)

    def _part_of(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        return np.searchsorted(self._ends, rows, side="right").astype(np.uint8)

    @cached_property
    def _ends(self) -> NDArray[np.int64]:
        return np.cumsum([len(part) for part in self.parts.values()])

    def _leaked(self, later: int, earlier: int) -> NDArray[np.int64]:
        """The places of the rows of one part whose text stands in an earlier one, in the order of the rows."""
        places = np.flatnonzero((self._part == later) & (self._seen[self._group] >> earlier & 1).astype(bool))
        return places[np.argsort(self._order[places], kind="stable")]

    def _first(self, group: int, part: int) -> int:
        """The first place of a group in a part."""
        start = int(self._starts[group])
        return start + int(np.flatnonzero(self._part[start : start + int(self._sizes[group])] == part)[0])

    def _witness(self, place: int) -> Witness:
        row, part = int(self._order[place]), int(self._part[place])
        begin = int(self._ends[part - 1]) if part else 0
        return witness(list(self.parts.values())[part], row - begin, label=True)


def label_findings(counts: Mapping[str, Mapping[str, int]], similar: Iterable[Sequence[str]]) -> Iterator[Finding]:
    """Yield what is wrong with the labels: too rare, missing from a part, nearly all the same, alike.

    Args:
        counts: by part, train first, rows of each label. similar: groups of labels that differ only in case or spaces.
    """
    train = counts["train"]
    rare = [label for label, count in train.items() if count < FEW]
    if rare:
        yield Finding(
            "rare classes",
            len(rare),
            f"{_of(len(rare), len(train))} fewer than {FEW} rows to learn from: "
            + _named([f'"{excerpt(label, 30)}" {train[label]}' for label in rare]),
            (),
            "give more rows of them, join them with another class, or try --class-weights balanced",
        )
    for part, found in counts.items():
        absent = [label for label in train if not found[label]]
        if absent:
            yield Finding(
                "absent classes",
                len(absent),
                f"{_of(len(absent), len(train))} no row in {part}: "
                + _named([f'"{excerpt(label, 30)}"' for label in absent]),
                (),
                f"nothing in {part} says whether they were learned: give more rows, or a file of its own",
            )
    most, total = max(train, key=lambda label: train[label]), sum(train.values())
    if train[most] > MOSTLY * total:
        yield Finding(
            "one class for nearly all",
            train[most],
            f'{train[most]:,} of the {total:,} rows of train are "{excerpt(most, 30)}"',
            (),
            "look at macro-F1 and not at accuracy, and try --class-weights balanced",
        )
    for group in similar:
        yield Finding(
            "similar labels",
            len(group),
            "labels that differ only in case or spaces: " + ", ".join(f'"{excerpt(label, 30)}"' for label in group),
            (),
            "write them alike, if they mean the same",
        )


def length_findings(
    parts: Mapping[str, Examples], lengths: Mapping[str, NDArray[np.int64]], most: int
) -> Iterator[Finding]:
    """Yield rows with more than `most` tokens; `lengths` has those of every part's rows."""
    long = {name: np.flatnonzero(lengths[name] > most) for name in parts}
    count = sum(map(len, long.values()))
    if count:
        shown = [witness(parts[name], int(i)) for name, found in long.items() for i in found[:SHOWN]][:SHOWN]
        longest = max(int(lengths[name].max()) for name, found in long.items() if len(found))
        yield Finding(
            "long sequences",
            count,
            f"{_rows(count)} {_has(count)} more tokens than a batch ({most:,}); the longest has {longest:,}",
            tuple(shown),
            "cut them, or give batches more room with --batch-tokens: each is a batch of its own, slow and large",
        )


def unknown_findings(rates: Mapping[str, float]) -> Iterator[Finding]:
    """Yield parts whose tokens are unknown too often; `rates` are shares by part."""
    for part, rate in rates.items():
        if rate > MUCH_UNKNOWN:
            yield Finding(
                "unknown tokens",
                round(100 * rate),
                f"{rate:.0%} of the tokens of {part} are unknown to the vocabulary",
                (),
                "try --tokenizer bpe, a lower --min-frequency or a larger --vocabulary-size",
            )


def _key(text: str) -> int:
    return int.from_bytes(hashlib.sha256(fold(text).encode()).digest()[:8])


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count:,} rows"


def _has(count: int) -> str:
    return "has" if count == 1 else "have"


def _of(count: int, every: int) -> str:
    return f"{count:,} of {every:,} classes {_has(count)}"


def _named(labels: Sequence[str]) -> str:
    return ", ".join(labels[:NAMED]) + (f" and {len(labels) - NAMED:,} more" if len(labels) > NAMED else "")
