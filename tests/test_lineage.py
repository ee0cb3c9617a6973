"""The map of the product: eight rows, and a sentence for what is not built."""

import importlib

import pytest

from unrolled.errors import ConfigError
from unrolled.lineage import LINEAGE, TASKS, check, row, rows_for, task
from unrolled.models import Model


def test_eight_rows_in_the_order_of_history() -> None:
    assert [r.name for r in LINEAGE] == [
        "feedforward", "elman", "lstm", "gru", "encoder_decoder", "attention", "transformer", "gpt",
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


@pytest.mark.parametrize("r", [r for r in LINEAGE if r.model], ids=lambda r: r.name)
def test_a_built_row_names_a_model_that_is_there(r) -> None:
    module, _, name = r.model.partition(":")
    assert issubclass(getattr(importlib.import_module(module), name), Model)
    assert row(r.name) is r


@pytest.mark.parametrize("r", [r for r in LINEAGE if not r.model], ids=lambda r: r.name)
def test_a_row_that_is_not_built_says_so(r) -> None:
    with pytest.raises(ConfigError, match=rf'row "{r.name}" \(.*\) is not built yet; built are feedforward, elman'):
        row(r.name)


def test_what_is_unknown_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r'row "ltsm" is not in the lineage \(did you mean "lstm"\?\); it has'):
        row("ltsm")
    with pytest.raises(ConfigError, match=r'task "clasify" is unknown \(did you mean "classify"\?\); tasks are'):
        task("clasify")


def test_a_task_that_is_not_built_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    some = tuple(t if t.name == "classify" else t._replace(kind=None) for t in TASKS)
    monkeypatch.setattr("unrolled.lineage.TASKS", some)
    with pytest.raises(ConfigError, match=r'task "translate" \(.*\) is not built yet; built are classify'):
        task("translate")


def test_rows_of_a_task() -> None:
    assert [r.name for r in rows_for("classify")] == ["feedforward", "elman", "lstm", "gru", "transformer"]
    assert [r.name for r in rows_for("translate")] == ["encoder_decoder", "attention", "transformer", "gpt"]
    for r in rows_for("classify"):
        check("classify", r.name)


def test_a_row_that_does_not_serve_the_task() -> None:
    with pytest.raises(
        ConfigError, match='row "gpt" does not serve task "classify"; feedforward, elman, lstm, gru, transformer do'
    ):
        check("classify", "gpt")
