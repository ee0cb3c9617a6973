"""The help of a verb: examples first, then the flags of the task and model on the command line, with their defaults.

Without a task and a model, `train` and `config` show the flags that are used most. Lines fit the terminal, and no
command, path or flag is broken.
"""

from __future__ import annotations

import inspect
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, get_args

from cyclopts import App

from unrolled.cli.checks import check_run, ways_of
from unrolled.cli.settings import flags_of_other_tasks
from unrolled.cli.wrapping import wrapped
from unrolled.config import MODEL_NAME, TASK, Choice, Config, fields, from_flat, used
from unrolled.data.reading.addresses import is_sample
from unrolled.decoding import options
from unrolled.lineage import architecture, architectures_for, cells_of, task

__all__ = ["HELP_FLAGS", "help_of"]

HELP_FLAGS = ("--help", "-h")
WIDEST, COLUMN = 100, 24  # characters of a line, and before a description
CHOOSING = ("task", MODEL_NAME, "cell", "schedule", "by")
"""Settings on the command line that decide which flags are shown."""
MOST_USED = frozenset(
    {"task", MODEL_NAME, "text", "label", "valid", "test", "tokenizer", "hidden_size", "num_layers", "bidirectional"}
    | {"dropout", "epochs", "time_limit", "learning_rate", "seed", "device"}
)
SETTINGS = {flat: (section, field) for section, _, flat, field in fields()}
RUN_VERBS = ("decode", "evaluate", "explain")
ORDER = {"Arguments": 0, "Task and model": 1, "Data": 2, "Model": 3, "Training": 4}
TITLES = {None: "Task and model", "data": "Data", "model": "Model", "training": "Training"}


class Flag(NamedTuple):
    """A flag in the help.

    Args:
        group: heading below which it is listed.
        label: its names and the values it takes.
        description: its help text, with the default.
    """

    group: str
    label: str
    description: str


def help_of(app: App, verb: str, arguments: Sequence[str]) -> str:
    """Return the help of a verb for the choice on the command line.

    Args:
        app: the application.
        verb: its name.
        arguments: all that follow the verb.

    Raises:
        ConfigError: an unknown task or model on the command line, or a model that does not serve the task.
        CheckpointError: a damaged run on the command line.
    """
    width = min(shutil.get_terminal_size().columns, WIDEST)
    command = app[verb].default_command
    assert command is not None
    prose, examples, described = _documentation(command)
    config = _of_run(arguments) if verb in RUN_VERBS else _chosen(arguments)
    lines = [_usage(app, verb), "", wrapped(prose[0], width), "", *(f"  {example}" for example in examples), ""]
    lines = [*lines, *(f"{wrapped(text, width)}\n" for text in prose[1:])]
    groups: dict[str, list[Flag]] = {}
    for flag in _flags(app, verb, described, config):
        groups.setdefault(flag.group, []).append(flag)
    for title, flags in sorted(groups.items(), key=lambda each: ORDER.get(each[0], len(ORDER))):
        lines += [f"{title}:", *(_shown(flag, width) for flag in flags), ""]
    return "\n".join([*lines, *_ending(verb, config, width)]).rstrip()


def _documentation(command: Callable[..., Any]) -> tuple[list[str], list[str], dict[str, str]]:
    """Return the paragraphs, the examples and the descriptions of the parameters of a command's docstring."""
    text, _, parameters = inspect.getdoc(command).partition("\nParameters\n----------\n")  # type: ignore[union-attr]
    paragraphs = [" ".join(paragraph.split()) for paragraph in text.split("\n\n") if paragraph.strip()]
    described = re.findall(r"^(\w+)\n((?: {4}.*\n?)+)", parameters, re.M)
    return (
        [each for each in paragraphs if not each.startswith("unrolled ")],
        [each for each in paragraphs if each.startswith("unrolled ")],
        {name: " ".join(description.split()) for name, description in described},
    )


def _usage(app: App, verb: str) -> str:
    arguments = (each for each in app[verb].assemble_argument_collection() if not each.names[0].startswith(("-", "*")))
    names = (each.names[0] if each.field_info.required else f"[{each.names[0]}]" for each in arguments)
    return " ".join(["Usage: unrolled", verb, *names, "[flags]"])


def _flags(app: App, verb: str, described: Mapping[str, str], config: Config | None) -> Iterator[Flag]:
    """Yield the flags of a verb that the choice uses; without one, those that are used most."""
    choice = None if config is None else Choice.of(config)
    of_options = options.fields("decode" if verb == "decode" else "evaluate") if verb in RUN_VERBS else {}
    hidden = flags_of_other_tasks(config.task) if config and verb == "decode" else ()
    for argument in app[verb].assemble_argument_collection():
        first, name = argument.names[0], argument.field_info.name
        if first == "*" or name in hidden or (choice and name in SETTINGS and not used(name, choice)):
            continue
        group, default = "Flags" if first.startswith("-") else "Arguments", ""
        description = described.get(name, argument.parameter.help or "")
        choices: Iterable[str] = argument.get_choices() or ()
        if (title := _title(argument.parameter.group)) not in ("Parameters", "Arguments"):
            group = title
        if name in of_options and name not in described:
            if config is not None and config.task not in of_options[name]:
                continue
            default = _default_of_option(of_options[name], config)
        elif name in SETTINGS and name not in described:
            if choice is None and verb not in RUN_VERBS and name not in MOST_USED:
                continue
            section, field = SETTINGS[name]
            group = TITLES[None if name == MODEL_NAME else section]
            description = str(field.description)
            default = "" if verb in RUN_VERBS else _default(name, config)
            if own := _own_choices(name, config):
                description, choices = f"{description} [{', '.join(own)}]", ()
        label = _label(argument.names, argument.hint, argument.get_choices() or ())
        yield Flag(group, label, _complete(description, choices, default))


