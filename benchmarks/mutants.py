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
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
WORK = ROOT / "build" / "mutants"
TREE, SITE, KERNELS = WORK / "tree", WORK / "site", WORK / "kernels"
LONGEST = 600  # seconds of the named tests; a fault that makes them hang is red
SUITE = 3_600  # seconds of the whole suite
RESULTS = ROOT / "benchmarks" / "results" / "mutants.json"

# Tests run in children of a process that has imported the libraries, but not the package: half the time of short tests.
SERVER = multiprocessing.get_context("forkserver")
LIBRARIES = ["torch", "pytest", "numpy", "pydantic", "rich", "cyclopts", "tokenizers", "sacrebleu"]

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
    by_name = {fault.name: fault for fault in faults}
    faults = [by_name[name] for name in options.names] or faults
    refuse_stale(faults)
    if options.list:
        print(*(f"{fault.name:<28}  {fault.file}: {fault.fault}" for fault in faults), sep="\n")
        return 0
    os.environ["OMP_NUM_THREADS"] = "1"
    SERVER.set_forkserver_preload(LIBRARIES)
    copy_tree()
    if not options.names and (failed := run_tests(named_tests(faults), SUITE)):
        raise SystemExit(f"a test fails without any fault: {failed}")
    for fault in faults:
        figures = merged(fault.name, attempt(fault, whole=not options.named_only))
        save(figures)
    print(f"{figures['red']} of {figures['tried']} red, {figures['red_at_first_try']} at the first try", RESULTS)
    return 1 if figures["green"] else 0


def read_faults() -> list[Fault]:
    """Return the faults of faults.toml."""
    with (ROOT / "benchmarks" / "faults.toml").open("rb") as file:
        return [Fault(**{**each, "tests": tuple(each["tests"])}) for each in tomllib.load(file)["fault"]]


def refuse_stale(faults: Sequence[Fault]) -> None:
    """Refuse faults whose old text is no longer in their file, or there more than once; all are named."""
    counts = {fault: (ROOT / fault.file).read_text(encoding="utf-8").count(fault.old) for fault in faults}
    stale = [f"{fault.name}: {count} times in {fault.file}" for fault, count in counts.items() if count != 1]
    if stale:
        raise SystemExit("the old text must occur once, correct faults.toml:\n  " + "\n  ".join(stale))


def named_tests(faults: Sequence[Fault]) -> list[str]:
    """Return the tests that the faults name, each once."""
    return sorted({test for fault in faults for test in fault.tests})


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


def run_tests(tests: Sequence[str], seconds: float) -> str | None:
    """Run tests of the copy up to the first that fails; return its name, None if all pass."""
    log = WORK / "pytest.log"
    child = SERVER.Process(target=pytest_of_the_copy, args=(list(tests), log))
    child.start()
    child.join(seconds)
    if child.is_alive():
        child.kill()
        child.join()
        return f"more than {seconds:.0f} s"
    if child.exitcode == 0:
        return None
    output = log.read_text(encoding="utf-8", errors="replace")
    if failed := re.search(r"^(?:FAILED|ERROR) (.*?)(?: - .*)?$", output, flags=re.MULTILINE):
        return failed[1]
    if child.exitcode is not None and child.exitcode < 0:
        return f"killed by signal {-child.exitcode}"
    raise SystemExit(f"pytest: exit code {child.exitcode}\n{output[-4000:]}")


def pytest_of_the_copy(tests: list[str], log: Path) -> None:
    """Run tests in this process, which has not imported the package yet."""
    import pytest

    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.chdir(TREE)
    os.environ["PYTHONPATH"] = os.pathsep.join(map(str, (SITE, TREE / "src")))  # for the tests' own processes
    sys.path[:0] = [str(TREE), str(TREE / "src")]
    exec(SITECUSTOMIZE)
    sys.exit(pytest.main(["-x", "-q", "-p", "no:cacheprovider", *tests]))


def merged(tried: str, figures: dict[str, Any]) -> dict[str, Any]:
    """Return the figures of all faults: of the one just tried, and those saved before for the others."""
    faults = json.loads(RESULTS.read_text(encoding="utf-8"))["faults"] if RESULTS.is_file() else {}
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


def save(figures: dict[str, Any]) -> None:
    """Write benchmarks/results/mutants.json."""
    import record  # imports the package, which a child of the server must not do when it imports this module

    record.save("mutants", figures)


if __name__ == "__main__":
    sys.exit(main())
