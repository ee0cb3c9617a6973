"""Installs from the wheels of dist/ in fresh environments without a compiler.

    python benchmarks/wheels.py [--python PYTHON ...] [--packages FOLDER ...]

For each PYTHON (default: this one) a new environment gets torch and the other dependencies (`-c constraints.txt`), then
the wheel, alone and timed. There, with nothing but the environment's own programs in PATH, `unrolled backends` must
show the kernels and tests/kernels must pass. FOLDER, one for each PYTHON, has installed packages of the same version of
Python, which are used before those of the index: torch's CUDA build has several GB.

`make wheel-test` builds the wheels before.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any

from packaging.utils import parse_wheel_filename
from record import save

ROOT = Path(__file__).parents[1]
DIST = ROOT / "dist"
TEST_TOOLS = ("pytest", "hypothesis", "expecttest", "pillow", "pyarrow")
MOST_SECONDS = 20.0
FACTS = """
import json, platform, torch
from packaging.tags import sys_tags
tags = [str(tag) for tag in sys_tags()]
print(json.dumps({"python": platform.python_version(), "torch": torch.__version__, "tags": tags}))
"""


class Environment:
    """A fresh virtual environment, whose programs see no others."""

    def __init__(self, python: str, folder: Path, packages: Path | None) -> None:
        subprocess.run([python, "-m", "venv", folder], check=True)
        self.bin = folder / "bin"
        if packages is not None:
            (site,) = (folder / "lib").glob("python3.*/site-packages")
            (site / "packages.pth").write_text(f"{packages.resolve()}\n", encoding="utf-8")

    def pip(self, *words: str | Path) -> float:
        """Run pip, and return its seconds."""
        began = time.perf_counter()
        subprocess.run([self.bin / "python", "-m", "pip", "install", "-q", *words], check=True)
        return time.perf_counter() - began

    def run(self, program: str, *words: str | Path) -> str:
        """Run a program of the environment with no other program in PATH, and return its output."""
        environment = {"PATH": str(self.bin), "HOME": str(self.bin.parent), "OMP_NUM_THREADS": "1"}
        command = [self.bin / program, *words]
        done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{program} {' '.join(map(str, words))}\n{done.stdout}{done.stderr}")
        return done.stdout


def wheel_for(tags: list[str]) -> Path:
    """Return the wheel of dist/ that pip would choose for an interpreter, by its tags in their order."""
    ranks = {}
    for path in DIST.glob("*.whl"):
        *_, of_wheel = parse_wheel_filename(path.name)
        if fitting := [tags.index(str(tag)) for tag in of_wheel if str(tag) in tags]:
            ranks[path] = min(fitting)
    if not ranks:
        sys.exit(f"dist/ has no wheel for {tags[0]}: run make wheel")
    return min(ranks, key=lambda path: ranks[path])


def requirements(wheel: Path) -> list[str]:
    """Return the packages that the wheel needs, without those of its extras."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = archive.read(name).decode("utf-8")
    return [need for need in re.findall(r"^Requires-Dist: (.+)$", metadata, re.M) if "extra ==" not in need]


def measure(python: str, packages: Path | None) -> dict[str, Any]:
    """Install for one Python, look at its kernels, run the tests of the kernels, and return the figures."""
    with tempfile.TemporaryDirectory() as scratch:
        environment = Environment(python, Path(scratch), packages)
        constraints = ("-c", ROOT / "constraints.txt")
        environment.pip(*constraints, "torch>=2.13", "packaging", *TEST_TOOLS)
        facts = json.loads(environment.run("python", "-c", FACTS))
        wheel = wheel_for(facts.pop("tags"))
        others = environment.pip(*constraints, *requirements(wheel))
        seconds = environment.pip("--no-deps", wheel)
        environment.run("python", "-m", "pip", "check")
        report = json.loads(environment.run("unrolled", "backends", "--json"))
        if report["kernels"]["isa"] is None:
            sys.exit(f"{wheel.name}: unrolled backends shows no kernels")
        said = environment.run("python", "-m", "pytest", "-p", "no:cacheprovider", "-rs", "tests/kernels").splitlines()
        counts = {name: int(n) for n, name in re.findall(r"(\d+) (passed|skipped|failed)", said[-1])}
        return {
            **facts,
            "wheel": wheel.name,
            "platform": wheel.stem.split("-")[-1],
            "MB": round(wheel.stat().st_size / 1e6, 2),
            "seconds_other_dependencies": None if packages else round(others, 1),
            "seconds_wheel": round(seconds, 1),
            "kernels": report["kernels"],
            "tests": {"passed": counts.get("passed", 0), "skipped": counts.get("skipped", 0)},
            "skipped": [line for line in said if line.startswith("SKIPPED")],
        }


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", nargs="+", default=[sys.executable])
    parser.add_argument("--packages", nargs="+", type=Path, default=[])
    options = parser.parse_args()
    packages = options.packages or [None] * len(options.python)
    if len(packages) != len(options.python):
        parser.error("--packages needs a folder for each --python")
    installs = []
    for python, folder in zip(options.python, packages, strict=True):
        installs.append(measure(python, folder))
        last = installs[-1]
        print(
            f"Python {last['python']}: {last['wheel']}, {last['MB']} MB, installed in {last['seconds_wheel']} s; "
            f"tests/kernels: {last['tests']['passed']} passed, {last['tests']['skipped']} skipped"
        )
        if last["seconds_wheel"] > MOST_SECONDS:
            sys.exit(f"longer than {MOST_SECONDS:.0f} s")
    (sdist,) = DIST.glob("*.tar.gz")
    figures = {"sdist_MB": round(sdist.stat().st_size / 1e6, 2), "installs": installs}
    sys.argv[1:] = []  # the record has no path of this machine
    print(save("wheels", figures, "auditwheel"))


if __name__ == "__main__":
    main()
