"""Hostile streams, limits, names and rights by the hundred; the tests run some of them.

    python benchmarks/hostile_system.py [--kind streams] [--first 100]      make hostile-system

streams   terminals, full disks, closed and broken pipes as standard input, output and error, of every verb
limits    numbers far out of range, for every flag that takes a number
names     roots, loops, long and undecodable names, pipes and devices, wherever a command takes a path
rights    locked and read-only files and folders, at the same places, as a user without rights
contents  control sequences in texts, labels, names and flags, on a terminal

Each command ends with exit code 0, or 2 and one sentence; no control sequence from outside reaches the terminal, and
nothing is written outside the folder. The counts are saved in benchmarks/results/hostile_system.json.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

from record import save

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from hostilesystem import CASES, Case, World


def main() -> int:
    """Run the cases, print those that fell, and save the figures; return 1 if any fell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", help="only the cases of this kind; nothing is saved")
    parser.add_argument("--first", type=int, help="only so many cases; nothing is saved")
    parser.add_argument("--verbose", action="store_true", help="print the traceback of a case that fell")
    chosen = parser.parse_args()
    cases = [case for case in CASES if chosen.kind in (None, case.kind)][: chosen.first]
    began, longest = time.perf_counter(), (0.0, "")
    ends: dict[str, Counter[str]] = {case.kind: Counter() for case in cases}
    with tempfile.TemporaryDirectory(prefix="unrolled-") as folder:
        Path(folder).chmod(0o755)
        world = World(Path(folder))
        for case in cases:
            started = time.perf_counter()
            ends[case.kind][_end(world, case, verbose=chosen.verbose)] += 1
            longest = max(longest, (round(time.perf_counter() - started, 2), str(case)))
    fell = sum(found["fell"] for found in ends.values())
    figures = {
        "cases": len(cases),
        "fell": fell,
        "ends": {kind: dict(sorted(found.items())) for kind, found in ends.items()},
        "longest": {"seconds": longest[0], "case": longest[1]},
        "seconds": round(time.perf_counter() - began, 1),
    }
    print(figures)
    if chosen.kind is None and chosen.first is None:
        print(save("hostile_system", figures))
    return 1 if fell else 0


def _end(world: World, case: Case, *, verbose: bool) -> str:
    """Return how a case ends: done, refused, or fell."""
    try:
        return "done" if world.check(case) == 0 else "refused"
    except Exception as error:  # noqa: BLE001  (a case may fall in any way)
        shown = traceback.format_exc() if verbose else f"{type(error).__name__}: {error}"
        print(f"FELL  {case}\n      {shown}", flush=True)
        return "fell"


if __name__ == "__main__":
    sys.exit(main())
