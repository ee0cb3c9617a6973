"""The demo with two updates a row: its tables, its answers, its next steps."""

import json
from pathlib import Path

import pytest

from unrolled.cli import demo
from unrolled.cli.main import run

TINY = {"updates": 2, "hidden_size": 4, "embedding_size": 4, "time_limit": None}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(demo, "LETTERS", "sample:letters/test")  # split anew, a twentieth of it
    for name in ("RECIPES", "PRONOUNCING"):
        monkeypatch.setattr(demo, name, {row: {**recipe, **TINY} for row, recipe in getattr(demo, name).items()})


def test_the_demo(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["demo"]) == 0
    said = capsys.readouterr()
    assert "495 held out" in said.out
    assert "words held out" in said.out
    assert "…" not in said.out, "it fits a terminal of 80 columns"
    for name in ("majority class", *demo.NAMES.values(), *demo.DECODERS.values()):
        assert name in said.out
    for text in (*demo.SENTENCES, *demo.WORDS):
        assert text in said.out
    assert 'unrolled decode runs/demo-gru "a text of your own"' in said.out
    assert "unrolled decode runs/demo-attention perceptron" in said.out
    assert "update 2/2" in said.err
    page = Path("runs/demo.html").read_text(encoding="utf-8")
    assert "runs/demo.html" in said.out
    assert all(f'"model":"{model}"' in page for model in (*demo.NAMES, *demo.DECODERS))
    assert run(["decode", "runs/demo-gru", "fine"]) == 0
    assert run(["decode", "runs/demo-attention", "fine"]) == 0
    capsys.readouterr()
    assert run(["demo", "--json"]) == 0, "a second time, over its own runs"
    said = capsys.readouterr()
    assert set(json.loads(said.out)["runs"]) == {*demo.NAMES, *demo.DECODERS}
    assert set(json.loads(said.out)["words"]) == set(demo.DECODERS)
    assert said.err == ""


def test_the_dictionary_has_none_of_its_words() -> None:
    from unrolled.config import DataConfig
    from unrolled.data.examples.pairs import load_pairs

    assert not set(demo.WORDS) & set(load_pairs("sample:letters", DataConfig()).sources())
