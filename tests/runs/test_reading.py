"""Data of a finished run: evaluating on the training's own data is said, in Python as on the command line."""

import logging
from pathlib import Path
from typing import Any

import pytest

import small
import unrolled
from unrolled.runs.run import Run

TINY: dict[str, Any] = {"updates": 1, "embedding_size": 4, "hidden_size": 4}


def csv(path: Path, header: str, rows: list[tuple[str, str]]) -> Path:
    path.write_text("".join(f"{a},{b}\n" for a, b in [header.split(","), *rows]), encoding="utf-8")
    return path


def classified(folder: Path, **settings: Any) -> tuple[Run, Path]:
    words = small.FILLER
    rows = [(f"{words[k % len(words)]} {k}", "pos" if k % 2 else "neg") for k in range(60)]
    data = csv(folder / "data.csv", "text,label", rows)
    return unrolled.train(data, model="gru", baseline=False, **TINY, **settings), data


def translated(folder: Path) -> tuple[Run, Path]:
    data = csv(folder / "pairs.csv", "source,target", [(f"a {k}", f"b {k}") for k in range(60)])
    return unrolled.train(data, task="translate", model="attention", **TINY), data


def tagged(folder: Path) -> tuple[Run, Path]:
    data = folder / "tags.txt"
    data.write_text("".join(f"word{k}\tX\nis\tY\n\n" for k in range(60)), encoding="utf-8")
    return unrolled.train(data, task="tag", model="gru", baseline=False, **TINY), data


def generated(folder: Path) -> tuple[Run, Path]:
    data = folder / "text.txt"
    data.write_text("so it goes on and on\n" * 200, encoding="utf-8")
    return unrolled.train(data, task="generate", model="gru", **TINY), data


@pytest.mark.parametrize("made", [classified, translated, tagged, generated], ids=lambda each: each.__name__)
def test_data_of_the_training_are_named_as_such(made: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run, data = made(tmp_path)
    caplog.set_level(logging.WARNING, "unrolled")
    run.evaluate(data, test_split=True)
    assert "data of the training" not in caplog.text
    run.evaluate(str(data))
    assert "these are the data of the training, most of which the model has learned" in caplog.text


def test_other_data_are_not(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run, data = classified(tmp_path)
    other = tmp_path / "other.csv"
    other.write_bytes(data.read_bytes())
    caplog.set_level(logging.WARNING, "unrolled")
    run.evaluate(other)
    run.evaluate([("so fine", "pos"), ("so dull", "neg")])
    assert "data of the training" not in caplog.text


def test_those_of_any_member_of_an_ensemble_count(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name, seed in (("a", 1), ("b", 2)):
        (tmp_path / name).mkdir()
        run, data = classified(tmp_path / name, seed=seed)
        run.save(tmp_path / f"run-{name}")
    caplog.set_level(logging.WARNING, "unrolled")
    unrolled.ensemble([tmp_path / "run-a", tmp_path / "run-b"]).evaluate(data)
    assert "these are the data of the training" in caplog.text
