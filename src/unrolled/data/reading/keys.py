"""Dotted keys of nested objects: "translation.en" is the value of "en" in that of "translation".

A key that itself holds a dot takes precedence.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["MISSING", "keys_of", "value_at"]

MISSING = object()
"""In place of a value that an object does not have."""
DEEPEST = 4  # levels of keys that are listed


def value_at(record: Mapping[str, Any], key: str) -> Any:
    """Return the value of a key, which may be dotted; MISSING without one."""
    if key in record:
        return record[key]
    at = key.find(".")
    while at >= 0:
        inner = record.get(key[:at])
        if isinstance(inner, Mapping) and (value := value_at(inner, key[at + 1 :])) is not MISSING:
            return value
        at = key.find(".", at + 1)
    return MISSING


def keys_of(record: Mapping[str, Any], depth: int = DEEPEST) -> Iterator[str]:
    """Yield the keys of an object, in order; those of an object inside it as dotted keys."""
    for key, value in record.items():
        if isinstance(value, Mapping) and value and depth > 1:
            yield from (f"{key}.{inner}" for inner in keys_of(value, depth - 1))
        else:
            yield str(key)
