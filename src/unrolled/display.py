"""Display of results, reports, runs and answers: one line as `repr`, and tables in a notebook.

An object is displayed by its values, each by its kind: numbers and texts are the rows of one table; a list of records
is a table with a record a row, a mapping of records one with a record a column. All else (histograms, tensors, deeper
lists) is left out. The HTML has no scripts and no colours of its own, so it is readable in light and dark notebooks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from html import escape
from typing import Any, TypeVar

from unrolled.errors import excerpt

__all__ = ["Answers", "Displayed"]

T = TypeVar("T")
Rows = list[Sequence[str]]
Record = Mapping[str, object]
WIDTH = 100
"""Maximum characters of a repr."""
CELL, LABEL = 300, 30
"""Maximum characters of a text in a table and in a repr."""
ROWS, COLUMNS = 20, 12
"""Maximum rows and columns of a table."""
SCALARS = (str, int, float, type(None))
INTERVAL = "_interval"
"""End of the name of a value that is the 95 % interval of another."""


class Displayed:
    """Base class of objects that display themselves; by default the fields of a dataclass (with `repr=False`)."""

    def _display(self) -> dict[str, object]:
        """Return the values to display, by name."""
        return _record(self)

    def __repr__(self) -> str:
        return _line(self)

    def _repr_html_(self) -> str:
        return _html(self._display())


class Answers(list[T]):
    """A list of answers, which displays itself as a table with an answer a row."""

    def __repr__(self) -> str:
        first = f": {_line(self[0])}{', …' if len(self) > 1 else ''}" if self else ""
        return f"<{len(self):,} answer{'' if len(self) == 1 else 's'}{first}>"

    def _repr_html_(self) -> str:
        return _table(_of_list([_values(answer) for answer in self])) if self else "<p>no answers</p>"


def _line(shown: Any) -> str:
    """Return the name of a class and its numbers and texts, as many as fit into a line."""
    values = {name: value for name, value in _values(shown).items() if isinstance(value, SCALARS) and value is not None}
    parts = [f"{name}={_short(value)}" for name, value in values.items()]
    kept = len(parts)
    while kept > 1 and len(_call(shown, parts, kept)) > WIDTH:
        kept -= 1
    return _call(shown, parts, kept)


def _call(shown: object, parts: Sequence[str], kept: int) -> str:
    return f"{type(shown).__name__}({', '.join([*parts[:kept], *(['…'] if kept < len(parts) else [])])})"


def _short(value: object) -> str:
    return repr(excerpt(value, LABEL)) if isinstance(value, str) else _number(value, "")


def _number(value: object, thousands: str = ",") -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:{thousands}}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _text(value: object) -> str:
    """Return a number or text as it stands in a cell."""
    return excerpt(value, CELL) if isinstance(value, str) else "" if value is None else _number(value)


def _html(values: Record) -> str:
    """Return the tables of an object's values."""
    scalars = {name: value for name, value in values.items() if isinstance(value, SCALARS) and value is not None}
    blocks = [_table(_of_scalars(scalars, values))] if scalars else []
    for name, value in values.items():
        if name.endswith(INTERVAL) or isinstance(value, SCALARS) or not value:
            continue
        if isinstance(value, Mapping) and all(isinstance(each, SCALARS) for each in value.values()):
            blocks.append(_table([["", ""], *([key, _text(each)] for key, each in value.items())], name))
        elif isinstance(value, Mapping) and all(_is_record(each) for each in value.values()):
            blocks.append(_table(_of_mapping({str(key): _flat(_values(each)) for key, each in value.items()}), name))
        elif isinstance(value, list | tuple) and all(_is_record(each) for each in value):
            blocks.append(_table(_of_list([_values(each) for each in value]), name))
    return "\n".join(block for block in blocks if block)


def _of_scalars(scalars: Record, values: Record) -> Rows:
    """Return a row for each number or text, with its interval where it has one."""
    rows: Rows = []
    for name, value in scalars.items():
        interval = values.get(name + INTERVAL)
        between = " to ".join(map(_number, interval)) if isinstance(interval, tuple) else ""
        rows.append([_words(name), _text(value), between])
    head = ["", "", "95 % interval"]
    return [head, *rows] if any(row[2] for row in rows) else [["", ""], *(row[:2] for row in rows)]


def _of_list(records: Sequence[Record]) -> Rows:
    """Return a row for each record, and a column for each number or text in one."""
    flat = [_flat(record) for record in records[:ROWS]]
    names = list(dict.fromkeys(name for record in flat for name in record))[:COLUMNS]
    rows: Rows = [[_words(name) for name in names], *([record.get(name, "") for name in names] for record in flat)]
    return [*rows, [f"… and {len(records) - ROWS:,} more"]] if len(records) > ROWS else rows


def _of_mapping(records: Mapping[str, Mapping[str, str]]) -> Rows:
    """Return a column for each record, and a row for each number or text in one."""
    names = dict.fromkeys(name for record in records.values() for name in record)
    return [["", *records], *([_words(name), *(record.get(name, "") for record in records.values())] for name in names)]


def _flat(record: Record) -> dict[str, str]:
    """Return the numbers and texts of a record, those of a small mapping in it by both names."""
    flat: dict[str, str] = {}
    for name, value in record.items():
        if isinstance(value, SCALARS):
            flat[name] = _text(value)
        elif isinstance(value, Mapping) and len(value) <= COLUMNS:
            flat |= {f"{name}: {key}": _text(each) for key, each in value.items() if isinstance(each, SCALARS)}
    return flat


def _table(rows: Rows, caption: str = "") -> str:
    """Return a table, "" without columns; the first row is its head."""
    if not rows[0]:
        return ""
    shown = [*rows[:1], *rows[1 : ROWS + 2]]
    if len(rows) > len(shown):
        shown[-1] = [f"… and {len(rows) - len(shown) + 1:,} more"]
    head, *body = (list(map(_cell, row)) for row in shown)
    lines = [f"<caption>{_cell(_words(caption))}</caption>"] if caption else []
    if any(head):
        lines.append(f"<thead><tr>{''.join(f'<th>{cell}</th>' for cell in head)}</tr></thead>")
    lines += ["<tbody>", *(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in body), "</tbody>"]
    return "\n".join(["<table>", *lines, "</table>"])


def _cell(text: str) -> str:
    return escape(excerpt(text, CELL))


def _words(name: str) -> str:
    return name.replace("_", " ")


def _is_record(value: object) -> bool:
    return isinstance(value, Mapping | Displayed) or is_dataclass(value)


def _values(value: Any) -> Record:
    """Return the values of a record by name."""
    if isinstance(value, Displayed):
        return value._display()
    return value if isinstance(value, Mapping) else _record(value)


def _record(value: Any) -> dict[str, object]:
    """Return the fields of a dataclass."""
    return {field.name: getattr(value, field.name) for field in fields(value)}
