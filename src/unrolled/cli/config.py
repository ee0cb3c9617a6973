"""`unrolled config`: every setting with its value and meaning, as TOML."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from unrolled.cli.checks import check_settings
from unrolled.cli.output import Json, print_json
from unrolled.cli.settings import ConfigFile, Settings, passed_flags, passed_settings, resolve
from unrolled.config import MODEL_NAME, Choice, Config, fields, to_toml, unused

__all__ = ["command"]


def command(*, config: ConfigFile = None, json: Json = False, settings: Settings = None) -> None:
    """Print settings with their values, as TOML for "unrolled train --config".

    unrolled config --model lstm --hidden-size 256 > lstm.toml

    unrolled config > all.toml

    With a task or a model, only its own settings are printed, otherwise every one.

    Parameters
    ----------
    config
        TOML file to start from; flags override it.
    json
        Print JSON.
    """
    resolved = resolve(settings, config)
    check_settings(None, passed_flags(settings), resolved)
    names = None
    if {"task", MODEL_NAME} & passed_settings(settings, config).keys():
        names = resolved.flat().keys() - unused(Choice.of(resolved))
    if json:
        print_json(resolved.model_dump() if names is None else _nested(resolved, names))
    else:
        print(to_toml(resolved, names), end="")


def _nested(config: Config, names: Collection[str]) -> dict[str, Any]:
    """Return the settings of these flat names, by section."""
    nested: dict[str, Any] = {"task": config.task}
    values = config.flat()
    for section, name, flat, _ in fields():
        if section is not None and flat in names:
            nested.setdefault(section, {})[name] = values[flat]
    return nested
