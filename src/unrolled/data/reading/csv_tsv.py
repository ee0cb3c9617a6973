"""Rows of tables of text: CSV, TSV, and others with a separator of their own.

With quotes (`.csv`, and every separator but a tab) a field may be quoted as in RFC 4180: then it may hold separators
and line ends, and a quote in it is doubled. Read strictly by Python's `csv`. Without quotes (`.tsv`, as registered with
IANA) a quote is a character like any other, and a field holds neither tab nor line end.

A quote that is never closed and a header without the columns make the rest of the file meaningless, and are raised.
Without a header the columns are "1", "2", … The lines before a table, see `separators`, are counted.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from itertools import chain, islice

from unrolled.data.reading.flags import likely_labels
from unrolled.data.reading.foreign import NO_SERIES
from unrolled.data.reading.header import SAMPLED, are_numbers, header_fault, numbered
from unrolled.data.reading.lines import BLANK, Lines
from unrolled.data.reading.rows import SKIP, BadRow, Location, Row, Rows, pick
from unrolled.data.reading.separators import COMMENT, Dialect, allow_long_fields
from unrolled.errors import DataError

__all__ = ["columns_of_table", "read_table", "rows_below"]

INVISIBLE = "\ufeff\u200b\u200c\u200d\u2060"  # byte order marks and characters without a width
COMMENT_LINE = BadRow("comment line", None)
SEPARATOR_LINE = BadRow("separator line", None)


def columns_of_table(lines: Lines, dialect: Dialect) -> tuple[str, ...]:
    """Return the names of the columns of a table."""
    records = _records(lines, dialect)
    _preamble(lines, dialect)
    return _names(_first(records, lines)[0], dialect.header)


def _names(first: Sequence[str], header: bool) -> tuple[str, ...]:
    """Return the names of the columns: those in the first row, without invisible characters around them; or numbers."""
    return tuple(name.strip(INVISIBLE) for name in first) if header else tuple(numbered(len(first)))


def read_table(lines: Lines, columns: Sequence[str], dialect: Dialect) -> Rows:
    """Yield the rows of a table with the values of `columns`, each with as many fields as the first one."""
    header, records = dialect.header, _records(lines, dialect)
    yield from _preamble(lines, dialect)
    first, blanks = _first(records, lines)
    names = _names(first, header)
    indices = _indices(names, columns, lines, records if header else iter(()))
    yield from [BLANK] * blanks
    records = records if header else chain([first], records)
    yield from _rows(records, lines, dialect, columns, indices, first if header else None, len(names))


def rows_below(lines: Lines, names: Sequence[str], columns: Sequence[str], dialect: Dialect) -> Rows:
    """Yield the rows of a portion of a table that begins below its header; arguments as in `read_table`.

    Args:
        names: names of all columns.
    """
    indices = pick(names, columns, file=lines.file)
    first = list(names) if dialect.header else None
    yield from _rows(_records(lines, dialect), lines, dialect, columns, indices, first, len(names))


def _rows(
    records: Iterator[list[str] | BadRow],
    lines: Lines,
    dialect: Dialect,
    columns: Sequence[str],
    indices: Sequence[int],
    header: list[str] | None,
    width: int,
) -> Rows:
    """Yield the rows of records, of which each has `width` fields and none repeats the header."""
    location = Location(
        lines.file, tuple(columns), tuple(i + 1 for i in indices), fraction_read=lines.fraction_read, note=dialect.note
    )
    for record in records:
        if isinstance(record, BadRow):
            yield record
        elif len(record) != width:
            few = len(record) < width
            yield lines.bad(
                "too few fields" if few else "too many fields",
                f"{width} fields are expected, as in the {'first row' if header is None else 'header'}; "
                f"got {len(record)}",
                column=len(record) if few else width + 1,
            )
        elif len(record) > 1 and record == header:
            fix = f"remove it, {SKIP}; files that are joined should have one header"
            yield lines.bad("repeated header", "the row repeats the header", fix=fix)
        else:
            yield Row(location, lines.start, tuple([record[i] for i in indices]), lines.raw)


def _indices(
    names: Sequence[str], columns: Sequence[str], lines: Lines, records: Iterator[list[str] | BadRow]
) -> list[int]:
    """Return the index of each requested column; `records` are the rows below the header, to tell it from data.

    Raises:
        DataError: as `pick`.
    """
    line = lines.start
    try:
        return pick(names, columns, file=lines.file, line=line)
    except DataError as error:
        first = list(islice(records, SAMPLED))
        rows = [row for row in first if isinstance(row, list) and len(row) == len(names)]
        values = {name: [row[i] for row in rows] for i, name in enumerate(names)}
        reason = header_fault(values, blank_lines=BLANK in first)
        if len(rows) > 1 and all(map(are_numbers, values.values())):
            problem = f"{error.problem}. All columns hold numbers: {NO_SERIES}"
            raise DataError(problem, file=lines.file, line=line, fix="name a table with a column of texts") from None
        if reason is None and len(names) == 1 < len(columns):
            fix = "if a character separates the columns, name it, as in --separator semicolon"
            raise DataError(error.problem, file=lines.file, line=line, fix=fix) from None
        if reason is None and (labels := likely_labels(values)):
            fix = f'{error.fix}; for a label in each column of 0 and 1: --label "{labels}" --multi-label'
            raise DataError(error.problem, file=lines.file, line=line, fix=fix) from None
        if reason is None:
            raise
        raise DataError(
            f"{error.problem}. The file seems to have no header: {reason}",
            file=lines.file,
            line=line,
            fix="add --no-header and name the columns by number, as in --text 1 --label 2",
        ) from None


def _first(records: Iterator[list[str] | BadRow], lines: Lines) -> tuple[list[str], int]:
    """Return the first row that is not blank, and the number of blank lines before it."""
    for blanks, record in enumerate(records):
        if not isinstance(record, BadRow):
            return record, blanks
        if record.error:  # skipping it would take the next row for the header
            record.error.fix = str(record.error.fix).removesuffix(f", {SKIP}")
            raise record.error
    raise lines.empty()


def _preamble(lines: Lines, dialect: Dialect) -> list[BadRow]:
    """Return the lines before the table, which are read."""
    texts = [text.strip() for text in islice(lines, dialect.preamble)]
    return [COMMENT_LINE if text.startswith(COMMENT) else SEPARATOR_LINE if text else BLANK for text in texts]


def _records(lines: Lines, dialect: Dialect) -> Iterator[list[str] | BadRow]:
    return _quoted_fields(lines, dialect.separator) if dialect.quoted else _plain_fields(lines, dialect.separator)


def _quoted_fields(lines: Lines, separator: str) -> Iterator[list[str] | BadRow]:
    allow_long_fields()
    reader = csv.reader(lines, strict=True, delimiter=separator)
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
        return lines.bare_carriage_return()
    return lines.bad(
        "broken quotes",
        f"the quotes of the row that starts here are broken ({complaint})",
        fix=f"a quote inside a quoted field is written twice: correct the row, {SKIP}",
    )


def _plain_fields(lines: Lines, separator: str) -> Iterator[list[str] | BadRow]:
    for text in lines.rows():
        yield lines.fault_of(text) or text.split(separator)
