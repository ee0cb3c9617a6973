"""Shards: files of one format with the same columns, read one after the other as one table.

    in/                 a folder whose files are tables by their names
    in/*.parquet        a pattern: * and ? for characters, [ab] for one of several, ** for folders

The shards are sorted by name. Hidden files, and those whose names begin with `_`, as `_SUCCESS`, are left out of a
folder.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from unrolled.data.reading.addresses import is_pattern, matches
from unrolled.data.reading.files import unpacked_name
from unrolled.data.reading.folders import is_hidden
from unrolled.data.reading.formats import TABLES, format_of
from unrolled.data.reading.rows import BadRow, Row, Rows
from unrolled.errors import DataError, excerpt

__all__ = ["files_of", "read_shards", "refuse_other_format"]

EXTENSIONS = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
NAMED = (*TABLES, "parquet")  # formats whose files name their columns once, for all rows
SHOWN = 6  # columns in a sentence


def files_of(path: Path) -> list[Path]:
    """Return the shards that a folder or a pattern stands for, sorted by name; none for other paths.

    Raises:
        DataError: no file matches the pattern.
    """
    if is_pattern(str(path)):
        files = matches(str(path))
        if not files:
            raise DataError("no file matches this pattern", file=str(path), fix="check it: ls -d " + str(path))
        return files
    if not path.is_dir():
        return []
    try:
        inside = sorted(each for each in path.iterdir() if not is_hidden(each.name) and each.name[0] != "_")
    except OSError:  # the reader of folders reports it
        return []
    tables = [each for each in inside if Path(unpacked_name(each.name)).suffix in EXTENSIONS and each.is_file()]
    return tables if len(tables) == len(inside) else []


def refuse_other_format(files: Sequence[Path], separator: str) -> str:
    """Return the format of all shards.

    Raises:
        DataError: a shard has another one.
    """
    first = format_of(files[0], separator)
    for file in files:
        if (form := format_of(file, separator)) != first:
            raise DataError(
                f"is {form}, and the first shard, {files[0].name}, is {first}",
                file=str(file),
                fix="name the shards of one format with a pattern, as in 'folder/*.parquet'",
            )
    return first


def read_shards(
    files: Sequence[Path],
    form: str,
    rows: Callable[[Path], Rows],
    columns: Callable[[Path], tuple[str, ...]],
) -> Rows:
    """Yield the rows of all shards, each with its file.

    Args:
        files: the shards.
        form: their format.
        rows: shard -> its rows.
        columns: shard -> the names of its columns.

    Raises:
        DataError: a shard cannot be read, or has other columns than the first one.
    """
    sizes = [_size(file) for file in files]
    first = set(columns(files[0])) if form in NAMED and len(files) > 1 else set()
    for number, file in enumerate(files):
        if first and (other := first ^ set(columns(file))):
            raise DataError(
                f"does not have the columns of the first shard, {files[0].name}: {_shown(other)} "
                f"{'is' if len(other) == 1 else 'are'} in one of them only",
                file=str(file),
                fix="write all shards with the same columns, or name those that have them with a pattern",
            )
        yield from _of_shard(rows(file), str(file), sum(sizes[:number]), sizes[number], sum(sizes))


def _of_shard(rows: Rows, file: str, before: int, size: int, total: int) -> Rows:
    """Yield the rows of a shard.

    Args:
        rows: the rows, as read from the file alone.
        file: its name.
        before, size, total: bytes of the shards before it, of itself, and of all.
    """
    alone = location = None
    for row in rows:
        if isinstance(row, BadRow):
            yield row
            continue
        if location is None or row.location is not alone:
            alone = row.location
            read = alone.fraction_read or (lambda: 0.0)
            location = alone._replace(shard=file, fraction_read=_fraction(read, before, size, total))
        yield Row(location, row.line, row.values, row.raw)


def _fraction(read: Callable[[], float], before: int, size: int, total: int) -> Callable[[], float]:
    return lambda: (before + size * read()) / max(1, total)


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:  # its reader reports it
        return 0


def _shown(names: set[str]) -> str:
    some = sorted(names)
    return ", ".join(f'"{excerpt(name, 40)}"' for name in some[:SHOWN]) + (", …" if len(some) > SHOWN else "")
