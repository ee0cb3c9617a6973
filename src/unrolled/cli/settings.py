"""Command-line flags, made from the schemas of settings and of decoding options.

Names, types, choices, descriptions and defaults come from `unrolled.config` and `unrolled.decoding.options`. The values
are validated there too, so that a flag, a TOML key and a keyword argument are refused in the same words.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Group, Parameter

from unrolled.config import MODEL_NAME, TASK_DEFAULTS, Config, Device, chosen, fields, from_flat, from_toml
from unrolled.decoding import options
from unrolled.errors import ConfigError
from unrolled.lineage import CELLS, LINEAGE, TASKS

__all__ = [
    "READ_SETTINGS",
    "ConfigFile",
    "DataName",
    "DataSettings",
    "DecodeOptions",
    "DeviceFlag",
    "EvaluateOptions",
    "Others",
    "ReadSettings",
    "Settings",
    "TextSettings",
    "passed_flags",
    "passed_settings",
    "refuse_unused",
    "resolve",
    "task_group",
]

STDIN = "-"
GROUPS = {
    None: Group("Task and model", sort_key=1),
    "data": Group("Data", sort_key=2),
    "model": Group("Model", sort_key=3),
    "training": Group("Training", sort_key=4),
}
TEXT_SETTINGS = ("text", "source", "header", "on_bad_row")
"""Settings with which `decode` reads texts for a finished run."""
READ_SETTINGS = (*TEXT_SETTINGS, "label", "target", "cache", "truncate")
"""Settings with which the data of a finished run are read."""
CHOICES = {
    "task": tuple(task.name for task in TASKS),
    MODEL_NAME: tuple(found.name for found in LINEAGE),
    "cell": CELLS,
}


def task_group(*tasks: str) -> Group:
    """Return the group, in the help, of flags that runs of these tasks use."""
    order = [task.name for task in TASKS]
    sort_key = len(GROUPS) + 1 + (0 if len(tasks) > 1 else 1 + order.index(tasks[0]))
    return Group(f"Runs of task {' and '.join(tasks)}", sort_key=sort_key)


def _flags(name: str, wanted: Callable[[str | None, str], bool], *, defaults: bool = True) -> type:
    """Make a flat dataclass of the wanted settings. A flag that was not given is None; the help shows its default."""
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


def _option_flags(name: str, verb: options.Verb) -> type:
    """Make a flat dataclass of the decoding options of a verb, grouped by the tasks that take them."""
    flags: list[tuple[str, Any, Any]] = []
    for option, by_task in options.fields(verb).items():
        field = next(iter(by_task.values()))
        defaults = {task: text for task, each in by_task.items() if (text := options.default_text(each))}
        if len({*defaults.values()}) > 1:
            shown = f" [default: {'; '.join(f'{task}: {text}' for task, text in defaults.items())}]"
        else:
            shown = "".join(f" [default: {text}]" for text in {*defaults.values()})
        flag = Parameter(
            group=task_group(*by_task),
            help=f"{field.description}{shown}",
            show_default=False,
            negative=None if field.annotation == bool | None else "",
        )
        kind: Any = field.annotation
        flags.append((option, Annotated[kind | None, flag], None))
    return dataclasses.make_dataclass(name, flags, namespace={"__module__": __name__})


def _defaults(name: str, default: Any) -> Iterator[str]:
    """Yield the default as the help shows it, and that of each task that has another."""
    values = {"": default, **{f"{task}: ": own[name] for task, own in TASK_DEFAULTS.items() if name in own}}
    yield from (f"{task}{str(value).lower() if isinstance(value, bool) else value}" for task, value in values.items())


def _no_flag(_: Any, name: str | None) -> None:
    if name is not None and name.startswith("-") and name != STDIN:
        raise ValueError(f"Unknown option: {name}")


_AllFlags = _flags("AllFlags", lambda section, name: True)
_DataFlags = _flags("DataFlags", lambda section, name: section == "data" or name == "task")
_ReadFlags = _flags("ReadFlags", lambda section, name: name in READ_SETTINGS, defaults=False)
_TextFlags = _flags("TextFlags", lambda section, name: name in TEXT_SETTINGS, defaults=False)

_DecodeFlags = _option_flags("DecodeFlags", "decode")
_EvaluateFlags = _option_flags("EvaluateFlags", "evaluate")

Settings = Annotated[_AllFlags | None, Parameter(name="*")]  # type: ignore[valid-type]
DataSettings = Annotated[_DataFlags | None, Parameter(name="*")]  # type: ignore[valid-type]
ReadSettings = Annotated[_ReadFlags | None, Parameter(name="*")]  # type: ignore[valid-type]
TextSettings = Annotated[_TextFlags | None, Parameter(name="*")]  # type: ignore[valid-type]
DecodeOptions = Annotated[_DecodeFlags | None, Parameter(name="*")]  # type: ignore[valid-type]
EvaluateOptions = Annotated[_EvaluateFlags | None, Parameter(name="*")]  # type: ignore[valid-type]
ConfigFile = Annotated[Path | None, Parameter(name="--config")]
DeviceFlag = Annotated[Device, Parameter(name="--device")]
Others = Annotated[list[Path] | None, Parameter(name="--with", negative="")]  # the other runs of an ensemble
DataName = Annotated[str, Parameter(allow_leading_hyphen=True, validator=_no_flag)]  # "-" is standard input


def passed_flags(flags: Any) -> dict[str, Any]:
    """Return the flags that were given, by name."""
    return {} if flags is None else {name: value for name, value in vars(flags).items() if value is not None}


def passed_settings(flags: Any, file: Path | None = None) -> dict[str, Any]:
    """Return the settings that were given, in the TOML file or as flags; flags take precedence.

    Raises:
        ConfigError: the file cannot be read, or a key of it is unknown or out of range.
    """
    return (chosen(file) if file else {}) | passed_flags(flags)


def refuse_unused(names: Collection[str], unused: Collection[str], task: str) -> None:
    """Refuse flags that were given although the run's task does not use them.

    Args:
        names: of the flags that were given. unused: those that the task does not use. task: its name.

    Raises:
        ConfigError: names them.
    """
    foreign = [name for name in names if name in unused]
    if foreign:
        raise ConfigError(f"this run's task is {task}, which does not use {', '.join(foreign)}: leave it out")


def resolve(flags: Any, file: Path | None = None) -> Config:
    """Return the configuration: defaults, overridden by the TOML file, overridden by the flags.

    Raises:
        ConfigError: an unknown key or a value out of range.
    """
    return from_flat(passed_flags(flags), base=from_toml(file) if file else None)
