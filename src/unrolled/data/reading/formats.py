"""Rows of files, one in memory at a time: CSV, TSV, JSON lines and Parquet; all but the last also compressed.

A reader yields a `Row`, or a `BadRow` for a row that cannot be used; the caller decides whether that is an error.
Faults that make the rest of the file meaningless are raised at once: a header without the columns, a quote that is
never closed, damaged compression, a row of more than 100 MB.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from unrolled.data.reading import parquet
from unrolled.data.reading.csv_tsv import columns_of_csv, columns_of_tsv, read_csv, read_tsv
from unrolled.data.reading.files import PACKINGS, unpacked_name
from unrolled.data.reading.folders import is_hidden
from unrolled.data.reading.json_lines import columns_of_json_lines, read_json_lines
from unrolled.data.reading.lines import Lines, open_lines
from unrolled.data.reading.rows import Rows
from unrolled.data.reading.split_names import SPLITS, split_named
from unrolled.errors import DataError

__all__ = ["FORMATS", "columns_of", "format_of", "of_splits", "read_rows", "split_files"]


class Format(NamedTuple):
    """A text format: its reader of rows, and of the names of the columns."""

    read_rows: Callable[[Lines, Sequence[str]], Rows]
    columns_of: Callable[[Lines], tuple[str, ...]]


FORMATS = {
    "csv": Format(read_csv, columns_of_csv),
    "tsv": Format(read_tsv, columns_of_tsv),
    "jsonl": Format(read_json_lines, columns_of_json_lines),
}
HEADERLESS = {
    "csv": Format(partial(read_csv, header=False), partial(columns_of_csv, header=False)),
    "tsv": Format(partial(read_tsv, header=False), partial(columns_of_tsv, header=False)),
}
OTHER_TASKS = {".txt": "; plain text is for --task generate", ".conllu": "; CoNLL-U is for --task tag"}
EXTENSIONS = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}


def read_rows(path: Path, columns: Sequence[str], *, file: str | None = None, header: bool = True) -> Rows:
    """Yield the rows of a file with the values of `columns`.

    Args:
        path: of the file. columns: names.
        file: its name in messages, by default the path.
        header: whether the first row of a CSV or TSV file names the columns; otherwise they are "1", "2", …

    Raises:
        DataError: the file cannot be opened, its format is not supported, or its structure is broken as a whole.
    """
    name, form = file or str(path), format_of(path)
    formats = _formats(form, name, header)
    if form == "parquet":
        yield from parquet.read_rows(path, columns, name)
        return
    with open_lines(path, name) as lines:
        yield from formats[form].read_rows(lines, columns)


def format_of(path: Path) -> str:
    """Return the format of a file by its extension: "csv", "tsv", "jsonl" or "parquet".

    Raises:
        DataError: the extension is not supported.
    """
    extension = Path(unpacked_name(path.name)).suffix
    if path.is_dir():
        raise of_splits(path) or DataError("is a folder, not a file", file=str(path), fix="name one file in it")
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


def columns_of(path: Path, *, file: str | None = None, header: bool = True) -> tuple[str, ...]:
    """Return the names of a file's columns: its header, or the keys of its first object; arguments as in `read_rows`.

    Raises:
        DataError: as `read_rows`, or the first row is bad.
    """
    name, form = file or str(path), format_of(path)
    formats = _formats(form, name, header)
    if form == "parquet":
        return parquet.columns_of(path, name)
    with open_lines(path, name) as lines:
        return formats[form].columns_of(lines)


def _formats(form: str, file: str, header: bool) -> Mapping[str, Format]:
    """Return the formats with or without a header.

    Raises:
        DataError: the format has no header that could be missing.
    """
    if not header and form not in HEADERLESS:
        problem = f"is read without a header, and {form} names its columns itself"
        raise DataError(problem, file=file, fix="remove --no-header, or add --header if a run was trained without")
    return FORMATS if header else HEADERLESS
