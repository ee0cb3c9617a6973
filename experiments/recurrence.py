"""The prediction table: what theory says of each model on tests of state tracking and recall, and what is found.

    python experiments/recurrence.py list                       the trainings that are missing
    python experiments/recurrence.py run [--set short] [ROW …]  train them, in processes of one thread each
    python experiments/recurrence.py table [--set short]        the table, as Markdown

Models, tests, thresholds and predictions stand in experiments/recurrence.toml, committed before any training. A
training is a line of experiments/results/recurrence.jsonl, by a key of all that it depends on, so that an interrupted
run goes on and a changed setting trains again. Batch i of a test is a pure function of the seed and i, so nothing is
seen twice.

The score is the accuracy of the answers in the last quarter of the tested length (mqar: of all answers), on 512 new
sequences. A model passes if the median of its seeds does; below the threshold it is *not passed at this budget*. A
prediction of pass or fail that is not found is marked as a mismatch.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import multiprocessing
import os
import statistics
import sys
import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from torch import Tensor
from torch.nn import functional as F

from unrolled import machine
from unrolled.api import build
from unrolled.comparison.size import parameters, state_bytes
from unrolled.config import ModelConfig
from unrolled.data import synthetic
from unrolled.models import Ids, Model

ROOT = Path(__file__).parents[1]
TABLE, LINES = ROOT / "experiments" / "recurrence.toml", ROOT / "experiments" / "results" / "recurrence.jsonl"
SETS = ("short", "full")
EVALUATED, AT_ONCE = 512, 32  # sequences of the score, and of one call
FIRST_TEST_BATCH = 10**9
BLOCKS = {"normalization": "rms", "gated": True, "nonlinearity": "silu"}
"""Options of all models of blocks: those of the package's defaults."""

Job = dict[str, Any]


def read() -> dict[str, Any]:
    """Return the table of predictions.

    Raises:
        SystemExit: a row lacks a prediction of a test, or has another than pass, fail and depends.
    """
    found = tomllib.loads(TABLE.read_text(encoding="utf-8"))
    for name, row in found["rows"].items():
        if row["predictions"].keys() != found["tests"].keys():
            sys.exit(f"recurrence.toml: row {name} must predict {', '.join(found['tests'])}")
        if not set(row["predictions"].values()) <= {"pass", "fail", "depends"}:
            sys.exit(f"recurrence.toml: a prediction of row {name} is neither pass, fail nor depends")
    return found


def jobs(table: Mapping[str, Any], chosen: str, rows: Sequence[str] = ()) -> Iterator[Job]:
    """Yield the trainings of a set, seed by seed.

    Raises:
        SystemExit: there is no such row.
    """
    if unknown := set(rows) - table["rows"].keys():
        sys.exit(f"there is no row {', '.join(sorted(unknown))}; rows are {', '.join(table['rows'])}")
    for seed in range(table["seeds"]):
        for test_name, test in table["tests"].items():
            if test["set"] == chosen:
                for name, row in table["rows"].items():
                    if not rows or name in rows:
                        settings = {**table["settings"], **row.get("settings", {})}
                        own = {key: value for key, value in test.items() if key not in ("set", "text", "passes")}
                        yield {
                            "row": name, "test": test_name, "model": row["model"], "settings": settings,
                            "training": table["training"], "task": own, "seed": seed,
                        }  # fmt: skip


def key_of(job: Job) -> str:
    """Return the key of a training: a hash of all that it depends on."""
    return hashlib.sha256(json.dumps(job, sort_keys=True).encode()).hexdigest()[:16]


def make_model(job: Job, task: synthetic.Synthetic) -> Model:
    """Build the model of a training, with an answer at each step."""
    blocks = BLOCKS if job["model"] not in ("elman", "lstm", "gru") else {}
    config = ModelConfig(**{**blocks, **job["settings"]})
    return build(job["model"], Ids(task.vocabulary_size), task.num_outputs, config, answer="each")


def make_task(job: Job, length: int) -> synthetic.Synthetic:
    """Return the synthetic task of a training at a length."""
    own = job["task"]
    options = {key: own[key] for key in ("gap", "symbols") if key in own}
    return synthetic.make(own["task"], length, seed=job["seed"], **options)


def drawn(task: synthetic.Synthetic, index: int, size: int) -> tuple[Tensor, Tensor]:
    """Return inputs (B, T) and the class at each step (B, T), −1 where there is none; parity has one at each step."""
    inputs, targets = task.batch(index, size)
    if targets.dim() == 1:
        targets = (inputs - synthetic.FIRST).cumsum(1) % 2
    return inputs, targets


