"""What may be wrong with labelled texts, though every row can be read: each check yields what it finds.

Texts count as the same if they are equal but for case and spaces. They are compared by 64 bits of their SHA-256, so
that no text has to be kept: among ten million different ones the chance of a single confusion is 3 in a million.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from unrolled.data.assign import fold
from unrolled.data.examples.labelled import Examples
from unrolled.data.reading.objects import PYTHON
from unrolled.data.report.issues import SHOWN, Issue, IssueExample
from unrolled.errors import excerpt

__all__ = [
    "FEW",
    "MOSTLY",
    "MUCH_UNKNOWN",
    "Repeats",
    "TextRepeats",
    "issue_example",
    "key_of",
    "label_issues",
    "length_issues",
    "similar",
    "unknown_issues",
]

FEW = 10  # rows; a class with fewer in training is hardly learned
MOSTLY = 0.9  # share of one class from which accuracy says little
MUCH_UNKNOWN = 0.1  # share of unknown tokens from which a tokeniser does not fit
AT_ONCE = 1 << 20  # rows that are looked at together
NAMED = 8  # labels that a sentence names

Lengths = NDArray[np.integer[Any]]


def issue_example(part: Examples, index: int, *, label: bool = False) -> IssueExample:
    """Return row `index` of a part, with its label if asked for."""
    item = part.items[index]
    file = "" if part.source == PYTHON else f"{part.source}, "
    said = f'"{excerpt(str(item.label), 30)}": ' if label else ""
    return IssueExample(f"{file}{part.unit} {item.line}", said + excerpt(item.text))


def key_of(text: str) -> int:
    """Return the first 64 bits of a text's SHA-256, the same for those that count as equal."""
    return int.from_bytes(hashlib.sha256(fold(text).encode()).digest()[:8])


P = TypeVar("P", bound=Sized)


