"""Folders of a cache: each is named by a hash of all that decides its content, and built once.

A folder is written under another name and renamed when it is complete, under a lock; of two processes that start
together, one builds and the other waits, and both map the same pages. A folder of which a bit has changed is reported
and built again. The cache may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from unrolled import atomic, machine
from unrolled.config import DataConfig
from unrolled.data.reading.arrays import blocks, mapped
from unrolled.errors import CheckpointError, DataError

try:
    import fcntl
except ImportError:  # Windows has no flock: two runs that start together both build, and one folder stays
    fcntl = None  # type: ignore[assignment]

__all__ = ["CacheError", "cache_folder", "cached", "folder_of", "map_array", "write_array"]

T = TypeVar("T")

log = logging.getLogger("unrolled")


class CacheError(DataError):
    """A cache that cannot be written."""


def cache_folder(config: DataConfig) -> Path:
    """Return the cache folder: `config.cache`, or that of the user."""
    return machine.user_cache() if config.cache is None else Path(config.cache)


def folder_of(config: DataConfig, room: str, key: Mapping[str, Any]) -> Path:
    """Return the folder for a key.

    Args:
        config: names the cache.
        room: name of the folder for one kind of content.
        key: all that decides the content, with the version of its format, as JSON values.
    """
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    return cache_folder(config) / room / digest[:32]


def cached(folder: Path, opened: Callable[[Path], T], build: Callable[[Path], None]) -> tuple[T, bool]:
    """Return the content of a folder, and whether `build` was called to write it.

    Args:
        folder: see `folder_of`.
        opened: returns the content of a complete folder, or raises a CheckpointError.
        build: writes the content into an empty folder, with SHA256SUMS.

    Raises:
        CacheError: the cache cannot be written.
    """
    parent, partial = folder.parent, folder.with_name(f"{folder.name}.partial")
    if (found := _found(folder, opened)) is not None:
        return found, False
    with _write_errors(parent):
        parent.mkdir(parents=True, exist_ok=True)
        with (parent / f"{folder.name}.lock").open("w") as lock:
            if fcntl is not None:
                fcntl.flock(lock, fcntl.LOCK_EX)
            if (found := _found(folder, opened, warn=True)) is not None:  # built by another run in the meantime
                return found, False
            shutil.rmtree(partial, ignore_errors=True)  # left by a killed run: the lock excludes other writers
            partial.mkdir()
            try:
                build(partial)
                shutil.rmtree(folder, ignore_errors=True)  # incomplete or damaged
                partial.rename(folder)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
            return opened(folder), True


def write_array(path: Path, values: NDArray[Any]) -> str:
    """Write an array as it is in memory, and return its SHA-256.

    Raises:
        OSError: it cannot be written.
    """
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for some in blocks(len(values)):
            data = values[some].tobytes()
            file.write(data)
            digest.update(data)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()


def map_array(path: Path, kind: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Return an array that was written, memory-mapped.

    Args:
        path: path of the file.
        kind: type of the values.
        shape: shape of the array.

    Raises:
        CheckpointError: the file cannot be read, or has another size.
    """
    expected = int(np.prod(shape)) * kind.itemsize
    with atomic.read_errors(path), path.open("rb") as file:
        if (size := os.fstat(file.fileno()).st_size) != expected:
            raise CheckpointError(f"{path} has {size:,} bytes, not {expected:,}")
        return mapped(file, kind, shape)


def _found(folder: Path, opened: Callable[[Path], T], *, warn: bool = False) -> T | None:
    """Return the content of a folder; None if there is none, or if it is damaged.

    Args:
        folder, opened: see `cached`.
        warn: whether to report the damage.
    """
    if not (folder / atomic.SUMS).is_file():
        return None
    try:
        return opened(folder)
    except CheckpointError as error:
        if warn:
            log.warning("the cached ids are damaged, and are built again: %s", error)
        return None


@contextmanager
def _write_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CacheError(
            f"the ids cannot be saved here: {error.strerror or error}",
            file=str(folder),
            fix="free some space, or name another folder with --cache",
        ) from None
