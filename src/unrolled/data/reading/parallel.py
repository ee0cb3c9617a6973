"""Parallel files: the texts of each side of a pair in a file of its own, line by line.

The names of two parallel files differ in one part: train.de and train.en, src-train.txt and tgt-train.txt, de/train.txt
and en/train.txt. The last such part is the name of the column that a file holds. So parallel files are a table whose
columns are "de" and "en", and one file of it names both: the other is found by its name, compressed or not.
"""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import zip_longest
from pathlib import Path
from typing import TypeGuard

from unrolled.data.reading.files import PACKINGS, unpacked_name
from unrolled.data.reading.folders import is_hidden
from unrolled.data.reading.formats import EXTENSIONS
from unrolled.data.reading.lines import BLANK, Lines, open_lines
from unrolled.data.reading.remedies import tabs_for_bars
from unrolled.data.reading.rows import BadRow, Location, Row, Rows
from unrolled.data.reading.split_names import SPLITS, split_named, split_within
from unrolled.errors import DataError

__all__ = [
    "are_sides",
    "columns_of_sides",
    "files_of",
    "first_line",
    "may_have_lines",
    "read_sides",
    "side",
    "sides",
    "splits_of",
]

BARS = " ||| "  # between a source and its target, for aligners of words

PART = re.compile(r"([-_./])")
SHOWN = 6  # files in a sentence


def are_sides(data: object) -> TypeGuard[Sequence[str | Path]]:
    """Return whether data are two paths, of a source and a target file."""
    if not isinstance(data, list | tuple) or len(data) != 2:
        return False
    return all(isinstance(each, str | Path) for each in data)


def columns_of_sides(source: str | Path, target: str | Path) -> tuple[str, str]:
    """Return the last parts in which the names of two files differ.

    Raises:
        DataError: the names are equal.
    """
    both = zip(reversed(_parts(Path(source))), reversed(_parts(Path(target))), strict=False)
    different = next(((ours, theirs) for ours, theirs in both if ours != theirs), None)
    if different is None:
        raise DataError("is named as source and target file", file=str(source), fix="name a file for each")
    return different


def side(path: Path, column: str, other: str) -> Path | None:
    """Return the file with the column `column` that is parallel to `path`, one with it or with the column `other`.

    Where no such file exists it is the expected one. None: the name of `path` has neither column.
    """
    parts = _parts(path)
    places = [i for i, part in enumerate(parts) if part in (column, other)]
    if not places:
        return None
    if parts[places[-1]] == column:
        return path
    last = [column if i == places[-1] else part for i, part in enumerate(parts)]
    every = [column if part == other else part for part in parts]
    expected = ["".join(last), "".join(every)]
    found = (Path(name + packing) for name in expected for packing in ("", *PACKINGS))
    return next((file for file in found if file.is_file()), Path(expected[0]))


def files_of(path: Path, columns: Sequence[str]) -> list[Path]:
    """Return the file of each column, of which `path` is one; with one column this is `path` itself.

    Raises:
        DataError: the other file is missing, or cannot be told by the name of `path`.
    """
    if len(columns) == 1:
        return [path]
    found = [side(path, *columns), side(path, *reversed(columns))]
    for file in found:
        if file is None:
            raise _no_sides(path, columns)
        if file != path and not file.is_file() and path.is_file():
            raise DataError(
                f"has no parallel file: there is no {file}",
                file=str(path),
                fix="give it that name, or name both files with --source-file and --target-file",
            )
    return [file for file in found if file is not None]


def first_line(path: Path) -> str:
    """Return the first line of a file that is not blank, without its end; "" without one.

    Raises:
        DataError: the file cannot be read.
    """
    with open_lines(path, str(path)) as lines:
        return next((text.rstrip("\r\n") for text in lines if text.strip()), "")


def may_have_lines(path: Path) -> bool:
    """Return whether a file is not one of a format of rows by its name."""
    return EXTENSIONS.get(Path(unpacked_name(path.name)).suffix, "txt") == "txt"


def sides(path: Path, source: str, target: str) -> list[Path]:
    """Return the existing files of the two columns that `path`, a file or a folder, names; empty if it names none."""
    if path.is_file() and not may_have_lines(path):
        return []
    if path.is_dir():
        try:
            files = [Path(file) for file in splits_of(path, source, target).values()]
        except (DataError, OSError):  # the reader will report it
            return []
    else:
        files = [path]
    each = [side(file, *columns) for file in files for columns in ((source, target), (target, source))]
    return [file for file in each if file is not None and file.is_file()]


