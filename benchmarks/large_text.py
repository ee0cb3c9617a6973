"""A text of 1 GB trains in less than 1 GB of memory beyond the model: the highest resident set of each step, in JSON.

    python benchmarks/large_text.py [--gigabytes 1] [--updates 300]

The text is Shakespeare over and over, each line with a number of its own, in a temporary folder. Each step is a process
of its own that reports its highest resident set, mapped pages of the ids included: importing and building the model
alone; making the ids; training on ids that are there.
"""

from __future__ import annotations

import argparse
import json
import lzma
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from record import most_bytes, save

STEPS = ("model", "ids", "training")


def write(path: Path, size: int) -> None:
    """Write a text of `size` bytes."""
    from unrolled.data.reading.samples import split_file

    lines = lzma.decompress(split_file("shakespeare", "train", ".txt").read_bytes()).decode().splitlines()
    written = turn = 0
    with path.open("wb") as file:
        while written < size:
            block = "".join(f"{line} {turn + i:x}\n" for i, line in enumerate(lines)).encode()
            written += file.write(block[: size - written])
            turn += len(lines)


def step(name: str, text: str, cache: str, updates: int) -> None:
    """Run one step in this process, and print one line of JSON."""
    from unrolled.api import train
    from unrolled.config import from_flat
    from unrolled.data.encoding.corpus import load_corpus

    settings = {
        "task": "generate", "cache": cache, "updates": updates, "patience": 0, "evaluate_every": updates,
        "valid_fraction": 0.01, "test_fraction": 0.001,
    }  # fmt: skip
    began = time.perf_counter()
    figures = {}
    if name == "model":
        train("sample:shakespeare/valid", **settings | {"updates": 2, "test_fraction": 0.01, "valid_fraction": 0.01})
    elif name == "ids":
        corpus = load_corpus(text, from_flat(settings).data)
        figures = {name: len(split) for name, split in corpus.splits.items()}
    else:
        run = train(text, **settings)
        figures = {"tokens_per_second": round(run.record["training"]["tokens_per_second"])}
    print(json.dumps({"seconds": round(time.perf_counter() - began, 1), "most_bytes": most_bytes(), **figures}))


def main() -> None:
    """Write the text, run the steps, save the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=1.0)
    parser.add_argument("--updates", type=int, default=300)
    parser.add_argument("--step", nargs=3, metavar=("STEP", "TEXT", "CACHE"), help="one step only (used by itself)")
    options = parser.parse_args()
    if options.step:
        step(*options.step, updates=options.updates)
        return
    steps = {}
    with tempfile.TemporaryDirectory(prefix="unrolled-") as folder:
        text = Path(folder) / "large.txt"
        write(text, round(options.gigabytes * 1e9))
        size = text.stat().st_size
        for name in STEPS:
            command = [sys.executable, __file__, "--updates", str(options.updates), "--step", name, str(text), folder]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            steps[name] = json.loads(done.stdout.splitlines()[-1])
            print(name, steps[name], flush=True)
    beyond = max(steps[name]["most_bytes"] for name in ("ids", "training")) - steps["model"]["most_bytes"]
    print(save("large_text", {"text_bytes": size, "steps": steps, "most_bytes_beyond_the_model": beyond}))


if __name__ == "__main__":
    main()
