"""Training by torchrun: the bits of one process, whatever their number; kills, restarts, and refusals with one message.

Each launch imports torch in every process, so there are few, and each trains all tasks (by_torchrun.py).
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import unrolled
from small import write_conllu, write_csv, write_pairs, write_text
from training.by_torchrun import CASES, COMMON

SCRIPT = Path(__file__).with_name("by_torchrun.py")
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
ALONE = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}


def torchrun(count: int, *arguments: object, folder: Path, restarts: int = 0) -> subprocess.CompletedProcess[str]:
    command = [*TORCHRUN, "--nproc-per-node", str(count), "--max-restarts", str(restarts), *map(str, arguments)]
    return subprocess.run(command, cwd=folder, env=ALONE, capture_output=True, text=True, check=False)


def of(run: Path) -> tuple[bytes, list[dict[str, Any]], Any]:
    """The weights, metrics and result of a run."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        del line["tokens_per_second"]
    return (run / "model.safetensors").read_bytes(), lines, json.loads((run / "run.json").read_text())["result"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data, and with the runs of one process in `alone`."""
    folder = tmp_path_factory.mktemp("torchrun")
    write_csv(folder / "data.csv")
    write_conllu(folder / "tags.conllu")
    write_pairs(folder / "pairs.csv")
    write_text(folder / "text.txt")
    with pytest.MonkeyPatch.context() as context:
        context.chdir(folder)
        for name, settings in CASES.items():
            unrolled.train(out=folder / "alone" / name, **COMMON, **settings)
    return folder


@pytest.mark.parametrize(("count", "way"), [(2, "memory"), (3, "memory"), (3, "messages")])
def test_many_processes_have_the_bits_of_one(count: int, way: str, place: Path) -> None:
    if way == "memory" and not hasattr(os, "memfd_create"):
        pytest.skip("this system has no memory without a name that processes share")
    runs = place / f"by-{count}-{way}"
    done = torchrun(count, SCRIPT, runs.name, way, folder=place)
    assert done.returncode == 0, done.stderr
    for name in CASES:
        assert of(runs / name) == of(place / "alone" / name), name
        record = json.loads((runs / name / "run.json").read_text())
        assert record["machine"]["processes"] == count
        assert not (runs / name / "launch").exists()


def test_after_a_kill_torchrun_starts_again_where_it_was(place: Path) -> None:
    done = torchrun(2, SCRIPT, "killed", "kill", folder=place, restarts=1)
    assert done.returncode == 0, done.stderr
    assert of(place / "killed" / "generate") == of(place / "alone" / "generate")
    resumed = json.loads((place / "killed" / "generate" / "run.json").read_text())["training"]["resumed"]
    assert [each["update"] for each in resumed] == [6]


def test_a_lost_process_is_named_and_another_number_of_processes_resumes(place: Path) -> None:
    done = torchrun(2, SCRIPT, "lost", "kill", folder=place)
    assert done.returncode == 1
    assert "ProcessError: another process of the training was lost" in done.stderr
    assert "The checkpoint after update 6 is untouched: resume from it with" in done.stderr
    with pytest.MonkeyPatch.context() as context:
        context.chdir(place)
        unrolled.resume(place / "lost" / "generate")
    assert of(place / "lost" / "generate") == of(place / "alone" / "generate")


def test_processes_with_other_data_are_refused_by_number(place: Path) -> None:
    lines = (place / "data.csv").read_text().splitlines()
    (place / "other.csv").write_text("\n".join([*lines[:-1], "another text,pos"]) + "\n")
    done = torchrun(2, SCRIPT, "others", "other", folder=place)
    assert done.returncode == 1
    assert re.search(
        r"ConfigError: the processes of a training need the same data.*: process 1: the \w+ split is ", done.stderr
    )
    assert not (place / "others").exists()


def test_one_process_prints_and_refuses(place: Path) -> None:
    arguments = ["train", "data.csv", "--model", "gru", "--updates", 2, "--hidden-size", 4, "--json", "--out"]
    done = torchrun(2, "-m", "unrolled", *arguments, "printed", folder=place)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["config"]["training"]["shards"] == 2
    assert done.stderr.count("model gru:") == 1
    refused = torchrun(2, "-m", "unrolled", *arguments, "refused", "--shards", 1, folder=place)
    assert refused.returncode == 1
    assert refused.stderr.count("unrolled: 2 processes need at least 2 shards: got 1") == 1
