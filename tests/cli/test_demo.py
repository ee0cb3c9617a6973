"""The demo with two updates a row: its table, its answers, its next step."""

import json
from pathlib import Path

import pytest

from unrolled.cli import demo
from unrolled.cli.main import run

TINY = {"updates": 2, "hidden_size": 4, "embedding_size": 4}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(demo, "RECIPES", {row: {**recipe, **TINY} for row, recipe in demo.RECIPES.items()})


def test_the_demo(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["demo"]) == 0
    said = capsys.readouterr()
    assert "495 held out" in said.out
    assert "…" not in said.out, "it fits a terminal of 80 columns"
    for name in ("majority class", *demo.NAMES.values()):
        assert name in said.out
    for sentence in demo.SENTENCES:
        assert sentence in said.out
    assert 'unrolled decode runs/demo-gru "a text of your own"' in said.out
    assert "update 2/2" in said.err
    assert run(["decode", "runs/demo-gru", "fine"]) == 0
    capsys.readouterr()
    assert run(["demo", "--json"]) == 0, "a second time, over its own runs"
    said = capsys.readouterr()
    assert set(json.loads(said.out)["runs"]) == set(demo.NAMES)
    assert said.err == ""
