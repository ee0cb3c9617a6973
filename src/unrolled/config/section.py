"""The base of the sections of settings, and the reasons for the bounds of numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict, JsonValue

from unrolled.errors import excerpt

__all__ = [
    "FEW_BITS",
    "FLOAT32",
    "LARGEST_SEED",
    "LONGEST_TIME",
    "MOST_UPDATES",
    "NO_DATA",
    "NO_END",
    "NO_MEMORY",
    "Reason",
    "Section",
    "one_path",
]

Reason = dict[str, JsonValue]
LARGEST_SEED = 2**63 - 1
MOST_UPDATES = 10**12
LONGEST_TIME = 10 * 366 * 24 * 3600  # seconds
FEW_BITS: Reason = {"reason": "a seed has 63 bits"}
NO_END: Reason = {"reason": "no training takes more updates"}
NO_DATA: Reason = {"reason": "no data have more"}
NO_MEMORY: Reason = {"reason": "more fits into no memory"}
FLOAT32: Reason = {"reason": "beyond, float32 overflows"}
"""Reasons for the bounds of settings, for messages."""


def one_path(path: str | None) -> str | None:
    """Return the name of a file or folder, as a validator of a setting.

    Raises:
        ValueError: it is empty or holds a NUL.
    """
    if path is not None and ("\0" in path or not path):
        raise ValueError(f"{excerpt(repr(path))} is no name of a file or folder: it is empty or holds a NUL")
    return path


class Section(BaseModel):
    """Base class of the sections of settings."""

    def __repr_args__(self) -> Iterator[tuple[str, Any]]:
        """Yield the settings that differ from their defaults."""
        for name, field in type(self).model_fields.items():
            if (value := getattr(self, name)) != field.default:
                yield name, value

    # defer_build: `--help` shows the fields and validates none, so validators are built on first use
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, defer_build=True)
