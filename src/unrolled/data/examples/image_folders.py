"""Folders of image files: those of splits, those of classes, and what is remarkable about them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from unrolled.data.reading.folders import folders_in, is_hidden
from unrolled.data.reading.image_files import has_images, is_image_file
from unrolled.data.reading.rows import BadRow
from unrolled.data.reading.split_names import split_named, splits_among
from unrolled.errors import DataError, excerpt

__all__ = ["ClassFolders", "class_folders", "split_folders"]

SHOWN = 8  # folders in a sentence


class ClassFolders(NamedTuple):
    """Remarkable folders of a data set of images."""

    empty: tuple[str, ...] = ()  # folders of classes without an image
    nested: Mapping[str, int] = {}  # number of images in each folder within the folder of a class
    like_splits: tuple[str, ...] = ()  # folders of classes with the name of a split


def split_folders(folder: Path) -> dict[str, Path]:
    """Return the folders of the splits in a folder; empty if it has folders of classes.

    A folder is that of a split if its name says so and it has folders itself: "train" may also be a class.

    Raises:
        DataError: two names mean the same split, or there are images or empty splits next to those.
    """
    folders = folders_in(folder)
    names = [path.name for path in folders if split_named(path.name) and folders_in(path)]
    splits = splits_among(names, str(folder))
    if not splits:
        return {}
    left = [path for path in folders if path.name not in names]
    others = [path.name for path in left if split_named(path.name) or has_images(path)]
    others += [path.name for path in sorted(folder.iterdir()) if is_image_file(path) and not is_hidden(path.name)]
    if others:
        shown = ", ".join(f'"{excerpt(name, 40)}"' for name in others[:SHOWN])
        raise DataError(
            f"has the splits {', '.join(splits.values())}, and images or folders without classes: {shown}",
            file=str(folder),
            fix="let each split be a folder with the folders of the classes, or move these out of this folder",
        )
    return {split: folder / name for split, name in splits.items()}


def class_folders(folder: Path, files: Iterable[tuple[Path, str] | BadRow]) -> ClassFolders:
    """Return what is remarkable about the folders of classes in a folder; `files` are those below it.

    Raises:
        DataError: the folder of a class holds folders of splits, or the folders of splits hold no folders of classes.
    """
    nested: Counter[str] = Counter()
    labels: set[str] = set()
    for path, label in (file for file in files if not isinstance(file, BadRow)):
        labels.add(label)
        if inner := path.relative_to(folder).parts[1:-1]:
            nested[f"{label}/{inner[0]}"] += 1
    if labels and all(map(split_named, labels)):
        raise DataError(
            f"holds images in folders of splits without folders of classes: {', '.join(sorted(labels))}",
            file=str(folder),
            fix="put a folder for each class into each of them",
        )
    splits = {name: split for name in nested if (split := split_named(name.rpartition("/")[2]))}
    if len(set(splits.values())) > 1:
        raise DataError(
            f"holds folders of splits within those of classes: {', '.join(list(splits)[:SHOWN])}",
            file=str(folder),
            fix="let each split be a folder, with the folders of the classes in it: train/cat, train/dog, test/cat",
        )
    names = [path.name for path in folders_in(folder)]
    return ClassFolders(
        tuple(name for name in names if name not in labels), dict(nested), tuple(filter(split_named, sorted(labels)))
    )
