"""Runs on synthetic tasks: the settings follow from the address, and the test split is drawn again."""

from pathlib import Path
from typing import Any

import pytest

import unrolled
from unrolled.cli.main import run as cli
from unrolled.config import Choice, unused
from unrolled.tasks import infer_settings

SMALL: dict[str, Any] = {"embedding_size": 8, "hidden_size": 16, "updates": 4, "evaluate_every": 4}
RUNS = {
    "classify": ("synthetic:dyck?length=9&rows=64&test_length=15&test_rows=40&valid_rows=20", "gru"),
    "regress": ("synthetic:adding?length=9&rows=64&test_length=15&test_rows=40&valid_rows=20", "lstm"),
    "tag": ("synthetic:copy?length=4&gap=3&rows=64&test_length=6&test_rows=40&valid_rows=20", "elman"),
    "translate": ("synthetic:copy?length=4&gap=3&rows=64&test_length=6&test_rows=40&valid_rows=20", "attention"),
}


@pytest.mark.parametrize("task", RUNS)
def test_a_run_reads_its_test_split_again(task: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    address, model = RUNS[task]
    run = unrolled.train(address, task=task, model=model, out=tmp_path / "run", **SMALL)
    assert run.record["data"]["source"] == address
    again = unrolled.load(tmp_path / "run").evaluate()
    assert again.to_dict() == run.test.to_dict()
    assert len(again.to_dict()) > 3
    assert cli(["evaluate", str(tmp_path / "run"), "--json"]) == 0
    longer = address.replace("test_length=15", "test_length=30").replace("?", "/test?")
    assert cli(["evaluate", str(tmp_path / "run"), longer, "--json"]) == 0
    capsys.readouterr()
    assert cli(["decode", str(tmp_path / "run"), "--file", longer, "--json"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 40


@pytest.mark.parametrize("task", RUNS)
def test_the_settings_follow_from_the_address(task: str) -> None:
    address, model = RUNS[task]
    settings = infer_settings(address, {"task": task, "model": model}, None)
    assert (settings["tokenizer"], settings["lowercase"], settings["min_frequency"]) == ("word", False, 1)
    assert ("label_smoothing" in settings) == (task != "regress")
    assert ("whole_words" in settings) == (task == "tag")
    assert not settings.keys() & unused(Choice(task, model, None, "constant")) - {"by"}
    assert infer_settings(address, {"task": task, "model": model, "min_frequency": 3}, None)["min_frequency"] == 3
    long = infer_settings("synthetic:copy?length=600", {"task": "translate", "model": "gpt"}, None)
    assert long["max_length"] > 600


def test_every_word_has_an_id_of_its_own() -> None:
    run = unrolled.train("synthetic:dyck?length=9&rows=300&symbols=5", model="gru", **SMALL)
    assert {run.preprocessor.decode([i]) for i in range(5, 15)} == {*"abcdeABCDE"}


def test_the_report_names_the_address(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(["data", "synthetic:copy?length=30&rows=50", "--task", "tag"]) == 0
    assert capsys.readouterr().out.startswith("synthetic:copy?length=30&rows=50")
    assert cli(["train", "synthetic:copi"]) == 2
    assert 'did you mean "copy"' in capsys.readouterr().err
