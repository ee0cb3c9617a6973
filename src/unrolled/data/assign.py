"""Assigning examples to the training, validation and test split: by fixed splits, files of their own, or a hash.

The split of an example follows from nothing but its key (its text, its source, an image's digest) and the seed:
SHA-256 makes a number u in [0, 1) of them; the example is in test if u < test_fraction, in valid if u < test_fraction +
valid_fraction, else in train. So

- keys that are equal but for case and spaces never stand in two splits, and no answer leaks into the test split;
- the order of the examples does not matter, an example added later moves no other, and the test split stays the same
  when the validation split changes: what was tested once is never trained on.

The price is that the fractions are met only on average. (Ranking the keys by u would meet them exactly, but then each
added example pushes others over the border.) Only where a split would be left empty, as with a handful of examples, it
gets the example whose u is next.
"""

from __future__ import annotations

import hashlib
from array import array
from bisect import bisect
from collections.abc import Callable, Collection, Iterable, Mapping
from itertools import accumulate
from typing import Protocol, Self, TypeVar

from unrolled.config import DataConfig
from unrolled.data.reading.samples import SPLITS
from unrolled.errors import ConfigError, DataError

__all__ = ["Table", "assign", "fold", "fractions", "how_split", "read_splits", "refuse_empty"]


class Table(Protocol):
    """Examples that were read, and of which some can be selected."""

    @property
    def source(self) -> str:
        """Where they were read from."""

    def __len__(self) -> int: ...

    def select(self, rows: Iterable[int]) -> Self:
        """Return the examples with these numbers, in this order."""


P = TypeVar("P", bound=Table)


def read_splits(
    config: DataConfig,
    given: Mapping[str, object],
    source: str,
    load: Callable[[object, P | None], P],
    keys: Callable[[P], Collection[str]],
    *,
    by: str,
) -> tuple[dict[str, P], tuple[P, ...], str]:
    """Read the splits that are given, and split those that are missing off the training split.

    Args:
        config: fractions, seed, and the files with splits of their own (`valid`, `test`), which replace what is given.
        given: what to read for each split, "train" among them; where it is alone, it is split.
        source: the name of the data as a whole.
        load: (what to read, the training split where it is known) -> the examples.
        keys: examples -> the key of each one, which decides its split. by: what a key is, a singular noun.

    Returns:
        the splits by name; the examples of each file, before the split; a sentence on how the splits were made.

    Raises:
        DataError: as `load`; or there are too few examples for the splits.
    """
    files = {name: file for name, file in (("valid", config.valid), ("test", config.test)) if file is not None}
    loaded = {name: load(part, None) for name, part in given.items() if name not in files}
    missing = {name: fraction for name, fraction in fractions(config).items() if name not in {*files, *loaded}}
    main = loaded["train"]
    if len(given) > 1 and not missing:
        parts, how = dict(loaded), f"the fixed splits of {source}"
    else:
        parts = _split(main, keys, missing, config.split_seed, by)
        parts |= {name: loaded[name] for name in loaded if name != "train"}
        named = [f"{name} is {part.source}" for name, part in loaded.items() if name != "train"]
        how = "; ".join([how_split(main.source, by, missing, config.split_seed), *named])
    for name, file in files.items():
        parts[name] = loaded[name] = load(file, parts["train"])
    if files:
        how += "; " + ", ".join(f"{name} is {parts[name].source}" for name in files)
    return parts, tuple(loaded.values()), how


def refuse_empty(parts: Mapping[str, Table], units: str) -> None:
    """Refuse to train without a validation split.

    Raises:
        DataError: it has none of the `units`.
    """
    if not len(parts["valid"]):
        raise DataError(
            f"the validation split has no {units}",
            file=parts["train"].source,
            fix="give a file with --valid, or a --valid-fraction above 0",
        )


def fold(text: str) -> str:
    """Fold case and runs of white space away: texts that are equal then count as the same."""
    return " ".join(text.casefold().split())


def _position(text: str, seed: int) -> int:
    """A text's u, as a whole number below 2**64."""
    return int.from_bytes(hashlib.sha256(f"{seed}\n{text}".encode()).digest()[:8])


def fractions(config: DataConfig) -> dict[str, float]:
    """Return the fractions of the test and the validation split.

    The test split comes first, so that it stays the same when the validation split changes.

    Raises:
        ConfigError: they leave nothing to train on.
    """
    if config.valid_fraction + config.test_fraction >= 1:
        raise ConfigError(
            f"valid_fraction and test_fraction must leave something to train on: got {config.valid_fraction} and "
            f"{config.test_fraction}; try 0.1 and 0.1"
        )
    return {"test": config.test_fraction, "valid": config.valid_fraction}


def assign(keys: Collection[str], fractions: Mapping[str, float], seed: int) -> dict[str, str] | None:
    """Return the part of every key that does not fall into train; None if the keys are too few for all the parts.

    Args:
        keys: no two are equal. fractions: by part, in the order in which they are taken. seed: of the split.
    """
    place = {key: _position(key, seed) for key in keys}
    order = sorted(place, key=lambda key: place[key])
    wanted = [name for name, fraction in fractions.items() if fraction > 0]
    if len(order) <= len(wanted):
        return None
    part_of: dict[str, str] = {}
    border, end = 0.0, 0
    for number, name in enumerate(wanted):
        border += fractions[name]
        start, end = end, sum(u < border * 2**64 for u in place.values())
        end = min(max(end, start + 1), len(order) - (len(wanted) - number))  # the parts to come need one key each
        part_of.update(dict.fromkeys(order[start:end], name))
    return part_of


def how_split(source: str, by: str, fractions: Mapping[str, float], seed: int) -> str:
    """Return in words how the fractions were cut off a source: by text, by image, …"""
    if not any(fractions.values()):
        return f"train is all of {source}"
    parts = {"train": 1 - sum(fractions.values()), **fractions}
    percent = ", ".join(f"{name} {100 * parts[name]:g} %" for name in SPLITS if parts.get(name))
    return f"{source} split by {by}: {percent}, seed {seed}"


def _split(
    main: P, keys_of: Callable[[P], Collection[str]], missing: Mapping[str, float], seed: int, by: str
) -> dict[str, P]:
    """Split by the number u of each key, without keeping any; where that leaves a split empty, as `assign` does."""
    order = [*(name for name, fraction in missing.items() if fraction > 0), "train"]
    if len(order) == 1:
        return {"train": main, **{name: main.select(()) for name in missing}}
    keys = keys_of(main)
    borders = list(accumulate(missing[name] * 2**64 for name in order[:-1]))
    part = array("B", (bisect(borders, _position(fold(key), seed)) for key in keys))
    if any(part.count(k) == 0 for k in range(len(order))):
        different = {fold(key) for key in keys}
        part_of = assign(different, missing, seed)
        if part_of is None:
            raise DataError(
                f"{len(different):,} different {by}s are too few for a training split beside the others",
                file=main.source,
                fix=f"give more {by}s, smaller fractions, or the other splits as files with --valid and --test",
            )
        part = array("B", (order.index(part_of.get(fold(key), "train")) for key in keys))
    return {name: main.select(i for i, k in enumerate(part) if order[k] == name) for name in SPLITS}
