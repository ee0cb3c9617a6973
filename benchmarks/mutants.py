"""Single faults in the source, one at a time: does a test fail?

    python benchmarks/mutants.py [NAME ...] [--named-only] [--list]      make mutants

faults.toml lists the faults: a file, an old text, a new one, and the tests that should see it. Each is put into a copy
of the working tree in build/mutants/tree, which the tests then import instead of the package; a fault of csrc/ compiles
the kernels there. A fault is red if one of its tests fails (or hangs), and if they pass, one of the whole suite.

benchmarks/results/mutants.json keeps, for each fault, the test that failed last, and whether one failed when the fault
was first tried, before tests were written for it. Without names all faults are tried, after the tests without a fault.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from record import RESULTS, save

ROOT = Path(__file__).parents[1]
WORK = ROOT / "build" / "mutants"
TREE, SITE, KERNELS = WORK / "tree", WORK / "site", WORK / "kernels"
LONGEST = 600  # seconds of the named tests; a fault that makes them hang is red
SUITE = 3_600  # seconds of the whole suite

# The finder of an editable installation comes before every path: a copy is imported only without it.
SITECUSTOMIZE = """import sys
sys.meta_path[:] = [finder for finder in sys.meta_path if not type(finder).__name__.startswith("ScikitBuild")]
"""


@dataclass(frozen=True)
class Fault:
    """A fault of faults.toml; `reason` says why no test can see it."""

    name: str
    file: str
    fault: str
    old: str
    new: str
    tests: tuple[str, ...]
    reason: str = ""

    @property
    def compiled(self) -> bool:
        """Return True if the kernels must be compiled."""
        return self.file.startswith("csrc/")


def main() -> int:
    """Try the faults, print a line for each and save the figures; return 1 if a fault without a reason is green."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="only these faults")
    parser.add_argument("--named-only", action="store_true", help="do not run the whole suite where the tests pass")
    parser.add_argument("--list", action="store_true", help="print the faults and try none")
    options = parser.parse_args()
    faults = read_faults()
    if unknown := set(options.names) - {fault.name for fault in faults}:
        parser.error(f"there is no fault {', '.join(sorted(unknown))}")
    faults = [fault for fault in faults if not options.names or fault.name in options.names]
    if options.list:
        print(*(f"{fault.name:<28}  {fault.file}: {fault.fault}" for fault in faults), sep="\n")
        return 0
    copy_tree()
    if not options.names and (failed := run_tests(sorted({test for fault in faults for test in fault.tests}), SUITE)):
        raise SystemExit(f"a test fails without any fault: {failed}")
    for fault in faults:
        figures = merged(fault.name, attempt(fault, whole=not options.named_only))
        path = save("mutants", figures)
    print(f"{figures['red']} of {figures['tried']} red, {figures['red_at_first_try']} at the first try", path)
    return 1 if figures["green"] else 0


def read_faults() -> list[Fault]:
    """Return the faults of faults.toml, each of which applies to the working tree."""
    with (ROOT / "benchmarks" / "faults.toml").open("rb") as file:
        faults = [Fault(**{**each, "tests": tuple(each["tests"])}) for each in tomllib.load(file)["fault"]]
    for fault in faults:
        if (count := (ROOT / fault.file).read_text(encoding="utf-8").count(fault.old)) != 1:
            raise SystemExit(f"{fault.name}: the old text occurs {count} times in {fault.file}: correct faults.toml")
    return faults


def copy_tree() -> None:
    """Copy the files of the working tree that git does not ignore, and the compiled kernels."""
    shutil.rmtree(TREE, ignore_errors=True)
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, check=True).stdout.decode().rstrip("\0").split("\0")
    for name in names:
        if (ROOT / name).is_file():
            (TREE / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, TREE / name)
    SITE.mkdir(exist_ok=True)
    (SITE / "sitecustomize.py").write_text(SITECUSTOMIZE, encoding="utf-8")
    if installed := installed_kernels():
        shutil.copy2(installed, TREE / "src" / "unrolled" / installed.name)