def splits_of(folder: Path, source: str, target: str) -> dict[str, str]:
    """Return the source file of each split in a folder of parallel files, as train.de and test.de.

    Raises:
        DataError: there are no parallel files of these columns, or two of one split.
    """
    names = _names(folder)
    ours = [name for name in names if source in PART.split(_unpacked(name))]
    splits: dict[str, str] = {}
    for name in ours:
        stem = "".join(part for part in PART.split(_unpacked(name)) if part != source)
        split = split_named(stem) or split_within(stem)
        if split in splits:
            raise DataError(
                f'"{splits[split]}" and "{name}" both mean the {split} split',
                file=str(folder),
                fix="name the files: --source-file, --target-file, --valid and --test",
            )
        if split:
            splits[split] = name
    if "train" not in splits:
        raise _no_parallel_files(folder, names, source, target)
    return {split: str(folder / splits[split]) for split in SPLITS if split in splits}


def read_sides(files: Sequence[Path], columns: Sequence[str]) -> Rows:
    """Yield the lines of parallel files as rows, with a column for each file.

    Raises:
        DataError: a file cannot be read, or they have different numbers of lines.
    """
    names = tuple(map(str, files))
    with ExitStack() as stack:
        opened = [stack.enter_context(open_lines(path, name)) for path, name in zip(files, names, strict=True)]
        fraction_read = opened[0].fraction_read
        location = Location(names[0], tuple(columns), (None,) * len(files), fraction_read=fraction_read, files=names)
        counts = [0] * len(files)
        for texts in zip_longest(*(lines.rows() for lines in opened)):
            for i, text in enumerate(texts):
                counts[i] += text is not None
            if None not in texts:
                yield _row(opened, texts, location)
    if not counts[0]:
        raise opened[0].empty()
    if len(set(counts)) > 1:
        raise DataError(
            f"has {counts[0]:,} lines, and {names[1]} {counts[1]:,}",
            file=names[0],
            fix="each line belongs to the same line of the other file: find where they part, or fetch both again",
        )


def _row(opened: Sequence[Lines], texts: Sequence[str], location: Location) -> Row | BadRow:
    faults = [lines.fault_of(text) for lines, text in zip(opened, texts, strict=True)]
    if fault := next((fault for fault in faults if fault and fault != BLANK), None):
        return fault
    if all(faults):
        return BLANK
    return Row(location, opened[0].number, tuple(texts), "\t".join(texts))


def _no_sides(path: Path, columns: Sequence[str]) -> DataError:
    """Return the error about a file of lines whose name has none of the columns."""
    if BARS in first_line(path):
        fix = f"write a tab between them: {tabs_for_bars(str(path))}"
        return DataError(f'has "{BARS}" between a source and its target', file=str(path), fix=fix)
    names = _names(path.parent) if path.parent.is_dir() else []
    alike = (path.with_name(name) for name in names if _stem(name) == _stem(path.name) and name != path.name)
    files = [shlex.quote(str(file)) for file in (path, next(alike, path.with_name("TARGETS")))]
    return DataError(
        f'has lines of text, and no other file belongs to it: its name has no part "{columns[0]}" or "{columns[1]}"',
        file=str(path),
        fix="let its name have this part, as train.de and train.en; or name both files of the data: --source-file "
        f"{files[0]} --target-file {files[1]}",
    )


def _no_parallel_files(folder: Path, names: Sequence[str], source: str, target: str) -> DataError:
    """Return the error about a folder without a training split of these columns."""
    stems = Counter(_stem(name) for name in names)
    parallel = [name for name in names if stems[_stem(name)] > 1]
    if not parallel:
        return DataError(
            "is a folder without parallel files, such as train.de and train.en",
            file=str(folder),
            fix="name one file with both columns, or two with --source-file and --target-file",
        )
    columns = list(dict.fromkeys(_unpacked(name).rpartition(".")[2] for name in parallel))
    shown = ", ".join(parallel[:SHOWN]) + (", …" if len(parallel) > SHOWN else "")
    return DataError(
        f'holds parallel files ({shown}), and none of training with the columns "{source}" and "{target}"',
        file=str(folder),
        fix=f"name the languages by these names, as in --source {columns[0]} --target {columns[-1]}",
    )


def _names(folder: Path) -> list[str]:
    """Return the names of the files in a folder that are not hidden, sorted."""
    return sorted(path.name for path in folder.iterdir() if path.is_file() and not is_hidden(path.name))


def _unpacked(name: str) -> str:
    """Return a name without the extension of its compression."""
    return name[: -len(packing)] if (packing := Path(name).suffix).lower() in PACKINGS else name


def _stem(name: str) -> str:
    return _unpacked(name).rpartition(".")[0]


def _parts(path: Path) -> list[str]:
    """Return the parts of a path, with the separators between them."""
    return PART.split(_unpacked(str(path)))
