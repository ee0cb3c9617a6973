"""Rows of `.json` files: an array of objects, an object of columns as pandas writes it, or JSON lines.

An array or an object is decoded as a whole, so the file must fit into memory; a row is located by its number, from 1.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from unrolled.data.reading.json_lines import DECODER, FaultError, first_keys, kind_of_json, row_of
from unrolled.data.reading.lines import Lines, open_lines
from unrolled.data.reading.rows import SKIP, BadRow, Location, Rows
from unrolled.errors import DataError

__all__ = ["columns_of_json", "is_json_lines", "read_json"]


def is_json_lines(path: Path, file: str) -> bool:
    """Return whether a file has an object in each of its first two lines; `file` is its name in messages.

    Raises:
        DataError: the file cannot be opened.
    """
    with open_lines(path, file) as lines:
        texts = (text for text in lines if text.strip())
        first, second = next(texts, ""), next(texts, "")
    try:
        return isinstance(json.loads(first), dict) and second.startswith("{")
    except (ValueError, RecursionError):
        return False


def read_json(lines: Lines, columns: Sequence[str]) -> Rows:
    """Yield the objects of a JSON file with the values of the keys `columns`.

    Raises:
        DataError: the file is not JSON, or neither an array of objects nor an object of columns.
    """
    location = Location(lines.file, tuple(columns), (None,) * len(columns), "row")
    for number, record in enumerate(_records(lines), start=1):
        row = json.dumps(record, ensure_ascii=False)
        if isinstance(record, dict):
            yield row_of(record, columns, location, number, row)
        else:
            problem, fix = f"an object {{…}} is expected, got {kind_of_json(record)}", f"correct the row, {SKIP}"
            error = DataError(problem, file=lines.file, line=number, unit="row", row=row, fix=fix)
            yield BadRow("not an object", error)


def columns_of_json(lines: Lines) -> tuple[str, ...]:
    """Return the keys of the first object; those of an object inside it as dotted keys."""
    return first_keys(_records(lines), lines)


def _records(lines: Lines) -> Iterator[Any]:
    """Return the items of the array, or the rows of the columns, that a file consists of."""
    value = _decoded(lines)
    if isinstance(value, list):
        return iter(value)
    if isinstance(value, dict) and (rows := _by_columns(value)) is not None:
        return rows
    old, new = shlex.quote(lines.file), shlex.quote(lines.file.removesuffix(".json") + ".jsonl")
    raise DataError(
        f"is {kind_of_json(value)}, not an array of objects",
        file=lines.file,
        fix=f"write one object a line: jq -c {shlex.quote(_objects_in(value))} {old} > {new}",
    )


def _objects_in(value: Any) -> str:
    """Return the expression of jq for the objects in a value: the items of its longest list."""
    lists = {key: inner for key, inner in value.items() if isinstance(inner, list)} if isinstance(value, dict) else {}
    if not lists:
        return "."
    key = max(lists, key=lambda key: (any(isinstance(item, dict) for item in lists[key]), len(lists[key])))
    items, first = f".[{json.dumps(key)}][]", next(iter(lists[key]), None)
    if not isinstance(first, list):
        return items
    names = ("text", "label", *map(str, range(2, len(first))))[: len(first)]
    return f"{items} | {{{', '.join(f'{json.dumps(name)}: .[{index}]' for index, name in enumerate(names))}}}"


def _decoded(lines: Lines) -> Any:
    """Return the value that a file consists of.

    Raises:
        DataError: the file is not JSON; names line and column.
    """
    texts = []
    for text in lines:
        if lines.fault and lines.fault.error:
            raise lines.fault.error
        texts.append(text)
        lines.begin()
    text = "".join(texts)
    if not text.strip():
        raise lines.empty()
    try:
        return DECODER.decode(text)
    except json.JSONDecodeError as error:
        problem, line, column = f"not JSON: {error.msg}", error.lineno, error.colno
        row = texts[line - 1].rstrip("\r\n") if line <= len(texts) else ""
        fix = "correct the file, or fetch it again"
        raise DataError(problem, file=lines.file, line=line, column=column, row=row, fix=fix) from None
    except FaultError as fault:
        raise DataError(fault.args[1], file=lines.file, fix="correct the file") from None
    except (RecursionError, ValueError):
        problem = "lists or objects are nested too deep, or a number is too long"
        raise DataError(problem, file=lines.file, fix="write one object a line, with texts and labels only") from None


def _by_columns(value: Mapping[str, Any]) -> Iterator[dict[str, Any]] | None:
    """Return the rows of an object of columns, which are lists of equal length, or objects with equal indices.

    Or else an object with lists of columns and of data, as pandas splits a frame.
    """
    names, data = value.get("columns"), value.get("data")
    if (
        isinstance(names, list)
        and isinstance(data, list)
        and all(isinstance(row, list) and len(row) == len(names) for row in data)
    ):
        return (dict(zip(names, row, strict=True)) for row in data)
    columns = list(value.values())
    if columns and all(isinstance(column, dict) and all(map(str.isdecimal, column)) for column in columns):
        indices = list(columns[0])
        if any(list(column) != indices for column in columns):
            return None
        columns = [[column[index] for index in indices] for column in columns]
    if not all(isinstance(column, list) for column in columns) or len({len(column) for column in columns}) != 1:
        return None
    if len(columns) < 2 and not all(isinstance(each, (str, int)) for each in columns[0]):
        return None  # a list of objects under a key
    return (dict(zip(value, row, strict=True)) for row in zip(*columns, strict=True))
