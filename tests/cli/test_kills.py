"""SIGKILL at random moments, then resume: the short version of `make kills`."""

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from small import write_csv

UNROLLED = [sys.executable, "-c", "from unrolled.cli.main import main; main()"]
SETTINGS = ["--updates", "400", "--patience", "0", "--checkpoint-every", "9", "--hidden-size", "8", "--threads", "1"]


def train(arguments: list[str], folder: Path) -> subprocess.Popen:
    return subprocess.Popen(
        [*UNROLLED, "train", *arguments], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def what_came_of_it(run: Path) -> tuple[bytes, list[dict[str, Any]], Any]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        del line["tokens_per_second"]
    return (run / "model.safetensors").read_bytes(), lines, json.loads((run / "run.json").read_text())["result"]


@pytest.mark.parametrize("row", ["gru", "feedforward"])
def test_killed_and_resumed_it_ends_with_the_same_bits(row: str, tmp_path: Path) -> None:
    write_csv(tmp_path / "data.csv")
    draw = random.Random(row)
    begin = ["data.csv", "--model", row, *SETTINGS, "--out"]
    assert train([*begin, "alone"], tmp_path).wait() == 0
    checkpoints = tmp_path / "run.partial" / "checkpoints"
    for kill in range(2):
        before = set(checkpoints.glob("update-*"))
        process = train(["--resume", "run"] if kill else [*begin, "run"], tmp_path)
        while process.poll() is None and set(checkpoints.glob("update-*")) <= before:
            time.sleep(0.002)
        time.sleep(draw.uniform(0, 0.1))
        process.kill()
        if process.wait() == 0:
            break
        assert process.returncode == -signal.SIGKILL
    else:
        assert train(["--resume", "run"], tmp_path).wait() == 0
    assert kill > 0, "it was killed at least once"
    assert what_came_of_it(tmp_path / "run") == what_came_of_it(tmp_path / "alone")
