"""The table of used settings: complete, its refusals in the words of the caller, its remedies true."""

import re
from typing import Any

import pytest

from unrolled import lineage
from unrolled.config import (
    IMAGES,
    Choice,
    fields,
    from_flat,
    refuse_misread_images,
    refuse_unused,
    spelled_as_flags,
    unused,
    used,
)
from unrolled.config.defaults import MULTI_LABEL
from unrolled.config.uses import USES
from unrolled.errors import ConfigError

TASKS = [task.name for task in lineage.TASKS]
NAMES = {flat for _, _, flat, _ in fields()}
CHOICES = [
    Choice.of(from_flat({"task": task, "model": model.name, "by": by} | ({"cell": cell} if cell else {})))
    for task in TASKS
    for model in lineage.architectures_for(task)
    for by in ((None, "image" if model.whole else "row") if lineage.task(task).images else (None,))
    for cell in (lineage.cells_of(model.name) or (None,))
]


def test_the_table_names_settings_tasks_models_and_cells_that_are_there() -> None:
    known = {
        "task": {*TASKS, IMAGES, MULTI_LABEL},
        "model": {each.name for each in lineage.LINEAGE},
        "cell": {*lineage.CELLS},
        "schedule": {"plateau"},
    }
    assert USES.keys() <= NAMES
    for conditions in USES.values():
        for condition in conditions:
            for field, values in condition.items():
                assert {*values} <= known[field]


def test_every_setting_is_used_by_some_choice() -> None:
    plateau = [choice._replace(schedule="plateau") for choice in CHOICES]
    assert all(any(used(name, choice) for choice in plateau) for name in NAMES)


@pytest.mark.parametrize("choice", CHOICES, ids=lambda choice: "-".join(map(str, choice)))
def test_the_remedy_of_a_refusal_holds(choice: Choice) -> None:
    """Every setting that a choice does not use: the changes that the message names make it used, in a valid choice."""
    by = ("image" if lineage.architecture(choice.model).whole else "row") if choice.task == IMAGES else None
    task = "classify" if choice.task == IMAGES else choice.task
    base = {"task": task, "model": choice.model, "by": by} | ({"cell": choice.cell} if choice.cell else {})
    for name in unused(choice) - {"cell"}:
        with pytest.raises(ConfigError) as refused:
            refuse_unused(from_flat(base), {name, "model"})
        message = str(refused.value)
        assert re.match(rf"{name} (only applies|does not apply) to .+; remove it", message), message
        changes: dict[str, Any] = dict(re.findall(r'(\w+)="(\w+)"', message))
        if not changes:
            assert message.endswith("remove it")
            continue
        if "model" in changes and "cell" not in changes:
            base_now = {key: value for key, value in base.items() if key != "cell"}
        else:
            base_now = base
        if by and "model" in changes:
            changes["by"] = "image" if lineage.architecture(changes["model"]).whole else "row"
        config = from_flat({**base_now, **changes})
        refuse_unused(config, {name})
        refuse_misread_images(config)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"forget_bias": 2.0},
            "forget_bias only applies to cells lstm, layernorm_lstm and minlstm, or models xlstm and hybrid in task "
            'classify; remove it or use model="lstm"',
        ),
        (
            {"task": "translate", "forget_bias": 2.0},
            "forget_bias only applies to cells lstm, layernorm_lstm and minlstm, or models xlstm and hybrid in task "
            'translate; remove it or use cell="lstm"',
        ),
        (
            {"source": "en", "target": "fr"},
            'source and target only apply to task translate; remove them, or use task="translate" for a source and a '
            "target sequence",
        ),
        (
            {"model": "transformer", "zoneout": 0.1},
            'zoneout only applies to models elman, lstm and gru in task classify; remove it or use model="gru"',
        ),
        ({"by": "row", "tokenizer": "bpe", "label": "x"}, "label and tokenizer do not apply to images; remove them"),
        ({"task": "generate", "bidirectional": True}, "bidirectional does not apply to task generate; remove it"),
        ({"score": "dot"}, "score only applies to model attention; remove it"),
        (
            {"plateau_patience": 5},
            'plateau_patience only applies to schedule plateau; remove it or use schedule="plateau"',
        ),
        (
            {"chunk": 5, "plateau_factor": 0.1},
            'chunk only applies to task generate; remove it, or use task="generate" for plain text\n'
            'plateau_factor only applies to schedule plateau; remove it or use schedule="plateau"',
        ),
    ],
)
def test_a_refusal_names_the_users_and_the_remedy(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        refuse_unused(from_flat(settings))
    assert str(refused.value) == message
    with spelled_as_flags(), pytest.raises(ConfigError) as refused:
        refuse_unused(from_flat(settings))
    flags = re.sub(r'(\w+)="(\w+)"', r"--\1 \2", message)
    for name in settings.keys() - {"task", "model", "by"}:
        flags = re.sub(rf"^{name}\b|(?<=and ){name}\b(?= only| do)", f"--{name.replace('_', '-')}", flags, flags=re.M)
    assert str(refused.value) == flags


def test_a_value_that_is_the_default_is_refused_only_where_it_was_written_down() -> None:
    config = from_flat({"forget_bias": None, "num_heads": 4})
    refuse_unused(config)
    with pytest.raises(ConfigError, match="num_heads only applies"):
        refuse_unused(config, {"num_heads"})


def test_the_defaults_of_every_choice_pass() -> None:
    for choice in CHOICES:
        task = "classify" if choice.task == IMAGES else choice.task
        by = None if choice.task != IMAGES else "image" if lineage.architecture(choice.model).whole else "row"
        refuse_unused(from_flat({"task": task, "model": choice.model, "by": by}))
