"""Tasks: one file each, with the task's data, loss, score and runs."""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unrolled import lineage
from unrolled.config import MODEL_NAME, Choice, Config, from_flat, unused
from unrolled.data.examples.class_names import check_class_names, read_class_names
from unrolled.data.examples.images import are_images
from unrolled.data.reading.addresses import is_sample
from unrolled.data.reading.parallel import are_sides, columns_of_sides
from unrolled.data.reading.samples import named
from unrolled.training.task import Task

__all__ = ["find", "infer_settings", "with_class_names"]


def find(config: Config) -> type[Task]:
    """Return the class of a task from its settings, of which `by` is set for images only."""
    task, data = lineage.task(config.task), config.data
    path, _ = task.paths(images=data.by is not None, multi_label=data.multi_label)
    module, _, name = path.partition(":")
    kind: type[Task] = getattr(importlib.import_module(module), name)
    return kind


def infer_settings(data: object, settings: Mapping[str, Any], config: Config | None) -> dict[str, Any]:
    """Return the settings, completed by those that the data imply: images' steps, a sample's
    settings, the columns of parallel files.

    Args:
        data: the data, as the user named them.
        settings: flat; they take precedence over the inferred ones.
        config: settings to start from; None: the defaults.

    Raises:
        ConfigError: no such model or task.
        DataError: no such sample.
    """
    base = config or Config()
    names = {} if base.data.class_names is None else {"class_names": base.data.class_names}
    settings = with_class_names({**names, **settings})
    by = settings.get("by", base.data.by)
    if by is None and lineage.task(settings.get("task", base.task)).images and are_images(data):
        whole = lineage.architecture(settings.get(MODEL_NAME, base.model.name)).whole
        by = "image" if whole else "row"
    implied = {**_of_sample(data, settings, base), **_of_sides(data, settings, base)}
    return {**implied, **settings, "by": by}


def with_class_names(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return flat settings in which the names of classes are read from their file.

    They are read from a file that the user has named, never from one that a run or a partial training records.

    Raises:
        DataError: the file cannot be read, or a name is empty or not unique.
    """
    names = settings.get("class_names")
    if names is None:
        return dict(settings)
    if isinstance(names, str | Path):
        return {**settings, "class_names": check_class_names(read_class_names(names), str(names))}
    return {**settings, "class_names": check_class_names(names)}


def _of_sides(data: object, settings: Mapping[str, Any], base: Config) -> dict[str, Any]:
    """Return the names of the columns that a source and a target file hold, for task translate."""
    if settings.get("task", base.task) != "translate" or not are_sides(data):
        return {}
    return dict(zip(("source", "target"), columns_of_sides(*data), strict=True))


def _of_sample(data: object, settings: Mapping[str, Any], base: Config) -> dict[str, Any]:
    """Return the recommended settings of a sample, for those that are used and have their defaults in `base`."""
    if not is_sample(data):
        return {}
    sample, _ = named(data)
    kind = {name: settings[name] for name in ("task", MODEL_NAME) if name in settings}
    ours = from_flat(kind, base=base).flat()
    if ours["task"] not in sample.tasks:
        return {}
    default = from_flat({"task": ours["task"], MODEL_NAME: ours[MODEL_NAME]}).flat()
    without_use = unused(Choice.of(from_flat(kind, base=base)))
    return {
        name: value
        for name, value in sample.settings.items()
        if name not in without_use and ours[name] == default[name]
    }
