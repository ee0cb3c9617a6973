"""Checks of examples that yield issues: repeats, conflicting labels, rare classes, lengths, unknown tokens.

Texts count as equal if they differ only in case, spaces, invisible characters and Unicode form. They are compared by 64
bits of their SHA-256, so that no text is stored: among ten million different texts the probability of a collision is 3
in a million.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from unrolled.data.examples.labelled import Examples
from unrolled.data.report.issues import SHOWN, Issue, IssueExample, location
from unrolled.data.splitting import DataSplits
from unrolled.errors import excerpt
from unrolled.strings import comparable

__all__ = [
    "FEW",
    "MOSTLY",
    "MUCH_UNKNOWN",
    "RUINOUS_UNKNOWN",
    "Repeats",
    "TextRepeats",
    "issue_example",
    "key_of",
    "label_issues",
    "leakage_issues",
    "length_issues",
    "rare_issues",
    "unknown_issues",
]

FEW = 10  # rows; a class with fewer rows in training is hardly learned
MOSTLY = 0.9  # fraction of one class above which accuracy is uninformative
MUCH_UNKNOWN = 0.1  # fraction of unknown tokens above which a tokenizer is unsuitable
RUINOUS_UNKNOWN = 0.5  # fraction above which it ruins a training, which says so
AT_ONCE = 1 << 20  # rows compared together
QUICK = 200_000  # rows that are compared in a second
NAMED = 8  # maximum number of labels in a sentence

Lengths = NDArray[np.integer[Any]]


def issue_example(split: Examples, index: int, *, label: bool = False) -> IssueExample:
    """Return row `index` of a split, optionally with its label."""
    item = split.items[index]
    prefix = f'"{excerpt(str(item.label), 30)}": ' if label else ""
    return IssueExample(location(item.file or split.source, split.unit, item.line), prefix + excerpt(item.text))


def key_of(text: str) -> int:
    """Return the first 64 bits of a text's SHA-256, so that texts that count as equal have equal keys."""
    return int.from_bytes(hashlib.sha256(comparable(text).encode()).digest()[:8])


P = TypeVar("P", bound=Sized)


class Repeats(ABC, Generic[P]):
    """Rows with a text (or image) that occurs more than once, in arrays sorted by text.

    Args:
        splits: the splits by name, train first.
        labels: all labels.
    """

    ONE: ClassVar[str]  # noun for a text, with article
    MANY: ClassVar[str]  # its plural

    @abstractmethod
    def keys(self, split: P) -> Iterator[int]:
        """Yield 64 bits for each row, which are equal for rows that count as equal."""

    @abstractmethod
    def classes(self, split: P) -> Iterable[int]:
        """Return the label of each row, as an index into `labels`."""

    @abstractmethod
    def issue_example(self, split: P, index: int) -> IssueExample:
        """Return a row with its label."""

    def __init__(self, splits: Mapping[str, P], labels: Sequence[str]) -> None:
        self.splits, self.labels = splits, labels
        self._ends = np.cumsum([len(split) for split in splits.values()])
        keys = np.fromiter(  # (N,), of all rows, split after split
            (key for split in splits.values() for key in self.keys(split)), np.uint64, int(self._ends[-1])
        )
        rows = _repeated(keys)
        self._rows = rows[np.argsort(keys[rows], kind="stable")]  # (R,)
        keys = keys[self._rows]
        new = np.concatenate(([True], keys[1:] != keys[:-1]))[: len(keys)]
        self._starts = np.flatnonzero(new)  # (G,), start of each text's rows
        self._sizes = np.diff(np.append(self._starts, len(keys)))  # (G,)
        self._group = np.cumsum(new) - 1  # (R,), of each row
        self._split = np.searchsorted(self._ends, self._rows, side="right").astype(np.uint8)  # (R,)
        classes = (k for split in splits.values() for k in self.classes(split))
        self._classes = np.fromiter(classes, np.int32, int(self._ends[-1]))[self._rows]  # (R,)
        bits = np.left_shift(np.uint8(1), self._split)
        self._seen = _by_group(np.bitwise_or, bits, self._starts)  # (G,), the splits of each text, a bit each

    def counts(self) -> dict[str, int]:
        """Return the numbers of rows whose text occurs before, in the same split or in an earlier one."""
        names = list(self.splits)
        counts = {
            f"within {name}": int((self._split == k).sum()) - int((self._seen >> k & 1).sum())
            for k, name in enumerate(names)
        }
        for k, later in enumerate(names):
            counts |= {f"{later} in {earlier}": len(self._leaked(k, j)) for j, earlier in enumerate(names[:k])}
        return counts

    def issues(self) -> Iterator[Issue]:
        """Yield the issues of conflicting labels, and of texts that are in two splits."""
        yield from self._conflicts()
        yield from self.leakage()

    def leakage(self) -> Iterator[Issue]:
        """Yield the issues of texts that are in two splits."""
        for k, later in enumerate(self.splits):
            for j, earlier in enumerate(list(self.splits)[:k]):
                leaked = self._leaked(k, j)
                if len(leaked):
                    pairs = [(self._first(self._group[i], j), int(i)) for i in leaked[:SHOWN]]
                    yield Issue(
                        "leakage",
                        len(leaked),
                        f"{_rows(len(leaked))} of {later} {_has(len(leaked))} {self.ONE} that is also in {earlier}",
                        tuple(self._issue_example(i) for pair in pairs for i in pair),
                        f"remove them from {later}, which should only have rows that are not in training",
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
            "choose one label for each, or remove these rows: no model can predict all of them",
        )

    def _leaked(self, later: int, earlier: int) -> NDArray[np.int64]:
        """Return the indices of the rows of a split whose text is in an earlier split, in row order."""
        found = np.flatnonzero((self._split == later) & (self._seen[self._group] >> earlier & 1).astype(bool))
        return found[np.argsort(self._rows[found], kind="stable")]

    def _first(self, group: int, split: int) -> int:
        """Return the index of the first row with a text in a split."""
        start = int(self._starts[group])
        return start + int(np.flatnonzero(self._split[start : start + int(self._sizes[group])] == split)[0])

    def _issue_example(self, i: int) -> IssueExample:
        split = list(self.splits.values())[self._split[i]]
        begin = int(self._ends[self._split[i]]) - len(split)
        return self.issue_example(split, int(self._rows[i]) - begin)


