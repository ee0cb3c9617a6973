"""Comparisons that are killed, and shared: do they end with the report of one that was left alone?

python benchmarks/comparisons.py killed     SIGKILL at ten random moments, each followed by --resume
python benchmarks/comparisons.py shared     a second process joins, and a third one that is killed
python benchmarks/comparisons.py films      the time of a whole comparison on sample:films, and its report

The first two compare everything in report.json except measured times; into benchmarks/results/comparisons.json.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from record import save_part

from unrolled.comparison.study import Study

UNROLLED = [sys.executable, "-c", "from unrolled.cli.main import main; main()"]
MODELS = ("feedforward", "elman", "gru")
SMALL = [
    "sample:products", "--models", *MODELS, "--budget", "150updates", "--trials", "4", "--seeds", "3",
    "--match-to", "8000", "--embedding-size", "32", "--threads", "1", "--quiet",
]  # fmt: skip
FILMS = [
    "sample:films", "--models", "feedforward", "gru", "transformer", "--budget", "30s", "--trials", "4", "--seeds", "3",
    "--quiet",
]  # fmt: skip
KILLS = 10


def run(*arguments: str) -> subprocess.Popen[bytes]:
    """Start a command."""
    return subprocess.Popen([*UNROLLED, "compare", *arguments], stdout=subprocess.DEVNULL)


def certain(folder: Path) -> dict[str, Any]:
    """Return the report without times and the names of folders."""
    report: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    del report["measured"], report["plan"]["command"]
    return {**report, "name": ""}


def alone(folder: Path) -> float:
    """Compare without an interruption, and return the seconds."""
    began = time.perf_counter()
    assert run(*SMALL, "--out", str(folder)).wait() == 0
    return time.perf_counter() - began


def killed(folder: Path) -> dict[str, Any]:
    """Kill a comparison at random moments, spread over the time that it takes."""
    seconds = alone(folder / "alone")
    draw, out, kills = random.Random(0), folder / "killed", []
    while len(kills) < KILLS:
        resumed = (out / "study.json").exists()
        process = run("--resume", str(out), "--quiet") if resumed else run(*SMALL, "--out", str(out))
        after = draw.uniform(2, 2 * seconds / KILLS + 4)  # the import alone takes seconds
        try:
            process.wait(after)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills.append(round(after, 2))
        else:
            break
    finished_early = (out / "report.json").exists()
    if not finished_early:
        assert run("--resume", str(out), "--quiet").wait() == 0
    same = certain(out) == certain(folder / "alone")
    return {"seconds_alone": seconds, "killed_after": kills, "kills": len(kills), "same_report": same}


def trains(study: Study, process: int) -> bool:
    """Return whether a process has a training at this moment."""
    trials = [
        trial
        for label in MODELS
        for kind in ("trial", "seed")
        for trial in study._optuna(f"{study.name}/{label}/{kind}").get_trials(deepcopy=False)
    ]
    owners = [str(trial.user_attrs.get("worker", "")) for trial in trials if trial.state.name == "RUNNING"]
    return any(owner.endswith(f":{process}") for owner in owners)


def shared(folder: Path) -> dict[str, Any]:
    """Let two processes share a comparison, and kill a third one."""
    seconds = alone(folder / "alone")
    out = folder / "shared"
    began = time.perf_counter()
    first = run(*SMALL, "--out", str(out))
    while not (out / "study.json").exists():
        time.sleep(0.1)
    time.sleep(1)
    second, third = (run("--join", str(out), "--quiet") for _ in range(2))
    study = Study(f"sqlite:///{out / 'study.db'}", out.name)
    while third.poll() is None and not trains(study, third.pid):
        time.sleep(0.05)
    third.send_signal(signal.SIGKILL)
    third.wait()
    assert first.wait() == second.wait() == 0
    took = time.perf_counter() - began
    twice, lost, by_worker = 0, 0, Counter[str]()
    for label in MODELS:
        for kind in ("trial", "seed"):
            trials = study._optuna(f"{out.name}/{label}/{kind}").get_trials(deepcopy=False)
            done = [each for each in trials if each.state.name in ("COMPLETE", "PRUNED")]
            by_worker.update(each.user_attrs["worker"].rpartition(":")[2] for each in done)
            twice += sum(count > 1 for count in Counter(each.user_attrs["k"] for each in done).values())
            void = [each for each in trials if each.state.name == "FAIL"]
            lost += sum(each.user_attrs["worker"].endswith(f":{third.pid}") for each in void)
    names = {str(first.pid): "first", str(second.pid): "second", str(third.pid): "third, killed"}
    means = [[each["means"] for each in certain(at)["models"]] for at in (out, folder / "alone")]
    return {
        "seconds_alone": seconds,
        "seconds_shared": took,
        "trainings_by_process": {names[pid]: count for pid, count in by_worker.items()},
        "trained_twice": twice,
        "lost_with_the_killed_process": lost,
        "same_means": means[0] == means[1],
    }


def films(folder: Path) -> dict[str, Any]:
    """Time the comparison of three models on film reviews."""
    began = time.perf_counter()
    assert run(*FILMS, "--out", str(folder / "films")).wait() == 0
    seconds = time.perf_counter() - began
    report = json.loads((folder / "films" / "report.json").read_text(encoding="utf-8"))
    models = [
        {
            "label": each["label"],
            "hidden_size": each["hidden_size"],
            "parameters": each["parameters"],
            "updates": each["updates"],
            "trials": len(each["trials"]),
            "best": each["best"],
            "mean": each["mean"],
            "interval": each["interval"],
            "training_seconds": report["measured"]["models"][each["label"]]["training_seconds"],
            "token_milliseconds": report["measured"]["models"][each["label"]]["token_milliseconds"],
        }
        for each in report["models"]
    ]
    return {
        "seconds": seconds,
        "models": models,
        "baselines": report["baselines"],
        "differences": report["differences"],
    }


CASES = {"killed": killed, "shared": shared, "films": films}


def main() -> None:
    """Run the cases that the command line names, by default all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", choices=[*CASES, []], default=list(CASES))
    parser.add_argument("--keep", type=Path, help="folder to keep the comparisons in")
    arguments = parser.parse_args()
    for case in arguments.cases:
        with tempfile.TemporaryDirectory() as temporary:
            folder = (arguments.keep or Path(temporary)) / case
            folder.mkdir(parents=True)
            found = CASES[case](folder)
        print(case, json.dumps(found, indent=1))
        print(save_part("comparisons", case, found, "optuna"))


if __name__ == "__main__":
    main()
