"""Rows of files, one in memory at a time: CSV, TSV, TXT, JSON lines and Parquet; all but the last also compressed.

A reader yields a `Row`, or a `BadRow` for a row that cannot be used; the caller decides whether that is an error.
Faults that make the rest of the file meaningless are raised at once: a header without the columns, a quote that is
never closed, damaged compression, a row of more than 100 MB.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from unrolled.data.reading import parquet
from unrolled.data.reading.csv_tsv import columns_of_table, read_table
from unrolled.data.reading.files import PACKINGS, unpacked_name
from unrolled.data.reading.folders import is_hidden
from unrolled.data.reading.foreign import foreign
from unrolled.data.reading.json_file import columns_of_json, is_json_lines, read_json
from unrolled.data.reading.json_lines import columns_of_json_lines, read_json_lines
from unrolled.data.reading.lines import open_lines
from unrolled.data.reading.rows import Rows
from unrolled.data.reading.separators import AUTO, dialect_of
from unrolled.data.reading.split_names import SPLITS, split_named
from unrolled.errors import DataError

__all__ = ["EXTENSIONS", "TABLES", "columns_of", "described", "format_of", "of_splits", "read_rows", "split_files"]

TABLES = ("csv", "tsv", "txt")
"""Formats whose columns are separated by a character, and whose header may be missing."""
EXTENSIONS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".txt": "txt",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".parquet": "parquet",
}


def read_rows(
    path: Path, columns: Sequence[str], *, file: str | None = None, header: bool = True, separator: str = AUTO
) -> Rows:
    """Yield the rows of a file with the values of `columns`.

    Args:
        path: path of the file.
        columns: names of the columns to read.
        file: its name in messages, by default the path.
        header: whether the first row of a CSV, TSV or TXT file names the columns; otherwise they are "1", "2", …
        separator: separator of the columns of these, or "auto".

    Raises:
        DataError: the file cannot be opened, its format is not supported, or its structure is broken as a whole.
    """
    name, form = file or str(path), format_of(path, separator)
    _refuse_unused(form, name, header, separator)
    if form == "parquet":
        yield from parquet.read_rows(path, columns, name)
    elif form in ("jsonl", "json"):
        read = read_json_lines if form == "jsonl" or is_json_lines(path, name) else read_json
        with open_lines(path, name) as lines:
            yield from read(lines, columns)
    else:
        dialect = dialect_of(path, name, form, columns, header=header, separator=separator)
        with open_lines(path, name) as lines:
            yield from read_table(lines, columns, dialect)


def format_of(path: Path, separator: str = AUTO) -> str:
    """Return the format of a file by its extension: "csv", "tsv", "txt", "jsonl", "json" or "parquet".

    With a separator that is named, a file with any other extension is a table.

    Raises:
        DataError: the extension is not supported.
    """
    extension = Path(unpacked_name(path.name)).suffix
    if path.is_dir():
        raise of_splits(path) or DataError("is a folder, not a file", file=str(path), fix="name one file in it")
    if extension not in EXTENSIONS and separator != AUTO:
        return "txt"
    if extension not in EXTENSIONS:
        raise foreign(path, str(path)) or _unknown(path, extension)
    form = EXTENSIONS[extension]
    if form == "parquet" and path.suffix.lower() in PACKINGS:
        raise DataError(
            "Parquet is compressed internally, and cannot be read compressed again", file=str(path), fix="unpack it"
        )
    return form


def _unknown(path: Path, extension: str) -> DataError:
    got = f'"{extension}"' if extension else "a name without an extension"
    return DataError(
        f"cannot tell the format from {got}",
        file=str(path),
        fix=f"files end in {', '.join(EXTENSIONS)}, all but the last also with {', '.join(PACKINGS)}; for a table with "
        "another name add its separator, as in --separator tab",
    )


def split_files(folder: Path, extensions: Collection[str] = EXTENSIONS) -> dict[str, list[Path]]:
    """Return the files in a folder that are called after a split (train.csv, Test.TSV), by split.

    A folder that cannot be listed, though a file in it can be read, has none.
    """
    try:
        files = sorted(folder.iterdir())
    except OSError:
        return {}
    found: dict[str, list[Path]] = {split: [] for split in SPLITS}
    for path in files:
        stem, _, extension = unpacked_name(path.name).rpartition(".")
        if f".{extension}" in extensions and not is_hidden(path.name) and (split := split_named(stem)):
            found[split].append(path)
    return {split: paths for split, paths in found.items() if paths}


def of_splits(folder: Path, extensions: Collection[str] = EXTENSIONS) -> DataError | None:
    """Return the error about a folder with a file for each split, which are named one by one; None for another."""
    splits = split_files(folder, extensions)
    if "train" not in splits:
        return None
    names = ", ".join(path.name for paths in splits.values() for path in paths)
    flags = "".join(f" --{split} {paths[0]}" for split, paths in splits.items() if split != "train")
    return DataError(
        f"is a folder with files of splits: {names}",
        file=str(folder),
        fix=f"name {splits['train'][0]} as the data" + (f", with{flags}" if flags else ""),
    )


def columns_of(
    path: Path,
    *,
    file: str | None = None,
    header: bool = True,
    separator: str = AUTO,
    requested: Sequence[str] = (),
) -> tuple[str, ...]:
    """Return the names of a file's columns: its header, or the keys of its first object; arguments as in `read_rows`.

    Args:
        requested: columns by which a separator is recognised.

    Raises:
        DataError: as `read_rows`, or the first row is bad.
    """
    name, form = file or str(path), format_of(path, separator)
    _refuse_unused(form, name, header, separator)
    if form == "parquet":
        return parquet.columns_of(path, name)
    if form in ("jsonl", "json"):
        keys = columns_of_json_lines if form == "jsonl" or is_json_lines(path, name) else columns_of_json
        with open_lines(path, name) as lines:
            return keys(lines)
    dialect = dialect_of(path, name, form, requested, header=header, separator=separator)
    with open_lines(path, name) as lines:
        return columns_of_table(lines, dialect)


def described(path: Path, *, file: str, header: bool, separator: str, requested: Sequence[str]) -> str:
    """Return a note on the way in which a table is written, "" for the usual one; arguments as in `columns_of`."""
    form = format_of(path, separator)
    if form not in TABLES:
        return ""
    return dialect_of(path, file, form, requested, header=header, separator=separator).note


def _refuse_unused(form: str, file: str, header: bool, separator: str) -> None:
    """Refuse settings of tables for a format that names its columns itself.

    Raises:
        DataError: the format has neither a header that could be missing nor a separator.
    """
    if form in TABLES:
        return
    if not header:
        problem = f"is read without a header, and {form} names its columns itself"
        raise DataError(problem, file=file, fix="remove --no-header, or add --header if a run was trained without")
    if separator != AUTO:
        problem = f"is read with separator {separator}, and {form} has none"
        raise DataError(problem, file=file, fix="remove --separator, or add --separator auto if a run has another")
