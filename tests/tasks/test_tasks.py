"""What every built task is, as the lineage names it."""

import pytest

from unrolled import tasks
from unrolled.config import from_flat
from unrolled.errors import ConfigError
from unrolled.lineage import TASKS
from unrolled.training import Run
from unrolled.training.task import Task

BUILT = [task.name for task in TASKS if task.kind]


@pytest.mark.parametrize("name", BUILT)
def test_a_built_task_names_a_class_that_is_there(name: str) -> None:
    task = tasks.find(name)
    assert issubclass(task, Task)
    assert issubclass(task.run, Run)
    assert not task.__abstractmethods__
    assert not task.run.__abstractmethods__


@pytest.mark.parametrize("name", BUILT)
def test_what_it_has_no_use_for_is_a_setting_and_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    task, config = tasks.find(name), from_flat({"task": name})
    assert task.unused <= set(config.flat())
    task.refuse_unused(config)
    monkeypatch.setattr(task, "unused", frozenset({"seed"}))
    with pytest.raises(ConfigError, match=rf"task {name} has no use for seed: leave it out \(got 3\)"):
        task.refuse_unused(from_flat({"task": name, "seed": 3}))


def test_a_task_that_is_not_built_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unrolled.lineage.TASKS", tuple(task._replace(kind=None) for task in TASKS))
    with pytest.raises(ConfigError, match=r'task "translate" \(a source and a target sequence\) is not built yet'):
        tasks.find("translate")
