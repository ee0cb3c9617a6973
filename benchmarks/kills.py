"""SIGKILL at random moments of training, then resume: does the run end with the bits of one that was left alone?

    python benchmarks/kills.py [--kills 50] [--rows gru feedforward] [--seconds 240]

Each row is trained once undisturbed. Then it is trained again and again: a process is started, killed after a random
time (reading, training, in the middle of a checkpoint or of the finish, wherever that falls), and another one resumes,
until the run is whole; then its weights, its metrics but for the speed, its figures and its answers are compared, byte
by byte. With --seconds it stops after that time, and a later call goes on counting in the same JSON.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from record import RESULTS, save

SETTINGS = ["sample:films", "--epochs", "2", "--checkpoint-every", "7", "--threads", "1", "--quiet"]
TEXTS = ["A warm and funny film.", "The plot is thin.", "I was never bored, whatever they say."]
UNROLLED = [sys.executable, "-c", "from unrolled.cli.main import main; main()"]


def command(row: str, run: Path) -> list[str]:
    """What trains the row, or goes on with it where there is something to go on with."""
    if (run.with_name(f"{run.name}.partial") / "plan").is_dir():
        return [*UNROLLED, "train", "--resume", str(run), "--quiet"]
    return [*UNROLLED, "train", *SETTINGS, "--row", row, "--out", str(run)]


def finish(row: str, run: Path) -> None:
    """Train to the end undisturbed."""
    subprocess.run(command(row, run), check=True, stdout=subprocess.DEVNULL)


def what_came_of_it(run: Path) -> dict[str, Any]:
    """All of a finished run that is a function of what was asked for."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        del line["tokens_per_second"]
    record = json.loads((run / "run.json").read_text())
    said = subprocess.run([*UNROLLED, "decode", str(run), *TEXTS, "--json"], check=True, capture_output=True).stdout
    return {
        "weights": (run / "model.safetensors").read_bytes(),
        "metrics": lines,
        "result": record["result"],
        "updates": [record["training"][name] for name in ("updates", "best_update", "stopped", "tokens")],
        "answers": said,
    }


def main() -> None:
    """Kill, resume, compare, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50, help="and resumes, for each row")
    parser.add_argument("--rows", nargs="+", default=["gru", "feedforward"])
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--fresh", action="store_true", help="forget what was counted before")
    asked = parser.parse_args()

    path, deadline = RESULTS / "kills.json", time.monotonic() + asked.seconds
    found = {} if asked.fresh or not path.exists() else json.loads(path.read_text())["rows"]
    with tempfile.TemporaryDirectory() as folder:
        for row in asked.rows:
            figures = found.setdefault(
                row, {"kills": 0, "resumes": 0, "before_there_was_anything": 0, "runs": 0, "bit_identical": 0}
            )
            alone, run = Path(folder) / f"{row}-alone", Path(folder) / row
            began = time.monotonic()
            finish(row, alone)
            a_training = time.monotonic() - began
            wanted = what_came_of_it(alone)
            draw = random.Random(f"{row} {figures['kills']}")
            while min(figures["kills"], figures["resumes"]) < asked.kills and time.monotonic() < deadline:
                arguments = command(row, run)
                figures["resumes"] += "--resume" in arguments
                process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL)
                try:
                    process.wait(draw.uniform(0, a_training))
                except subprocess.TimeoutExpired:
                    process.kill()
                    killed = process.wait() == -signal.SIGKILL
                    figures["kills"] += killed
                    nothing = not run.exists() and "--resume" not in command(row, run)
                    figures["before_there_was_anything"] += killed and nothing
                done = min(figures["kills"], figures["resumes"]) >= asked.kills or time.monotonic() >= deadline
                if run.exists() or done:
                    if not run.exists():
                        figures["resumes"] += "--resume" in command(row, run)
                        finish(row, run)
                    figures["runs"] += 1
                    same = what_came_of_it(run)
                    differing = [what for what, value in wanted.items() if same[what] != value]
                    figures["bit_identical"] += not differing
                    if differing:
                        print(f"{row}: another {', '.join(differing)}", file=sys.stderr)
                    shutil.rmtree(run)
            print(row, figures)
    what = "weights, metrics but for the speed, figures on the test part, answers: byte by byte"
    save("kills", {"case": " ".join(["unrolled train", *SETTINGS]), "compared": what, "rows": found})


if __name__ == "__main__":
    main()
