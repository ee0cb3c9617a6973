"""Assignment of examples to the training, validation and test split.

Data may have fixed splits, and a split may be a file of its own (`config.valid`, `config.test`). The missing splits are
taken from the training data. There the split of an example depends only on its key (its text, its source, the digest of
an image) and the seed: SHA-256 maps the two to a number u in [0, 1), and the example is in

    test    if u < test_fraction
    valid   if test_fraction ≤ u < test_fraction + valid_fraction
    train   otherwise

- Keys that are equal except for case and spaces (and, with --normalize, for their Unicode form) are always in the same
  split: no test example leaks into training.
- The order of the examples does not matter, and an example that is added later moves no other.
- The test split does not depend on the validation fraction: a test example never becomes a training example.

In a cross-validation the test split is fold k of K, the keys with (k − 1) / K ≤ u < k / K, and u − (k − 1) / K modulo 1
takes the place of u above: the validation split is the next part of the rest. So each example is in the test split of
exactly one fold.

The fractions are met only on average. (A ranking of the keys by u would meet them exactly, but then an added example
would push others over the border.) Only a split that would be empty, as with a handful of examples, gets the example
with the next larger u.
"""

from __future__ import annotations

import hashlib
from bisect import bisect
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from typing import Generic

import numpy as np
from numpy.typing import NDArray

from unrolled.config import DataConfig
from unrolled.data.reading.arrays import Growing, blocks
from unrolled.data.reading.counts import Table, TableT
from unrolled.data.reading.faults import RAISED, Faults
from unrolled.data.reading.samples import SPLITS
from unrolled.errors import ConfigError, DataError, excerpt
from unrolled.strings import normalized

__all__ = ["HELD_OUT", "DataSplits", "assign", "fold", "fractions", "read_splits", "refuse_empty", "refuse_one_label"]

HELD_OUT = SPLITS[1:]
U = 2**64  # u is stored as an integer in [0, U)


@dataclass(frozen=True)
class DataSplits(Generic[TableT]):
    """The three splits of a data set.

    Args:
        train, valid, test: the examples; test may be empty.
        how: a sentence on how the splits were made.
        loaded: the examples of each file before the split, with counts and bad rows.
    """

    train: TableT
    valid: TableT
    test: TableT
    how: str
    loaded: tuple[TableT, ...]

    def named(self) -> dict[str, TableT]:
        """Return the splits by name."""
        return {"train": self.train, "valid": self.valid, "test": self.test}


def read_splits(
    config: DataConfig,
    sources: Mapping[str, object],
    name: str,
    load: Callable[[object, TableT | None], TableT],
    keys: Callable[[TableT], Collection[str]],
    *,
    by: str,
    faults: Faults = RAISED,
) -> DataSplits[TableT]:
    """Read the splits that have a source, and split the training data to make the missing ones.

    While faults are collected, a split that cannot be made or read is empty.

    Args:
        config: fractions, seed, and the files of splits (`valid`, `test`), which take precedence over `sources`.
        sources: the source of each split by name, "train" included.
        name: name of the data as a whole, for `how`.
        load: (source, training split if it is known) -> examples.
        keys: examples -> the key of each, which decides its split.
        by: singular noun for a key.
        faults: the collector, which raises a fault or keeps it for a report.

    Raises:
        DataError: as `load`; or there are too few examples for the splits.
        ConfigError: as `fractions`.
    """
    files = {split: file for split, file in (("valid", config.valid), ("test", config.test)) if file is not None}
    loaded = {split: load(source, None) for split, source in sources.items() if split not in files}
    missing = {split: size for split, size in fractions(config).items() if split not in {*files, *loaded}}
    if config.folds is not None and "test" not in missing:
        raise ConfigError(
            f"folds make the test split, and {name if 'test' in loaded else config.test} is one already: name all "
            "examples as one file, or remove folds"
        )
    if len(sources) > 1 and not missing:
        splits, how = dict(loaded), f"the fixed splits of {name}"
    else:
        train = loaded["train"]
        held_out = {split: table for split, table in loaded.items() if split != "train"}
        splits = _split(train, partial(_folded, keys, config.normalize), missing, config, by, faults) | held_out
        how = _how_split(train.source, by, missing, config)
        how += "".join(f"; {split} is {table.source}" for split, table in held_out.items())
    for split, file in files.items():
        splits[split] = loaded[split] = load(file, splits["train"])
    if files:
        how += "; " + ", ".join(f"{split} is {splits[split].source}" for split in files)
    return DataSplits(splits["train"], splits["valid"], splits["test"], how, tuple(loaded.values()))


def refuse_empty(valid: Table, units: str, *, train: Table, faults: Faults = RAISED) -> None:
    """Refuse data without a validation split.

    Args:
        valid: the validation split.
        units: plural noun for the examples.
        train: the training split, for the message.
        faults: the collector, which raises the fault or keeps it for a report.

    Raises:
        DataError: the validation split is empty.
    """
    if not len(valid):
        fix = "give a file with --valid, or a --valid-fraction above 0"
        faults.add(DataError(f"the validation split has no {units}", file=train.source, fix=fix))


def refuse_one_label(
    labels: Sequence[str], train: Table, *, label: str, units: str, fix: str, faults: Faults = RAISED
) -> None:
    """Refuse a training split with a single label.

    Args:
        labels: the different labels of the training split.
        train: the split.
        label, units: nouns for a label, and for the examples (plural).
        fix: the remedy.
        faults: the collector, which raises the fault or keeps it for a report.

    Raises:
        DataError: there is only one label.
    """
    if len(labels) == 1:
        problem = f'the training split has one {label} only: "{excerpt(labels[0], 40)}" ({len(train):,} {units})'
        faults.add(DataError(f"{problem}; training needs two", file=train.source, fix=fix))


