"""`unrolled compare`: what it prints, and bad input as one sentence with exit code 2."""

import json
from pathlib import Path

import pytest

from unrolled.cli.main import run

ROWS = "text,label\n" + "".join(
    f"{word} film {n},{label}\n" for n in range(60) for word, label in (("good", "yes"), ("bad", "no"))
)
SMALL = [
    "--models", "feedforward", "elman", "--budget", "6updates", "--trials", "2", "--seeds", "2",
    "--hidden-size", "64", "--embedding-size", "8", "--min-frequency", "1", "--quiet",
]  # fmt: skip


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.csv"
    path.write_text(ROWS)
    return path


def test_it_prints_the_verdict_tables_and_where_the_report_is(
    rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "compared"
    assert run(["compare", str(rows), *SMALL, "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "has the best accuracy" in printed
    assert "Quality" in printed
    assert f"open:  {out / 'report.html'}" in printed
    assert max(map(len, printed.splitlines()[:-2])) <= 80
    assert run(["compare", "--resume", str(out), "--quiet", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [each["label"] for each in found["models"]] == ["feedforward", "elman"]
    assert found == json.loads((out / "report.json").read_text())


def test_it_says_what_it_will_do_before_it_begins(
    rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    loud = [each for each in SMALL if each != "--quiet"]
    assert run(["compare", str(rows), *loud, "--out", str(tmp_path / "compared")]) == 0
    lines = capsys.readouterr().err.splitlines()
    said = next(line for line in lines if "models × (" in line)
    assert said.startswith("2 models × (2 trials + 2 seeds) × 6 updates")
    assert lines.index(said) < next(k for k, line in enumerate(lines) if line.startswith("feedforward, trial 1"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no models: name them"),
        (["--models", "gru", "lstm"], "no data: give a file"),
        (["none.csv", "--models", "gru", "lstm"], "there is no such file"),
        (["ROWS", "--models", "gru", "attention"], 'model "attention" does not serve task "classify"'),
        (["ROWS", "--models", "gru", "lstm", "--budget", "soon"], "budget should be a time as 90s"),
        (["ROWS", "--models", "gru", "lstm", "--seeds", "0"], "seeds should be from 1"),
        (["ROWS", "--models", "gru", "lstm", "--match-to", "3"], "the nearest is"),
        (["--resume", "none"], "has no study.json, so it is no comparison"),
        (["--resume", "a", "--join", "b"], "two ways to go on"),
        (["--resume", "a", "--hidden-size", "4"], "a comparison goes on with its settings"),
        (["--join", "sqlite:///x.db#x"], "--join with a database needs --out"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(
    arguments: list[str],
    message: str,
    rows: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["compare", *(str(rows) if each == "ROWS" else each for each in arguments)]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert message in said
    assert not (tmp_path / "runs").exists()