def run_job(job: Job) -> dict[str, Any]:
    """Train and score one model in this process, with one thread."""
    torch.set_num_threads(1)
    torch.manual_seed(job["seed"])
    own, training = job["task"], job["training"]
    shortest, longest = own["train"]
    model = make_model(job, make_task(job, longest))
    decays = [p for p in model.parameters() if p.dim() > 1]
    others = [p for p in model.parameters() if p.dim() <= 1]
    groups = [{"params": decays, "weight_decay": training["weight_decay"]}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=training["learning_rate"])
    updates, started = own["updates"], time.process_time()
    warmup = max(1, int(training["warmup"] * updates))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda n: min(1, (n + 1) / warmup) * (1 + math.cos(math.pi * max(0, n - warmup) / (updates - warmup))) / 2,
    )
    lengths = torch.Generator().manual_seed(job["seed"])
    loss = torch.zeros(())
    for update in range(updates):
        length = int(torch.randint(shortest, longest + 1, (), generator=lengths))
        inputs, targets = drawn(make_task(job, length), update, training["batch"])
        logits, _ = model(inputs)
        loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-1)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), training["clip"])
        optimizer.step()
        schedule.step()
    seconds = time.process_time() - started
    return {
        "key": key_of(job),
        **job,
        "trained_length": score(model, job, longest),
        "score": score(model, job, own["test"]),
        "loss_nats": round(float(loss.detach()), 4),
        "parameters": sum(parameters(model)),
        "state_bytes": state_bytes(model, length=own["test"]),
        "seconds": round(seconds, 1),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": machine.describe(),
        "versions": machine.versions(),
    }


@torch.no_grad()
def score(model: Model, job: Job, length: int) -> float:
    """Return the accuracy of the answers in the last quarter of a length (mqar: of all answers)."""
    model.eval()
    task, right, total = make_task(job, length), 0, 0
    for k in range(EVALUATED // AT_ONCE):
        inputs, targets = drawn(task, FIRST_TEST_BATCH + k, AT_ONCE)
        first = 0 if job["task"]["task"] == "mqar" else 3 * targets.shape[1] // 4
        answers = model(inputs)[0].argmax(dim=2)[:, first:]
        asked = targets[:, first:] >= 0
        right += int((answers == targets[:, first:])[asked].sum())
        total += int(asked.sum())
    model.train()
    return round(right / total, 4)


def whole_lines() -> str:
    """Return the file of the trainings, without a last line that a kill has cut off."""
    text = LINES.read_text(encoding="utf-8") if LINES.is_file() else ""
    return text[: text.rfind("\n") + 1]


def done() -> dict[str, dict[str, Any]]:
    """Return the trainings done so far, by key."""
    return {line["key"]: line for line in map(json.loads, whole_lines().splitlines())}


def run(chosen: Sequence[Job], workers: int) -> None:
    """Train all that is missing; each result is written at once."""
    LINES.parent.mkdir(exist_ok=True)
    LINES.write_text(whole_lines(), encoding="utf-8")
    found = done()
    missing = [job for job in chosen if key_of(job) not in found]
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        for future in as_completed([pool.submit(run_job, job) for job in missing]):
            line = future.result()
            with LINES.open("a", encoding="utf-8") as file:
                print(json.dumps(line, ensure_ascii=False), file=file)
            result = f"{line['score']:.3f} ({line['trained_length']:.3f} at the trained length)"
            what = f"{line['test']:12} {line['row']:24} seed {line['seed']}"
            print(f"{what}: {result}, {line['seconds']:.0f} s", flush=True)


def markdown(table: Mapping[str, Any], chosen: str) -> str:
    """Return the predictions and what was found, a line for each row."""
    found = done()
    tests = {name: test for name, test in table["tests"].items() if test["set"] == chosen}
    lines = [f"- {name}: {test['text']}; passed from {test['passes']}" for name, test in tests.items()]
    heads = [f"{name}: predicted | found" for name in tests]
    lines += ["", f"| model | {' | '.join(heads)} | state | parameters |", "|---" * (2 * len(tests) + 3) + "|"]
    by_row: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for job in jobs(table, chosen):
        if line := found.get(key_of(job)):
            by_row.setdefault((job["row"], job["test"]), []).append(line)
    for name, row in table["rows"].items():
        cells, any_line = [], None
        for test_name, test in tests.items():
            of_seeds = by_row.get((name, test_name), [])
            any_line = of_seeds[0] if of_seeds else any_line
            cells += [row["predictions"][test_name], _found(of_seeds, row["predictions"][test_name], test["passes"])]
        size = ("", "") if any_line is None else (f"{any_line['state_bytes']:,} bytes", f"{any_line['parameters']:,}")
        lines.append(f"| {name} | {' | '.join((*cells, *size))} |")
    return "\n".join(lines)


def _found(of_seeds: Sequence[Mapping[str, Any]], predicted: str, passes: float) -> str:
    if not of_seeds:
        return "not run"
    scores = sorted(line["score"] for line in of_seeds)
    middle = statistics.median(scores)
    passed = middle >= passes
    text = f"{middle:.2f} ({scores[0]:.2f} to {scores[-1]:.2f})" + ("" if passed else ", not passed at this budget")
    return text + (", **mismatch**" if predicted != "depends" and passed != (predicted == "pass") else "")


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=("list", "run", "table"))
    parser.add_argument("rows", nargs="*", metavar="ROW", help="rows of the table; default: all")
    parser.add_argument("--set", choices=SETS, default="short", help="the tests to run")
    parser.add_argument("--workers", type=int, default=2, help="processes of one thread each")
    options = parser.parse_args()
    table = read()
    chosen = list(jobs(table, options.set, options.rows))
    if options.verb == "table":
        print(markdown(table, options.set))
    elif options.verb == "list":
        found = done()
        print(f"{sum(key_of(job) not in found for job in chosen)} of {len(chosen)} trainings are missing")
    else:
        run(chosen, options.workers)


if __name__ == "__main__":
    main()
