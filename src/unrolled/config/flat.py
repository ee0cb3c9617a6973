"""Settings by flat name, as in flags and keyword arguments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from unrolled.config.config import MODEL_NAME, SECTIONS, Config, by_section, fields, own_defaults
from unrolled.config.messages import sentences
from unrolled.config.synonyms import suggestion
from unrolled.errors import ConfigError

__all__ = ["from_flat", "validated"]


def from_flat(settings: Mapping[str, Any], base: Config | None = None) -> Config:
    """Build a Config from flat settings (`{"model": "lstm", "hidden_size": 256}`) over `base` or the defaults.

    If the settings change the task of `base`, or its data from text to images, values that equal the default of the
    old task become the default of the new one.

    Raises:
        ConfigError: an unknown name (the message gives the nearest) or a value out of range.
    """
    homes = {flat: (section, name) for section, name, flat, _ in fields()}
    base = base or Config()
    nested: dict[str, Any] = base.model_dump()
    before = own_defaults(nested)
    if nested["model"]["name"] == before[MODEL_NAME]:
        del nested["model"]["name"]
    requested = dict(nested) | ({"task": settings["task"]} if "task" in settings else {})
    if MODEL_NAME in settings:
        requested["model"] = {"name": settings[MODEL_NAME]}
    requested["data"] = {name: settings.get(name, getattr(base.data, name)) for name in ("by", "multi_label")}
    requested["training"] = {"vectors": settings.get("vectors", base.training.vectors)}
    after = own_defaults(requested)
    if after != before:
        for section, schema in SECTIONS.items():
            default = schema(**by_section(before)[section]).model_dump()
            nested[section] = {name: v for name, v in nested[section].items() if v != default[name]}
    for flat, value in settings.items():
        if flat not in homes:
            raise ConfigError(f'unknown setting "{flat}"{suggestion(flat, homes)}; `unrolled config` lists all')
        home, key = homes[flat]
        (nested if home is None else nested[home])[key] = value
    return validated(nested)


def validated(values: Mapping[str, Any], *, file: str | None = None, text: str = "") -> Config:
    """Return nested settings as a Config.

    Raises:
        ConfigError: a sentence for each problem; with its line, if `text` of a TOML `file` is given.
    """
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise ConfigError("\n".join(sentences(error, file, text))) from None
