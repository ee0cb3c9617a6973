"""The files to answer, each a shard: one input file is one output file of the same relative name."""

from __future__ import annotations

import glob
import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from unrolled.data.reading.files import PACKINGS, no_such_file, unpacked_name
from unrolled.data.reading.folders import is_hidden, walk
from unrolled.data.reading.formats import EXTENSIONS
from unrolled.errors import ConfigError, DataError

__all__ = ["Shard", "State", "find_shards"]

SHOWN = 3  # names in a sentence
log = logging.getLogger("unrolled")


class State(NamedTuple):
    """Size and time of a file, by which a changed one is recognised.

    Args:
        size: in bytes.
        modified: time of the last change, in nanoseconds.
    """

    size: int
    modified: int


class Shard(NamedTuple):
    """An input file.

    Args:
        path: path of the file.
        name: its name relative to what was named: a folder, or the part of a pattern before the first wildcard.
    """

    path: Path
    name: str

    def state(self) -> State:
        """Return the present size and time of the file.

        Raises:
            DataError: the file has vanished.
        """
        try:
            found = self.path.stat()
        except FileNotFoundError:
            raise no_such_file(self.path, str(self.path)) from None
        return State(found.st_size, found.st_mtime_ns)


def find_shards(files: Iterable[str], out: Path) -> list[Shard]:
    """Return the shards that files, folders and patterns name, in this order and sorted within each.

    Args:
        files: paths and patterns, as "in/*.parquet" or "in/**/*.csv".
        out: the folder of the answers, of which nothing is read.

    Raises:
        DataError: a file does not exist, or a folder or pattern holds none that can be read.
        ConfigError: two files have the same relative name.
    """
    shards: dict[str, Shard] = {}
    for text in files:
        for shard in _shards(text, out):
            if (other := shards.setdefault(shard.name, shard)).path.resolve() != shard.path.resolve():
                raise ConfigError(
                    f"the answers for {other.path} and {shard.path} would have the same name, {shard.name}: name a "
                    "folder above both, or use two folders for the answers"
                )
    return list(shards.values())


def _shards(text: str, out: Path) -> Iterator[Shard]:
    path = Path(text)
    if path.is_dir():
        yield from _in_folder(path, out)
    elif path.exists() or not glob.has_magic(text):
        if not path.exists():
            raise no_such_file(path, text)
        yield Shard(path, path.name)
    else:
        parts = path.parts
        first = next(i for i, part in enumerate(parts) if glob.has_magic(part))
        fixed, pattern = Path(*parts[:first]), str(Path(*parts[first:]))
        found = [each for each in sorted(fixed.glob(pattern)) if each.is_file() and not _within(each, out)]
        found = [each for each in found if not any(map(is_hidden, each.relative_to(fixed).parts))]
        if not found:
            raise DataError("no file matches this pattern", file=text, fix="check the path")
        yield from (Shard(each, each.relative_to(fixed).as_posix()) for each in found)


def _in_folder(folder: Path, out: Path) -> Iterator[Shard]:
    readable, left_out = list[Path](), list[Path]()
    for path, hidden in walk(folder):
        name = path.relative_to(folder)
        if hidden or any(part.startswith("_") for part in name.parts) or _within(path, out):
            continue  # such names are notes of the tools that wrote the data
        suffix = Path(unpacked_name(path.name)).suffix
        (readable if suffix in EXTENSIONS and path.is_file() else left_out).append(path)
    if left_out:
        log.info("%s: left out %s by their names", folder, _listed(left_out))
    if not readable:
        kinds = f"{', '.join(EXTENSIONS)}, all but the last also with {', '.join(PACKINGS)}"
        raise DataError("holds no file that can be read", file=str(folder), fix=f"names end in {kinds}")
    yield from (Shard(path, path.relative_to(folder).as_posix()) for path in readable)


def _within(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())


def _listed(paths: Sequence[Path]) -> str:
    shown = ", ".join(path.name for path in paths[:SHOWN])
    return f"{len(paths):,} file{'s'[: len(paths) != 1]} ({shown}{', …' if len(paths) > SHOWN else ''})"
