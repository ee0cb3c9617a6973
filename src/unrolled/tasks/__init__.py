"""Tasks: one file each, which names the task's parts in data, training, evaluation and decoding, and its runs."""

import importlib
from collections.abc import Mapping
from typing import Any

from unrolled import lineage
from unrolled.config import Config, from_flat
from unrolled.data.examples.images import are_images
from unrolled.data.reading.samples import PREFIX, named
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
    """Return the settings with what the data themselves say, unless told: how a row sees images, what suits a sample.

    Args:
        data: what the user gave. settings: flat, over `config`.

    Raises:
        ConfigError: no such row or task. DataError: there is no such sample.
    """
    base = config or Config()
    by = settings.get("by", base.data.by)
    if by is None and lineage.task(settings.get("task", base.task)).images and are_images(data):
        by = "image" if lineage.row(settings.get("row", base.row)).whole else "row"
    return {**_of_sample(data, settings, base), **settings, "by": by}


def _of_sample(data: object, settings: Mapping[str, Any], base: Config) -> dict[str, Any]:
    """What suits a sample better than the task's defaults, where `base` is at these."""
    if not isinstance(data, str) or not data.startswith(PREFIX):
        return {}
    sample, _ = named(data)
    ours = from_flat({name: settings[name] for name in ("task", "row") if name in settings}, base=base).flat()
    if sample.task != ours["task"]:
        return {}
    default = from_flat({"task": ours["task"], "row": ours["row"]}).flat()
    return {name: value for name, value in sample.settings.items() if ours[name] == default[name]}
