"""Rows of files, one in memory at a time: CSV, TSV and JSON lines, optionally compressed; Parquet in `parquet.py`.

- `.csv`   comma-separated with a header, quoted as in RFC 4180: a quoted field may hold commas and line ends,
           and a quote in it is doubled. Read strictly by Python's `csv`.
- `.tsv`   tab-separated with a header, as registered with IANA: no quoting, so a quote is a character like
           any other, and a field holds neither tab nor line end.
- `.jsonl` `.ndjson`  one JSON object a line.

A reader yields a `Row`, or a `BadRow` for a row that cannot be used; the caller decides whether that is an error.
Faults that make the rest of the file meaningless are raised at once: a header without the columns, a quote that is
never closed, damaged compression, a row of more than 100 MB.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from unrolled.data.reading import parquet
from unrolled.data.reading.files import PACKINGS, unpacked_name
from unrolled.data.reading.lines import BLANK, Lines, open_lines
from unrolled.data.reading.rows import SKIP, BadRow, Location, Row, Rows, pick
from unrolled.errors import DataError, excerpt, nearest

__all__ = ["FORMATS", "columns_of", "format_of", "read_rows"]


def read_rows(path: Path, columns: Sequence[str], *, file: str | None = None) -> Rows:
    """Yield the rows of a file with the values of `columns`; `file` is its name in messages, by default the path.

    Raises:
        DataError: the file cannot be opened, its format is not supported, or its structure is broken as a whole.
    """
    name, form = file or str(path), format_of(path)
    if form == "parquet":
        yield from parquet.read_rows(path, columns, name)
        return
    with open_lines(path, name) as lines:
        yield from FORMATS[form](lines, columns)


def format_of(path: Path) -> str:
    """Return the format of a file by its extension: "csv", "tsv", "jsonl" or "parquet".

    Raises:
        DataError: the extension is not supported.
    """
    extension = Path(unpacked_name(path.name)).suffix
    if extension not in EXTENSIONS:
        got = f'"{extension}"' if extension else "a name without an extension"
        raise DataError(
            f"cannot tell the format from {got}",
            file=str(path),
            fix=f"files end in {', '.join(EXTENSIONS)}, all but the last also with {', '.join(PACKINGS)}"
            + OTHER_TASKS.get(extension, ""),
        )
    form = EXTENSIONS[extension]
    if form == "parquet" and path.suffix.lower() in PACKINGS:
        raise DataError(
            "Parquet is compressed internally, and cannot be read compressed again", file=str(path), fix="unpack it"
        )
    return form


def columns_of(path: Path, *, file: str | None = None) -> tuple[str, ...]:
    """Return the names of a file's columns: its header, or the keys of its first object; `file` as in `read_rows`.

    Raises:
        DataError: as `read_rows`, or the first row is bad.
    """
    name, form = file or str(path), format_of(path)
    if form == "parquet":
        return parquet.columns_of(path, name)
    with open_lines(path, name) as lines:
        if form == "jsonl":
            for record in _objects(lines):
                if isinstance(record, dict):
                    return tuple(record)
                if record.error:
                    raise record.error
            raise _empty(lines)
        records = _csv_fields(lines) if form == "csv" else _tsv_fields(lines)
        return tuple(_header(records, lines)[0])


def _read_csv(lines: Lines, columns: Sequence[str]) -> Rows:
    return _table(lines, _csv_fields(lines), columns)


def _read_tsv(lines: Lines, columns: Sequence[str]) -> Rows:
    return _table(lines, _tsv_fields(lines), columns)


def _read_jsonl(lines: Lines, columns: Sequence[str]) -> Rows:
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
        raise _empty(lines)


FORMATS: dict[str, Callable[[Lines, Sequence[str]], Rows]] = {"csv": _read_csv, "tsv": _read_tsv, "jsonl": _read_jsonl}
OTHER_TASKS = {".txt": "; plain text is for --task generate", ".conllu": "; CoNLL-U is for --task tag"}
EXTENSIONS = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}


def _table(lines: Lines, records: Iterator[list[str] | BadRow], columns: Sequence[str]) -> Rows:
    """Yield the rows of a format with a header: each has as many fields as the header."""
    header, blanks = _header(records, lines)
    indices = pick(header, columns, file=lines.file, line=lines.start)
    location = Location(lines.file, tuple(columns), tuple(i + 1 for i in indices), fraction_read=lines.fraction_read)
    yield from [BLANK] * blanks
    for record in records:
        if isinstance(record, BadRow):
            yield record
        elif len(record) == len(header):
            yield Row(location, lines.start, tuple([record[i] for i in indices]), lines.raw)
        else:
            few = len(record) < len(header)
            yield lines.bad(
                "too few fields" if few else "too many fields",
                f"{len(header)} fields are expected, as in the header; got {len(record)}",
                column=len(record) if few else len(header) + 1,
            )


def _header(records: Iterator[list[str] | BadRow], lines: Lines) -> tuple[list[str], int]:
    """Return the first row that is not blank, and the number of blank lines before it."""
    for blanks, record in enumerate(records):
        if not isinstance(record, BadRow):
            return record, blanks
        if record.error:
            raise record.error
    raise _empty(lines)


def _empty(lines: Lines) -> DataError:
    problem = "the file is empty" if lines.number == 0 else "the file has only blank lines"
    return DataError(problem, file=lines.file, line=1, fix="check that the right file was named")


def _csv_fields(lines: Lines) -> Iterator[list[str] | BadRow]:
    # The limit is global to the module and protects memory; `Lines` bounds a row already. It is raised, never lowered.
    csv.field_size_limit(max(csv.field_size_limit(), 2**31 - 1))
    reader = csv.reader(lines, strict=True)
    while True:
        lines.begin()
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if lines.ended:
                raise DataError(
                    "a quote opened in the row that starts here is never closed",
                    file=lines.file,
                    line=lines.start,
                    row=lines.raw.rstrip("\r\n"),
                    fix="close the quote; a quote inside a quoted field is written twice",
                ) from None
            yield lines.fault or _csv_fault(lines, str(error))
            continue
        if lines.fault:
            yield lines.fault
        elif len(fields) < 2 and not lines.raw.strip(" \r\n"):
            yield BLANK
        else:
            yield fields


def _csv_fault(lines: Lines, complaint: str) -> BadRow:
    if "new-line character" in complaint:
        return _bare_cr(lines)
    return lines.bad(
        "broken quotes",
        f"the quotes of the row that starts here are broken ({complaint})",
        fix=f"a quote inside a quoted field is written twice: correct the row, {SKIP}",
    )


def _tsv_fields(lines: Lines) -> Iterator[list[str] | BadRow]:
    for text in lines.rows():
        yield _line_fault(lines, text) or text.split("\t")


def _objects(lines: Lines) -> Iterator[dict[str, Any] | BadRow]:
    for text in lines.rows():
        yield _line_fault(lines, text) or _object(lines, text)


def _line_fault(lines: Lines, text: str) -> BadRow | None:
    """Return the fault of a line that is a row, in any format."""
    if lines.fault:
        return lines.fault
    if "\r" in text:
        return _bare_cr(lines)
    return None if text.strip(" ") else BLANK


def _bare_cr(lines: Lines) -> BadRow:
    fix = f"let lines end with a line feed (tr '\\r' '\\n' < OLD > NEW), {SKIP}"
    return lines.bad("bare carriage return", "the row holds a carriage return without a line feed", fix=fix)


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
