"""The kernels' long tests: thousands of cases of those of which tests/ runs a few hundred.

    python benchmarks/trust.py [twin strange wrong threads fork] [--fraction 1.0]   make trust
    python benchmarks/trust.py fuzz [--fraction 1.0]                    under the sanitizers: make fuzz

twin     random cells, sizes and options, on every instruction set: outputs, states and every gradient within the error
         budget of the law
strange  NaNs and infinities in x, weights and states give NaNs and infinities at the same positions as in torch
wrong    wrong calls of the compiled functions: each raises an exception that names the argument
threads  Python threads on shared weights, forward and backward: the same bits as one thread
fork     forked children run on one thread, with the same bits, and warn once each
fuzz     random calls of the compiled functions: any size, option, layout, number and instruction set

The first failure ends the run; only `twin` continues and lists all failures. The results are saved in
benchmarks/results/trust.json, each check with its own command, date, machine and versions.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from record import save_part

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import calls
import twin
from unrolled.kernels import native

ISAS = [name for name, here in native.isas().items() if here]
Figures = dict[str, Any]


def run_twin(count: int) -> Figures:
    """Run seeds 0 … count − 1; list those over the error budget."""
    over = []
    for seed in range(count):
        torch.set_num_threads(1 + seed % 2)
        try:
            twin.check(twin.Case(seed), ISAS)
        except AssertionError as error:
            over.append(f"seed {seed}: {error}")
        progress(seed + 1, count)
    return {"cases": count, "instruction_sets": ISAS, "failed": over}


def run_strange(count: int) -> Figures:
    """Run seeds 0 … count − 1."""
    for seed in range(count):
        twin.strange(seed, ISAS)
        progress(seed + 1, count)
    return {"cases": count, "instruction_sets": ISAS}


def run_wrong(count: int) -> Figures:
    """Make `count` wrong calls."""
    return {"calls": count, "refused_by_way": calls.refuse(count)}


def run_threads(count: int) -> Figures:
    """Run four threads, `count` calls each."""
    return {"threads": 4, "calls_each": count, "calls": twin.together(threads=4, calls=count)}


def run_fork(count: int) -> Figures:
    """Fork `count` children, one after another."""
    for child in range(count):
        twin.fork()
        progress(child + 1, count)
    return {"children": count}


def run_fuzz(count: int) -> Figures:
    """Make `count` random calls."""
    found = calls.fuzz(count, report=lambda done: progress(done, count))
    return {"calls": found.total(), "by_kind": found, "instruction_sets": ISAS, "sanitizers": sanitizers()}


CHECKS: dict[str, tuple[Callable[[int], Figures], int]] = {
    "twin": (run_twin, 5000),
    "strange": (run_strange, 3000),
    "wrong": (run_wrong, 10_000),
    "threads": (run_threads, 1000),
    "fork": (run_fork, 10),
    "fuzz": (run_fuzz, 1_000_000),
}


def sanitizers() -> list[str]:
    """Return the sanitizers that are preloaded in this process."""
    return [name for name in ("asan", "ubsan") if f"lib{name}" in os.environ.get("LD_PRELOAD", "")]


def progress(done: int, count: int) -> None:
    """Print the progress, on a terminal."""
    if sys.stderr.isatty():
        print(f"\r{done:,} of {count:,}", end="" if done < count else "\r", file=sys.stderr, flush=True)


def main() -> None:
    """Run, print and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checks", nargs="*", choices=[*CHECKS, []], default=[name for name in CHECKS if name != "fuzz"])
    parser.add_argument("--fraction", type=float, default=1.0, help="of each check's count")
    options = parser.parse_args()
    failed = False
    for name in options.checks:
        run, count = CHECKS[name]
        began = time.perf_counter()
        found = run(max(1, round(count * options.fraction)))
        seconds = time.perf_counter() - began
        path = save_part("trust", name, {"seconds": round(seconds, 1), **found})
        failed = failed or bool(found.get("failed"))
        print(f"{name}: {', '.join(f'{k} {v}' for k, v in found.items())}, {seconds:.0f} s", flush=True)
    print(f"saved in {path}")
    sys.exit(int(failed))


if __name__ == "__main__":
    main()
