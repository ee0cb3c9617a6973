"""Every setting of the one schema as a flat flag, for the verbs that take them.

The flags are made from unrolled.config, with its names, types, choices, descriptions and defaults; what the user gave
is validated there too, so a flag, a TOML key and a keyword argument are refused in the same words.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterator
from inspect import signature
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Group, Parameter

from unrolled.config import MODEL_NAME, Config, Device, chosen, fields, from_flat, from_toml
from unrolled.defaults import TASK_DEFAULTS
from unrolled.errors import ConfigError
from unrolled.lineage import LINEAGE, TASKS

__all__ = [
    "ConfigFile",
    "DataName",
    "DataSettings",
    "DeviceFlag",
    "ReadSettings",
    "Settings",
    "TextSettings",
    "asked",
    "given",
    "refuse_foreign",
    "refuse_given",
    "resolve",
]

STDIN = "-"
GROUPS = {
    None: Group("Task and model", sort_key=1),
    "data": Group("Data", sort_key=2),
    "model": Group("Model", sort_key=3),
    "training": Group("Training", sort_key=4),
}
READ = ("text", "source", "on_bad_row", "label", "target", "cache", "truncate")  # of a run's data; the first to decode
CHOICES = {"task": tuple(task.name for task in TASKS), MODEL_NAME: tuple(found.name for found in LINEAGE)}


def _flags(name: str, wanted: Callable[[str | None, str], bool], *, defaults: bool = True) -> type:
    """A flat dataclass of the wanted settings: None where the user gave nothing; the help shows the true default."""
    flags: list[tuple[str, Any, Any]] = []
    for section, _, field_name, field in fields():
        if not wanted(section, field_name):
            continue
        group = GROUPS[None if field_name == MODEL_NAME else section]
        kind: Any = Literal[CHOICES[field_name]] if field_name in CHOICES else field.annotation
        default = "; ".join(_defaults(field_name, field.default)) if defaults else "as in training"
        shown = f" [default: {default}]" if field.default is not None else ""
        flag = Parameter(group=group, help=f"{field.description}{shown}", show_default=False)
        flags.append((field_name, Annotated[kind | None, flag], None))
    return dataclasses.make_dataclass(name, flags, namespace={"__module__": __name__})


def _defaults(name: str, default: Any) -> Iterator[str]:
    """The default as the help shows it, and that of each task that has another."""
    values = {"": default, **{f"{task}: ": own[name] for task, own in TASK_DEFAULTS.items() if name in own}}
    yield from (f"{task}{str(value).lower() if isinstance(value, bool) else value}" for task, value in values.items())


def _no_flag(_: Any, name: str | None) -> None:
    if name is not None and name.startswith("-") and name != STDIN:
        raise ValueError(f"Unknown option: {name}")


_AllFlags = _flags("AllFlags", lambda section, name: True)
_DataFlags = _flags("DataFlags", lambda section, name: section == "data" or name == "task")
_ReadFlags = _flags("ReadFlags", lambda section, name: name in READ, defaults=False)
_TextFlags = _flags("TextFlags", lambda section, name: name in READ[:3], defaults=False)

Settings = Annotated[_AllFlags | None, Parameter(name="*")]  # type: ignore[valid-type]
DataSettings = Annotated[_DataFlags | None, Parameter(name="*")]  # type: ignore[valid-type]
ReadSettings = Annotated[_ReadFlags | None, Parameter(name="*")]  # type: ignore[valid-type]
TextSettings = Annotated[_TextFlags | None, Parameter(name="*")]  # type: ignore[valid-type]
ConfigFile = Annotated[Path | None, Parameter(name="--config")]
DeviceFlag = Annotated[Device, Parameter(name="--device")]
DataName = Annotated[str, Parameter(allow_leading_hyphen=True, validator=_no_flag)]  # "-" is standard input


def given(flags: Any) -> dict[str, Any]:
    """Return the settings that the user gave."""
    return {} if flags is None else {name: value for name, value in vars(flags).items() if value is not None}


def asked(flags: Any, file: Path | None = None) -> dict[str, Any]:
    """Return the settings that the user gave, in the TOML file or as flags.

    Raises:
        ConfigError: the file cannot be read, or a key of it is unknown or out of range.
    """
    return (chosen(file) if file else {}) | given(flags)


def refuse_given(flags: Any, unused: Collection[str], task: str) -> None:
    """Refuse what the user gave though the run's task does not use it.

    Raises:
        ConfigError: names it.
    """
    foreign = [name for name in given(flags) if name in unused]
    if foreign:
        raise ConfigError(f"this run's task is {task}, which does not use {', '.join(foreign)}: leave it out")


def refuse_foreign(options: Collection[str], answer: Callable[..., Any], task: str) -> None:
    """Refuse options that a run's method does not take.

    Raises:
        ConfigError: names them.
    """
    foreign = [name for name in options if name not in signature(answer).parameters]
    if foreign:
        raise ConfigError(f"this run's task is {task}, which does not use {', '.join(foreign)}: leave it out")


def resolve(flags: Any, file: Path | None = None) -> Config:
    """Return the defaults, changed by the TOML file, changed by the flags.

    Raises:
        ConfigError: an unknown key or a value out of range.
    """
    return from_flat(given(flags), base=from_toml(file) if file else None)
