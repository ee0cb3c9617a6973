"""Tasks: one file each, with the task's data, loss, score and runs."""

import importlib
from collections.abc import Mapping
from typing import Any

from unrolled import lineage
from unrolled.config import MODEL_NAME, Config, from_flat
from unrolled.data.examples.images import are_images
from unrolled.data.reading.samples import PREFIX, named
from unrolled.training.task import Task

__all__ = ["find", "infer_settings"]


def find(config: Config) -> type[Task]:
    """Return the class of a task from its settings, of which `by` is set for images only."""
    task, data = lineage.task(config.task), config.data
    path, _ = task.paths(images=data.by is not None, multi_label=data.multi_label)
    module, _, name = path.partition(":")
    kind: type[Task] = getattr(importlib.import_module(module), name)
    return kind


def infer_settings(data: object, settings: Mapping[str, Any], config: Config | None) -> dict[str, Any]:
    """Return the settings, completed by those that the data imply: the way images are read, the settings of a sample.

    Args:
        data: the argument of the user. settings: flat; they take precedence over the inferred ones.
        config: settings to start from; None: the defaults.

    Raises:
        ConfigError: no such model or task. DataError: no such sample.
    """
    base = config or Config()
    by = settings.get("by", base.data.by)
    if by is None and lineage.task(settings.get("task", base.task)).images and are_images(data):
        whole = lineage.architecture(settings.get(MODEL_NAME, base.model.name)).whole
        by = "image" if whole else "row"
    return {**_of_sample(data, settings, base), **settings, "by": by}


def _of_sample(data: object, settings: Mapping[str, Any], base: Config) -> dict[str, Any]:
    """Return the recommended settings of a sample, for those settings that have their defaults in `base`."""
    if not isinstance(data, str) or not data.startswith(PREFIX):
        return {}
    sample, _ = named(data)
    kind = {name: settings[name] for name in ("task", MODEL_NAME) if name in settings}
    ours = from_flat(kind, base=base).flat()
    if sample.task != ours["task"]:
        return {}
    default = from_flat({"task": ours["task"], MODEL_NAME: ours[MODEL_NAME]}).flat()
    return {name: value for name, value in sample.settings.items() if ours[name] == default[name]}