def fold(text: str, form: str = "none") -> str:
    """Return a text with case and runs of white space folded, in a Unicode normal form (see `strings.normalized`).

    Texts that fold to the same count as equal.
    """
    return " ".join(normalized(text, form).casefold().split())


def fractions(config: DataConfig) -> dict[str, float]:
    """Return the fractions of the test and the validation split.

    The test split comes first, so that it does not depend on the validation fraction.

    Raises:
        ConfigError: nothing is left for training.
    """
    if config.folds is not None and config.valid_fraction + 1 / config.folds >= 1:
        raise ConfigError(
            f"a fold of {config.folds} and valid_fraction must leave something to train on: got {config.valid_fraction}"
        )
    if config.valid_fraction + config.test_fraction >= 1:
        raise ConfigError(
            f"valid_fraction and test_fraction must leave something to train on: got {config.valid_fraction} and "
            f"{config.test_fraction}; try 0.1 and 0.1"
        )
    return {"test": config.test_fraction if config.folds is None else 1 / config.folds, "valid": config.valid_fraction}


def assign(keys: Collection[str], fractions: Mapping[str, float], seed: int) -> dict[str, str] | None:
    """Return the split of each key that is not in train, with no split empty; None if there are too few keys.

    Args:
        keys: all different.
        fractions: fractions of the splits other than train, in the order in which they take keys.
        seed: seed of the split.
    """
    hashes = {key: _hash(key, seed) for key in keys}
    order = sorted(hashes, key=lambda key: hashes[key])
    names = [name for name, fraction in fractions.items() if fraction > 0]
    if len(order) <= len(names):
        return None
    split_of: dict[str, str] = {}
    border, end = 0.0, 0
    for number, name in enumerate(names):
        border += fractions[name]
        start, end = end, sum(u < border * U for u in hashes.values())
        end = min(max(end, start + 1), len(order) - (len(names) - number))  # later splits and train need a key each
        split_of.update(dict.fromkeys(order[start:end], name))
    return split_of


def _hash(key: str, seed: int) -> int:
    """Return u · U of a key."""
    return int.from_bytes(hashlib.sha256(f"{seed}\n{key}".encode()).digest()[:8])


def _folded(keys: Callable[[TableT], Collection[str]], form: str, table: TableT) -> Iterator[str]:
    return (fold(key, form) for key in keys(table))


def _fold_range(config: DataConfig) -> tuple[int, int]:
    """Return the range of u · U of the keys in the fold, end excluded; (0, 0) without folds."""
    if config.folds is None:
        return 0, 0
    k = config.fold or 1
    return (k - 1) * U // config.folds, k * U // config.folds


def _split(
    train: TableT,
    keys_of: Callable[[TableT], Iterable[str]],
    missing: Mapping[str, float],
    config: DataConfig,
    by: str,
    faults: Faults,
) -> dict[str, TableT]:
    """Split by the hash of each key in one pass, without storing keys; if that leaves a split empty, use `assign`."""
    names = [*(name for name, fraction in missing.items() if fraction > 0), "train"]
    if len(names) == 1 or not len(train):
        return {"train": train, **{name: train.select(()) for name in missing}}
    seed, (start, end) = config.split_seed, _fold_range(config)
    sizes = [end - start if name == "test" and end else missing[name] * U for name in names[:-1]]
    borders = list(accumulate(sizes))

    def assigned(numbers: Iterable[int]) -> NDArray[np.uint8]:
        split = Growing(np.uint8)
        for k in numbers:
            split.append(k)
        return split.array()

    split = assigned(bisect(borders, (_hash(key, seed) - start) % U) for key in keys_of(train))
    if not all((split == k).any() for k in range(len(names))):
        different = set(keys_of(train))
        split_of = assign(different, missing, seed) if config.folds is None else None  # else a key had several folds
        if split_of is None:
            faults.add(_too_few(len(different), len(names), train, config, by))
            split_of = {}
        split = assigned(names.index(split_of.get(key, "train")) for key in keys_of(train))
    return {name: train.select(_equal(split, names.index(name)) if name in names else ()) for name in SPLITS}


def _equal(split: NDArray[np.uint8], k: int) -> Iterator[int]:
    """Yield the indices of the values that are k."""
    for some in blocks(len(split)):
        yield from (some.start + np.flatnonzero(split[some] == k)).tolist()


def _too_few(different: int, splits: int, train: Table, config: DataConfig, by: str) -> DataError:
    """Return the error of too few keys for the splits or folds."""
    if config.folds is None:
        into, fix = f"{splits} splits", "smaller fractions, or the other splits as files with --valid and --test"
    else:
        into, fix = f"{config.folds} folds", "or a smaller number with --folds"
    return DataError(
        f"{different:,} different {by}s are too few for {into}", file=train.source, fix=f"give more {by}s, {fix}"
    )


def _how_split(source: str, by: str, fractions: Mapping[str, float], config: DataConfig) -> str:
    """Return a sentence on the split of a source."""
    if not any(fractions.values()):
        return f"train is all of {source}"
    sizes = {"train": 1 - sum(fractions.values()), **fractions}
    percent = ", ".join(f"{name} {100 * sizes[name]:g} %" for name in SPLITS if sizes.get(name))
    fold = "" if config.folds is None else f"; test is fold {config.fold or 1} of {config.folds}"
    return f"{source} split by {by}: {percent}, seed {config.split_seed}{fold}"
