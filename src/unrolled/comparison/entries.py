"""Entries of a comparison: a model of the lineage with settings of its own, a cell of the user, or trained runs.

gru                        a model
"gru num_layers=2"         a model, with settings that override those of the comparison
my_cell.py:MyCell          a cell of the user, see `unrolled.use_cell`
runs/reviews               a trained run; runs that differ in their seed alone are one entry. Its label has the settings
                           in which it differs from the other runs of its model
"""

from __future__ import annotations

import shlex
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from unrolled import lineage, tasks
from unrolled.config import BY_COMPARISON, MODEL_NAME, Choice, Config, from_flat, unused
from unrolled.errors import ConfigError, excerpt
from unrolled.runs.folder import describe, is_run
from unrolled.runs.own_cells import is_address, use_cell

__all__ = ["SEARCHED", "Entry", "configs", "parse"]

SEARCHED = ("learning_rate", "dropout")
SHARED = ("embedding_size", "embedding_std")
"""Settings of the model that are the same for all: the token tables."""


class Entry(NamedTuple):
    """An entry: its label, and the model's name and settings, or the folders of runs."""

    label: str
    model: str = ""
    settings: Mapping[str, Any] = {}
    cell: str = ""
    runs: tuple[Path, ...] = ()


def parse(models: Sequence[str]) -> list[Entry]:
    """Return the entries that texts name.

    Raises:
        ConfigError: a text that names none, twice the same, or fewer than two.
        CheckpointError: a run that is damaged.
    """
    folders = [Path(text) for text in models if is_run(Path(text))]
    entries = [*(_entry(text) for text in models if Path(text) not in folders), *_of_runs(folders)]
    labels = [entry.label for entry in entries]
    if twice := [label for label in labels if labels.count(label) > 1]:
        raise ConfigError(f'models has "{excerpt(twice[0])}" twice')
    if len(entries) < 2:
        raise ConfigError(f"a comparison needs at least two models: got {len(entries)}")
    return entries


def _of_runs(folders: Sequence[Path]) -> list[Entry]:
    """Return an entry for all runs with the same settings but for the seed."""
    settings = {folder: describe(folder)[1].flat() for folder in folders}
    seeds = {folder: each.pop("seed") for folder, each in settings.items()}
    groups: list[list[Path]] = []
    for folder in folders:
        group = next((group for group in groups if settings[group[0]] == settings[folder]), None)
        if group is None:
            groups.append([folder])
            continue
        if (same := next((other for other in group if seeds[other] == seeds[folder]), None)) is not None:
            raise ConfigError(f"{same} and {folder} are runs with the same settings and seed: remove one of them")
        group.append(folder)
    return [Entry(_label(settings, group[0]), runs=tuple(group)) for group in groups]


def _label(settings: Mapping[Path, Mapping[str, Any]], folder: Path) -> str:
    """Return the model of a run, with the settings in which it differs from the other runs of this model."""
    own = settings[folder]
    others = [each for each in settings.values() if each[MODEL_NAME] == own[MODEL_NAME]]
    differing = [name for name in own if any(each[name] != own[name] for each in others)]
    return " ".join([f"run {own[MODEL_NAME]}", *(f"{name}={own[name]}" for name in differing)])


def _entry(text: str) -> Entry:
    try:
        name, *pairs = shlex.split(text)
    except ValueError:
        raise ConfigError(f"models has {excerpt(repr(text))}, whose quotes do not match") from None
    settings = dict(map(_setting, pairs))
    cell = name if is_address(name) else ""
    if cell:
        name = use_cell(cell)
    elif "/" in name:
        raise ConfigError(f"models has {excerpt(name)}, which is no run of unrolled, nor the name of a model")
    lineage.architecture(name)
    return Entry(" ".join([name, *pairs]), name, settings, cell)


def _setting(text: str) -> tuple[str, Any]:
    """Return name and value of a setting, as in TOML; a value that is no TOML is a text."""
    name, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"a setting of a model is written name=value: got {excerpt(repr(text))}")
    try:
        return name.replace("-", "_"), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return name.replace("-", "_"), value


def configs(data: object, entries: Sequence[Entry], settings: Mapping[str, Any], config: Config | None) -> list[Config]:
    """Return the settings of each model: all of data and training are the same, except those of the entries.

    Args:
        data: the data, as the user named them.
        entries: models, no runs.
        settings: flat; a setting that only some of the models use is for those.
        config: settings to start from; None: the defaults.

    Raises:
        ConfigError: a setting that the comparison decides, that no model uses, or a model that does not serve the task.
    """
    for name in BY_COMPARISON:
        if name in settings:
            raise ConfigError(f"{name} is decided by the comparison: remove it")
    shared = _shared(from_flat(tasks.infer_settings(data, settings, config), base=config))
    resolved = [_resolved(data, entry, {**shared, **settings}, config) for entry in entries]
    for name in settings:
        if all(name in unused(Choice.of(each)) for each in resolved):
            raise ConfigError(f"none of the models uses {name}: remove it")
    return resolved


def _shared(config: Config) -> dict[str, Any]:
    """Return the settings of the task, the data, the training and the token tables, without those that are searched."""
    sections = {**dict(config.data), **dict(config.training), **{name: getattr(config.model, name) for name in SHARED}}
    return {"task": config.task, **{name: value for name, value in sections.items() if name not in ("by", *SEARCHED)}}


def _resolved(data: object, entry: Entry, settings: Mapping[str, Any], config: Config | None) -> Config:
    """Return the settings of one model, without those that it does not use."""
    chosen = {**settings, **entry.settings, MODEL_NAME: entry.model}
    resolved = from_flat(tasks.infer_settings(data, chosen, config), base=config)
    foreign = unused(Choice.of(resolved)) & settings.keys() - entry.settings.keys()
    kept = {name: value for name, value in chosen.items() if name not in foreign or name == "by"}
    resolved = from_flat(tasks.infer_settings(data, kept, config), base=config)
    own_baseline = (
        {} if "baseline" in unused(Choice.of(resolved)) else {"baseline": False}
    )  # the comparison has its own
    return from_flat(own_baseline, base=resolved)
