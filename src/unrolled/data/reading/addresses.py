"""Names of data that are no paths: samples, data sets of the Hugging Face Hub, standard input, Python objects.

This file imports nothing, so that a path with a typo is refused before the readers are loaded.
"""

from __future__ import annotations

__all__ = ["HUB_PREFIX", "NOT_REREADABLE", "PYTHON", "SAMPLE_PREFIX", "STDIN", "STDIN_NAME", "is_file"]

SAMPLE_PREFIX = "sample:"
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
    return source not in NOT_REREADABLE and not source.startswith((SAMPLE_PREFIX, HUB_PREFIX))
