"""The tasks, as the lineage names them."""

import pytest

from unrolled import tasks
from unrolled.config import from_flat
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
