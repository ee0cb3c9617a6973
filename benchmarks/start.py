"""The start of an answer and of a training: a new process, one warm text, words to ids, the first update of a table.

python benchmarks/start.py [--parts cold one words table] [--rows 256000]

Figures are CPU seconds on one thread, of calls in turn, and a ratio is the median over pairs. A GRU of the film
sentences, trained for one epoch, answers. Into benchmarks/results/start.json, a part each:

cold   `unrolled decode RUN hello` in a new process, and `import torch` alone
one    `run.decode` of one text, and its graph in ONNX Runtime with the same tokeniser
words  words to ids of film sentences and of synthetic rows: ours, and the tokenizers library
table  a CSV of rows of some 60 words: until the first update, and again with the cached examples
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package has its bytecode

import numpy as np
from record import save_part

import unrolled
from unrolled import machine
from unrolled.config import DataConfig
from unrolled.data.encoding.tokenizers import Tokenizer
from unrolled.data.splits.labelled import load_splits
from unrolled.runs.run import Run

PARTS = ("cold", "one", "words", "table")
UNTIL_THE_FIRST_UPDATE = """
import sys, time
import unrolled
from unrolled.training.loop import Trainer

def update(self):
    print(time.process_time(), flush=True)
    raise SystemExit

Trainer.update = update
unrolled.train(sys.argv[1], model="gru", threads=1, updates=5)
"""


def child(*command: str) -> tuple[float, str]:
    """Return the CPU seconds of a process, and its output."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout


def in_turn(calls: dict[str, Callable[[], object]], times: int) -> dict[str, list[float]]:
    """Return the CPU seconds of calls, one after the other."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(times + 1):
        for name, call in calls.items():
            began = time.process_time()
            call()
            if turn:
                seconds[name].append(time.process_time() - began)
    return seconds


def ratio(seconds: dict[str, list[float]], theirs: str) -> float:
    """Return their time over ours, the median over pairs."""
    return statistics.median(b / a for a, b in zip(seconds["ours"], seconds[theirs], strict=True))


def cold(folder: Path) -> dict[str, Any]:
    """Measure new processes."""
    program = "import sys; from unrolled.cli.main import main; main()"
    commands = {
        "import_torch": (sys.executable, "-c", "import torch"),
        "decode": (sys.executable, "-c", program, "decode", str(folder), "hello"),
    }
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for turn in range(10):
        for name, command in commands.items():
            spent, _ = child(*command)
            if turn:
                seconds[name].append(spent)
    over = [a - b for a, b in zip(seconds["decode"], seconds["import_torch"], strict=True)]
    medians = {f"{name}_seconds": statistics.median(each) for name, each in seconds.items()}
    return medians | {"over_torch_seconds": statistics.median(over)}


def one(run: Run, folder: Path, texts: list[str]) -> dict[str, Any]:
    """Measure one text at a time, against ONNX Runtime with our tokeniser and with the library's."""
    import onnxruntime

    exported = unrolled.export(run, folder / "onnx", to="onnx")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    (graph,) = exported.glob("*.onnx")
    session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]

    def theirs(text: str, encode: Callable[[list[str]], list[list[int]]]) -> None:
        (ids,) = encode([text])
        session.run(None, dict(zip(names, (np.array([ids]), np.array([len(ids)])), strict=False)))

    tokenizer, seconds = run.tokenizer, dict[str, list[float]]()
    for text in texts:
        calls: dict[str, Callable[[], object]] = {
            "ours": lambda text=text: run.decode(text),  # type: ignore[misc]
            "onnxruntime": lambda text=text: theirs(text, tokenizer.encode),  # type: ignore[misc]
            "onnxruntime, library": lambda text=text: theirs(text, tokenizer._by_library),  # type: ignore[misc]
        }
        for name, each in in_turn(calls, 1).items():
            seconds.setdefault(name, []).extend(each)
    return {
        "texts": len(texts),
        "microseconds": {name: 1e6 * statistics.median(each) for name, each in seconds.items()},
        "theirs_over_ours": {name: ratio(seconds, name) for name in seconds if name != "ours"},
    }


def words(films: list[str], tokenizer: Tokenizer) -> dict[str, Any]:
    """Measure words to ids, as a training and as a list for each text."""
    figures = {}
    rows = [row.rpartition(",")[0].strip('"') for row in synthetic_rows(20_000)]
    for name, texts, own in (("films", films, tokenizer), ("rows", rows, Tokenizer.train(rows))):
        lists = own._by_library(texts)
        assert own.encode(texts) == lists
        calls: dict[str, Callable[[], object]] = {
            "ours": lambda own=own, texts=texts: list(own.encode_flat(texts)),  # type: ignore[misc]
            "ours, lists": lambda own=own, texts=texts: own.encode(texts),  # type: ignore[misc]
            "library": lambda own=own, texts=texts: own._by_library(texts),  # type: ignore[misc]
        }
        seconds, tokens = in_turn(calls, 7), sum(map(len, lists))
        figures[name] = {
            "tokens": tokens,
            "million_tokens_per_second": {n: tokens / statistics.median(each) / 1e6 for n, each in seconds.items()},
            "library_over_ours": ratio(seconds, "library"),
        }
    return figures


def synthetic_rows(count: int) -> list[str]:
    """Return rows of 30 to 90 words of a vocabulary of 50,000."""
    draw = random.Random(0)
    letters = "abcdefghijklmnopqrstuvwxyz"
    known = ["".join(draw.choices(letters, k=draw.randint(2, 9))) for _ in range(50_000)]
    pool = draw.choices(known, [1 / (i + 5) for i in range(50_000)], k=1_000_000)
    rows = []
    for i in range(count):
        start, length = draw.randrange(900_000), draw.randint(31, 90)
        rows.append(f'"{" ".join(pool[start : start + length])}, {i}",{"pos" if i * 7919 % 3 else "neg"}')
    return rows


def table(folder: Path, rows: int) -> dict[str, Any]:
    """Measure two trainings of the same file, each until its first update."""
    path = folder / "rows.csv"
    path.write_text("\n".join(["text,label", *synthetic_rows(rows)]) + "\n", encoding="utf-8")
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
    first, second = (float(child(sys.executable, "-c", UNTIL_THE_FIRST_UPDATE, str(path))[1]) for _ in range(2))
    size = path.stat().st_size
    scaled = 524e6 / size
    return {
        "rows": rows,
        "bytes": size,
        "first_seconds": first,
        "second_seconds": second,
        "first_of_524_MB_scaled_seconds": first * scaled,
        "second_of_524_MB_scaled_seconds": second * scaled,
    }


def main() -> None:
    """Measure the chosen parts."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--rows", type=int, default=256_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary, machine.use_threads(1):
        folder = Path(temporary)
        run = unrolled.train("sample:films", model="gru", epochs=1, out=folder / "films")
        texts = [*load_splits("sample:films", DataConfig()).train.texts()]
        measure: dict[str, Callable[[], dict[str, Any]]] = {
            "cold": lambda: cold(folder / "films"),
            "one": lambda: one(run, folder, texts[:400]),
            "words": lambda: words(texts, run.tokenizer),
            "table": lambda: table(folder, options.rows),
        }
        for part in options.parts:
            figures = measure[part]()
            print(part, figures, flush=True)
            save_part("start", part, figures, *(["onnxruntime"] if part == "one" else []))


if __name__ == "__main__":
    main()
