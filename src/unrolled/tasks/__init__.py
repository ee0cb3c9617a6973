"""Tasks: one file each, which names the task's parts in data, training, evaluation and decoding, and its runs."""

import importlib

from unrolled import lineage
from unrolled.training.task import Task

__all__ = ["find"]


def find(name: str) -> type[Task]:
    """Return the task called `name`.

    Raises:
        ConfigError: no such task (the nearest is named), or the task is not built yet.
    """
    module, _, kind = (lineage.task(name).kind or "").partition(":")
    found: type[Task] = getattr(importlib.import_module(module), kind)
    return found
