"""Ctrl-C and SIGTERM in the middle of a training: all is saved, and the message says how to go on."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from small import write_csv
from unrolled import api
from unrolled.cli.main import run
from unrolled.tasks import classification
from unrolled.training import Trainer

SIGNALS = [signal.SIGINT, signal.SIGTERM]
ENDLESS = ["train", "data.csv", "--out", "run", "--updates", "20000", "--patience", "0", "--evaluate-every", "5"]


@pytest.fixture(autouse=True)
def signals_that_are_heard() -> Iterator[None]:
    """Also where the tests run in the background of a shell, which lets Ctrl-C be ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def check_saved(folder: Path, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "of 20,000; everything is saved in run.partial\n  resume:  unrolled train --resume run\n" in said
    assert sorted(path.name for path in folder.iterdir()) == ["data.csv", "run.partial"]
    assert run(["decode", "run", "so fine"]) == 2
    assert "run is not finished" in capsys.readouterr().err
    assert run(["train", "--resume", "run", "--finish"]) == 0
    assert "Ended early, as requested. Kept: the model of update " in capsys.readouterr().out
    loaded = api.load(folder / "run")
    assert 0 < loaded.record["training"]["updates"] < 20_000
    assert loaded.evaluate().to_dict() == loaded.record["result"]
    assert sorted(path.name for path in folder.iterdir()) == ["data.csv", "run"]


def test_a_training_that_is_told_to_end_is_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_csv(tmp_path / "data.csv")
    process = subprocess.Popen(
        [sys.executable, "-c", "from unrolled.cli.main import main; main()", *ENDLESS],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert any(line.startswith("update ") for line in process.stderr)
    process.send_signal(signal.SIGTERM)
    with process.stderr:
        said = process.stderr.read()
    assert process.wait(timeout=60) == 143
    check_saved(tmp_path, said, capsys)


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("when", ["update", "evaluate"])
def test_an_interrupted_training_is_saved(
    number: signal.Signals, when: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    once = iter([number])
    as_ever = getattr(Trainer, when)

    def interrupted(*arguments: object) -> object:
        for signal_number in once:
            signal.raise_signal(signal_number)
        return as_ever(*arguments)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Trainer, when, interrupted)
    write_csv(tmp_path / "data.csv")
    assert run(ENDLESS) == 128 + number
    check_saved(tmp_path, capsys.readouterr().err, capsys)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_second_signal_leaves_at_once_and_nothing_behind(
    number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted_twice(*_: object) -> None:
        signal.raise_signal(number)
        signal.raise_signal(number)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Trainer, "update", interrupted_twice)
    write_csv(tmp_path / "data.csv")
    assert run(["train", "data.csv", "--out", "run"]) == 128 + number
    assert capsys.readouterr().err.endswith("interrupted: nothing was kept\n")
    assert [path.name for path in tmp_path.iterdir()] == ["data.csv"]


def test_ctrl_c_before_the_training_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(classification, "load_splits", interrupted)
    assert run(["train", "sample:films", "--out", str(tmp_path / "run")]) == 130
    assert capsys.readouterr().err == "interrupted: nothing was kept\n"
    assert not any(tmp_path.iterdir())