class Repeats(ABC, Generic[P]):
    """The rows of a data set whose text (or image) stands in other rows, too: in arrays, equal ones side by side.

    Args:
        parts: by name, train first. labels: all of them.
    """

    ONE: ClassVar[str]  # of what it is
    MANY: ClassVar[str]

    @abstractmethod
    def keys(self, part: P) -> Iterator[int]:
        """Yield 64 bits for each row, the same for those that count as equal."""

    @abstractmethod
    def classes(self, part: P) -> Iterable[int]:
        """Return the label of each row, as an index into `labels`."""

    @abstractmethod
    def issue_example(self, part: P, index: int) -> IssueExample:
        """Return a row with its label."""

    def __init__(self, parts: Mapping[str, P], labels: Sequence[str]) -> None:
        self.parts, self.labels = parts, labels
        self._ends = np.cumsum([len(part) for part in parts.values()])
        keys = np.fromiter(  # (N,), of all rows, part after part
            (key for part in parts.values() for key in self.keys(part)), np.uint64, int(self._ends[-1])
        )
        rows = _repeated(keys)
        self._rows = rows[np.argsort(keys[rows], kind="stable")]  # (R,)
        keys = keys[self._rows]
        new = np.concatenate(([True], keys[1:] != keys[:-1]))[: len(keys)]
        self._starts = np.flatnonzero(new)  # (G,), where each text begins
        self._sizes = np.diff(np.append(self._starts, len(keys)))  # (G,)
        self._group = np.cumsum(new) - 1  # (R,), of each row
        self._part = np.searchsorted(self._ends, self._rows, side="right").astype(np.uint8)  # (R,)
        classes = (k for part in parts.values() for k in self.classes(part))
        self._classes = np.fromiter(classes, np.int32, int(self._ends[-1]))[self._rows]  # (R,)
        bits = np.left_shift(np.uint8(1), self._part)
        self._seen = _by_group(np.bitwise_or, bits, self._starts)  # (G,), the parts in which it stands, a bit each

    def counts(self) -> dict[str, int]:
        """Count the rows whose text stood before: in the same part, or in an earlier one."""
        names = list(self.parts)
        found = {
            f"within {name}": int((self._part == k).sum()) - int((self._seen >> k & 1).sum())
            for k, name in enumerate(names)
        }
        for k, later in enumerate(names):
            found |= {f"{later} in {earlier}": len(self._leaked(k, j)) for j, earlier in enumerate(names[:k])}
        return found

    def issues(self) -> Iterator[Issue]:
        """Yield conflicting labels, and texts that stand in two parts."""
        yield from self._conflicts()
        for k, later in enumerate(self.parts):
            for j, earlier in enumerate(list(self.parts)[:k]):
                leaked = self._leaked(k, j)
                if len(leaked):
                    pairs = [(self._first(self._group[i], j), int(i)) for i in leaked[:SHOWN]]
                    yield Issue(
                        "leakage",
                        len(leaked),
                        f"{_rows(len(leaked))} of {later} {_has(len(leaked))} {self.ONE} that stands in {earlier}, too",
                        tuple(self._issue_example(i) for pair in pairs for i in pair),
                        f"take them out of {later}: its figures are about rows that were seen",
                    )

    def _conflicts(self) -> Iterator[Issue]:
        lowest = _by_group(np.minimum, self._classes, self._starts)
        highest = _by_group(np.maximum, self._classes, self._starts)
        groups = np.flatnonzero(lowest != highest)
        if len(groups) == 0:
            return
        shown = []
        for group in groups[np.argsort(self._rows[self._starts[groups]], kind="stable")][:SHOWN]:
            first = int(self._starts[group])
            classes = self._classes[first : first + int(self._sizes[group])]
            shown += [first, first + int(np.flatnonzero(classes != classes[0])[0])]
        rows = int(self._sizes[groups].sum())
        texts = f"one {self.MANY[:-1]}" if len(groups) == 1 else f"{len(groups):,} {self.MANY}"
        yield Issue(
            "conflicting labels",
            rows,
            f"{texts} in {rows:,} rows {_has(len(groups))} more than one label",
            tuple(self._issue_example(i) for i in shown),
            "decide for one label each, or leave these rows out: no model gets all of them right",
        )

    def _leaked(self, later: int, earlier: int) -> NDArray[np.int64]:
        """Where the rows of one part are whose text stands in an earlier one, in the order of the rows."""
        found = np.flatnonzero((self._part == later) & (self._seen[self._group] >> earlier & 1).astype(bool))
        return found[np.argsort(self._rows[found], kind="stable")]

    def _first(self, group: int, part: int) -> int:
        """Where a text first stands in a part."""
        start = int(self._starts[group])
        return start + int(np.flatnonzero(self._part[start : start + int(self._sizes[group])] == part)[0])

    def _issue_example(self, i: int) -> IssueExample:
        part = list(self.parts.values())[self._part[i]]
        begin = int(self._ends[self._part[i]]) - len(part)
        return self.issue_example(part, int(self._rows[i]) - begin)


class TextRepeats(Repeats[Examples]):
    """Texts that stand in several rows."""

    ONE, MANY = "a text", "texts"

    def keys(self, part: Examples) -> Iterator[int]:
        """The first 64 bits of each text's SHA-256."""
        return map(key_of, part.texts())

    def classes(self, part: Examples) -> Iterator[int]:
        """As indices."""
        index = {label: k for k, label in enumerate(self.labels)}
        return (index[label] for label in part.labels())

    def issue_example(self, part: Examples, index: int) -> IssueExample:
        """With its text."""
        return issue_example(part, index, label=True)


