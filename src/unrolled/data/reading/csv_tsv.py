"""Rows of CSV and TSV files.

- `.csv`   comma-separated with a header, quoted as in RFC 4180: a quoted field may hold commas and line ends,
           and a quote in it is doubled. Read strictly by Python's `csv`.
- `.tsv`   tab-separated with a header, as registered with IANA: no quoting, so a quote is a character like
           any other, and a field holds neither tab nor line end.

A quote that is never closed and a header without the columns make the rest of the file meaningless, and are raised.
Without a header (`header=False`) the columns are "1", "2", …
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from itertools import chain, islice

from unrolled.data.reading.header import SAMPLED, header_fault, numbered
from unrolled.data.reading.lines import BLANK, Lines
from unrolled.data.reading.rows import SKIP, BadRow, Location, Row, Rows, pick
from unrolled.errors import DataError

__all__ = ["columns_of_csv", "columns_of_tsv", "read_csv", "read_tsv"]


def read_csv(lines: Lines, columns: Sequence[str], *, header: bool = True) -> Rows:
    """Yield the rows of a CSV file with the values of `columns`."""
    return _table(lines, _csv_fields(lines), columns, header)


def read_tsv(lines: Lines, columns: Sequence[str], *, header: bool = True) -> Rows:
    """Yield the rows of a TSV file with the values of `columns`."""
    return _table(lines, _tsv_fields(lines), columns, header)


def columns_of_csv(lines: Lines, *, header: bool = True) -> tuple[str, ...]:
    """Return the names of the columns of a CSV file."""
    return _names(_first(_csv_fields(lines), lines)[0], header)


def columns_of_tsv(lines: Lines, *, header: bool = True) -> tuple[str, ...]:
    """Return the names of the columns of a TSV file."""
    return _names(_first(_tsv_fields(lines), lines)[0], header)


def _names(first: Sequence[str], header: bool) -> tuple[str, ...]:
    """Return the names of the columns: those in the first row, or their numbers."""
    return tuple(first if header else numbered(len(first)))


def _table(lines: Lines, records: Iterator[list[str] | BadRow], columns: Sequence[str], header: bool) -> Rows:
    """Yield the rows of a table, each with as many fields as the first one."""
    first, blanks = _first(records, lines)
    names = _names(first, header)
    indices = _indices(names, columns, lines, records if header else iter(()))
    location = Location(lines.file, tuple(columns), tuple(i + 1 for i in indices), fraction_read=lines.fraction_read)
    yield from [BLANK] * blanks
    for record in records if header else chain([first], records):
        if isinstance(record, BadRow):
            yield record
        elif len(record) != len(names):
            few = len(record) < len(names)
            yield lines.bad(
                "too few fields" if few else "too many fields",
                f"{len(names)} fields are expected, as in the {'header' if header else 'first row'}; got {len(record)}",
                column=len(record) if few else len(names) + 1,
            )
        elif header and len(record) > 1 and record == first:
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
        rows = [row for row in islice(records, SAMPLED) if isinstance(row, list) and len(row) == len(names)]
        reason = header_fault({name: [row[i] for row in rows] for i, name in enumerate(names)})
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
        if record.error:
            raise record.error
    raise lines.empty()


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
        return lines.bare_carriage_return()
    return lines.bad(
        "broken quotes",
        f"the quotes of the row that starts here are broken ({complaint})",
        fix=f"a quote inside a quoted field is written twice: correct the row, {SKIP}",
    )


def _tsv_fields(lines: Lines) -> Iterator[list[str] | BadRow]:
    for text in lines.rows():
        yield lines.fault_of(text) or text.split("\t")
