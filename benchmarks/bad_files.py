"""Bad, changed and valid files by the thousand through the readers; the tests run some of them.

    python benchmarks/bad_files.py [--mutations 20000] [--valid 5000]      make badfiles

bad        hand-made files with one thing wrong in each: refused with exit code 2, naming the file and the physical line
mutations  good files with random changes, some of them packed and damaged: no row lost, nothing raised but DataError,
           each within five seconds
valid      random valid files: CSV as Python's `csv` reads it, JSON lines as its `json` does

Every file is a function of its seed. The first failure ends the run and names the seed. The counts are saved in
benchmarks/results/bad_files.json.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from record import save

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import badfiles
import randomfiles
from unrolled.cli.main import run

LONGEST = 5  # seconds that one changed file may take; a hang is longer


def ask(arguments: list[str]) -> tuple[int, str]:
    """Run a command in this process; return its exit code and standard error."""
    with contextlib.redirect_stderr(io.StringIO()) as stderr:
        return run(arguments), stderr.getvalue()


class HangError(Exception):
    """Reading a changed file took too long."""


def hang(*_: object) -> None:
    """Handle SIGALRM."""
    raise HangError(f"more than {LONGEST} s")


def main() -> None:
    """Check the requested number of files, and save the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutations", type=int, default=20_000)
    parser.add_argument("--valid", type=int, default=5_000)
    options = parser.parse_args()
    signal.signal(signal.SIGALRM, hang)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="unrolled-") as name:
        folder = Path(name)
        os.chdir(folder)
        for bad in badfiles.BAD:
            bad.check(folder, ask)
        ends: dict[str, Counter[str]] = {form: Counter() for form in randomfiles.GOOD}
        longest = 0.0
        for seed in range(options.mutations):
            started = time.perf_counter()
            signal.alarm(LONGEST)
            try:
                ends[randomfiles.mutation(seed).form][randomfiles.check_mutation(seed, folder)] += 1
            except Exception as error:
                raise SystemExit(f"mutation {seed}: {type(error).__name__}: {error}") from error
            longest = max(longest, time.perf_counter() - started)
        signal.alarm(0)
        forms = Counter(("csv", "jsonl")[seed % 2] for seed in range(options.valid))
        for seed in range(options.valid):
            randomfiles.check_valid(("csv", "jsonl")[seed % 2], seed, folder)
    figures = {
        "bad": {"files": len(badfiles.BAD), "kinds": len({bad.kind for bad in badfiles.BAD})},
        "mutations": {
            "files": options.mutations,
            "by_format": {form: dict(sorted(found.items())) for form, found in ends.items()},
            "longest_seconds": round(longest, 3),
        },
        "valid": dict(forms),
        "seconds": round(time.perf_counter() - began, 1),
    }
    print(figures, save("bad_files", figures, "pyarrow"), sep="\n")


if __name__ == "__main__":
    main()
