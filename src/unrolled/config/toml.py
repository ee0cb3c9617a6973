"""Settings as TOML."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Collection
from pathlib import Path
from typing import Any

from unrolled.config.config import Config, fields
from unrolled.config.flat import validated
from unrolled.errors import ConfigError, reason

__all__ = ["chosen", "from_toml", "to_toml"]


def chosen(path: Path) -> dict[str, Any]:
    """Return the settings of a TOML file by flat name, without defaults.

    Raises:
        ConfigError: as `from_toml`.
    """
    values = from_toml(path).flat()
    stored = tomllib.loads(path.read_text(encoding="utf-8"))
    return {
        flat: values[flat]
        for section, name, flat, _ in fields()
        if name in (stored.get(section, {}) if section else stored)
    }


def from_toml(path: Path) -> Config:
    """Read a Config from a TOML file with the sections [data], [model] and [training].

    Raises:
        ConfigError: the file is missing or not TOML, or a key is unknown or out of range; the message names the line.
    """
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise ConfigError(f"{path} is a pipe or a device: settings are read more than once, so name a file")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path} cannot be read as a configuration: {reason(error)}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 (byte {error.start}): convert it") from None
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not TOML: {error}; `unrolled config` prints a valid one") from None
    return validated(values, file=str(path), text=text)


def to_toml(config: Config, names: Collection[str] | None = None) -> str:
    """Return settings as TOML, with their descriptions as comments; those that are None are commented out.

    Args:
        config: all settings.
        names: flat names of the settings to return; None: every one.
    """
    lines: list[str] = []
    current: str | None = None
    values = config.flat()
    for section, name, flat, field in fields():
        if names is not None and flat not in names:
            continue
        if section != current:
            lines += ["", f"[{section}]"]
            current = section
        value = values[flat]
        setting = f"# {name} =" if value is None else f"{name} = {_toml(value)}"
        lines.append(f"{setting:32}  # {field.description}")
    return "\n".join(lines) + "\n"


def _toml(value: object) -> str:
    """Return a value as TOML, which writes text, numbers, true and false as JSON does (except one character)."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
