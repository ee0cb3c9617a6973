"""CPU seconds of commands that compute nothing: wrong ones, the help, settings, the list of runs.

    python benchmarks/refusals.py [--times 7]      make refusals

Each command runs in a fresh process, in turn with the others, in a folder with a small table, a trained run and a
hundred copies of it. Seconds are of the processor, user and system together, from the start of Python to its end. A
command that imports torch, or ends with another exit code than expected, ends the benchmark.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from record import save

import unrolled

PROGRAM = (
    "import os, sys\n"
    "from unrolled.cli.main import main\n"
    "try: main()\n"
    "finally: os.write({pipe}, b'torch' if 'torch' in sys.modules else b'none')\n"
)
ROWS = [(f"{word} {k}", label) for k in range(50) for word, label in (("fine", "pos"), ("dull", "neg"))]
RUNS = 100


class Case(NamedTuple):
    """A command, without the program, with what is wrong in it and its exit code."""

    kind: str
    command: str
    code: int = 2


CASES = (
    Case("a missing file", "data review.csv"),
    Case("a missing file", "train review.csv"),
    Case("a missing file", "train reviews.csv --valid valid.csv"),
    Case("a missing run", "evaluate runs/reviews-gru-9"),
    Case("a missing run", "decode runs/reviews-gru-9 fine"),
    Case("a missing run", "explain runs/reviews-gru-9 fine"),
    Case("a missing run", "train --resume runs/reviews-gru-9"),
    Case("a typo", "trian reviews.csv"),
    Case("a typo", "train reviews.csv --modle gru"),
    Case("a typo", "train reviews.csv --model gur"),
    Case("a typo", "train reviews.csv --task tags"),
    Case("a typo", "train sample:film"),
    Case("a typo", "train reviews.csv --config typo.toml"),
    Case("a number out of range", "train reviews.csv --epochs -1"),
    Case("a flag without use", "train reviews.csv --model feedforward --forget-bias 1"),
    Case("a flag without use", "train reviews.csv --beam 5"),
    Case("a flag without use", "data reviews.csv --permutation-seed 1"),
    Case("a flag without use", "decode runs/reviews-gru-1 fine --beam 5"),
    Case("a model for another task", "train reviews.csv --model gpt"),
    Case("an existing run", "train reviews.csv --out runs/reviews-gru-1"),
    Case("no picture's name", "data reviews.csv --picture lengths.png"),
    Case("help", "--help", 0),
    Case("help", "train --help", 0),
    Case("help", "train --help --task tag --model lstm", 0),
    Case("settings", "config", 0),
    Case("the list of runs", "runs empty", 0),
    Case("the list of runs", "runs many", 0),
)


def prepare(folder: Path) -> None:
    """Write the table, the settings and the runs that the commands name."""
    lines = (f"{text},{label}\n" for text, label in ROWS)
    (folder / "reviews.csv").write_text("text,label\n" + "".join(lines), encoding="utf-8")
    (folder / "typo.toml").write_text("[training]\nepoch = 3\n", encoding="utf-8")
    (folder / "empty").mkdir()
    run = folder / "runs" / "reviews-gru-1"
    unrolled.train(ROWS, out=run, model="gru", hidden_size=8, embedding_size=8, updates=2, baseline=False)
    for number in range(RUNS):
        shutil.copytree(run, folder / "many" / f"reviews-gru-{number + 1}")


def measure(case: Case, folder: Path) -> float:
    """Run a command in a fresh process, and return its CPU seconds.

    Raises:
        SystemExit: it imported torch, or ended with another exit code than expected.
    """
    reader, writer = os.pipe()
    program = [sys.executable, "-c", PROGRAM.format(pipe=writer), *case.command.split()]
    process = subprocess.Popen(
        program, cwd=folder, pass_fds=(writer,), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    os.close(writer)
    with process, os.fdopen(reader) as pipe:
        assert process.stderr is not None
        message, imported = process.stderr.read(), pipe.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != case.code or imported != "none":
        raise SystemExit(f"unrolled {case.command}: exit code {process.returncode}, imported {imported}\n{message}")
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Measure every command in turns, print and save the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=7)
    times = parser.parse_args().times
    seconds: dict[Case, list[float]] = {case: [] for case in CASES}
    with tempfile.TemporaryDirectory(prefix="unrolled-") as name:
        prepare(Path(name))
        for _ in range(times):
            for case, found in seconds.items():
                found.append(measure(case, Path(name)))
    commands = [
        {
            "kind": case.kind,
            "command": f"unrolled {case.command}",
            "exit_code": case.code,
            "imports_torch": False,
            "cpu_seconds": round(statistics.median(found), 3),
            "highest": round(max(found), 3),
        }
        for case, found in seconds.items()
    ]
    for row in commands:
        print(f"{row['cpu_seconds']:.3f} s, at most {row['highest']:.3f}  {row['command']}")
    print(save("refusals", {"times": times, "run_folders": RUNS, "commands": commands}))


if __name__ == "__main__":
    main()
