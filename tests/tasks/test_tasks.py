"""The tasks, as the lineage names them."""

import pytest

from unrolled import tasks
from unrolled.config import from_flat
from unrolled.errors import ConfigError
from unrolled.lineage import TASKS
from unrolled.training import Run
from unrolled.training.task import Task

NAMES = [task.name for task in TASKS]


@pytest.mark.parametrize("name", NAMES)
def test_a_built_task_names_a_class_that_is_there(name: str) -> None:
    task = tasks.find(from_flat({"task": name}))
    assert issubclass(task, Task)
    assert issubclass(task.run, Run)
    assert not task.__abstractmethods__
    assert not task.run.__abstractmethods__


@pytest.mark.parametrize("name", NAMES)
def test_what_it_has_no_use_for_is_a_setting_and_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config = from_flat({"task": name})
    task = tasks.find(config)
    assert task.unused <= set(config.flat())
    task.refuse_unused(config)
    monkeypatch.setattr(task, "unused", frozenset({"seed"}))
    with pytest.raises(ConfigError, match=rf"task {name} does not use seed: remove it \(got 3\)"):
        task.refuse_unused(from_flat({"task": name, "seed": 3}))