def _title(group: Any) -> str:
    """Return the name of a parameter's group in cyclopts, which may be a tuple of them."""
    first = group[0] if isinstance(group, tuple) and group else group
    return str(getattr(first, "name", "Parameters"))


def _default(name: str, config: Config | None) -> str:
    """Return the default of a setting for the choice; "" if there is none, or without a choice."""
    value = None if config is None else config.flat()[name]
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _default_of_option(by_task: Mapping[str, Any], config: Config | None) -> str:
    """Return the default of a decoding option, for the run's task or, if they agree, for all."""
    texts = {options.default_text(field) for task, field in by_task.items() if config is None or task == config.task}
    return texts.pop() if len(texts) == 1 else ""


def _own_choices(name: str, config: Config | None) -> tuple[str, ...]:
    """Return the values of a setting that the choice allows, of those that depend on it; () for all other settings."""
    if config is None or name not in (MODEL_NAME, "cell"):
        return ()
    if name == MODEL_NAME:
        return tuple(each.name for each in architectures_for(config.task))
    return cells_of(config.model.name)


def _label(names: Sequence[str], hint: Any, choices: Iterable[str]) -> str:
    """Return the names of a flag, and a word for its value."""
    kinds = {hint, *get_args(hint)}
    if not names[0].startswith("-") or bool in kinds:
        return ", ".join(names)
    words = {int: "N", float: "X", Path: "PATH"}
    word = "NAME" if choices else next((word for kind, word in words.items() if kind in kinds), "TEXT")
    return f"{', '.join(names)} {word}"


def _complete(description: str, choices: Iterable[str], default: str) -> str:
    """Return a description with the possible values and the default."""
    missing = [choice for choice in choices if not re.search(rf"\b{re.escape(str(choice))}\b", description)]
    values = f" [{', '.join(map(str, choices))}]" if missing else ""
    return f"{description}{values}{f' [default: {default}]' if default else ''}"


def _shown(flag: Flag, width: int) -> str:
    """Return the lines of a flag: its label, and the description beside it or below it."""
    label, indent = f"  {flag.label}", " " * COLUMN
    if width < 3 * COLUMN:
        return f"{label}\n{wrapped(flag.description, width, indent=' ' * 6)}"
    text = wrapped(flag.description, width, indent=indent)
    return f"{label}\n{text}" if len(label) > COLUMN - 2 else f"{label}{text[len(label) :]}"


def _ending(verb: str, config: Config | None, width: int) -> Iterator[str]:
    if verb in RUN_VERBS and config is None:
        yield f"With a run, only the flags of its task:\n  unrolled {verb} RUN --help"
    elif verb in ("train", "data", "config") and config is None:
        yield wrapped("These are the flags used most. All flags of a task and model, with their defaults:", width)
        yield f"  unrolled {verb} --help --task tag{'' if verb == 'data' else ' --model lstm'}"
        yield "All settings, as TOML:\n  unrolled config"
    elif config is not None and verb not in RUN_VERBS:
        kind = f"--task {config.task} --model {config.model.name}"
        yield wrapped(f"Flags and defaults of `{kind}`{' for images' if config.data.by else ''}.", width)
        if verb != "config":
            yield f"As TOML:\n  unrolled config {kind}"


def _chosen(arguments: Sequence[str]) -> Config | None:
    """Return the defaults of the choice on the command line; None if there is none."""
    settings = _values(arguments)
    data = arguments[0] if arguments and not arguments[0].startswith("-") else None
    if is_sample(data) and "task" not in settings:
        from unrolled.data.reading import samples

        settings["task"] = samples.named(data)[0].tasks[0]
    if not settings:
        return None
    if MODEL_NAME in settings and "task" not in settings:
        serves = architecture(settings[MODEL_NAME]).tasks
        settings["task"] = TASK if TASK in serves else serves[-1]
    config = from_flat(settings)
    ways = ways_of(data, config) if data is not None else [config.data.by]
    return from_flat({"by": ways[0]}, base=config) if len(ways) == 1 else config


def _of_run(arguments: Sequence[str]) -> Config | None:
    """Return the settings of the run on the command line, or the defaults of a task; None without both."""
    if "task" in (values := _values(arguments)):
        return from_flat({"task": task(values["task"]).name})
    if arguments and not arguments[0].startswith("-") and Path(arguments[0]).exists():
        return check_run(Path(arguments[0]))
    return None


def _values(arguments: Sequence[str]) -> dict[str, str]:
    """Return the values of the flags that decide which others are shown."""
    text = "\n".join(arguments)
    found = {name: re.search(rf"^--{name}[=\n](.*)$", text, re.M) for name in CHOOSING}
    return {name: match[1] for name, match in found.items() if match and match[1] not in HELP_FLAGS}
