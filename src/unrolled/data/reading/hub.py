"""Data sets of the Hugging Face Hub by name; the library `datasets` (extra `hub`) downloads and caches them.

    hub:NAME                  its splits train, validation (or valid, dev, …) and test; others are not used, and named
    hub:NAME:CONFIG           one of its configurations
    hub:NAME:CONFIG:SPLIT     one split (`hub:NAME::SPLIT`: of its only configuration)

A row is located by its number in the split, from 1. In a column of class indices the label is the name of the class; an
index without a name (−1, for labels that are withheld) is no label.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from unrolled.data.reading.addresses import HUB_PREFIX
from unrolled.data.reading.keys import value_at
from unrolled.data.reading.rows import Location, Row, Rows, pick
from unrolled.data.reading.split_names import split_named, splits_among
from unrolled.errors import DataError, excerpt, nearest

__all__ = ["Address", "columns_of", "read_rows", "splits_of", "unused_splits"]

log = logging.getLogger("unrolled")


class Address(NamedTuple):
    """Address of a data set, a configuration, or a split."""

    name: str
    config: str | None = None
    split: str | None = None

    @classmethod
    def parse(cls, text: str) -> Address:
        """Return the address that `hub:NAME:CONFIG:SPLIT` names.

        Raises:
            DataError: the name is missing, or there are too many colons.
        """
        name, *rest = text.removeprefix(HUB_PREFIX).split(":")
        if not name or len(rest) > 2:
            raise DataError(
                f'"{excerpt(text)}" names no data set', fix="write hub:NAME, hub:NAME:CONFIG or hub:NAME:CONFIG:SPLIT"
            )
        return cls(name, *(word or None for word in rest))

    def __str__(self) -> str:
        return HUB_PREFIX + ":".join([self.name, self.config or "", self.split or ""]).rstrip(":")


def splits_of(address: Address) -> dict[str, Address]:
    """Return the addresses of a data set's fixed splits by name; empty if the address is of one split.

    Raises:
        DataError: the data set cannot be loaded, has no training split, or two of one kind.
    """
    if address.split:
        return {}
    splits = _splits(address.name, address.config)
    present = splits_among(splits, str(address))
    if "train" not in present:
        have = ", ".join(f'"{excerpt(name, 40)}"' for name in splits)
        raise DataError(
            f'has no split "train"; its splits are {have}',
            file=str(address),
            fix=f"name one of them, as in {address._replace(split=next(iter(splits)))}",
        )
    return {ours: address._replace(split=name) for ours, name in present.items()}


def unused_splits(address: Address) -> tuple[str, ...]:
    """Return the names of a data set's splits that are none of train, valid and test; empty for the address of one.

    Raises:
        DataError: the data set cannot be loaded.
    """
    if address.split:
        return ()
    return tuple(name for name in _splits(address.name, address.config) if split_named(name) is None)


def columns_of(address: Address) -> tuple[str, ...]:
    """Return the names of the columns.

    Raises:
        DataError: as `splits_of`.
    """
    return tuple(_columns(_split(address)))


def read_rows(address: Address, columns: Sequence[str]) -> Rows:
    """Yield the rows of one split with the values of `columns`.

    Raises:
        DataError: as `splits_of`, or a column is missing.
    """
    _tell_choice(address)
    data, file = _split(address), str(address)
    features = _columns(data)
    pick(list(features), columns, file=file)
    number = 0
    location = Location(file, tuple(columns), (None,) * len(columns), "row", lambda: number / len(data))
    classes = [getattr(features[name], "names", None) for name in columns]
    whole = [name if name in data.column_names else name.partition(".")[0] for name in columns]
    for number, record in enumerate(data.select_columns(list(dict.fromkeys(whole))), start=1):
        values = tuple(
            _class(value_at(record, name), names) if names else value_at(record, name)
            for name, names in zip(columns, classes, strict=True)
        )
        yield Row(location, number, values, next((value for value in values if isinstance(value, str)), ""))


def _columns(data: Any) -> dict[str, Any]:
    """Return the feature of each column, and of the texts of a column of translations ("translation.en")."""
    columns: dict[str, Any] = {}
    for name in data.column_names:
        feature = data.features[name]
        languages = getattr(feature, "languages", ())
        inner = feature if isinstance(feature, dict) else dict.fromkeys(languages)
        columns |= {f"{name}.{key}": value for key, value in inner.items()} or {name: feature}
    return columns


def _tell_choice(address: Address) -> None:
    """Log which split is read if none was named and there are several."""
    others = [] if address.split else [*_splits(address.name, address.config)]
    if len(others) > 1 and (read := splits_of(address)["train"].split):
        another = address._replace(split=next(name for name in others if name != read))
        log.info('%s: its split "%s" is read; name another as in %s', address, read, another)


def _class(value: Any, names: Sequence[str]) -> Any:
    """Return the name of a class by its index; other values as they are."""
    if not isinstance(value, int):
        return value
    return names[value] if 0 <= value < len(names) else None


def _split(address: Address) -> Any:
    splits = _splits(address.name, address.config)
    name = address.split or splits_of(address)["train"].split or ""
    if name not in splits:
        have = ", ".join(f'"{excerpt(known, 40)}"' for known in splits)
        raise DataError(
            f'has no split "{name}"{nearest(name, splits)}; its splits are {have}',
            file=str(address),
            fix="name one of its splits",
        )
    return splits[name]


@cache
def _splits(name: str, config: str | None) -> Mapping[str, Any]:
    """Return the data set of the library by split, downloaded or from its cache."""
    file = str(Address(name, config))
    try:
        library = importlib.import_module("datasets")
    except ImportError:
        raise DataError(
            "data of the Hugging Face Hub need the library datasets, which is not installed",
            file=file,
            fix="pip install 'unrolled[hub]', or name a file (CSV, TSV, JSON lines and Parquet are read without it)",
        ) from None
    try:
        splits: Mapping[str, Any] = library.load_dataset(name, config)
    except (OSError, ValueError) as error:  # no network is a ConnectionError, no such data set a FileNotFoundError
        message = str(error).strip().splitlines() or [type(error).__name__]
        raise DataError(
            f"cannot be loaded: {excerpt(message[0], 200)}",
            file=file,
            fix="check the name, the configuration and the network; data sets in the library's cache (HF_HOME) need no "
            "network",
        ) from None
    return splits
