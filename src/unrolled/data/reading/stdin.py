"""Standard input as data: kept in a temporary file, since data are read more than once.

What it is shows in its first bytes: how it is packed, whether it is Parquet; and in its first line: an object is JSON
lines, a tab makes it TSV, else it is CSV. The temporary file's name says so, and is read like any other.
"""

from __future__ import annotations

import atexit
import shutil
import sys
import tempfile
from functools import cache
from pathlib import Path

from unrolled.data.reading.files import no_room
from unrolled.data.reading.lines import open_lines
from unrolled.errors import DataError

__all__ = ["STDIN", "STDIN_NAME", "standard_input"]

STDIN = "-"
STDIN_NAME = "standard input"
SIGNATURES = {b"\x1f\x8b": ".gz", b"\xfd7zXZ\x00": ".xz", b"BZh": ".bz2", b"PAR1\x15": ".parquet"}


@cache
def standard_input(*, plain: bool = False) -> Path:
    """Read standard input to its end, the first time that it is asked for, and return the file that holds it.

    Args:
        plain: whether it is plain text, and not rows.

    Raises:
        DataError: nobody has connected anything to it, or there is no room to keep it.
    """
    if sys.stdin.isatty():
        raise DataError("nothing comes in", file=STDIN_NAME, fix="pipe data into the command, or name a file")
    try:
        folder = Path(tempfile.mkdtemp(prefix="unrolled-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        path = folder / "input"
        with path.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
    except OSError as error:
        raise no_room(error) from None
    with path.open("rb") as file:
        first = file.read(8)
    packing = next((suffix for signature, suffix in SIGNATURES.items() if first.startswith(signature)), "")
    if packing == ".parquet":
        return path.rename(folder / "input.parquet")
    path = path.rename(folder / f"input{packing}")
    return path.rename(folder / f"input{'.txt' if plain else _extension(path)}{packing}")


def _extension(path: Path) -> str:
    with open_lines(path, STDIN_NAME) as lines:
        first = next((line for line in lines if line.strip()), "")
    if first.startswith("{"):
        return ".jsonl"
    return ".tsv" if "\t" in first else ".csv"
