"""Command-line flags, made from the schemas of settings and of decoding options.

Names, types, choices, descriptions and defaults come from `unrolled.config` and `unrolled.decoding.options`. The values
are validated there too, so that a flag, a TOML key and a keyword argument are refused in the same words.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

from cyclopts import Group, Parameter

from unrolled.config import BY_COMPARISON, MODEL_NAME, Config, Device, chosen, fields, from_flat, from_toml, spelled
from unrolled.data.reading.addresses import STDIN
from unrolled.decoding import options
from unrolled.errors import ConfigError
from unrolled.lineage import CELLS, LINEAGE, TASKS

__all__ = [
    "ANSWERS",
    "CHOICES",
    "READ_SETTINGS",
    "AnswerFlags",
    "CompareSettings",
    "ConfigFile",
    "DataName",
    "DataSettings",
    "DecodeOptions",
    "DeviceFlag",
    "EvaluateOptions",
    "Others",
    "ReadSettings",
    "Settings",
    "SourceFile",
    "TargetFile",
    "TextSettings",
    "ThreadsFlag",
    "checked_threads",
    "data_of",
    "flags_of_other_tasks",
    "passed_flags",
    "passed_settings",
    "refuse_unused",
    "resolve",
    "task_group",
]

GROUPS = {
    None: Group("Task and model", sort_key=1),
    "data": Group("Data", sort_key=2),
    "model": Group("Model", sort_key=3),
    "training": Group("Training", sort_key=4),
}
TEXT_SETTINGS = ("text", "source", "header", "separator", "on_bad_row")
"""Settings with which `decode` reads texts for a finished run."""
READ_SETTINGS = (*TEXT_SETTINGS, "label", "decimal", "column", "target", "cache", "truncate")
"""Settings with which the data of a finished run are read."""
CHOICES = {
    "task": tuple(task.name for task in TASKS),
    MODEL_NAME: tuple(found.name for found in LINEAGE),
    "cell": CELLS,
}

FILES = ("class_names",)
"""Settings that a flag gives as a file, and TOML and Python also as a list."""


def task_group(*tasks: str) -> Group:
    """Return the group, in the help, of flags that runs of these tasks use."""
    order = [task.name for task in TASKS]
    sort_key = len(GROUPS) + 1 + (0 if len(tasks) > 1 else 1 + order.index(tasks[0]))
    return Group(f"Runs of task {' and '.join(tasks)}", sort_key=sort_key)


def _flags(name: str, wanted: Callable[[str | None, str], bool]) -> type:
    """Make a flat mapping of the wanted settings, without those that are not given."""
    flags: dict[str, Any] = {}
    for section, _, field_name, field in fields():
        if not wanted(section, field_name):
            continue
        group = GROUPS[None if field_name == MODEL_NAME else section]
        kind: Any = Literal[CHOICES[field_name]] if field_name in CHOICES else field.annotation
        kind = str if field_name in FILES else kind
        flag = Parameter(group=group, help=field.description, show_default=False)
        flags[field_name] = Annotated[kind | None, flag]
    return _typed_dict(name, flags)


def _option_flags(name: str, verb: options.Verb) -> type:
    """Make a flat mapping of the decoding options of a verb, grouped by the tasks that take them."""
    flags: dict[str, Any] = {}
    for option, by_task in options.fields(verb).items():
        field = next(iter(by_task.values()))
        flag = Parameter(
            group=None if len(by_task) == len(options.OPTIONS[verb]) else task_group(*by_task),
            help=field.description,
            show_default=False,
            negative=None if field.annotation == bool | None else "",
        )
        kind: Any = field.annotation
        flags[option] = Annotated[kind | None, flag]
    return _typed_dict(name, flags)


def _typed_dict(name: str, flags: dict[str, Any]) -> type:
    """Make the type of a mapping; unlike defaults, missing keys need no validator, of which each takes milliseconds."""
    return TypedDict(name, flags, total=False)  # type: ignore[operator, no-any-return]


def _no_flag(_: Any, name: str | None) -> None:
    if name is not None and name.startswith("-") and name != STDIN:
        raise ValueError(f"Unknown option: {name}")


_AllFlags = _flags("AllFlags", lambda section, name: True)
_CompareFlags = _flags("CompareFlags", lambda section, name: name not in BY_COMPARISON)
_DataFlags = _flags("DataFlags", lambda section, name: section == "data" or name == "task")
_ReadFlags = _flags("ReadFlags", lambda section, name: name in READ_SETTINGS)
_TextFlags = _flags("TextFlags", lambda section, name: name in TEXT_SETTINGS)

_DecodeFlags = _option_flags("DecodeFlags", "decode")
_EvaluateFlags = _option_flags("EvaluateFlags", "evaluate")

Settings = Annotated[_AllFlags | None, Parameter(name="*")]  # type: ignore[valid-type]
CompareSettings = Annotated[_CompareFlags | None, Parameter(name="*")]  # type: ignore[valid-type]
DataSettings = Annotated[_DataFlags | None, Parameter(name="*")]  # type: ignore[valid-type]
ReadSettings = Annotated[_ReadFlags | None, Parameter(name="*")]  # type: ignore[valid-type]
TextSettings = Annotated[_TextFlags | None, Parameter(name="*")]  # type: ignore[valid-type]
DecodeOptions = Annotated[_DecodeFlags | None, Parameter(name="*")]  # type: ignore[valid-type]
EvaluateOptions = Annotated[_EvaluateFlags | None, Parameter(name="*")]  # type: ignore[valid-type]
ConfigFile = Annotated[Path | None, Parameter(name="--config")]
DeviceFlag = Annotated[Device, Parameter(name="--device")]
ThreadsFlag = Annotated[int | None, Parameter(name="--threads", show_default=False)]
Others = Annotated[list[Path] | None, Parameter(name="--with", negative="")]  # the other runs of an ensemble
DataName = Annotated[str, Parameter(allow_leading_hyphen=True, validator=_no_flag)]  # "-" is standard input


ANSWERS = Group("Files of answers", sort_key=3)
"""The group, in the help, of flags that write answers to files."""


class _AnswerFlags(TypedDict, total=False):
    """Flags of `decode --out`."""

    format: Annotated[
        Literal["csv", "tsv", "jsonl", "parquet", "txt"] | None,
        Parameter(
            group=ANSWERS,
            show_default=False,
            help="format of the answers; default: that of each file, and txt, which has the answers alone, for a text "
            "a line",
        ),
    ]
    keep_columns: Annotated[
        list[str] | None,
        Parameter(
            group=ANSWERS,
            show_default=False,
            negative="",
            help="column of the files to keep next to the answers; may be repeated; default: all",
        ),
    ]
    answer_prefix: Annotated[
        str | None,
        Parameter(group=ANSWERS, show_default=False, help="beginning of the names of the answers' columns"),
    ]
    workers: Annotated[
        int | None,
        Parameter(
            group=ANSWERS,
            show_default=False,
            help="number of processes, each of one thread; default: one for each core, or one on a GPU",
        ),
    ]


AnswerFlags = Annotated[_AnswerFlags | None, Parameter(name="*")]

_SIDE = Parameter(group=GROUPS["data"], show_default=False)
SourceFile = Annotated[Path | None, _SIDE]
TargetFile = Annotated[Path | None, _SIDE]


def data_of(data: str | None, source: Path | None, target: Path | None, task: str) -> object:
    """Return the data that were named: DATA, or the pair of a source and a target file; None for neither.

    Args:
        data: the argument DATA.
        source, target: the files.
        task: name of the task.

    Raises:
        ConfigError: one file only is named, DATA as well, or the task has no sources and targets.
    """
    if data == "":
        raise ConfigError("the name of the data is empty: name a file or a folder, or . for this folder")
    if source is None and target is None:
        return data
    if source is None or target is None:
        raise ConfigError("--source-file and --target-file belong together: name both")
    if data is not None:
        raise ConfigError(f"--source-file and --target-file are the data: remove them, or {data}")
    if task != "translate":
        raise ConfigError(f"--source-file and --target-file are for task translate, not {task}: add --task translate")
    return str(source), str(target)


def passed_flags(flags: Any) -> dict[str, Any]:
    """Return the flags that were given, by name."""
    return {name: value for name, value in (flags or {}).items() if value is not None}


def passed_settings(flags: Any, file: Path | None = None) -> dict[str, Any]:
    """Return the settings that were given, in the TOML file or as flags; flags take precedence.

    Raises:
        ConfigError: the file cannot be read, or a key of it is unknown or out of range.
    """
    return (chosen(file) if file else {}) | passed_flags(flags)


def checked_threads(threads: int | None) -> int | None:
    """Return the number of threads that was given, in the range of the setting of that name.

    Raises:
        ConfigError: it is out of range.
    """
    return from_flat({"threads": threads}).training.threads


def flags_of_other_tasks(task: str) -> tuple[str, ...]:
    """Return the flags of `decode`, other than settings and options, that runs of a task do not use."""
    return ("file",) if task == "generate" else ("prompt",)


def refuse_unused(names: Collection[str], unused: Collection[str], task: str) -> None:
    """Refuse flags that were given although the run's task does not use them.

    Args:
        names: names of the flags that were given.
        unused: those that the task does not use.
        task: name of the task.

    Raises:
        ConfigError: names them.
    """
    foreign = [name for name in names if name in unused]
    if foreign:
        flags = ", ".join(map(spelled, foreign))
        raise ConfigError(f"this run's task is {task}, which does not use {flags}: leave it out")


def resolve(flags: Any, file: Path | None = None) -> Config:
    """Return the configuration: defaults, overridden by the TOML file, overridden by the flags.

    Raises:
        ConfigError: an unknown key or a value out of range.
    """
    return from_flat(passed_flags(flags), base=from_toml(file) if file else None)
