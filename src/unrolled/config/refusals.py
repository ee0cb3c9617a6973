"""Refusal of settings that the task or the model does not use: who uses them, and the remedy."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import product

from unrolled import lineage
from unrolled.config.config import MODEL_NAME, Config, fields
from unrolled.config.defaults import IMAGES, MODEL, MULTI_LABEL, TASK, TASK_DEFAULTS
from unrolled.config.flat import from_flat
from unrolled.config.spelling import spelled
from unrolled.config.uses import USES, Choice, Condition, unused, used
from unrolled.errors import ConfigError

__all__ = ["refusal", "refuse_misread_images", "refuse_unused"]

KINDS = {IMAGES: "images", MULTI_LABEL: "texts with several labels"}
"""Kinds of task classify that are tasks of their own in the table of uses."""


def refuse_unused(config: Config, named: Collection[str] = ()) -> None:
    """Refuse settings that the task or the model does not use.

    Args:
        config: all settings.
        named: settings that were written down by themselves, as flags are, which are refused even where they equal
            the default. All others are refused where they differ from it, so that a file with every setting of
            `unrolled config` serves each task and model.

    Raises:
        ConfigError: with a sentence for each kind of setting: who uses it, and the remedy.
    """
    choice = Choice.of(config)
    settings = {"task": config.task, MODEL_NAME: config.model.name, "by": config.data.by}
    default, values = from_flat(settings).flat() | {"by": None}, config.flat()
    foreign = [name for name in unused(choice) if name in named or values[name] != default[name]]
    if foreign:
        raise ConfigError(refusal(foreign, choice, named))


def refuse_misread_images(config: Config) -> None:
    """Refuse a way of reading images that the model does not support.

    Raises:
        ConfigError: names the ways.
    """
    if Choice.of(config).task == IMAGES:
        whole, by = lineage.architecture(config.model.name).whole, config.data.by
        if whole != (by == "image"):
            ways = "at once: by image" if whole else "step by step: by row, column or pixel"
            raise ConfigError(f"model {config.model.name} reads an image {ways}; got by {by}")


def refusal(names: Collection[str], choice: Choice, named: Collection[str] = ()) -> str:
    """Return the message for settings that are not used: a sentence for all that have the same users.

    Args:
        names: names of the settings.
        choice: the present choice.
        named: settings that were written down by themselves.
    """
    groups: dict[str, list[str]] = {}
    for name in (flat for _, _, flat, _ in fields() if flat in names):
        groups.setdefault(_users(USES[name], choice), []).append(name)
    return "\n".join(_sentence(group, users, choice, named) for users, group in groups.items())


def _sentence(names: Sequence[str], users: str, choice: Choice, named: Collection[str]) -> str:
    """Return the sentence for settings with the same users, in which # is the verb "apply"."""
    applies, it = ("applies", "it") if len(names) == 1 else ("apply", "them")
    users = users.replace("does not #", "does not apply" if len(names) == 1 else "do not apply").replace("#", applies)
    return f"{_listed([spelled(name) for name in names])} {users}; remove {it}{_remedy(names, choice, named)}"


def _users(conditions: Collection[Condition], choice: Choice) -> str:
    """Return the users of a setting in words: those that serve the present task, if there are any, or else all."""
    task, serving = _task_and_models(choice)
    here = [
        {**condition, "model": tuple(model for model in condition["model"] if model in serving)}
        if "model" in condition
        else dict(condition)
        for condition in conditions
        if choice.task in condition.get("task", (choice.task,))
    ]
    here = [{key: values for key, values in each.items() if key != "task"} for each in here if each.get("model", True)]
    if here:
        return f"only # to {', or '.join(map(_described, here))}" + (
            f" in task {task}" if any("model" in each for each in here) else ""
        )
    if choice.task in KINDS:
        return f"does not # to {KINDS[choice.task]}"
    if any("model" in condition and "task" in condition for condition in conditions):
        return f"does not # to task {task}"
    return f"only # to {', or '.join(map(_described, conditions))}"


def _described(condition: Condition) -> str:
    """Return a condition in words."""
    words = {key: tuple(value for value in values if value not in KINDS) for key, values in condition.items()}
    named = [f"{key}{'' if len(values) == 1 else 's'} {_listed(values)}" for key, values in words.items() if values]
    images = [IMAGES] if IMAGES in condition.get("task", ()) and "classify" not in condition["task"] else []
    return " and ".join([*named, *images])


def _listed(words: Collection[str]) -> str:
    """Return words as "a", "a and b" or "a, b and c"."""
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def _remedy(names: Sequence[str], choice: Choice, named: Collection[str]) -> str:
    """Return the fewest changes with which all of these settings are used, as the end of a sentence; "" if none do."""
    changes = [each for each in _changes(choice) if all(used(name, _changed(choice, each)) for name in names)]
    if changes:
        return f" or use {_spelled(min(changes, key=len))}"
    if choice.task not in KINDS and "task" not in named and all(set(each) == {"task"} for each in USES[names[0]]):
        for task in lineage.TASKS:
            if used(names[0], choice._replace(task=task.name)):
                return f", or use {_spelled(_change_of_task(task.name, choice, named))} for {task.data}"
    return ""


def _spelled(change: Mapping[str, str]) -> str:
    return " ".join(spelled(name, value) for name, value in change.items())


def _task_and_models(choice: Choice) -> tuple[str, list[str]]:
    """Return the task, as users name it, and the models that serve it, the default first."""
    task = TASK if choice.task in KINDS else choice.task
    default = TASK_DEFAULTS.get(task, {}).get(MODEL_NAME, MODEL)
    return task, sorted((known.name for known in lineage.architectures_for(task)), key=lambda name: name != default)


def _changes(choice: Choice) -> Iterator[dict[str, str]]:
    """Yield changes of model, cell and schedule that the task allows."""
    _, serving = _task_and_models(choice)
    for model, schedule in product([choice.model, *serving], (choice.schedule, "plateau")):
        for cell in (None, *lineage.cells_of(model)):
            change = {MODEL_NAME: model} if model != choice.model else {}
            change |= {"cell": cell} if cell and (change or cell != choice.cell) else {}
            change |= {"schedule": schedule} if schedule != choice.schedule else {}
            if change:
                yield change


def _changed(choice: Choice, change: Mapping[str, str]) -> Choice:
    if MODEL_NAME in change:
        choice = choice._replace(cell=next(iter(lineage.cells_of(change[MODEL_NAME])), None))
    return choice._replace(**change)


def _change_of_task(task: str, choice: Choice, named: Collection[str]) -> dict[str, str]:
    """Return the change of the task, and of a model that was named but does not serve it."""
    own = TASK_DEFAULTS.get(task, {}).get(MODEL_NAME, MODEL)
    serves = MODEL_NAME not in named or task in lineage.architecture(choice.model).tasks
    return {"task": task} if serves else {"task": task, MODEL_NAME: own}
