"""SIGKILL at random moments of training, then resume: does the run end with the bits of one that was left alone?

    python benchmarks/kills.py [--kills 50] [--cases "gru classify" …] [--seconds 240]

Each case is trained once undisturbed. Then it is trained again and again: a process is started, killed after a random
time (reading, training, in the middle of a checkpoint or of the finish), and another one resumes, until the run is
complete; then its weights, its metrics but for the speed, its figures and its answers are compared, byte by byte.
With --seconds it stops after that time, and a later call continues the count in the same JSON.
"""

from __future__ import annotations

import argparse
import json
import os
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

GENERATE = [
    "--task", "generate", "--updates", "250", "--patience", "0",
    "--hidden-size", "32", "--streams", "8", "--chunk", "32",
]  # fmt: skip
CASES = {
    "gru classify": ["sample:films", "--model", "gru", "--epochs", "2"],
    "feedforward classify": ["sample:films", "--model", "feedforward", "--epochs", "2"],
    "gru generate": ["sample:shakespeare", "--model", "gru", *GENERATE],
    "feedforward generate": ["sample:shakespeare", "--model", "feedforward", *GENERATE],
    "gpt generate, bf16 and averaged": [
        "sample:shakespeare", "--model", "gpt", *GENERATE, "--precision", "bf16", "--average", "0.9",
    ],
    "lstm tag, accumulated": [
        "sample:tags", "--task", "tag", "--model", "lstm", "--updates", "120", "--accumulate", "2",
    ],
    "attention translate, accumulated, bf16 and averaged": [
        "sample:letters", "--task", "translate", "--model", "attention", "--updates", "60", "--hidden-size", "32",
        "--accumulate", "3", "--precision", "bf16", "--average", "0.9",
    ],
    "elman classify images, averaged": ["sample:fashion", "--model", "elman", "--epochs", "2", "--average", "0.9"],
}  # fmt: skip
SETTINGS = ["--checkpoint-every", "7", "--evaluate-every", "50", "--threads", "1", "--quiet"]
ENVIRONMENT = dict(os.environ)  # with a cache of its own, in main
TEXTS = ["A warm and funny film.", "The plot is thin.", "I was never bored, whatever they say."]
UNROLLED = [sys.executable, "-c", "from unrolled.cli.main import main; main()"]


def command(case: str, run: Path) -> list[str]:
    """Return the command that trains the case, or resumes it where there is a training to resume."""
    if (run.with_name(f"{run.name}.partial") / "plan").is_dir():
        return [*UNROLLED, "train", "--resume", str(run), "--quiet"]
    return [*UNROLLED, "train", *CASES[case], *SETTINGS, "--out", str(run)]


def finish(case: str, run: Path) -> None:
    """Train to the end, undisturbed."""
    subprocess.run(command(case, run), check=True, stdout=subprocess.DEVNULL, env=ENVIRONMENT)


def results_of(run: Path) -> dict[str, Any]:
    """Return everything of a finished run that its settings and data determine."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        del line["tokens_per_second"]
    record = json.loads((run / "run.json").read_text())
    decode = [*UNROLLED, "decode", str(run), *TEXTS, "--json"]
    images = (run / "pixels.json").exists()  # which are no texts
    answers = b"" if images else subprocess.run(decode, check=True, capture_output=True, env=ENVIRONMENT).stdout
    return {
        "weights": (run / "model.safetensors").read_bytes(),
        "metrics": lines,
        "result": {k: v for k, v in (record["result"] or {}).items() if not k.endswith(("_per_second", "seconds"))},
        "updates": [record["training"][name] for name in ("updates", "best_update", "stopped", "tokens")],
        "answers": answers,
    }


def main() -> None:
    """Kill, resume, compare and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50, help="and resumes, for each case")
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=CASES)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--fresh", action="store_true", help="discard earlier counts")
    options = parser.parse_args()

    path, deadline = RESULTS / "kills.json", time.monotonic() + options.seconds
    counted = {} if options.fresh or not path.exists() else json.loads(path.read_text())["cases"]
    with tempfile.TemporaryDirectory() as folder:
        ENVIRONMENT["XDG_CACHE_HOME"] = folder
        for case in options.cases:
            figures = counted.setdefault(
                case, {"kills": 0, "resumes": 0, "before_there_was_anything": 0, "runs": 0, "bit_identical": 0}
            )
            alone, run = Path(folder) / "alone", Path(folder) / "run"
            began = time.monotonic()
            finish(case, alone)
            a_training = time.monotonic() - began
            expected = results_of(alone)
            draw = random.Random(f"{case} {figures['kills']}")
            while min(figures["kills"], figures["resumes"]) < options.kills and time.monotonic() < deadline:
                arguments = command(case, run)
                figures["resumes"] += "--resume" in arguments
                began = time.monotonic()
                process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, env=ENVIRONMENT)
                try:
                    if process.wait(draw.uniform(0, a_training)):
                        sys.exit(f"{' '.join(arguments[3:])} left with {process.returncode}")
                    if "--resume" not in arguments:
                        a_training = min(a_training, time.monotonic() - began)
                except subprocess.TimeoutExpired:
                    process.kill()
                    killed = process.wait() == -signal.SIGKILL
                    figures["kills"] += killed
                    nothing = not run.exists() and "--resume" not in command(case, run)
                    figures["before_there_was_anything"] += killed and nothing
                done = min(figures["kills"], figures["resumes"]) >= options.kills or time.monotonic() >= deadline
                if run.exists() or done:
                    if not run.exists():
                        figures["resumes"] += "--resume" in command(case, run)
                        finish(case, run)
                    figures["runs"] += 1
                    same = results_of(run)
                    differing = [name for name, value in expected.items() if same[name] != value]
                    figures["bit_identical"] += not differing
                    if differing:
                        print(f"{case}: another {', '.join(differing)}", file=sys.stderr)
                    shutil.rmtree(run)
            shutil.rmtree(alone)
            print(case, figures)
    compared = "weights, metrics but for the speed, figures on the test split, answers: byte by byte"
    save(
        "kills",
        {
            "settings": {name: " ".join([*case, *SETTINGS]) for name, case in CASES.items()},
            "compared": compared,
            "cases": counted,
        },
    )


if __name__ == "__main__":
    main()
