"""Training, validation and test part, and the labels: what a model is trained on and judged by.

A sample has its fixed parts; a part may be a file of its own; what is left is split off the main file, by text. The
part of a text follows from nothing but the text and the seed: SHA-256 makes a number u in [0, 1) of them; the text is
in test if u < test_share, in valid if u < test_share + valid_share, else in train. So

- texts that are equal but for case and spaces never stand in two parts, and no answer leaks into the test;
- the order of the rows does not matter, a row added later moves no other, and the test part stays the same when the
  validation part changes: what was tested once is never trained on.

The price is that shares are met only on average. (Ranking the texts by u would meet them exactly, but then each row
added pushes others over the border.) Only where a part would be left without any text, as with a handful of rows, it
gets the one whose u is next.
"""

from __future__ import annotations

import hashlib
from array import array
from bisect import bisect
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Protocol, Self, TypeVar

from unrolled.config import DataConfig
from unrolled.data.counts import LISTED, Skipped
from unrolled.data.doors import find_door
from unrolled.data.examples import UNKNOWN_LABEL, Examples, load_examples, unknown_label
from unrolled.data.rows import SKIP
from unrolled.data.samples import PARTS
from unrolled.errors import ConfigError, DataError, excerpt

__all__ = ["Splits", "assign", "fold", "how_split", "load_splits", "read_parts", "refuse_empty", "shares"]


@dataclass(frozen=True)
class Splits:
    """The three parts of a data set."""

    train: Examples
    valid: Examples
    test: Examples  # may be empty, if no share was asked for
    labels: tuple[str, ...]  # sorted, of the training part only: label k is class k
    how: str  # one sentence: what the parts are and why
    loaded: tuple[Examples, ...]  # what was read, file by file: counts and bad rows before the split

    def parts(self) -> dict[str, Examples]:
        """Return the parts by name."""
        return {"train": self.train, "valid": self.valid, "test": self.test}


def load_splits(data: object, config: DataConfig) -> Splits:
    """Read `data` and the files that `config.valid` and `config.test` name, and split off what they do not give.

    Raises:
        DataError: as `load_examples`; or a part that is needed has no rows, the training part has one class only, or
            a label of the other parts never occurs in training.
    """

    def load(given: object, train: Examples | None) -> Examples:
        return load_examples(given, config, labels=None if train is None else sorted(set(train.labels())))

    parts, loaded, how = read_parts(data, config, "classify", load, Examples.texts)
    labels = _labels(parts["train"], config)
    for name in ("valid", "test"):
        parts[name] = _without_unknown(parts[name], name, labels, config)
    refuse_empty(parts)
    return Splits(parts["train"], parts["valid"], parts["test"], labels, how, loaded)


class Table(Protocol):
    """Rows that were read, and can be selected."""

    @property
    def source(self) -> str:
        """Where."""

    def __len__(self) -> int: ...

    def select(self, rows: Iterable[int]) -> Self:
        """Return the rows with these numbers, in this order."""


P = TypeVar("P", bound=Table)


def read_parts(
    data: object,
    config: DataConfig,
    task: str,
    load: Callable[[object, P | None], P],
    texts: Callable[[P], Collection[str]],
    *,
    by: str = "text",
) -> tuple[dict[str, P], tuple[P, ...], str]:
    """Read `data` and the files that `config.valid` and `config.test` name, and split off what they do not give.

    Args:
        data: what the user gave. config: says how it is split. task: that it is for.
        load: (what to read, the training part where that is known) -> what was read.
        texts: -> the text of each row, which decides its part. by: what that is called.

    Returns:
        the parts by name; what was read, file by file; what the parts are and why, in a sentence.

    Raises:
        DataError: as `load`; or there are too few texts for the parts.
    """
    files = {name: given for name, given in (("valid", config.valid), ("test", config.test)) if given is not None}
    door = find_door(data, task)
    given = {"train": data, **door.parts}
    loaded = {name: load(part, None) for name, part in given.items() if name not in files}
    missing = {name: share for name, share in shares(config).items() if name not in {*files, *loaded}}
    if door.parts and not missing:
        parts, how = dict(loaded), f"the fixed parts of {door.source}"
    else:
        main = loaded["train"]
        parts = _split(main, texts(main), missing, config.split_seed)
        parts |= {name: loaded[name] for name in loaded if name != "train"}
        named = [f"{name} is {part.source}" for name, part in loaded.items() if name != "train"]
        how = "; ".join([how_split(main.source, by, missing, config.split_seed), *named])
    for name, file in files.items():
        parts[name] = loaded[name] = load(file, parts["train"])
    if files:
        how += "; " + ", ".join(f"{name} is {parts[name].source}" for name in files)
    return parts, tuple(loaded.values()), how


