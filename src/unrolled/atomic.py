"""Atomic folders: written completely or not at all, with the SHA-256 sums of their files, and verified when read.

An atomic folder is written under a hidden name next to its own, synced, and renamed. A kill or a full disk at any
moment leaves a complete folder under its name, or none. SHA256SUMS has the format of `sha256sum --check`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from unrolled.errors import CheckpointError, reason

__all__ = [
    "SUMS",
    "append",
    "lock",
    "read",
    "read_errors",
    "remove",
    "replace",
    "sync",
    "write",
    "write_errors",
    "write_file",
    "write_files",
]

SUMS = "SHA256SUMS"


def write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write an atomic folder; one of the same name is replaced.

    Args:
        folder: its path. files: the content of each file by name.

    Raises:
        CheckpointError: it cannot be written; the earlier folder, if any, is unchanged.
    """
    final = folder.resolve()
    partial = final.with_name(f".{final.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # of a writer that was killed
    try:
        with write_errors(folder):
            partial.mkdir(parents=True)
            _fill(partial, files)
            replace(partial, final)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write_files(folder: Path, files: Mapping[str, bytes], *, also: Iterable[Path] = ()) -> None:
    """Write files into an existing folder, then SHA256SUMS, and sync all of them.

    Args:
        folder: its path. files: the content of each file by name.
        also: paths of files below the folder that exist already, which SHA256SUMS includes.

    Raises:
        CheckpointError: they cannot be written.
    """
    with write_errors(folder):
        _fill(folder, files, also)


def read(folder: Path, names: Iterable[str]) -> dict[str, bytes]:
    """Return files of an atomic folder by name, after a check of their sums.

    Raises:
        CheckpointError: one of them is missing, cannot be read, or is not the file that was written; names it.
    """
    names = tuple(names)
    missing = [name for name in (*names, SUMS) if not (folder / name).is_file()]
    if missing:
        raise CheckpointError(f"{folder} is not complete: {', '.join(missing)} is missing")
    files = {name: _read(folder / name) for name in (*names, SUMS)}
    try:
        lines = files.pop(SUMS).decode().split("\n")
    except UnicodeDecodeError as error:
        raise CheckpointError(f"{folder / SUMS} is damaged: byte {error.start} is not UTF-8; copy it again") from None
    sums = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    for name, data in files.items():
        if sums.get(name) != _sha256(data):
            raise CheckpointError(
                f"{folder / name} ({len(data):,} bytes) is not the file that was saved: its SHA-256 is not the "
                f"one in {SUMS}. One of them is damaged, truncated or from another folder"
            )
    return files


def replace(partial: Path, final: Path) -> None:
    """Rename a folder; an earlier one of the final name is removed afterwards.

    Raises:
        OSError: it cannot be renamed; the earlier folder has its name back.
    """
    final = final.resolve()
    old = final.with_name(f".{final.name}.old")
    if final.exists():
        shutil.rmtree(old, ignore_errors=True)
        final.rename(old)
    try:
        partial.rename(final)
    except OSError:
        if old.exists():
            old.rename(final)
        raise
    sync(final.parent)
    shutil.rmtree(old, ignore_errors=True)


def remove(path: Path) -> None:
    """Remove a file, a link, or a folder with all that is in it.

    Raises:
        CheckpointError: it cannot be removed.
    """
    try:
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    except OSError as error:
        raise CheckpointError(f"{error.filename or path} cannot be removed: {reason(error)}") from None


def write_file(path: Path, data: bytes) -> None:
    """Write a file under a temporary name that is then changed; a link, a pipe or a device is written as it is.

    Raises:
        CheckpointError: it cannot be written; an earlier file is unchanged.
    """
    with write_errors(path):
        if path.is_symlink() or (path.exists() and not path.is_file()):
            path.write_bytes(data)
            return
        if path.exists():
            path.open("ab").close()  # refuses a file that may not be written, which could be replaced all the same
        partial = path.with_name(f".unrolled-{os.getpid()}")  # as short as it can be: names have a limit
        try:
            _write(partial, data)
            if path.exists():
                shutil.copymode(path, partial)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


def append(path: Path, data: bytes) -> None:
    """Append to a file.

    Raises:
        CheckpointError: it cannot be written.
    """
    with write_errors(path), path.open("ab") as file:
        file.write(data)


def sync(folder: Path) -> None:
    """Write a folder's directory entries to disk (on Windows this is not possible, and nothing is done)."""
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def lock(folder: Path) -> Iterator[bool]:
    """Lock a folder for the block, and yield whether that succeeded: False if another process has locked it.

    The folder itself is locked (flock), so that a kill leaves no lock behind and a rename keeps it. On Windows nothing
    is locked.
    """
    if sys.platform == "win32":
        yield True
        return
    import fcntl

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


@contextmanager
def write_errors(path: Path) -> Iterator[None]:
    """Translate an OSError of the block into an error about `path`.

    Raises:
        CheckpointError: the path cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise CheckpointError(f"{path} cannot be written: {reason(error, 'earlier files are unchanged')}") from None


@contextmanager
def read_errors(path: Path) -> Iterator[None]:
    """Translate an OSError of the block into an error about `path`.

    Raises:
        CheckpointError: the path cannot be read.
    """
    try:
        yield
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {reason(error)}") from None


def _fill(folder: Path, files: Mapping[str, bytes], also: Iterable[Path] = ()) -> None:
    sums = {path.relative_to(folder).as_posix(): _sha256(path.read_bytes()) for path in also}
    sums |= {name: _sha256(data) for name, data in files.items()}
    for name, data in files.items():
        _write(folder / name, data)
    _write(folder / SUMS, "".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items())).encode())
    sync(folder)


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _read(path: Path) -> bytes:
    with read_errors(path):
        return path.read_bytes()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
