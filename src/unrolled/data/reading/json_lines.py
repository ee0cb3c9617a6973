"""Rows of JSON-lines files (`.jsonl`, `.ndjson`): one JSON object a line."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from unrolled.data.reading.lines import Lines
from unrolled.data.reading.rows import SKIP, BadRow, Location, Row, Rows
from unrolled.errors import excerpt, nearest

__all__ = ["columns_of_json_lines", "read_json_lines"]


def read_json_lines(lines: Lines, columns: Sequence[str]) -> Rows:
    """Yield the objects of a JSON-lines file with the values of the keys `columns`."""
    location = Location(lines.file, tuple(columns), (None,) * len(columns), fraction_read=lines.fraction_read)
    for record in _objects(lines):
        if isinstance(record, BadRow):
            yield record
            continue
        missing = next((key for key in columns if key not in record), None)
        if missing is None:
            yield Row(location, lines.start, tuple(record[key] for key in columns), lines.raw)
        else:
            keys = ", ".join(f'"{excerpt(key, 40)}"' for key in list(record)[:20]) or "none"
            yield lines.bad("missing key", f'no key "{missing}"{nearest(missing, record)}; the keys are {keys}')
    if lines.number == 0:
        raise lines.empty()


def columns_of_json_lines(lines: Lines) -> tuple[str, ...]:
    """Return the keys of the first object."""
    for record in _objects(lines):
        if isinstance(record, dict):
            return tuple(record)
        if record.error:
            raise record.error
    raise lines.empty()


def _objects(lines: Lines) -> Iterator[dict[str, Any] | BadRow]:
    for text in lines.rows():
        yield lines.fault_of(text) or _object(lines, text)


class _JSONError(ValueError):
    """JSON that Python accepts and we refuse: (reason, problem)."""


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) < len(pairs):
        doubled, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise _JSONError("duplicate key", f'the key "{excerpt(doubled, 40)}" occurs more than once')
    return record


def _constant(name: str) -> Any:
    raise _JSONError("not JSON", f"{name} is not JSON; write null or a number")


DECODER = json.JSONDecoder(object_pairs_hook=_pairs, parse_constant=_constant)


def _object(lines: Lines, text: str) -> dict[str, Any] | BadRow:
    try:
        value = DECODER.decode(text)
    except json.JSONDecodeError as error:
        return lines.bad(
            "not JSON",
            f"not JSON: {error.msg}",
            column=error.colno,
            fix=f"write one object a line (jq -c '.[]' converts an array), {SKIP}",
        )
    except _JSONError as fault:
        return lines.bad(*fault.args)
    except RecursionError:
        return lines.bad("nested too deep", "lists or objects are nested too deep")
    except ValueError as error:  # Python refuses integers of more than some thousand digits
        return lines.bad("number too long", f"a number is too long ({error})")
    if isinstance(value, dict):
        return value
    return lines.bad("not an object", f"an object {{…}} is expected, got {_kind(value)}")


def _kind(value: object) -> str:
    return {list: "a list", str: "a string", type(None): "null", bool: "true or false"}.get(type(value), "a number")