def refuse_empty(parts: Mapping[str, Table]) -> None:
    """Refuse to train without a validation part.

    Raises:
        DataError: it has no rows.
    """
    if not len(parts["valid"]):
        raise DataError(
            "the validation part has no rows",
            file=parts["train"].source,
            fix="give a file with --valid, or a --valid-share above 0",
        )


def fold(text: str) -> str:
    """Fold case and runs of white space away: texts that are equal then count as the same."""
    return " ".join(text.casefold().split())


def _position(text: str, seed: int) -> int:
    """A text's u, as a whole number below 2**64."""
    return int.from_bytes(hashlib.sha256(f"{seed}\n{text}".encode()).digest()[:8])


def shares(config: DataConfig) -> dict[str, float]:
    """Return the shares of the test and the validation part.

    The test part comes first, so that it stays the same when the validation part changes.

    Raises:
        ConfigError: they leave nothing to train on.
    """
    if config.valid_share + config.test_share >= 1:
        raise ConfigError(
            f"valid_share and test_share must leave something to train on: got {config.valid_share} and "
            f"{config.test_share}; try 0.1 and 0.1"
        )
    return {"test": config.test_share, "valid": config.valid_share}


def assign(keys: Collection[str], shares: Mapping[str, float], seed: int) -> dict[str, str] | None:
    """Return the part of every key that does not fall into train; None if the keys are too few for all the parts.

    Args:
        keys: no two are equal. shares: by part, in the order in which they are taken. seed: of the split.
    """
    place = {key: _position(key, seed) for key in keys}
    order = sorted(place, key=lambda key: place[key])
    wanted = [name for name, share in shares.items() if share > 0]
    if len(order) <= len(wanted):
        return None
    part_of: dict[str, str] = {}
    border, end = 0.0, 0
    for number, name in enumerate(wanted):
        border += shares[name]
        start, end = end, sum(u < border * 2**64 for u in place.values())
        end = min(max(end, start + 1), len(order) - (len(wanted) - number))  # the parts to come need one key each
        part_of.update(dict.fromkeys(order[start:end], name))
    return part_of


def how_split(source: str, by: str, shares: Mapping[str, float], seed: int) -> str:
    """Return in words how the shares were cut off a source: by text, by image, …"""
    if not any(shares.values()):
        return f"train is all of {source}"
    parts = {"train": 1 - sum(shares.values()), **shares}
    percent = ", ".join(f"{name} {100 * parts[name]:g} %" for name in PARTS if parts.get(name))
    return f"{source} split by {by}: {percent}, seed {seed}"


def _split(main: P, texts: Collection[str], shares: Mapping[str, float], seed: int) -> dict[str, P]:
    """Cut by the number that each text makes, without keeping any; where that leaves a part empty, as `assign` does."""
    order = [*(name for name, share in shares.items() if share > 0), "train"]
    borders = list(accumulate(shares[name] * 2**64 for name in order[:-1]))
    part = array("B", (bisect(borders, _position(fold(text), seed)) for text in texts))
    if any(part.count(k) == 0 for k in range(len(order))):
        different = {fold(text) for text in texts}
        part_of = assign(different, shares, seed)
        if part_of is None:
            raise DataError(
                f"{len(different):,} different texts are too few for a training part beside the others",
                file=main.source,
                fix="give more rows, smaller shares, or the other parts as files with --valid and --test",
            )
        part = array("B", (order.index(part_of.get(fold(text), "train")) for text in texts))
    return {name: main.select(i for i, k in enumerate(part) if order[k] == name) for name in PARTS}


def _labels(train: Examples, config: DataConfig) -> tuple[str, ...]:
    counts = Counter(train.labels())
    if len(counts) < 2:
        only = excerpt(next(iter(counts)), 40)
        raise DataError(
            f'the training part has one class only: "{only}" ({len(train):,} rows); a classifier needs two',
            file=train.source,
            fix=f'check that "{config.label}" is the column with the label, and that the file holds all classes',
        )
    return tuple(sorted(counts))


def _without_unknown(part: Examples, name: str, labels: Sequence[str], config: DataConfig) -> Examples:
    """Leave out the rows whose label never occurs in training, or stop at the first, as for any bad row."""
    known = set(labels)
    bad = [i for i, label in enumerate(part.labels()) if label not in known]
    if not bad:
        return part
    if config.on_bad_row == "stop":
        first = part.items[bad[0]]
        problem = f"{unknown_label(str(first.label), labels)}, and this row fell into the {name} part"
        raise part.error(first, problem, f"give more rows with this label, try another --split-seed, {SKIP}")
    shown = part.items.select(bad[:LISTED])
    listed = [Skipped(item.line, UNKNOWN_LABEL, excerpt(item.text), part.unit) for item in shown]
    items = part.items.select(i for i, label in enumerate(part.labels()) if label in known)
    counts = part.counts.without({UNKNOWN_LABEL: len(bad)})
    return replace(part, items=items, counts=counts, skipped=[*part.skipped, *listed])
