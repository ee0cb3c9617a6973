"""The prediction table: complete, trainings that resume, and a mismatch that is reported as one."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from unrolled.errors import ConfigError

FILE = Path(__file__).parents[2] / "experiments" / "recurrence.py"


@pytest.fixture
def recurrence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("recurrence_experiment", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "recurrence_experiment", module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "LINES", tmp_path / "lines.jsonl")
    monkeypatch.setattr(module, "EVALUATED", 32)
    return module


def small(job: dict[str, Any]) -> dict[str, Any]:
    own = {**job["task"], "updates": 2, "train": [3, 4], "test": 8} | ({"gap": 4} if "gap" in job["task"] else {})
    settings = job["settings"] | {"hidden_size": 8, "embedding_size": 8}
    return {**job, "task": own, "settings": settings, "training": {**job["training"], "batch": 2}}


def test_every_row_can_be_built_and_every_test_drawn(recurrence: ModuleType) -> None:
    table = recurrence.read()
    for chosen in recurrence.SETS:
        for job in recurrence.jobs(table, chosen):
            if job["seed"] == 0 and (job["row"] == "gru" or job["test"] == "parity"):
                task = recurrence.make_task(job, 4)
                with torch.device("meta"):
                    model = recurrence.make_model(job, task)
                inputs, targets = recurrence.drawn(task, 0, 2)
                assert inputs.shape == targets.shape
                assert int(targets.max()) < model.num_outputs


def test_a_training_is_a_line_that_is_not_trained_again(recurrence: ModuleType) -> None:
    table = recurrence.read()
    every = [small(job) for job in recurrence.jobs(table, "short", ["gru", "gated_deltanet_negative"])]
    for job in every[:2]:
        line = recurrence.run_job(job)
        assert 0 <= line["score"] <= 1
        assert line["state_bytes"] > 0
        with recurrence.LINES.open("a") as file:
            print(json.dumps(line), file=file)
    with recurrence.LINES.open("a") as file:
        file.write('{"key": "cut off')
    assert recurrence.done().keys() == {recurrence.key_of(job) for job in every[:2]}
    again = recurrence.run_job(every[0])
    assert again["score"] == recurrence.done()[again["key"]]["score"]
    assert len({recurrence.key_of(job) for job in every}) == len(every)


def test_parity_is_asked_at_every_step(recurrence: ModuleType) -> None:
    job = next(recurrence.jobs(recurrence.read(), "short"))
    task = recurrence.make_task(job, 9)
    inputs, targets = recurrence.drawn(task, 0, 20)
    assert torch.equal(targets[:, -1], task.batch(0, 20).targets)
    bits = inputs - recurrence.synthetic.FIRST
    assert torch.equal(targets[:, 3], bits[:, :4].sum(1) % 2)


def test_a_mismatch_is_reported(recurrence: ModuleType) -> None:
    table = recurrence.read()
    for job in recurrence.jobs(table, "short", ["gru", "mingru"]):
        line = {"key": recurrence.key_of(job), **job, "score": 0.95, "state_bytes": 4, "parameters": 1}
        with recurrence.LINES.open("a") as file:
            print(json.dumps(line), file=file)
    lines = recurrence.markdown(table, "short").splitlines()
    (gru,) = (line for line in lines if line.startswith("| gru |"))
    (mingru,) = (line for line in lines if line.startswith("| mingru |"))
    (lstm,) = (line for line in lines if line.startswith("| lstm |"))
    assert gru.count("mismatch") == 1, "recall was not predicted"
    assert mingru.count("mismatch") == 3
    assert lstm.count("not run") == 3
    assert "0.95 (0.95 to 0.95)" in gru


def test_an_unknown_row_and_a_prediction_that_lacks_are_refused(
    recurrence: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(SystemExit, match="there is no row grü"):
        list(recurrence.jobs(recurrence.read(), "short", ["grü"]))
    text = FILE.with_suffix(".toml").read_text(encoding="utf-8")
    for old, new in (('parity = "pass", ', ""), ('"depends"', '"perhaps"')):
        (tmp_path / "table.toml").write_text(text.replace(old, new), encoding="utf-8")
        monkeypatch.setattr(recurrence, "TABLE", tmp_path / "table.toml")
        with pytest.raises((SystemExit, ConfigError), match="recurrence.toml"):
            recurrence.read()
