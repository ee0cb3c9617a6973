"""Ten million rows stream in at most 600 MB of memory: the highest resident set of each step, in JSON.

    python benchmarks/large_rows.py [--rows 10000000] [--steps read data]

The file is a CSV of short texts, each with a number of its own, in a temporary folder. Each step is a process of its
own that reports its highest resident set, the interpreter and all libraries included: reading the rows one by one
(plain, and packed with gzip), their order and number checked; reading and splitting them as a training would, again
checked; `unrolled data`, which also tokenises all rows and searches them for issues; and a training of two updates. The
same training on a small sample is the baseline: the difference is the memory of the data.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from record import most_bytes, save_part

STEPS = ("read", "read packed", "split", "data", "model", "training")
WORDS = ["the", "film", "was", "good", "bad", "warm", "thin", "plot", "a", "of", "and", "it", "story", "slow"]


def lines(rows: int) -> Iterator[str]:
    """Yield the rows of the file, without the header."""
    chance = random.Random(0)
    endings = [" ".join(chance.choices(WORDS, k=k % 9 + 2)) for k in range(1_000)]
    for i in range(rows):
        yield f'"no {i}, {endings[i * 7919 % 1_000]}",{"pos" if i % 3 else "neg"}\n'


def write(folder: Path, rows: int) -> Path:
    """Write the file, plain and packed; return the path of the plain one."""
    path = folder / "large.csv"
    with path.open("w", encoding="utf-8") as plain, gzip.open(f"{path}.gz", "wt", 1, encoding="utf-8") as packed:
        for file in (plain, packed):
            file.write("text,label\n")
            file.writelines(lines(rows))
    return path


def step(name: str, path: Path, rows: int) -> None:
    """Run one step in this process, and print one line of JSON."""
    began = time.perf_counter()
    if name.startswith("read"):
        from unrolled.data.reading.formats import read_rows
        from unrolled.data.reading.rows import Row

        number = 0
        for row in read_rows(Path(f"{path}.gz") if "packed" in name else path, ("text", "label")):
            assert isinstance(row, Row)
            assert row.line == number + 2
            assert row.values[0].startswith(f"no {number}, ")
            number += 1
        assert number == rows
    elif name == "split":
        from unrolled.config import DataConfig
        from unrolled.data.splits.labelled import load_splits

        splits = load_splits(path, DataConfig())
        items = [iter(split.items) for split in splits.named().values()]
        heads = [next(one, None) for one in items]
        for number in range(rows):  # every row is the next one of its split
            k = next(k for k, head in enumerate(heads) if head and head.line == number + 2)
            assert heads[k].text.startswith(f"no {number}, ")
            heads[k] = next(items[k], None)
        assert heads == [None] * 3
    elif name == "data":
        from unrolled.api import inspect

        report = inspect(path).to_dict()
        assert sum(split["rows"] for split in report["splits"].values()) == rows
    else:
        from unrolled.api import train

        train(path if name == "training" else "sample:films", model="gru", hidden_size=16, updates=2, evaluate_every=2)
    print(json.dumps({"seconds": round(time.perf_counter() - began, 1), "most_bytes": most_bytes()}))


def main() -> None:
    """Write the file, run the steps, save the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--step", nargs=2, metavar=("STEP", "FILE"), help="one step only (used by itself)")
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=STEPS)
    options = parser.parse_args()
    if options.step:
        step(options.step[0], Path(options.step[1]), options.rows)
        return
    with tempfile.TemporaryDirectory(prefix="unrolled-") as folder:
        path = write(Path(folder), options.rows)
        size = {"rows": options.rows, "file_bytes": path.stat().st_size}
        for name in options.steps:
            command = [sys.executable, __file__, "--rows", str(options.rows), "--step", name, str(path)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            figures = json.loads(done.stdout.splitlines()[-1])
            print(name, figures, save_part("large_rows", name, size | figures), flush=True)


if __name__ == "__main__":
    main()