def _repeated(keys: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Where keys stand that stand more than once, in order.

    Half of each key tells nearly all that stand alone, and takes half the memory to sort.
    """
    likely = _twice(keys.view(np.uint32)[::2])
    return likely[_twice(keys[likely])]


def _twice(keys: NDArray[Any]) -> NDArray[np.int64]:
    """Where keys stand that stand more than once, in order."""
    ordered = np.sort(keys)
    repeated = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    pieces = range(0, len(keys), AT_ONCE)
    found = [k + np.flatnonzero(np.isin(keys[k : k + AT_ONCE], repeated)) for k in pieces]
    return np.concatenate([np.empty(0, np.int64), *found])


def _by_group(function: np.ufunc, values: NDArray[Any], starts: NDArray[np.int64]) -> NDArray[Any]:
    """What a function makes of the values of each group; (G,)."""
    return function.reduceat(values, starts) if len(starts) else values[:0]


def similar(labels: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    """Return the groups of labels that differ only in case or spaces."""
    groups: dict[str, list[str]] = {}
    for label in labels:
        groups.setdefault(fold(label), []).append(label)
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)


def label_issues(counts: Mapping[str, Mapping[str, int]]) -> Iterator[Issue]:
    """Yield what is wrong with the labels: too rare, missing from a part, nearly all the same, alike.

    Args:
        counts: by part, train first, rows of each label.
    """
    train = counts["train"]
    rare = [label for label, count in train.items() if count < FEW]
    if rare:
        yield Issue(
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
            yield Issue(
                "absent classes",
                len(absent),
                f"{_of(len(absent), len(train))} no row in {part}: "
                + _named([f'"{excerpt(label, 30)}"' for label in absent]),
                (),
                f"nothing in {part} says whether they were learned: give more rows, or a file of its own",
            )
    most, total = max(train, key=lambda label: train[label]), sum(train.values())
    if train[most] > MOSTLY * total:
        yield Issue(
            "one class for nearly all",
            train[most],
            f'{train[most]:,} of the {total:,} rows of train are "{excerpt(most, 30)}"',
            (),
            "look at macro-F1 and not at accuracy, and try --class-weights balanced",
        )
    for group in similar(train):
        yield Issue(
            "similar labels",
            len(group),
            "labels that differ only in case or spaces: " + ", ".join(f'"{excerpt(label, 30)}"' for label in group),
            (),
            "write them alike, if they mean the same",
        )


def length_issues(
    parts: Mapping[str, P], lengths: Mapping[str, Lengths], most: int, issue_example: Callable[[P, int], IssueExample]
) -> Iterator[Issue]:
    """Yield rows with more than `most` tokens.

    Args:
        parts, lengths: by name, the rows of a part and their lengths (N,). issue_example: shows a row of a part.
    """
    long = {name: np.flatnonzero(lengths[name] > most) for name in parts}
    count = sum(map(len, long.values()))
    if count:
        shown = [issue_example(parts[name], int(i)) for name, found in long.items() for i in found[:SHOWN]][:SHOWN]
        longest = max(int(lengths[name].max()) for name, found in long.items() if len(found))
        yield Issue(
            "long sequences",
            count,
            f"{_rows(count)} {_has(count)} more tokens than a batch ({most:,}); the longest has {longest:,}",
            tuple(shown),
            "look for ends of rows that are missing, cut them, or give batches more room with --batch-tokens: each is "
            "a batch of its own, slow and large",
        )


def unknown_issues(rates: Mapping[str, float]) -> Iterator[Issue]:
    """Yield parts whose tokens are unknown too often; `rates` are shares by part."""
    for part, rate in rates.items():
        if rate > MUCH_UNKNOWN:
            yield Issue(
                "unknown tokens",
                round(100 * rate),
                f"{rate:.0%} of the tokens of {part} are unknown to the vocabulary",
                (),
                "try --tokenizer bpe, a lower --min-frequency or a larger --vocabulary-size",
            )


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count:,} rows"


def _has(count: int) -> str:
    return "has" if count == 1 else "have"


def _of(count: int, every: int) -> str:
    return f"{count:,} of {every:,} classes {_has(count)}"


def _named(labels: Sequence[str]) -> str:
    return ", ".join(labels[:NAMED]) + (f" and {len(labels) - NAMED:,} more" if len(labels) > NAMED else "")
