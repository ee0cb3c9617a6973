"""Dotted keys of nested objects: "translation.en" is the value of "en" in that of "translation".

A number is the index of an item of a list, from 0: "messages.0.content". A key that itself holds a dot takes
precedence.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from unrolled.data.reading.flags import are_flags

__all__ = ["MISSING", "keys_of", "value_at"]

MISSING = object()
"""In place of a value that an object does not have."""
DEEPEST = 8  # levels of keys that are listed
ITEMS = 2  # of a list, whose keys are listed


def value_at(record: Mapping[str, Any] | list[Any], key: str) -> Any:
    """Return the value of a key, which may be dotted; MISSING without one."""
    items = record if isinstance(record, Mapping) else {str(index): item for index, item in enumerate(record)}
    if key in items:
        return items[key]
    at = key.find(".")
    while at >= 0:
        inner = items.get(key[:at])
        if isinstance(inner, (Mapping, list)) and (value := value_at(inner, key[at + 1 :])) is not MISSING:
            return value
        at = key.find(".", at + 1)
    return MISSING


def keys_of(record: Mapping[str, Any], depth: int = DEEPEST) -> Iterator[str]:
    """Yield the keys of an object, in order; those of objects inside it, also in lists, as dotted keys.

    A list of texts and an object of flags are values, too.
    """
    for key, value in record.items():
        inner = value
        if isinstance(value, list):
            inner = {str(index): item for index, item in enumerate(islice(value, ITEMS))}
            if not any(isinstance(item, (Mapping, list)) for item in inner.values()):
                yield str(key)
        elif are_flags(value):
            yield str(key)
        if isinstance(inner, Mapping) and inner and depth > 1:
            yield from (f"{key}.{name}" for name in keys_of(inner, depth - 1))
        else:
            yield str(key)
