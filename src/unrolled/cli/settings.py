"""Every setting of the one schema as a flat flag, for the verbs that take them.

The flags are made from unrolled.config, with its names, types, choices, descriptions and defaults; what the user gave
is validated there too, so a flag, a TOML key and a keyword argument are refused in the same words.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pydantic
from cyclopts import Group, Parameter

from unrolled.config import Config, fields, from_flat, from_toml

__all__ = ["DataSettings", "Settings", "resolve"]

GROUPS = {
    None: Group("Task and row", sort_key=1),
    "data": Group("Data", sort_key=2),
    "model": Group("Model", sort_key=3),
    "training": Group("Training", sort_key=4),
}


def _flags(name: str, wanted: Callable[[str | None], bool]) -> type[pydantic.BaseModel]:
    """A flat model of the wanted sections: None where the user gave nothing; the help shows the true default."""
    flags: dict[str, Any] = {}
    for section, field_name, field in fields():
        if not wanted(section):
            continue
        shown = "" if field.default is None else f" [default: {str(field.default).lower()}]"
        flag = Parameter(group=GROUPS[section], help=f"{field.description}{shown}", show_default=False)
        flags[field_name] = (Annotated[field.annotation | None, flag], None)  # type: ignore[operator]
    return pydantic.create_model(name, **flags)


_AllFlags = _flags("AllFlags", lambda section: True)
_DataFlags = _flags("DataFlags", lambda section: section == "data")

Settings = Annotated[_AllFlags | None, Parameter(name="*")]  # type: ignore[valid-type]
DataSettings = Annotated[_DataFlags | None, Parameter(name="*")]  # type: ignore[valid-type]


def resolve(flags: pydantic.BaseModel | None, file: Path | None = None) -> Config:
    """Return the defaults, changed by the TOML file, changed by the flags.

    Raises:
        ConfigError: an unknown key or a value out of range.
    """
    given = {} if flags is None else {name: value for name, value in flags if value is not None}
    return from_flat(given, base=from_toml(file) if file else None)
