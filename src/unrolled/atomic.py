"""Folders that are whole or not there: files written and synced, with their SHA-256 sums, and verified when read.

A atomic folder is written under a hidden name beside its own, synced, and renamed: whatever the moment of a kill or a
full disk, what stands under its name is whole. SHA256SUMS is as `sha256sum --check` reads it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from unrolled.errors import CheckpointError

__all__ = ["SUMS", "append", "lock", "read", "read_errors", "replace", "sync", "write", "write_errors", "write_files"]

SUMS = "SHA256SUMS"


def write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write a atomic folder that is not there yet.

    Raises:
        CheckpointError: it cannot be written; nothing stands under its name.
    """
    whole = folder.resolve()
    partial = whole.with_name(f".{whole.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # what a killed writer left
    try:
        with write_errors(folder):
            partial.mkdir(parents=True)
            _fill(partial, files)
            replace(partial, whole)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write_files(folder: Path, files: Mapping[str, bytes], *, also: Iterable[Path] = ()) -> None:
    """Write files into a folder that is there, then SHA256SUMS of them and of the files below it in `also`; sync all.

    Raises:
        CheckpointError: they cannot be written.
    """
    with write_errors(folder):
        _fill(folder, files, also)


def read(folder: Path, names: Iterable[str]) -> dict[str, bytes]:
    """Read files of a atomic folder and check their sums.

    Raises:
        CheckpointError: one of them is missing, cannot be read, or is not what was written; the message names it.
    """
    names = tuple(names)
    missing = [name for name in (*names, SUMS) if not (folder / name).is_file()]
    if missing:
        raise CheckpointError(f"{folder} is not whole: {', '.join(missing)} is missing")
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
                f"one in {SUMS}. One of them is damaged, cut short or from another folder"
            )
    return files


def replace(partial: Path, final: Path) -> None:
    """Give a folder its name; what stood there is removed once the new one stands there.

    Raises:
        OSError: it cannot be renamed; what was there stands there again.
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


def append(path: Path, data: bytes) -> None:
    """Add to the end of a file.

    Raises:
        CheckpointError: it cannot be written.
    """
    with write_errors(path), path.open("ab") as file:
        file.write(data)


def sync(folder: Path) -> None:
    """Make the names in a folder last (a folder cannot be synced on Windows)."""
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def lock(folder: Path) -> Iterator[bool]:
    """Hold a folder for this process until the block ends or the process does; yield False if another one holds it.

    It is the folder itself that is locked (flock), so nothing is left behind by a kill, and a rename keeps the lock.
    On Windows nothing is locked.
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
    """Turn what the system refuses in the block into a sentence about `path`.

    Raises:
        CheckpointError: it was not written.
    """
    try:
        yield
    except OSError as error:
        raise CheckpointError(
            f"{path} cannot be written: {error.strerror}; what was there before is unchanged"
        ) from None


@contextmanager
def read_errors(path: Path) -> Iterator[None]:
    """Turn what the system refuses in the block into a sentence about `path`.

    Raises:
        CheckpointError: it cannot be read.
    """
    try:
        yield
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}; check its permissions") from None


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
