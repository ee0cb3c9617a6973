"""Folders of labelled texts: a file for each class, with a text a line, or a folder for each class, with a text a file.

    pos.txt  neg.txt                         each line is a text; the label is the name of the file
    pos/0_9.txt  pos/1_7.txt  neg/0_3.txt    each file is a text; the label is the name of the folder

A text file ends in `.txt`, compressed or not, or has no extension. Both kinds may stand in folders of splits (train,
Test, …). Left out and counted are hidden files, files that are not text by their names, files outside the folders of
classes, and folders of texts without a label, as `unsup`.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from unrolled.data.reading.files import PACKINGS, unpacked_name
from unrolled.data.reading.folders import folders_in, is_hidden, walk
from unrolled.data.reading.image_names import is_idx, is_image_file
from unrolled.data.reading.lines import Lines, open_lines
from unrolled.data.reading.remedies import folder_converting
from unrolled.data.reading.rows import SKIP, BadRow, Location, Row, Rows
from unrolled.data.reading.split_names import SPLITS, split_named, split_within, splits_among
from unrolled.errors import DataError, excerpt

__all__ = ["COLUMNS", "TextFolder", "holds_texts", "is_text_file", "no_classes", "open_folder", "split_folders"]

COLUMNS = ("text", "label")
EXTENSION = ".txt"
TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet")
UNLABELLED = {"unsup", "unlabeled", "unlabelled", "unsupervised"}
NOTES = {"readme", "license", "licence", "copying", "authors", "makefile"}  # about the data
SHOWN = 8  # names in a sentence


class TextFolder(NamedTuple):
    """A folder of labelled texts.

    Args:
        folder: path of the folder.
        classes: the files of each class, by label.
        by_line: whether each line of a file is a text; otherwise each file is one.
        left_out: the reason for each file that is not read.
        empty: names of folders and files of classes without a text.
    """

    folder: Path
    classes: dict[str, list[Path]]
    by_line: bool
    left_out: Sequence[str]
    empty: tuple[str, ...]

    def rows(self, columns: Sequence[str]) -> Rows:
        """Yield the texts and, if two columns are requested, their labels; without labels each file is a text."""
        for row in self._rows(columns):
            if isinstance(row, BadRow) and row.reason == "not UTF-8" and row.error:
                row.error.fix = f"{_conversion(self.folder)}, {SKIP}"
            yield row

    def _rows(self, columns: Sequence[str]) -> Rows:
        by_line = self.by_line and len(columns) > 1
        yield from (BadRow(reason, None) for reason in self.left_out)
        number = 0
        for label, files in self.classes.items():
            for path in files:
                location = Location(str(path), COLUMNS[: len(columns)], (None,) * len(columns))
                with open_lines(path, str(path)) as lines:
                    if by_line:
                        yield from _lines(lines, location, label)
                        continue
                    number += 1
                    yield _whole(lines, location._replace(unit="file"), number, label)


def is_text_file(path: Path) -> bool:
    """Return whether a file is text by its name: it ends in .txt, compressed or not, or has no extension."""
    stem = unpacked_name(path.name).removesuffix(EXTENSION)
    return ("." not in stem or stem != unpacked_name(path.name)) and stem not in NOTES


def holds_texts(folder: Path) -> bool:
    """Return whether a folder is one of texts by the names of the files below it: there are texts, and no images."""
    texts = False
    for at, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not is_hidden(name)]
        for path in (Path(at, name) for name in names if not is_hidden(name)):
            if is_image_file(path) or is_idx(path):
                return False
            texts = texts or is_text_file(path)
    return texts


def split_folders(folder: Path) -> dict[str, Path]:
    """Return the folders of the splits in a folder; empty if it has folders or files of classes.

    Raises:
        DataError: two names mean the same split, or there are folders of texts next to those of the splits.
    """
    folders = [path for path in folders_in(folder) if path.name.casefold() not in UNLABELLED]
    within = dict(zip((split_within(path.name) for path in folders), folders, strict=True))
    if "train" in within and len(within) == len(folders) and None not in within:
        return {split: within[split] for split in SPLITS if split in within}
    splits = splits_among((path.name for path in folders), str(folder))
    others = [path.name for path in folders if path.name not in splits.values() and holds_texts(path)]
    if "train" not in splits or (others and not any(folders_in(folder / name) for name in splits.values())):
        return {}
    if others:
        raise DataError(
            f"has the splits {', '.join(splits.values())}, and other folders of texts: {', '.join(others[:SHOWN])}",
            file=str(folder),
            fix="let each split be a folder with the folders of the classes, or move these out of this folder",
        )
    return {split: folder / name for split, name in splits.items()}


def open_folder(folder: Path) -> TextFolder:
    """Return a folder of labelled texts, which has no folders of splits.

    Raises:
        DataError: it has no texts, or its files are named as splits.
    """
    files, left_out = [], list[str]()
    for path, hidden in walk(folder):
        first, *rest = path.relative_to(folder).parts
        if hidden:
            left_out.append("hidden")
        elif not is_text_file(path) or not path.is_file():
            left_out.append("not text by its name")
        elif rest and first.casefold() in UNLABELLED:
            left_out.append("without a label by its folder")
        else:
            files.append((path, first if rest else ""))
    nested = any(label for _, label in files)
    if nested:
        left_out += ["outside the folders of classes" for _, label in files if not label]
        found = [(path, label) for path, label in files if label]
    else:
        found = [(path, _label(path)) for path, _ in files]
    classes: dict[str, list[Path]] = {}
    for path, label in found:
        classes.setdefault(label, []).append(path)
    if not classes:
        raise no_classes(folder)
    if all(map(split_named, classes)):
        names = ", ".join(f'"{excerpt(name, 40)}"' for name in list(classes)[:SHOWN])
        raise DataError(
            f"holds texts of splits without classes: {names}",
            file=str(folder),
            fix="put a folder, or a text file, for each class into each folder of a split; or name the files, as in "
            "unrolled train train.txt --test test.txt",
        )
    if nested:
        inner = [path.name for path in folders_in(folder)]
        empty = [name for name in inner if name not in classes and name.casefold() not in UNLABELLED]
    else:
        empty = [path.name for path, _ in found if not path.stat().st_size]
    return TextFolder(folder, dict(sorted(classes.items())), not nested, left_out, tuple(empty))


def no_classes(folder: Path) -> DataError:
    """Return the error about a folder without images and texts."""
    kinds = Counter(path.suffix or "no extension" for path, hidden in walk(folder) if not hidden)
    have = ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common(SHOWN)) or "no files"
    tables = [path for path, hidden in walk(folder) if not hidden and Path(unpacked_name(path.name)).suffix in TABLES]
    if tables:
        problem = f"is a folder with tables ({have}), not one of texts or images"
        return DataError(problem, file=str(folder), fix=f"name one of them as the data, as {tables[0]}")
    return DataError(
        f"holds no images and no texts by their names ({have})",
        file=str(folder),
        fix="a folder is read as images or texts of classes: a folder for each class with image files or "
        f"{EXTENSION} files, or a {EXTENSION} file for each class with a text a line; or as IDX files",
    )


def _conversion(folder: Path) -> str:
    """Return the way to a folder in UTF-8; of folders of splits all are converted."""
    root = folder.resolve()
    siblings = folders_in(root.parent)
    if len(siblings) > 1 and all(split_within(path.name) for path in siblings):
        root = root.parent
    new = root.with_name(f"{root.name}-utf8")
    command = folder_converting(root, new)
    return f"convert all files, if they are Windows-1252 or Latin-1, and name {new} in place of {root}: {command}"


def _lines(lines: Lines, location: Location, label: str) -> Iterator[Row | BadRow]:
    for text in lines.rows():
        yield lines.fault_of(text) or Row(location, lines.start, (text, label)[: len(location.names)], lines.raw)


def _whole(lines: Lines, location: Location, number: int, label: str) -> Row | BadRow:
    """Return the text of a whole file as a row."""
    texts = []
    for text in lines:
        if lines.fault:
            return lines.fault
        texts.append(text)
        lines.begin()
    text = "".join(texts).removesuffix("\n").removesuffix("\r")
    row = text.partition("\n")[0]
    return Row(location, number, (text, label)[: len(location.names)], row)


def _label(path: Path) -> str:
    name = path.name
    if Path(name).suffix.lower() in PACKINGS:
        name = Path(name).stem
    return name[: -len(EXTENSION)] if name.lower().endswith(EXTENSION) else name
