"""Files below a folder. Hidden files are told apart, links to folders are followed once, and no file is passed over."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from unrolled.errors import DataError, excerpt
from unrolled.strings import has_surrogate

__all__ = ["folders_in", "is_hidden", "walk"]

OF_THE_SYSTEM = {  # files and folders that operating systems and archivers make
    "thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
    "icon\r",
    "__macosx",
    "__pycache__",
    "@eadir",
    "$recycle.bin",
    "system volume information",
    "lost+found",
}


def is_hidden(name: str) -> bool:
    """Return whether a file or folder of this name is hidden, or one that operating systems make."""
    return name.startswith(".") or name.casefold() in OF_THE_SYSTEM


def folders_in(folder: Path) -> list[Path]:
    """Return the folders in a folder that are not hidden, sorted by name.

    Raises:
        DataError: the folder cannot be read.
    """
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir() and not is_hidden(path.name))
    except OSError as error:
        raise _unreadable(error) from None


def walk(folder: Path) -> Iterator[tuple[Path, bool]]:
    """Yield every file below a folder, sorted, and whether it or a folder above it is hidden.

    A link to a folder is followed, unless that folder is above the link or was visited before; then the link itself is
    yielded, as a file.

    Raises:
        DataError: a folder cannot be read, or a name is not UTF-8.
    """
    yield from sorted(_walk(folder, {os.path.realpath(folder)}, hidden=False))


def _walk(folder: Path, visited: set[str], *, hidden: bool) -> Iterator[tuple[Path, bool]]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: (entry.is_symlink(), entry.name))
    except OSError as error:
        raise _unreadable(error) from None
    for entry in entries:  # links last, so that a folder is met by its own name first
        if has_surrogate(entry.name):
            raise DataError("its name is not UTF-8", file=excerpt(entry.path), fix="rename it")
        path, out_of_sight = Path(entry.path), hidden or is_hidden(entry.name)
        real = os.path.realpath(path)
        if not Path(real).is_dir() or (entry.is_symlink() and real in visited):
            yield path, out_of_sight
            continue
        visited.add(real)
        yield from _walk(path, visited, hidden=out_of_sight)


def _unreadable(error: OSError) -> DataError:
    return DataError(
        f"the folder cannot be read: {error.strerror or error}", file=str(error.filename), fix="check its permissions"
    )