def installed_kernels() -> Path | None:
    """Return the file of the compiled kernels, None without kernels."""
    from unrolled.kernels.native import kernels

    return None if kernels is None else Path(str(kernels.__file__))


def attempt(fault: Fault, *, whole: bool) -> dict[str, Any]:
    """Put a fault into the copy, run its tests, take it out; return the figures of the fault."""
    began, path = time.perf_counter(), TREE / fault.file
    original, times = path.read_text(encoding="utf-8"), path.stat()
    path.write_text(original.replace(fault.old, fault.new), encoding="utf-8")
    try:
        with_kernels = compile_kernels if fault.compiled else (lambda: None)
        with_kernels()
        failed = run_tests(fault.tests, LONGEST)
        if failed is None and whole and not fault.reason:
            failed = run_tests((), SUITE)
    finally:
        path.write_text(original, encoding="utf-8")
        # Python takes a compiled file by its source's time of change, which must differ from that of the fault.
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        if fault.compiled and (installed := installed_kernels()):
            path.touch()  # cmake looks at the time, too
            shutil.copy2(installed, TREE / "src" / "unrolled" / installed.name)
    seconds = time.perf_counter() - began
    print(f"{'red  ' if failed else 'GREEN'}  {fault.name:<26}  {seconds:5.1f} s  {failed or fault.reason}", flush=True)
    described = {"file": fault.file, "fault": fault.fault, "failed": failed, "seconds": round(seconds, 1)}
    return described | ({"reason": fault.reason} if fault.reason else {})


def compile_kernels() -> None:
    """Compile the kernels of the copy into it; only what has changed since the last time."""
    root = subprocess.run([sys.executable, "-m", "nanobind", "--cmake_dir"], capture_output=True, text=True, check=True)
    options = [f"-Dnanobind_DIR={root.stdout.strip()}", f"-DPython_EXECUTABLE={sys.executable}"]
    commands = [["cmake", "-S", TREE, "-B", KERNELS, *options], ["cmake", "--build", KERNELS]]
    for command in commands:
        subprocess.run(command, capture_output=True, check=True)
    (built,) = KERNELS.glob("_kernels*.so")
    shutil.copy2(built, TREE / "src" / "unrolled" / built.name)


def run_tests(tests: tuple[str, ...] | list[str], seconds: float) -> str | None:
    """Run tests of the copy up to the first that fails; return its name, None if all pass."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (SITE, TREE / "src"))), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    try:
        run = subprocess.run(command, cwd=TREE, env=environment, capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        return f"more than {seconds:.0f} s"
    if run.returncode == 0:
        return None
    failed = re.search(r"^(?:FAILED|ERROR) (.*?)(?: - .*)?$", run.stdout, flags=re.MULTILINE)
    if failed:
        return failed[1]
    if run.returncode < 0:
        return f"killed by signal {-run.returncode}"
    raise SystemExit(f"pytest: exit code {run.returncode}\n{run.stdout[-2000:]}{run.stderr[-2000:]}")


def merged(tried: str, figures: dict[str, Any]) -> dict[str, Any]:
    """Return the figures of all faults: of the one just tried, and those saved before for the others."""
    path = RESULTS / "mutants.json"
    faults = json.loads(path.read_text(encoding="utf-8"))["faults"] if path.is_file() else {}
    first_try = faults.get(tried, {}).get("first_try", "red" if figures["failed"] else "green")
    faults[tried] = figures | {"first_try": first_try}
    faults = {fault.name: faults[fault.name] for fault in read_faults() if fault.name in faults}
    red = [name for name, each in faults.items() if each["failed"]]
    excused = [name for name, each in faults.items() if not each["failed"] and "reason" in each]
    return {
        "tried": len(faults),
        "red": len(red),
        "red_at_first_try": sum(each["first_try"] == "red" for each in faults.values()),
        "seconds": round(sum(each["seconds"] for each in faults.values())),
        "equivalent": excused,
        "green": [name for name in faults if name not in (*red, *excused)],
        "faults": faults,
    }


if __name__ == "__main__":
    sys.exit(main())
