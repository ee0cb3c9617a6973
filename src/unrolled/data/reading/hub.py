"""Data sets of the Hugging Face Hub by name, with the extra `hub`: the library `datasets` fetches and keeps them.

    hub:NAME                  all its splits, which become the parts: train, validation (or valid, dev), test
    hub:NAME:CONFIG           one of its configurations
    hub:NAME:CONFIG:SPLIT     one split (`hub:NAME::SPLIT`: of its only configuration)

A row has no line; it is named by its number in the split, from 1. Where a column holds numbers of named classes, the
label is the class's name; a number that names none (−1, where labels are withheld) is no label.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from unrolled.data.reading.rows import Location, Row, Rows, pick
from unrolled.errors import DataError, excerpt, nearest

__all__ = ["PREFIX", "Address", "columns_of", "read_rows", "splits_of"]

PREFIX = "hub:"
NAMES = {"train": ("train",), "valid": ("validation", "valid", "dev"), "test": ("test",)}  # of our parts, on the hub


class Address(NamedTuple):
    """A data set, its configuration, one of its splits."""

    name: str
    config: str | None = None
    split: str | None = None

    @classmethod
    def parse(cls, text: str) -> Address:
        """Return what `hub:NAME:CONFIG:SPLIT` names.

        Raises:
            DataError: it has no name, or too many colons.
        """
        name, *rest = text.removeprefix(PREFIX).split(":")
        if not name or len(rest) > 2:
            raise DataError(
                f'"{excerpt(text)}" names no data set', fix="write hub:NAME, hub:NAME:CONFIG or hub:NAME:CONFIG:SPLIT"
            )
        return cls(name, *(part or None for part in rest))

    def __str__(self) -> str:
        return PREFIX + ":".join([self.name, self.config or "", self.split or ""]).rstrip(":")


def splits_of(address: Address) -> dict[str, Address]:
    """Return the fixed splits of a data set; none, if the address is one split already.

    Raises:
        DataError: it cannot be had, or has no split to train on.
    """
    if address.split:
        return {}
    splits = _splits(address.name, address.config)
    found = {part: next((name for name in names if name in splits), None) for part, names in NAMES.items()}
    if found["train"] is None:
        have = ", ".join(f'"{excerpt(name, 40)}"' for name in splits)
        raise DataError(
            f'has no split "train"; its splits are {have}',
            file=str(address),
            fix=f"name one of them, as in {address._replace(split=next(iter(splits)))}",
        )
    return {part: address._replace(split=name) for part, name in found.items() if name}


def columns_of(address: Address) -> tuple[str, ...]:
    """Return the names of the columns.

    Raises:
        DataError: as `splits_of`.
    """
    return tuple(_split(address).column_names)


def read_rows(address: Address, columns: Sequence[str]) -> Rows:
    """Yield the rows of one split with the values of `columns`.

    Raises:
        DataError: as `splits_of`, or a column is missing.
    """
    data, file = _split(address), str(address)
    pick(data.column_names, columns, file=file)
    number = 0
    place = Location(file, tuple(columns), (None,) * len(columns), "row", lambda: number / len(data))
    classes = [getattr(data.features[name], "names", None) for name in columns]
    for number, record in enumerate(data.select_columns(list(columns)), start=1):
        values = tuple(
            _class(record[name], names) if names else record[name] for name, names in zip(columns, classes, strict=True)
        )
        yield Row(place, number, values, next((value for value in values if isinstance(value, str)), ""))


def _class(value: Any, names: Sequence[str]) -> Any:
    """The name of a class by its number."""
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
    """The data set as the library has it, fetched or found in its own cache."""
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
        found: Mapping[str, Any] = library.load_dataset(name, config)
    except (OSError, ValueError) as error:  # no network is a ConnectionError, no such data set a FileNotFoundError
        said = str(error).strip().splitlines() or [type(error).__name__]
        raise DataError(
            f"cannot be had: {excerpt(said[0], 200)}",
            file=file,
            fix="check the name, the configuration and the network; what was fetched before is found without one, in "
            "the library's cache (HF_HOME)",
        ) from None
    return found
