"""The entries of export.json that every format has."""

from __future__ import annotations

from typing import Any

from unrolled.runs.run import Run
from unrolled.version import __version__

__all__ = ["FORMAT_VERSION", "head"]

FORMAT_VERSION = 1
"""Version of export.json, which rises with every change that an older reader would misunderstand."""


def head(run: Run, form: str) -> dict[str, Any]:
    """Return the first entries of export.json.

    Args:
        run: the run that is exported.
        form: name of the format.
    """
    return {
        "format_version": FORMAT_VERSION,
        "library": "unrolled",
        "version": __version__,
        "format": form,
        "task": run.config.task,
        "model": run.config.model.name,
        "labels": list(run.labels),
    }
