"""Rows of JSON-lines files (`.jsonl`, `.ndjson`): one JSON object a line. Keys may be dotted, see `keys`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from unrolled.data.reading.keys import MISSING, keys_of, value_at
from unrolled.data.reading.lines import Lines
from unrolled.data.reading.remedies import object_lines
from unrolled.data.reading.rows import SKIP, BadRow, Location, Row, Rows
from unrolled.errors import DataError, excerpt, nearest

__all__ = [
    "DECODER",
    "FaultError",
    "columns_of_json_lines",
    "first_keys",
    "kind_of_json",
    "missing_key",
    "objects",
    "read_json_lines",
    "row_of",
]


def read_json_lines(lines: Lines, columns: Sequence[str]) -> Rows:
    """Yield the objects of a JSON-lines file with the values of the keys `columns`."""
    location = Location(lines.file, tuple(columns), (None,) * len(columns), fraction_read=lines.fraction_read)
    for record in objects(lines):
        if isinstance(record, BadRow):
            yield record
        else:
            yield row_of(record, columns, location, lines.start, lines.raw)
    if lines.number == 0:
        raise lines.empty()


def columns_of_json_lines(lines: Lines) -> tuple[str, ...]:
    """Return the keys of the first object; those of an object inside it as dotted keys."""
    return first_keys(objects(lines), lines)


def row_of(
    record: Mapping[str, Any], columns: Sequence[str], location: Location, number: int, raw: str
) -> Row | BadRow:
    """Return an object as a row with the values of the keys `columns`."""
    values = tuple([value_at(record, key) for key in columns])
    if not any(value is MISSING for value in values):
        return Row(location, number, values, raw)
    reason, problem = missing_key(record, columns)
    row = raw.rstrip("\r\n")
    fix = f"correct the row, {SKIP}"
    return BadRow(reason, DataError(problem, file=location.file, line=number, unit=location.unit, row=row, fix=fix))


def missing_key(record: Mapping[str, Any], columns: Sequence[str]) -> tuple[str, str]:
    """Return reason and problem of an object without one of the keys `columns`."""
    missing = next(key for key in columns if value_at(record, key) is MISSING)
    have = list(keys_of(record))
    keys = ", ".join(f'"{excerpt(key, 40)}"' for key in have[:20]) or "none"
    return "missing key", f'no key "{missing}"{nearest(missing, have)}; the keys are {keys}'


def first_keys(records: Iterable[Any], lines: Lines) -> tuple[str, ...]:
    """Return the keys of the first object.

    Raises:
        DataError: all rows are bad, or there is no row.
    """
    fault = None
    for record in records:
        if isinstance(record, dict):
            return tuple(keys_of(record))
        if isinstance(record, BadRow):
            fault = fault or record.error
    raise fault or lines.empty()


def objects(lines: Lines) -> Iterator[dict[str, Any] | BadRow]:
    """Yield the objects of a JSON-lines file, and its bad rows."""
    for text in lines.rows():
        yield lines.fault_of(text) or _object(lines, text)


class FaultError(ValueError):
    """JSON that Python accepts and we refuse: (reason, problem)."""


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) < len(pairs):
        doubled, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise FaultError("duplicate key", f'the key "{excerpt(doubled, 40)}" occurs more than once')
    return record


def _constant(name: str) -> Any:
    raise FaultError("not JSON", f"{name} is not JSON; write null or a number")


DECODER = json.JSONDecoder(object_pairs_hook=_pairs, parse_constant=_constant)


def _object(lines: Lines, text: str) -> dict[str, Any] | BadRow:
    try:
        value = DECODER.decode(text)
    except json.JSONDecodeError as error:
        fix = f"write one object a line: {object_lines(text, lines.file)}, {SKIP}"
        return lines.bad("not JSON", f"not JSON: {error.msg}", column=error.colno, fix=fix)
    except FaultError as fault:
        return lines.bad(*fault.args)
    except RecursionError:
        return lines.bad("nested too deep", "lists or objects are nested too deep")
    except ValueError as error:  # Python refuses integers of more than some thousand digits
        return lines.bad("number too long", f"a number is too long ({error})")
    if isinstance(value, dict):
        return value
    return lines.bad("not an object", f"an object {{…}} is expected, got {kind_of_json(value)}")


def kind_of_json(value: object) -> str:
    """Return the type of a JSON value in words."""
    names = {dict: "an object", list: "a list", str: "a string", type(None): "null", bool: "true or false"}
    return names.get(type(value), "a number")
