"""The lineage: its architectures, and the tasks that they serve."""

import importlib

import pytest

from unrolled.errors import ConfigError
from unrolled.lineage import LINEAGE, TASKS, Architecture, architecture, architectures_for, check, task
from unrolled.models import Model

RETURN = ("linear_attention", "mingru", "xlstm", "mamba2", "gated_deltanet", "hybrid")


def test_the_architectures_stand_in_the_order_of_history() -> None:
    assert [r.name for r in LINEAGE] == [
        "feedforward", "elman", "lstm", "gru", "encoder_decoder", "attention", "transformer", "gpt",
        "linear_attention", "mingru", "xlstm", "mamba2", "gated_deltanet", "hybrid",
    ]  # fmt: skip
    years = [r.year for r in LINEAGE]
    assert years == sorted(years)
    tasks = {t.name for t in TASKS}
    for r in LINEAGE:
        assert r.adds
        assert r.cannot
        assert r.source
        assert set(r.tasks) <= tasks
        assert r.tasks


@pytest.mark.parametrize("known", LINEAGE, ids=lambda known: known.name)
def test_an_architecture_names_its_class(known: Architecture) -> None:
    module, _, name = known.path.partition(":")
    assert issubclass(getattr(importlib.import_module(module), name), Model)
    assert architecture(known.name) is known


def test_a_task_names_its_classes() -> None:
    for known in TASKS:
        for task_path, run_path in [(known.path, known.run), *([known.images] if known.images else [])]:
            task_class, run_class = (
                getattr(importlib.import_module(path.partition(":")[0]), path.partition(":")[2])
                for path in (task_path, run_path)
            )
            assert task_class.run is run_class
            assert task_class.answer == run_class.answer


def test_an_unknown_name_gives_the_nearest() -> None:
    with pytest.raises(
        ConfigError, match=r'model "ltsm" is unknown \(did you mean "lstm"\?\); models are feedforward,'
    ):
        architecture("ltsm")
    with pytest.raises(ConfigError, match=r'task "clasify" is unknown \(did you mean "classify"\?\); tasks are'):
        task("clasify")


def test_architectures_of_a_task() -> None:
    assert [r.name for r in architectures_for("classify")] == [
        "feedforward", "elman", "lstm", "gru", "transformer", *RETURN,
    ]  # fmt: skip
    assert [r.name for r in architectures_for("translate")] == [
        "encoder_decoder", "attention", "transformer", "gpt", *RETURN,
    ]  # fmt: skip
    for r in architectures_for("classify"):
        check("classify", r.name)


def test_an_architecture_that_does_not_serve_the_task() -> None:
    with pytest.raises(
        ConfigError, match=f'model "gpt" does not serve task "classify"; feedforward, .*, {", ".join(RETURN)} do'
    ):
        check("classify", "gpt")
