"""Standard input as data: copied to a temporary file, since data are read more than once.

Compression and Parquet are recognised by the first bytes; then JSON lines by an object in the first line, JSON by an
array, and TSV by a tab in it; otherwise it is CSV. The temporary file is named accordingly and read like any other.
"""

from __future__ import annotations

import atexit
import os
import select
import shutil
import sys
import tempfile
from functools import cache
from pathlib import Path

from unrolled.data.reading.addresses import STDIN_NAME
from unrolled.data.reading.files import unwritable
from unrolled.data.reading.lines import open_lines
from unrolled.errors import DataError

__all__ = ["read_stdin", "standard_input"]

PART = 1 << 16  # bytes read at a time
WAIT = 0.5  # seconds
SIGNATURES = {b"\x1f\x8b": ".gz", b"\xfd7zXZ\x00": ".xz", b"BZh": ".bz2", b"PAR1\x15": ".parquet"}


@cache
def standard_input(*, plain: bool = False) -> Path:
    """Return the temporary file with standard input, which the first call reads to its end.

    Args:
        plain: whether it is plain text instead of rows.

    Raises:
        DataError: standard input is a terminal, or the temporary file cannot be written.
    """
    if sys.stdin.isatty():
        raise DataError("no data arrives", file=STDIN_NAME, fix="pipe data into the command, or name a file")
    try:
        folder = Path(tempfile.mkdtemp(prefix="unrolled-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        path = folder / "input"
        with path.open("wb") as file:
            file.writelines(iter(read_stdin, b""))
    except OSError as error:
        raise unwritable(error) from None
    with path.open("rb") as file:
        first = file.read(8)
    packing = next((suffix for signature, suffix in SIGNATURES.items() if first.startswith(signature)), "")
    if packing == ".parquet":
        return path.rename(folder / "input.parquet")
    path = path.rename(folder / f"input{packing}")
    return path.rename(folder / f"input{'.txt' if plain else _extension(path)}{packing}")


def read_stdin() -> bytes:
    """Return the bytes that standard input has, once there are some; none at its end.

    Python calls the handler of a signal between its own steps, or when a system call is interrupted. A signal that
    arrives between the last step and a read waits until the read returns, which may be never. So no read is begun that
    may block, and the wait for data ends from time to time.
    """
    try:
        descriptor = sys.stdin.fileno()
        while not select.select([descriptor], [], [], WAIT)[0]:
            pass
    except (OSError, ValueError):  # no file of the system, or a system that waits for sockets only
        return sys.stdin.buffer.read(PART)
    return os.read(descriptor, PART)


def _extension(path: Path) -> str:
    with open_lines(path, STDIN_NAME) as lines:
        first = next((line for line in lines if line.strip()), "")
    if first.startswith(("{", "[")):
        return ".jsonl" if first.startswith("{") else ".json"
    return ".tsv" if "\t" in first else ".csv"
