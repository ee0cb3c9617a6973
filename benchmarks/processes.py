"""Training by torchrun: the bits of 1, 2 and 4 processes, with kills among them; the speed of two processes.

    python benchmarks/processes.py bits [--kills 30]    about 20 minutes
    python benchmarks/processes.py speed [--rounds 3]   about 15 minutes, on a machine that does nothing else

bits: each case is trained by one process, undisturbed, with --shards 4. Then 2 and 4 processes train it while one of
them, drawn at random, is killed by SIGKILL after a random time, again and again. torchrun restarts them, twice; after
that another number of processes resumes. The weights, the metrics but for the speed and the figures are compared, byte
by byte.

speed: tokens a second of training (without evaluations and start), of one process with one thread, of two such, and of
one process with two threads. The first two have --shards 2 and end with the same bits.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from record import save_part

UPDATES = 300
LATEST = 12.0  # seconds after a start at which a process is killed
TEXT = ["sample:shakespeare", "--task", "generate", "--streams", "16"]
BITS = {
    "classify gru": ["sample:films", "--model", "gru"],
    "tag lstm": ["sample:tags", "--task", "tag", "--model", "lstm"],
    "translate attention": ["sample:letters", "--task", "translate", "--model", "attention", "--hidden-size", "64"],
    "generate gru": [*TEXT, "--model", "gru", "--hidden-size", "128"],
    "generate gpt": [*TEXT, "--model", "gpt", "--hidden-size", "64", "--num-layers", "2"],
}
PLAN = ["--updates", str(UPDATES), "--patience", "0", "--checkpoint-every", "20", "--evaluate-every", "100"]
SHORT = ["sample:shakespeare/valid", *TEXT[1:]]  # its evaluations are short
LARGE = [*SHORT, "--window", "128", "--hidden-size", "384", "--num-layers", "6", "--num-heads", "6"]
SPEED = {
    "gpt 6 × 384": ([*LARGE, "--model", "gpt"], 20),
    "gpt 2 × 128": ([*SHORT, "--model", "gpt", "--hidden-size", "128", "--num-layers", "2"], 60),
    "feedforward": ([*SHORT, "--model", "feedforward", "--hidden-size", "256"], 200),
    "elman": ([*SHORT, "--model", "elman", "--hidden-size", "512"], 100),
    "gru": ([*SHORT, "--model", "gru", "--hidden-size", "512"], 60),
    "lstm": ([*SHORT, "--model", "lstm", "--hidden-size", "512"], 60),
    "transformer": (["sample:tags", "--task", "tag", "--model", "transformer", "--batch-tokens", "2048"], 60),
    "encoder_decoder": (
        ["sample:verses", "--task", "translate", "--model", "encoder_decoder", "--batch-tokens", "2048"], 40,
    ),
    "attention": (["sample:verses", "--task", "translate", "--model", "attention", "--batch-tokens", "2048"], 40),
}  # fmt: skip


def torchrun(count: int, restarts: int = 0) -> list[str]:
    """Return the command that starts `unrolled train` in so many processes."""
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
    return [*start, "--max-restarts", str(restarts), "-m", "unrolled", "train", "--quiet"]


def alone() -> list[str]:
    """Return the command that starts `unrolled train` in one process."""
    return [sys.executable, "-m", "unrolled", "train", "--quiet"]


def start(command: list[str]) -> subprocess.Popen[bytes]:
    """Start a command without output; torchrun chooses one thread a process."""
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)


def children(pid: int) -> list[int]:
    """Return the processes that a process has started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def results_of(run: Path) -> tuple[bytes, list[dict[str, Any]], Any]:
    """Return everything of a finished run that its settings and data determine."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        del line["tokens_per_second"]
    result = json.loads((run / "run.json").read_text())["result"]
    figures = {name: value for name, value in result.items() if not name.endswith(("per_second", "seconds"))}
    return (run / "model.safetensors").read_bytes(), lines, figures


def killed(command: list[str], run: Path, count: int, kills: int, draw: random.Random) -> int:
    """Train by `count` processes with so many kills, and return how many there were."""
    done, resumes = 0, 0
    while not run.exists():
        begun = (run.with_name(f"{run.name}.partial") / "plan").is_dir()
        number = draw.choice([2, 3, 4]) if resumes else count
        rest = ["--resume", str(run)] if begun else [*command, "--out", str(run)]
        launch = start([*torchrun(number, restarts=2), *rest])
        while launch.poll() is None:
            end = time.monotonic() + draw.uniform(1, LATEST)
            while launch.poll() is None and time.monotonic() < end:
                time.sleep(0.05)
            workers = children(launch.pid) if launch.poll() is None else []
            if done < kills and workers:
                os.kill(draw.choice(workers), 9)
                done += 1
        resumes += 1
    return done


def bits(kills: int) -> None:
    """Compare the bits of all cases, and save the counts."""
    draw, table = random.Random(19), {}
    each = -(-kills // (2 * len(BITS)))
    for name, arguments in BITS.items():
        folder = Path(tempfile.mkdtemp())
        command = [*arguments, *PLAN, "--shards", "4", "--threads", "1"]
        assert start([*alone(), *command, "--out", str(folder / "alone")]).wait() == 0
        expected, counts = results_of(folder / "alone"), {}
        for count in (2, 4):
            run = folder / f"by-{count}"
            counts[count] = killed(command, run, count, each, draw)
            assert results_of(run) == expected, f"{name}, {count} processes: other bits"
        shutil.rmtree(folder)
        table[name] = {"processes": [1, 2, 4], "updates": UPDATES, "shards": 4, "kills": sum(counts.values())}
        print(f"{name}: the same bits; {table[name]['kills']} kills", flush=True)
    print(save_part("processes", "bits", {"kills": sum(row["kills"] for row in table.values()), "cases": table}))


def tokens_per_second(command: list[str], folder: Path) -> float:
    """Return the speed of a training, which is removed."""
    run = folder / "run"
    assert start([*command, "--out", str(run)]).wait() == 0
    speed = json.loads((run / "run.json").read_text())["training"]["tokens_per_second"]
    shutil.rmtree(run)
    return float(speed)


def speed(rounds: int) -> None:
    """Compare the speeds of all models, in turn, and save the medians of the ratios."""
    table = {}
    for name, (arguments, updates) in SPEED.items():
        plan = [*arguments, "--updates", str(updates), "--evaluate-every", str(updates)]
        ways = {
            "one process, one thread": [*alone(), *plan, "--shards", "2", "--threads", "1"],
            "two processes, one thread each": [*torchrun(2), *plan, "--shards", "2", "--threads", "1"],
            "one process, one thread, one shard": [*alone(), *plan, "--threads", "1"],
            "one process, two threads, one shard": [*alone(), *plan, "--threads", "2"],
        }
        with tempfile.TemporaryDirectory() as folder:
            found = [{way: tokens_per_second(command, Path(folder)) for way, command in ways.items()}
                     for _ in range(rounds)]  # fmt: skip
        two = "two processes, one thread each"
        ratios = {way: statistics.median(r[two] / r[way] for r in found) for way in ways if way != two}
        table[name] = {
            "tokens_per_second": {way: round(statistics.median(r[way] for r in found)) for way in ways},
            "two_processes_over": {way: round(ratio, 2) for way, ratio in ratios.items()},
        }
        print(name, table[name]["two_processes_over"], flush=True)
    print(save_part("processes", "speed", {"rounds": rounds, "models": table}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["bits", "speed"])
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    bits(options.kills) if options.part == "bits" else speed(options.rounds)
