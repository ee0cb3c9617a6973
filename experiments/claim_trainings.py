"""Trainings of the claims: one arm with one seed, and its scores on the test examples.

A training is a function of its `job`: settings (flat names, as of `unrolled.train`), data (claim_data.py) and seed; or,
where settings have `positions`, the cost of single steps of an untrained model. A job has a key, the hash of these, so
that claims share trainings. The score of a test example, from 0 to 1, and higher is better:

    classify     1 for the right class
    regress      1 for an error below TOLERANCE (sums of digits / 10: rounded, the right sum)
    tag          the fraction of the words with the right tag, of those that have one
    translate    1 − edits / tokens of the nearest reference, at least 0
    generate     −(bits per character) of one of PIECES pieces of the test text: at most 0
"""

from __future__ import annotations

import hashlib
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parent))

import claim_data

import cells

__all__ = ["key_of", "packed", "run_job", "unpacked"]

TOLERANCE = 0.05
PIECES = 20
COST_OF = 32  # steps up to a position whose median counts
DIGITS = 3  # of a score that is neither 0 nor 1
SHARED = {"patience": 0, "threads": 1, "device": "cpu"}
"""Settings of every training: no early stop, so that arms have equally many updates."""
WITH_BASELINE = ("classify", "tag")


def key_of(job: Mapping[str, Any]) -> str:
    """Return the key of a job: the same settings, data and seed have the same."""
    return hashlib.sha256(json.dumps(job, sort_keys=True).encode()).hexdigest()[:16]


def packed(scores: list[float]) -> str | list[float]:
    """Return scores in few bytes: a text of 0 and 1 where all are one of these."""
    if all(score in (0, 1) for score in scores):
        return "".join("1" if score else "0" for score in scores)
    return [round(score, DIGITS) for score in scores]


def unpacked(scores: str | list[float]) -> list[float]:
    """Return the scores that `packed` made short."""
    return [float(score) for score in scores]


def run_job(job: Mapping[str, Any]) -> dict[str, Any]:
    """Return the job with its key, figures, CPU seconds, date, machine and versions."""
    import torch

    from unrolled import machine

    torch.set_num_threads(1)
    began = time.process_time()
    found = _cost(job["settings"]) if "positions" in job["settings"] else _training(job)
    return {
        "key": key_of(job),
        **job,
        **found,
        "seconds": round(time.process_time() - began, 1),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": machine.describe(),
        "versions": machine.versions(),
    }


def _training(job: Mapping[str, Any]) -> dict[str, Any]:
    import unrolled

    settings, seed = dict(job["settings"]), job["seed"]
    task, model = settings.get("task", "classify"), settings["model"]
    if model in cells.CELLS:
        _use(model)
    with tempfile.TemporaryDirectory() as folder:
        if "images" in job["data"]:
            data, held_out, test = f"sample:{job['data']['images']}", {}, None
        else:
            splits = claim_data.draw(job["data"], task, seed)
            paths = claim_data.write(splits, task, Path(folder))
            data, held_out, test = paths["train"], {split: paths[split] for split in ("valid", "test")}, splits["test"]
        of_task = {"baseline": False} if task in WITH_BASELINE else {"cache": folder} if task == "generate" else {}
        run = unrolled.train(data, seed=seed, **{**SHARED, **of_task, **settings, **held_out})
        if run.record["training"]["signal"]:
            raise RuntimeError("a signal ended the training before its last update: its scores do not count")
        scores = _images(run, data) if test is None else SCORES[task](run, test)
    return {
        "scores": packed(scores),
        "parameters": run.record["parameters"],
        "updates": run.record["training"]["updates"],
    }


def _use(name: str) -> None:
    """Make a variant of the LSTM a model, once in a process."""
    import unrolled
    from unrolled.cells import OWN

    if name not in OWN:
        unrolled.use_cell(cells.CELLS[name])


def _labels(run: Any, test: Any) -> list[float]:
    answers = run.decode([text for text, _ in test])
    return [float(answer.label == label) for answer, (_, label) in zip(answers, test, strict=True)]


def _numbers(run: Any, test: Any) -> list[float]:
    answers = run.decode([text for text, _ in test])
    return [
        float(abs(answer.value - float(number)) < TOLERANCE) for answer, (_, number) in zip(answers, test, strict=True)
    ]


def _tags(run: Any, test: Any) -> list[float]:
    answers = run.decode([words for words, _ in test])
    return [
        statistics.mean(
            word.tag == tag for word, tag in zip(answer.words, tags, strict=True) if tag != claim_data.NO_TAG
        )
        for answer, (_, tags) in zip(answers, test, strict=True)
    ]


def _targets(run: Any, test: Any) -> list[float]:
    """Return a score for each row; rows of the same source share their references."""
    from unrolled.evaluation.translation import nearest_edits

    references: dict[str, list[str]] = {}
    for source, target in test:
        references.setdefault(source, []).append(target)
    scores = {}
    for source, answer in zip(references, run.decode(list(references)), strict=True):
        edits, tokens = nearest_edits(answer.targets[0].text, references[source], str.split)
        scores[source] = max(0.0, 1 - edits / tokens)
    return [scores[source] for source, _ in test]


def _bits(run: Any, test: str) -> list[float]:
    size, scores = len(test) // PIECES, []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "piece.txt"
        for start in range(0, PIECES * size, size):
            path.write_text(test[start : start + size], encoding="utf-8")
            scores.append(-run.evaluate(str(path), cache=folder).bits_per_character)
    return scores


def _images(run: Any, data: str) -> list[float]:
    from unrolled.data.splits.images import load_image_splits

    test = load_image_splits(data, run.config.data).test
    right = run.probabilities(test).argmax(axis=1) == test.among(run.labels)
    return [float(each) for each in right]


SCORES = {"classify": _labels, "regress": _numbers, "tag": _tags, "translate": _targets, "generate": _bits}


def _cost(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the bytes of the state and the milliseconds of a token after each of `positions` tokens."""
    import torch

    from unrolled import api
    from unrolled.config import from_flat
    from unrolled.kernels.freeze import frozen
    from unrolled.models import Ids
    from unrolled.state import nbytes

    own = dict(settings)
    positions, vocabulary = own.pop("positions"), own.pop("vocabulary")
    torch.manual_seed(0)
    config = from_flat(own).model
    model = api.build(config.name, Ids(vocabulary), vocabulary, config, answer="each").eval()
    ids = torch.randint(vocabulary, (1, max(positions)), generator=torch.Generator().manual_seed(1))
    state, milliseconds, sizes = None, [], []
    with torch.inference_mode(), frozen(model):
        for position in range(max(positions)):
            began = time.perf_counter()
            _, state = model(ids[:, position : position + 1], state)
            milliseconds.append(1e3 * (time.perf_counter() - began))
            if position + 1 in positions:
                sizes.append(nbytes(state))
    medians = [round(statistics.median(milliseconds[position - COST_OF : position]), 4) for position in positions]
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return {"positions": positions, "bytes": sizes, "milliseconds": medians, "parameters": parameters}
