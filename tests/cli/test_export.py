"""`unrolled export`: the folder, the lines that are printed, and refusals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import small
from unrolled.cli.main import run


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    small.trained("gru").save("films")
    small.translation_run("attention").save("letters")
    return tmp_path


def test_the_folder_is_next_to_the_run(capsys: pytest.CaptureFixture[str], runs: Path) -> None:
    assert run(["export", "films"]) == 0
    first, second, third = capsys.readouterr().out.splitlines()
    assert first == "model.onnx     ids, lengths -> logits, probabilities"
    assert second.startswith("largest difference from the run: ")
    assert third == "saved: films-onnx"
    assert {path.name for path in (runs / "films-onnx").iterdir()} == {
        "README.md",
        "SHA256SUMS",
        "export.json",
        "model.onnx",
        "tokenizer.json",
    }


def test_json_has_the_record(capsys: pytest.CaptureFixture[str], runs: Path) -> None:
    assert run(["export", "letters", "--out", "out", "--opset", "21", "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert (value["folder"], value["opset"], value["task"], value["model"]) == ("out", 21, "translate", "attention")
    assert list(value["graphs"]) == ["encoder", "decoder"]
    assert {"ids", "memory.keys", "past.layers.0.h"} <= {port["name"] for port in value["graphs"]["decoder"]["inputs"]}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["films", "--opset", "9"], "opset must be from 18"),
        (
            ["films", "--out", "letters", "--overwrite"],
            "letters is not an export of unrolled, so it is not overwritten",
        ),
        (["films", "--to", "onx"], 'Invalid value "onx" for --to'),
        (["nothing"], "nothing does not exist"),
    ],
)
def test_a_refusal_is_a_sentence(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str], runs: Path
) -> None:
    assert run(["export", *arguments]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert not (runs / "films-onnx").exists()
