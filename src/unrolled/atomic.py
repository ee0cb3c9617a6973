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
from contextlib import contextmanager, suppress
from pathlib import Path

from unrolled.errors import CheckpointError, reason

__all__ = [
    "SUMS",
    "append",
    "check",
    "discard",
    "is_atomic",
    "lock",
    "old_of",
    "partial_of",
    "read",
    "read_errors",
    "remove",
    "replace",
    "sums",
    "sums_file",
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
        folder: path of the folder.
        files: the content of each file by name.

    Raises:
        CheckpointError: it cannot be written; the earlier folder, if any, is unchanged.
    """
    final, partial = folder.resolve(), partial_of(folder)
    shutil.rmtree(partial, ignore_errors=True)  # of a writer that was killed
    try:
        with write_errors(folder):
            partial.mkdir(parents=True)
            with lock(partial):  # so that no other process takes it for a leftover
                _fill(partial, files)
                replace(partial, final)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write_files(folder: Path, files: Mapping[str, bytes], *, also: Iterable[Path] = ()) -> None:
    """Write files into an existing folder, then SHA256SUMS, and sync all of them.

    Args:
        folder: path of the folder.
        files: the content of each file by name.
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
    listed = sums(folder)
    files = {name: _read(folder / name) for name in names}
    for name, data in files.items():
        if listed.get(name) != _sha256(data):
            raise _other(folder / name, len(data))
    return files


def check(folder: Path, names: Iterable[str]) -> None:
    """Check the sums of files, which are read block by block.

    Args:
        folder: a folder with SHA256SUMS.
        names: names of the files to compare.

    Raises:
        CheckpointError: one of them cannot be read, or is not the file that was written; names it.
    """
    listed = sums(folder)
    for name in names:
        with read_errors(folder / name), (folder / name).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            if listed.get(name) != digest:
                raise _other(folder / name, os.fstat(file.fileno()).st_size)


def sums(folder: Path) -> dict[str, str]:
    """Return the sum of each file that SHA256SUMS lists."""
    try:
        lines = _read(folder / SUMS).decode().split("\n")
    except UnicodeDecodeError as error:
        raise CheckpointError(f"{folder / SUMS} is damaged: byte {error.start} is not UTF-8; copy it again") from None
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}


def _other(path: Path, size: int) -> CheckpointError:
    return CheckpointError(
        f"{path} ({size:,} bytes) is not the file that was saved: its SHA-256 is not the one in {SUMS}. One of them is "
        "damaged, truncated or from another folder"
    )


def replace(partial: Path, final: Path) -> None:
    """Rename a folder; an earlier one of the final name is removed afterwards.

    Raises:
        OSError: it cannot be renamed; the earlier folder has its name back.
    """
    final, old = final.resolve(), old_of(final)
    exists = final.exists()
    if exists:
        if is_atomic(old):  # else it is not ours, and the next line fails
            discard(old)
        final.rename(old)
    try:
        partial.rename(final)
    except OSError:
        if exists:
            old.rename(final)
        raise
    sync(final.parent)
    if exists or is_atomic(old):
        discard(old)


def old_of(final: Path) -> Path:
    """Return the name of an earlier folder while a new one takes its place."""
    final = final.resolve()
    return final.with_name(f".{final.name}.old")


def partial_of(final: Path) -> Path:
    """Return the name under which `write` writes a folder."""
    final = final.resolve()
    return final.with_name(f".{final.name}.partial")


def is_atomic(folder: Path, more: Iterable[str] = ()) -> bool:
    """Return whether a folder has a SHA256SUMS and holds nothing that it does not name, except `more`."""
    if folder.is_symlink() or not (folder / SUMS).is_file():
        return False
    names = {line.partition("  ")[2] for line in (folder / SUMS).read_text("utf-8", "replace").splitlines()}
    return {path.name for path in folder.iterdir()} <= {name.partition("/")[0] for name in names} | {SUMS, *more}


def discard(folder: Path) -> None:
    """Remove a folder that is no longer needed, SHA256SUMS last: until then it is known as ours.

    One that cannot be removed is left: the next command that meets it tries again.
    """
    if folder.is_dir() and not folder.is_symlink():
        for path in folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            elif path.name != SUMS:
                with suppress(OSError):
                    path.unlink()
        shutil.rmtree(folder, ignore_errors=True)


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
    _write(folder / SUMS, sums_file(sums))
    sync(folder)


def sums_file(sums: Mapping[str, str]) -> bytes:
    """Return the content of SHA256SUMS.

    Args:
        sums: the SHA-256 of each file by name.
    """
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items())).encode()


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
