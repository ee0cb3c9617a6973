"""Tasks: one file each, which names the task's parts in data, training, evaluation and decoding, and its runs."""

import importlib
from collections.abc import Mapping
from typing import Any

from unrolled import lineage
from unrolled.config import Config
from unrolled.data.images import are_images
from unrolled.training.task import Task

__all__ = ["find", "of", "understood"]


def find(name: str, *, images: bool = False) -> type[Task]:
    """Return the task called `name`, or what it is where the data are images.

    Raises:
        ConfigError: no such task (the nearest is named), or the task is not built yet.
    """
    task = lineage.task(name)
    module, _, kind = ((images and task.images) or task.kind or "").partition(":")
    found: type[Task] = getattr(importlib.import_module(module), kind)
    return found


def of(config: Config) -> type[Task]:
    """Return the task that the settings are for; `by` says that the data are images."""
    return find(config.task, images=config.data.by is not None)


def understood(data: object, settings: Mapping[str, Any], config: Config | None) -> dict[str, Any]:
    """Return the settings with what the data themselves say: images are read as the row sees them, unless told.

    Args:
        data: what the user gave. settings: flat, over `config`.

    Raises:
        ConfigError: no such row or task. DataError: there is no such sample.
    """
    base = config or Config()
    by = settings.get("by", base.data.by)
    if by is None and lineage.task(settings.get("task", base.task)).images and are_images(data):
        by = "image" if lineage.row(settings.get("row", base.row)).whole else "row"
    return {**settings, "by": by}
