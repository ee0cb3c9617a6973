"""Files that are read back: strict JSON, validated by a schema as a whole before anything in it is used.

A file may come from anybody. So a schema bounds every number, and JSON that other readers would not accept (NaN,
infinity, an unpaired surrogate, nesting without end) is refused even in entries that no schema names.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json

from unrolled.errors import CheckpointError, excerpt

__all__ = ["MOST_BYTES", "Count", "Digest", "Distinct", "Label", "Open", "Size", "Strict", "decoded", "parse", "valid"]

MOST_BYTES = 1 << 28  # of a JSON file of a run; the words of a large treebank take a hundredth of it
NAMED = 3  # faults that a message names
M = TypeVar("M", bound=BaseModel)

Count = Annotated[int, Field(ge=0, le=2**53)]
"""A number of things; above 2^53 JSON readers disagree about integers."""
Size = Annotated[int, Field(ge=1, le=2**31 - 1)]
"""An axis of a tensor."""
Label = Annotated[str, Field(min_length=1)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""A SHA-256 in hexadecimal digits."""


class Strict(BaseModel):
    """Base of the schemas of files that have no other entries than those of the schema."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, defer_build=True)


class Open(BaseModel):
    """Base of the schemas of files with further entries, which are read by nobody but kept."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True, allow_inf_nan=False, defer_build=True)


def _distinct(values: list[str]) -> list[str]:
    if len(set(values)) < len(values):
        twice = next(value for index, value in enumerate(values) if value in values[:index])
        raise ValueError(f'should be distinct: "{excerpt(twice, 40)}" occurs twice')
    return values


Distinct = Annotated[list[Label], AfterValidator(_distinct)]
"""Different names, none of them empty."""


def parse(name: Path | str, data: bytes) -> Any:
    """Return the value of a JSON file.

    Args:
        name: name of the file, for the message.
        data: its bytes.

    Raises:
        CheckpointError: it is not JSON in UTF-8, too large, nested too deep, or has a number that is not finite.
    """
    if len(data) > MOST_BYTES:
        raise CheckpointError(f"{name} has {len(data):,} bytes, more than {MOST_BYTES:,}: it is no file of a run")
    try:
        value = from_json(data, allow_inf_nan=False)
    except ValueError as error:
        raise CheckpointError(
            f"{name} is damaged: not JSON ({excerpt(str(error))}); copy it again, or train again"
        ) from None
    if not _is_finite(value):
        raise CheckpointError(f"{name} is damaged: it has a number that is not finite; copy it again, or train again")
    return value


def valid(schema: type[M], name: Path | str, data: bytes, *, problem: str = "was not written by unrolled") -> M:
    """Return JSON as an instance of a schema.

    Args:
        schema: the pydantic class.
        name: name of the file, for the message.
        data: its bytes.
        problem: the fault of a file that does not fit, for the message.

    Raises:
        CheckpointError: the file is not JSON, or does not fit the schema; names the file and the entries.
    """
    parse(name, data)
    try:
        return schema.model_validate_json(data, strict=True)
    except ValidationError as error:
        *faults, more = *_faults(error), ""
        if len(faults) > NAMED:
            faults, more = faults[:NAMED], f"; and {len(faults) - NAMED:,} more"
        raise CheckpointError(f"{name} {problem}: {'; '.join(faults)}{more}") from None


def decoded(name: Path | str, data: bytes) -> str:
    """Return the text of a file.

    Raises:
        CheckpointError: it is not UTF-8.
    """
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise CheckpointError(f"{name} is damaged: byte {error.start:,} is not UTF-8; copy it again") from None


def _faults(error: ValidationError) -> Iterator[str]:
    """Yield a sentence for each fault: entry, problem, value."""
    for fault in error.errors(include_url=False):
        entry = excerpt(".".join(map(str, fault["loc"])), 80) or "it"
        if fault["type"] == "extra_forbidden":
            yield f'unknown entry "{entry}"'
        elif fault["type"] == "value_error":  # one of our own
            problem = str(fault["ctx"]["error"])
            yield f"{entry} {problem}" if problem.startswith("should") else problem
        elif fault["type"] == "missing":
            yield f"{entry} is missing"
        else:
            message = re.sub(r"^[A-Z][a-z]+ (?=should)", "", fault["msg"])
            yield f"{entry} {message}: got {excerpt(repr(fault['input']))}"


def _is_finite(value: Any) -> bool:
    """Return whether every number in a JSON value is finite; 1e999 is read as infinity."""
    if isinstance(value, dict):
        return all(map(_is_finite, value.values()))
    if isinstance(value, list):
        return all(map(_is_finite, value))
    return not isinstance(value, float) or math.isfinite(value)
