"""Names of data that are no paths: samples, synthetic tasks, data sets of the Hub, standard input, Python objects.

This file imports nothing of the package, so that a path with a typo is refused before the readers are loaded.
"""

from __future__ import annotations

import glob
import os
from pathlib import Path
from typing import TypeGuard

__all__ = [
    "HUB_PREFIX",
    "NOT_REREADABLE",
    "PYTHON",
    "SAMPLE_PREFIX",
    "STDIN",
    "STDIN_NAME",
    "SYNTHETIC_PREFIX",
    "is_file",
    "is_pattern",
    "is_sample",
    "matches",
]

SAMPLE_PREFIX = "sample:"
SYNTHETIC_PREFIX = "synthetic:"
HUB_PREFIX = "hub:"
STDIN = "-"
STDIN_NAME = "standard input"
PYTHON = "python objects"
NOT_REREADABLE = {  # sources that another process cannot read again
    PYTHON: "Python objects, which are not saved",
    STDIN: "standard input, which is not saved",
    STDIN_NAME: "standard input, which is not saved",
}


def is_file(source: str) -> bool:
    """Return whether a source, as an argument or as recorded, is a path."""
    return source not in NOT_REREADABLE and not is_sample(source) and not source.startswith(HUB_PREFIX)


def is_sample(data: object) -> TypeGuard[str]:
    """Return whether data are named as a sample of the package or as a synthetic task."""
    return isinstance(data, str) and data.startswith((SAMPLE_PREFIX, SYNTHETIC_PREFIX))


def is_pattern(source: str) -> bool:
    """Return whether a source is a pattern of file names, as 'in/*.parquet', and not the name of a file."""
    return glob.has_magic(source) and is_file(source) and not os.path.lexists(source)


def matches(pattern: str) -> list[Path]:
    """Return the files that match a pattern, sorted by name."""
    return sorted(path for path in map(Path, glob.glob(pattern, recursive=True)) if path.is_file())  # noqa: PTH207
