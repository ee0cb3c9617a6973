"""Python objects as rows: a mapping of lists, a data frame, or an iterable of tuples, mappings or single texts."""

from __future__ import annotations

import numbers
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

from unrolled.data.reading.addresses import PYTHON
from unrolled.data.reading.json_lines import missing_key
from unrolled.data.reading.keys import MISSING, value_at
from unrolled.data.reading.rows import BadRow, Location, Row, Rows, pick
from unrolled.errors import DataError, excerpt

__all__ = ["kind_of", "read_objects"]

OF_PANDAS = {"NAType": "NA", "NaTType": "NaT"}
"""Types of pandas for missing values."""


def kind_of(value: object) -> str:
    """Return the type of a JSON or Python value in words, without the value, which may be huge."""
    if missing := "NaN" if isinstance(value, numbers.Real) and value != value else OF_PANDAS.get(type(value).__name__):
        return f"{missing}, a missing value"
    names = {type(None): "null", bool: "true or false", int: "a number", dict: "an object", list: "a list"}
    if isinstance(value, float):
        return f"the number {value}"
    return names.get(type(value), f"a Python {type(value).__name__}")


def read_objects(data: Any, columns: Sequence[str]) -> Rows:
    """Yield rows from Python objects; with one column, the objects may be its values.

    Raises:
        DataError: objects of another kind, a missing column, or columns of unequal length.
    """
    location = Location(None, tuple(columns), (None,) * len(columns), "item")
    if isinstance(data, Mapping) or hasattr(data, "columns"):
        keys = list(data if isinstance(data, Mapping) else data.columns)
        indices = pick([str(key) for key in keys], columns)
        values = [_listed(data[keys[i]], name) for i, name in zip(indices, columns, strict=True)]
        if len({len(column) for column in values}) > 1:
            raise DataError(
                f'"{columns[0]}" has {len(values[0]):,} values and "{columns[1]}" {len(values[1]):,}',
                file=PYTHON,
                fix="give lists of equal length",
            )
        records: Iterable[Any] = zip(*values, strict=True)
    elif isinstance(data, Iterable) and not isinstance(data, (bytes, bytearray)):
        records = (_pair(item, number, columns) for number, item in enumerate(data))
    else:
        raise DataError(
            f"examples cannot be read from a Python {type(data).__name__}",
            fix="give a path, a sample, pairs of two texts, dictionaries, two lists or a data frame",
        )
    names = _names_of_rows(data)
    for number, record in enumerate(records):
        if isinstance(record, BadRow):
            yield record
        else:
            raw = record[0] if isinstance(record[0], str) else ""
            yield Row(location, number, tuple(record), f"index {names[number]}: {raw}" if names else raw)


def _names_of_rows(data: Any) -> list[Any]:
    """Return the index of a pandas data frame, unless it numbers the rows; empty for other data."""
    names = list(data.index) if hasattr(data, "columns") and hasattr(data, "index") else []
    return [] if names == list(range(len(names))) else names


def _listed(values: Any, name: str) -> list[Any]:
    """Return the values of a column as a list.

    Raises:
        DataError: they have no order, or are one text, whose characters would be its values.
    """
    if isinstance(values, (str, bytes, bytearray, Mapping, Set)) or not isinstance(values, Iterable):
        raise DataError(f'"{excerpt(name, 40)}" is {kind_of(values)}', file=PYTHON, fix="give a list of its values")
    return list(values)


def _pair(item: Any, number: int, columns: Sequence[str]) -> tuple[Any, ...] | BadRow:
    """Return the values of the columns in one Python object."""
    if isinstance(item, Mapping):
        values = tuple([value_at(item, name) for name in columns])
        if not any(value is MISSING for value in values):
            return values
        reason, problem = missing_key(item, columns)
    elif isinstance(item, str) and len(columns) == 1:
        return (item,)
    elif isinstance(item, (tuple, list)) and len(item) == 2:
        return tuple(item[: len(columns)])
    else:
        expected = "a text" if len(columns) == 1 else f"a pair ({', '.join(columns)})"
        problem, reason = f"{expected} or a dictionary is expected, got {kind_of(item)}", "not an example"
    return BadRow(reason, DataError(problem, line=number, unit="item", fix="correct the item, or skip bad rows"))
