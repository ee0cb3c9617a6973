"""The cases of tests/strangers/, one line each: held or fell (`make strangers`).

python benchmarks/stranger_cases.py [--kind A] [--verbose]
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
import tempfile
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from strangers import CASES
from strangers.cases import Case


def main() -> int:
    """Run the cases and print a line for each; return 1 if any fell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", help="only the cases of this kind: a letter from A to F")
    parser.add_argument("--verbose", action="store_true", help="print the traceback of a case that fell")
    options = parser.parse_args()
    cases = [case for case in CASES if options.kind in (None, case.kind)]
    fell = 0
    for case in cases:
        fault = outcome(case)
        fell += fault is not None
        print(f"{'held' if fault is None else 'FELL'}  {case.kind}  {case.description}", flush=True)
        if fault is not None:
            print(f"      {fault if options.verbose else fault.strip().splitlines()[-1]}", flush=True)
    print(f"{len(cases) - fell} held, {fell} fell")
    return 1 if fell else 0


def outcome(case: Case) -> str | None:
    """Run a case in an empty folder, with a cache of its own; return the traceback of its fault, or None."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "case").mkdir()
        os.environ["XDG_CACHE_HOME"] = f"{folder}/cache"
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            try:
                case.run(Path(folder) / "case")
            except Exception:  # noqa: BLE001  (a case may fall in any way)
                return traceback.format_exc()
    return None


if __name__ == "__main__":
    sys.exit(main())
