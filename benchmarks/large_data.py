"""Twenty million short rows in shards: memory by phase, rows a second, and the second start from the cache.

    python benchmarks/large_data.py [--rows 20000000] [--files 8] [--packing .gz]

The rows are texts of two to twelve words from a vocabulary of 30,000 with Zipf's frequencies, in shards in a temporary
folder that is removed afterwards, as are the cache and the temporary files. A training of a few updates of a small GRU
runs in a process of its own, twice with the same cache: the first builds it, the second starts from it. At the end of
each phase (import, reading, splitting, tokenizer, encoding, training, validation, and the rest with the evaluation of
the test split) the process reads VmHWM, VmRSS and RssAnon of /proc/self/status: anonymous memory is what a process
needs for itself, the rest are pages of files, which the system drops when memory is short. The highest anonymous memory
of a phase is that of a thread that looks every 50 ms. The same training of sample:films is the baseline: the difference
is the memory of the data.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from record import save

WORDS, AT_ONCE = 30_000, 100_000
SETTINGS = {
    "model": "gru",
    "hidden_size": 16,
    "embedding_size": 16,
    "updates": 5,
    "evaluate_every": 5,
    "batch_tokens": 4_096,
}


def write(folder: Path, rows: int, files: int, packing: str) -> int:
    """Write the shards; return the bytes of their rows before compression."""
    chance, size = np.random.default_rng(0), 0
    words = np.array([f"w{k:x}" for k in range(WORDS)])
    frequencies = 1 / np.arange(1, WORDS + 1)
    total = np.cumsum(frequencies / frequencies.sum())
    for number in range(files):
        first, last = rows * number // files, rows * (number + 1) // files
        path = folder / f"part-{number:03}.jsonl{packing}"
        with gzip.open(path, "wt", 1) if packing else path.open("w") as file:
            for start in range(first, last, AT_ONCE):
                count = min(AT_ONCE, last - start)
                lengths = chance.integers(2, 13, count)
                drawn = words[np.searchsorted(total, chance.random(lengths.sum())).clip(max=WORDS - 1)]
                texts = np.split(drawn, np.cumsum(lengths)[:-1])
                lines = [
                    f'{{"text": "{" ".join(text)}", "label": "{"ab"[k]}"}}\n'
                    for text, k in zip(texts, chance.integers(0, 2, count).tolist(), strict=True)
                ]
                file.writelines(lines)
                size += sum(map(len, lines))
    return size


class Memory:
    """Memory of this process by phase, in bytes."""

    def __init__(self) -> None:
        self.phases: dict[str, dict[str, float]] = {}
        self._began = self._last = time.perf_counter()
        self._anonymous = 0
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while True:
            self._anonymous = max(self._anonymous, status()["RssAnon"])
            time.sleep(0.05)

    def end(self, phase: str) -> None:
        """Record the phase that ends here."""
        now, found = time.perf_counter(), status()
        before = self.phases.get(phase, {"seconds": 0.0, "highest_anonymous": 0})
        self.phases[phase] = {
            "seconds": round(before["seconds"] + now - self._last, 1),
            "highest_anonymous": max(before["highest_anonymous"], self._anonymous, found["RssAnon"]),
            "anonymous": found["RssAnon"],
            "resident": found["VmRSS"],
            "highest_resident": found["VmHWM"],
            "since_start": round(now - self._began, 1),
        }
        self._last, self._anonymous = now, found["RssAnon"]


def status() -> dict[str, int]:
    """Return the figures of /proc/self/status in bytes."""
    lines = (line.split() for line in Path("/proc/self/status").read_text().splitlines())
    return {name.rstrip(":"): int(rest[0]) * 1024 for name, *rest in lines if rest[1:] == ["kB"]}


def step(data: str, cache: str) -> None:
    """Train, and print the phases as JSON."""
    memory = Memory()
    from unrolled import api
    from unrolled.data import splitting
    from unrolled.data.encoding import batches
    from unrolled.tasks import classification
    from unrolled.training.loop import Trainer

    def phase(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any, **options: Any) -> Any:
            result = function(*arguments, **options)
            memory.end(name)
            return result

        return timed

    splits = splitting._split
    splitting._split = lambda *arguments: (memory.end("reading"), splits(*arguments), memory.end("splitting"))[1]
    classification.learn = phase("tokenizer", classification.learn)
    batches.Sequences.encode = phase("encoding", batches.Sequences.encode)
    Trainer.update = phase("training", Trainer.update)
    Trainer._score = phase("validation", Trainer._score)
    memory.end("import")
    api.train(data, **SETTINGS, cache=cache, baseline=False)
    memory.end("test")
    print(json.dumps(memory.phases))


def main() -> None:
    """Write the shards, train twice, save the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--files", type=int, default=8)
    parser.add_argument("--packing", choices=["", ".gz"], default=".gz")
    parser.add_argument("--step", nargs=2, metavar=("DATA", "CACHE"), help="one training only (used by itself)")
    options = parser.parse_args()
    if options.step:
        step(*options.step)
        return
    with tempfile.TemporaryDirectory(prefix="unrolled-") as folder:
        data, cache = Path(folder, "in"), Path(folder, "cache")
        data.mkdir()
        size = write(data, options.rows, options.files, options.packing)

        def training(source: str) -> dict[str, Any]:
            command = [sys.executable, __file__, "--step", source, str(cache)]
            done = subprocess.run(
                command, check=True, capture_output=True, text=True, env={**os.environ, "TMPDIR": folder}
            )
            phases: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
            return phases

        plain = training("sample:films")
        first, second = (training(f"{data}/*.jsonl{options.packing}") for _ in range(2))
        held = sum(path.stat().st_size for path in cache.rglob("*") if path.is_file())
        stored = sum(path.stat().st_size for path in data.iterdir())
    most = {
        name: max(phase["highest_anonymous"] for phase in phases.values())
        for name, phases in (("plain", plain), ("first", first), ("second", second))
    }
    ready = {name: phases["training"]["since_start"] for name, phases in (("first", first), ("second", second))}
    figures = {
        "rows": options.rows,
        "files": options.files,
        "bytes": {"rows": size, "files": stored, "cache": held},
        "settings": SETTINGS,
        "plain": plain,
        "first": first,
        "second": second,
        "highest_anonymous": most,
        "anonymous_of_the_data": {name: most[name] - most["plain"] for name in ready},
        "anonymous_bytes_a_row": {name: round((most[name] - most["plain"]) / options.rows, 1) for name in ready},
        "seconds_to_the_last_of_the_updates": ready,
        "rows_a_second": round(options.rows / (ready["first"] - first["import"]["since_start"])),
    }
    print(json.dumps(figures["anonymous_of_the_data"]), ready, save("large_data", figures))


if __name__ == "__main__":
    main()
