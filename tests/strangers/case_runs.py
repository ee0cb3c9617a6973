"""The list of runs: finished, interrupted, damaged and hostile ones, without torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

import unrolled
from small import SMALL as TINY
from small import pairs, pictures, text_run, trained
from strangers.cases import case
from strangers.commands import SMALL, command, table
from unrolled import lineage
from unrolled.runs.listing import HEADLINES
from unrolled.training import checkpoint

PIXELS: dict[str, Any] = {"hidden_size": 5, "updates": 4, "evaluate_every": 2}


def saved(folder: Path, name: str, date: str = "2026-01-02", **result: object) -> Path:
    """Save a small run, with another date and figures of its result."""
    run = folder / "runs" / name
    trained().save(run)
    record = json.loads((run / "run.json").read_text())
    record["date"] = date
    if result:
        record["result"] = {**(record["result"] or {}), **result}
    (run / "run.json").write_text(json.dumps(record))
    return run


class Killed(BaseException):
    """The end of a process, after which nothing is written."""


def interrupted(folder: Path) -> Path:
    """End a training at its first checkpoint, and return the folder of the run that it would become."""
    data = table(folder / "data.csv", [(f"text {i} of all", "ab"[i % 2]) for i in range(60)])
    write = checkpoint.write

    def killed(*arguments: Any) -> None:
        write(*arguments)
        raise Killed

    run = folder / "runs" / "half"
    with patch.object(checkpoint, "write", killed), suppress(Killed):
        command("train", data, "--out", run, "--updates", "6", "--checkpoint-every", "2", *SMALL[:4], "--threads", "1")
    return run


@case("C")
def runs_are_listed(folder: Path) -> None:
    """unrolled runs: a line a run with task, model, data, score with interval, size, date; the newest last"""
    figures = {"accuracy": 0.8125, "accuracy_interval": [0.75, 0.875]}
    saved(folder, "zeta", "2025-03-04", **figures)
    saved(folder, "alpha", "2026-03-04")
    text_run().save(folder / "runs" / "middle")
    (folder / "runs" / "notes").mkdir()
    (folder / "runs" / "README.md").write_text("mine")
    outcome = command("runs", folder / "runs")
    assert outcome.code == 0, outcome
    first, second, third = outcome.out.splitlines()
    assert first.startswith(str(folder / "runs" / "zeta"))
    for part in (" classify ", " gru ", "accuracy 81.2% (75.0% to 87.5%)", " kB ", "2025-03-04"):
        assert part in first, (part, first)
    assert "alpha" in second
    assert "2026-03-04" in second
    assert " generate " in third
    assert len(json.loads(command("runs", folder / "runs", "--json").out)) == 3


@case("C")
def runs_are_sorted_and_filtered(folder: Path) -> None:
    """--sort score puts the best of each task first, fewer bits before more; --task shows one task"""
    for name, accuracy in (("low", 0.2), ("high", 0.9), ("mid", 0.5)):
        saved(folder, name, accuracy=accuracy)
    outcome = command("runs", folder / "runs", "--sort", "score", "--json")
    listed = json.loads(outcome.out)
    assert [Path(entry["path"]).name for entry in listed] == ["high", "mid", "low"]
    assert [entry["score"] for entry in listed] == [0.9, 0.5, 0.2]
    for name, bits in (("worse", 4.0), ("better", 2.0)):
        run = folder / "runs" / name
        text_run().save(run)
        record = json.loads((run / "run.json").read_text())
        record["result"] = {"characters": 9, "bits_per_character": bits, "bits_per_character_interval": [1.0, 5.0]}
        record["result"] |= {"loss_nats": 1.0, "perplexity": 2.0, "frequency_bits_per_character": 4.0}
        (run / "run.json").write_text(json.dumps(record))
    listed = json.loads(command("runs", folder / "runs", "--sort", "score", "--task", "generate", "--json").out)
    assert [(Path(entry["path"]).name, entry["interval"]) for entry in listed] == [
        ("better", [1.0, 5.0]),
        ("worse", [1.0, 5.0]),
    ]
    assert command("runs", folder / "runs", "--task", "tga").code == 2
    assert HEADLINES.keys() == {task.name for task in lineage.TASKS} | {"images", "multi_label"}


@case("E")
def runs_of_every_kind_have_a_score(folder: Path) -> None:
    """Several labels a text have micro-F1, images accuracy; the settings that differ do so from those of their kind"""
    labelled = [(text, {"pos": ["a", "b"], "neg": ["b"]}[label]) for text, label in pairs()]
    unrolled.train(labelled, multi_label=True, **TINY).save(folder / "runs" / "labels")
    unrolled.train(pictures(), model="lstm", by="row", **PIXELS).save(folder / "runs" / "digits")
    listed = command("runs", folder / "runs", "--task", "classify").out
    assert "micro-F1" in listed, listed
    assert "accuracy" in listed, listed
    assert "no score" not in listed
    kinds = [(each["kind"], each["score_name"]) for each in json.loads(command("runs", folder / "runs", "--json").out)]
    assert sorted(kinds) == [("images", "accuracy"), ("multi_label", "micro_f1")]
    for name, kind in (("labels", "multi_label True"), ("digits", "by row")):
        shown = command("runs", folder / "runs" / name).out
        settings = shown.split("differ from the defaults\n")[1].split("\n\n")[0]
        lines = [" ".join(line.split()) for line in settings.splitlines()]
        assert {kind, "hidden_size 5"} <= {*lines}, shown
        assert not any(line.startswith(("task", "model", "best_by", "learning_rate")) for line in lines), shown


@case("C")
def interrupted_trainings_are_listed(folder: Path) -> None:
    """An interrupted training is listed with its progress, and the resume command that is printed finishes it"""
    run = interrupted(folder)
    outcome = command("runs", folder / "runs")
    assert outcome.code == 0, outcome
    assert "interrupted, update 2 of 6" in outcome.out, outcome.out
    resume = outcome.out.split("resume: ")[1].strip()
    assert resume == f"unrolled train --resume {run}"
    shown = command("runs", f"{run}.partial").out
    assert "interrupted, update 2 of 6" in shown
    assert "hidden_size" in shown
    assert f"{resume} --finish" in shown
    assert command(*resume.split()[1:]).code == 0
    assert "accuracy" in command("runs", folder / "runs").out
    assert "interrupted" not in command("runs", folder / "runs").out


@case("C")
def one_run_in_full(folder: Path) -> None:
    """unrolled runs RUN: data, splits, settings that differ from the defaults, training, result; --json the record"""
    run = saved(folder, "mine", accuracy=0.5, accuracy_interval=[0.25, 0.75])
    text = command("runs", run).out
    record = json.loads((run / "run.json").read_text())
    for part in ("Data", "Settings that differ from the defaults", "Training", "Result", "0.5 (0.25 to 0.75)"):
        assert part in text, (part, text)
    hidden = record["config"]["model"]["hidden_size"]
    assert [line.split() for line in text.splitlines() if "hidden_size" in line] == [["hidden_size", str(hidden)]]
    assert "learning_rate" not in text
    assert json.loads(command("runs", run, "--json").out)["config"] == record["config"]


@case("C")
def damaged_runs_do_not_stop_the_list(folder: Path) -> None:
    """Damaged, foreign, newer and unreadable runs are listed with the reason; the others stay, exit code 0"""
    saved(folder, "good")
    faults = {
        "cut": ("run.json", b'{"config": {'),
        "nan": ("run.json", b'{"config": NaN}'),
        "list": ("config.json", b"[]"),
        "newer": ("config.json", b'{"library": "unrolled", "format_version": 99}'),
        "binary": ("config.json", b"\xff\xfe\x00"),
        "deep": ("run.json", b"[" * 100_000),
    }
    for name, (file, content) in faults.items():
        (saved(folder, name) / file).write_bytes(content)
    (saved(folder, "missing") / "model.safetensors").unlink()
    (folder / "runs" / "loop.partial").mkdir()
    (folder / "runs" / "loop.partial" / "plan").mkdir()
    outcome = command("runs", folder / "runs")
    assert outcome.code == 0, outcome
    lines = outcome.out.splitlines()
    assert len(lines) == len(faults) + 3, outcome.out
    assert sum("damaged: " in line for line in lines) == len(faults) + 2
    assert "format_version 99" in outcome.out
    assert "model.safetensors is missing" in outcome.out
    listed = json.loads(command("runs", folder / "runs", "--json").out)
    assert sum(entry["state"] == "finished" for entry in listed) == 1
    for name in faults:
        outcome = command("runs", folder / "runs" / name)
        assert outcome.code == 2, outcome


@case("C")
def hostile_names_are_escaped(folder: Path) -> None:
    """Control characters and line ends in folders, names of data, labels and dates reach no line of the list raw"""
    run = saved(folder, "evil\x1b[2J\nname", "2026\x1b[31m")
    record = json.loads((run / "run.json").read_text())
    record["data"]["name"] = "x\x1b]0;title\x07\ny"
    record["training"]["stopped"] = "all\r\x1b[1A"
    (run / "run.json").write_text(json.dumps(record))
    for outcome in (command("runs", folder / "runs"), command("runs", run)):
        assert outcome.code == 0, outcome
        assert not set("\x1b\x07\r") & set(outcome.out), repr(outcome.out)
    assert len(command("runs", folder / "runs").out.splitlines()) == 1


@case("C")
def folders_of_runs(folder: Path) -> None:
    """Several folders, an empty one, none at all, a file, a missing one: a list, a sentence, or exit 2"""
    saved(folder, "one")
    (folder / "more").mkdir()
    trained().save(folder / "more" / "two")
    here = Path.cwd()
    try:
        os.chdir(folder)
        assert [line.split()[0] for line in command("runs").out.splitlines()] == ["runs/one"]
        both = command("runs", "runs", "more").out
        assert {line.split()[0] for line in both.splitlines()} == {"runs/one", "more/two"}
        os.chdir(folder / "more" / "two")
        outcome = command("runs")
        assert outcome.code == 0
        assert outcome.out.startswith("No runs in runs. `unrolled train DATA`")
        assert command("runs", "--json").out == "[]\n"
    finally:
        os.chdir(here)
    assert command("runs", folder / "missing").code == 2
    (folder / "file").write_text("x")
    assert "give a run, or a folder of runs" in command("runs", folder / "file").err


@case("C")
def listing_loads_no_torch(folder: Path) -> None:
    """A hundred runs are listed without torch and numpy, and nothing is written"""
    run = saved(folder, "run-0")
    for number in range(1, 100):
        (folder / "runs" / f"run-{number}").mkdir()
        for file in run.iterdir():
            os.link(file, folder / "runs" / f"run-{number}" / file.name)
    before = sorted(folder.rglob("*"))
    code = (
        "import sys\nfrom unrolled.cli.main import run\n"
        f"assert run(['runs', {str(folder / 'runs')!r}]) == 0\n"
        "assert not {'torch', 'numpy', 'tokenizers', 'safetensors'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 100
    assert sorted(folder.rglob("*")) == before
