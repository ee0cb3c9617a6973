"""Changed run folders by the thousand through every command that reads one; the tests run some of them.

    python benchmarks/hostile_runs.py [--cases 3000] [--first 0]      make hostile-runs

Small runs of every task, in formats 1 to 3, trainings that can be resumed, and a trace: in each case one entry of one
of their files becomes a hostile value, the sums are made right, and `decode`, `evaluate`, `explain` or
`train --resume` read the folder in this process, on a terminal. Counted are

tracebacks  ends other than exit code 0, or 2 with a sentence; and cases that take longer than a minute
escapes     control characters in the output
writes      files that change outside of the user's cache and the folder of the resumed training

Every case is a function of its number: `--first N --cases 1` runs case N again. The counts are saved in
benchmarks/results/hostile_runs.json.
"""

from __future__ import annotations

import argparse
import os
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

LONGEST = 60  # seconds that one case may take; a hang is longer
MEMORY = 12 << 30  # bytes of address space, so that a hostile size that is allocated is noticed


class HangError(Exception):
    """A case took too long."""


def hang(*_: object) -> None:
    """Handle SIGALRM."""
    raise HangError(f"more than {LONGEST} s")


def main() -> int:
    """Run the requested cases, print each that fell, and save the figures; return 1 if any fell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=3_000)
    parser.add_argument("--first", type=int, default=0)
    options = parser.parse_args()
    began = time.perf_counter()
    signal.signal(signal.SIGALRM, hang)
    with tempfile.TemporaryDirectory(prefix="unrolled-") as name:
        root = Path(name) / "root"
        root.mkdir()
        os.environ |= {"XDG_CACHE_HOME": f"{root}/cache", "HOME": f"{root}/cache", "TERM": "dumb"}
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        import torch

        from hostileruns import Surroundings

        torch.set_num_threads(1)
        surroundings = Surroundings(root)
        os.chdir(root / "cwd")
        faults: Counter[str] = Counter()
        ends: Counter[str] = Counter()
        bases: Counter[str] = Counter()
        longest = 0.0
        for number in range(options.first, options.first + options.cases):
            started = time.perf_counter()
            signal.alarm(LONGEST)
            case, found, codes = surroundings.check(number)
            signal.alarm(0)
            longest = max(longest, time.perf_counter() - started)
            bases[case.base] += 1
            ends.update("answered" if code == 0 else "refused" for code in codes)
            for fault in found:
                faults[fault.kind] += 1
                print(f"{case}\n    {fault.kind}: {fault.text}", flush=True)
    figures = {
        "cases": options.cases,
        "first": options.first,
        "bases": dict(sorted(bases.items())),
        "commands": dict(sorted(ends.items())),
        "tracebacks": faults["traceback"],
        "escapes": faults["escape"],
        "writes": faults["write"],
        "longest_seconds": round(longest, 2),
        "seconds": round(time.perf_counter() - began, 1),
    }
    print(figures)
    if options.first == 0 and options.cases >= 3_000:
        from record import save

        print(save("hostile_runs", figures))
    return 1 if sum(faults.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