class TextRepeats(Repeats[Examples]):
    """Texts that occur in several rows."""

    ONE, MANY = "a text", "texts"

    def keys(self, split: Examples) -> Iterator[int]:
        """Yield the first 64 bits of each text's SHA-256."""
        return map(key_of, split.texts())

    def classes(self, split: Examples) -> Iterator[int]:
        """Yield the index of each label."""
        index = {label: k for k, label in enumerate(self.labels)}
        return (index[label] for label in split.labels())

    def issue_example(self, split: Examples, index: int) -> IssueExample:
        """Return a text with its label."""
        return issue_example(split, index, label=True)


def _repeated(keys: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return the indices of repeated keys, ascending.

    Half of each key excludes nearly all unique keys, and takes half the memory to sort.
    """
    likely = _repeats(keys.view(np.uint32)[::2])
    return likely[_repeats(keys[likely])]


def _repeats(keys: NDArray[Any]) -> NDArray[np.int64]:
    """Return the indices of repeated keys, ascending."""
    ordered = np.sort(keys)
    repeated = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    starts = range(0, len(keys), AT_ONCE)
    found = [k + np.flatnonzero(np.isin(keys[k : k + AT_ONCE], repeated)) for k in starts]
    return np.concatenate([np.empty(0, np.int64), *found])


def _by_group(function: np.ufunc, values: NDArray[Any], starts: NDArray[np.int64]) -> NDArray[Any]:
    """Return the values reduced by a function within each group, (G,)."""
    return function.reduceat(values, starts) if len(starts) else values[:0]


def leakage_issues(repeats: Callable[[Mapping[str, P]], Repeats[P]], splits: DataSplits[Any]) -> Iterator[Issue]:
    """Yield the issues of texts in two splits where this is quick: the splits are different sources, and small."""
    filled = {name: split for name, split in splits.named().items() if len(split)}
    if len(splits.loaded) > 1 and sum(map(len, filled.values())) <= QUICK:
        yield from repeats(filled).leakage()


def label_issues(counts: Mapping[str, Mapping[str, int]]) -> Iterator[Issue]:
    """Yield the issues of labels: rare, absent from a split, one for nearly all rows.

    Args:
        counts: split -> label -> number of rows, train first.
    """
    advice = "give more rows of them, merge them with another class, or try --class-weights balanced"
    yield from rare_issues(counts, advice=advice)
    train = counts["train"]
    most, total = max(train, key=lambda label: train[label]), sum(train.values())
    if train[most] > MOSTLY * total:
        yield Issue(
            "one class for nearly all",
            train[most],
            f'{train[most]:,} of the {total:,} rows of train are "{excerpt(most, 30)}"',
            (),
            "use macro-F1 instead of accuracy, and try --class-weights balanced",
        )


def rare_issues(
    counts: Mapping[str, Mapping[str, int]], *, advice: str = "give more rows of them, or merge them with another"
) -> Iterator[Issue]:
    """Yield the issues of labels that are rare, or absent from a split.

    Args:
        counts: split -> label -> number of rows, train first.
        advice: advice on rare ones.
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
            advice,
        )
    for name, split in counts.items():
        absent = [label for label in train if not split[label]]
        if absent:
            yield Issue(
                "absent classes",
                len(absent),
                f"{_of(len(absent), len(train))} no row in {name}: "
                + _named([f'"{excerpt(label, 30)}"' for label in absent]),
                (),
                f"{name} cannot measure them: give more rows, or a file of its own",
            )


def length_issues(
    splits: Mapping[str, P], lengths: Mapping[str, Lengths], most: int, issue_example: Callable[[P, int], IssueExample]
) -> Iterator[Issue]:
    """Yield the issue of rows with more than `most` tokens.

    Args:
        splits, lengths: rows of each split and their lengths (N,), by the split's name.
        most: maximum number of tokens.
        issue_example: (split, index of a row) -> example.
    """
    long = {name: np.flatnonzero(lengths[name] > most) for name in splits}
    count = sum(map(len, long.values()))
    if count:
        shown = [issue_example(splits[name], int(i)) for name, rows in long.items() for i in rows[:SHOWN]][:SHOWN]
        longest = max(int(lengths[name].max()) for name, rows in long.items() if len(rows))
        yield Issue(
            "long sequences",
            count,
            f"{_rows(count)} {_has(count)} more tokens than a batch ({most:,}); the longest has {longest:,}",
            tuple(shown),
            "check for missing line ends, shorten the texts, or raise --batch-tokens: each of these rows is a batch of "
            "its own, large and slow",
        )


def unknown_issues(rates: Mapping[str, float], *, most: float = MUCH_UNKNOWN) -> Iterator[Issue]:
    """Yield the issues of splits with too many unknown tokens.

    Args:
        rates: fraction of unknown tokens by split.
        most: maximum fraction without an issue.
    """
    for name, rate in rates.items():
        if rate > most:
            yield Issue(
                "unknown tokens",
                round(100 * rate),
                f"{rate:.0%} of the tokens of {name} are unknown to the vocabulary",
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
