"""Data of the claims: examples of a synthetic task or of a sample, as the files that a training reads.

A claim's table `data` has either

    synthetic = "recall", length = 40 (also symbols, gap)       a task of src/unrolled/data/synthetic.py
    sample = "films"                                            a sample that is shipped

and the numbers of examples, train, valid and test (of task generate: characters). A training's seed draws its
training and validation examples; the test examples are the same for all seeds, so that arms are compared in pairs.
One more key, for texts with labels, changes the test examples only:

    remove = "first", words = 5       without their first, or "last", words

and one for labelled texts and pairs of a sample, whose own test split is small:

    pool = true                          draw all splits from the examples of the three, the test examples first

Symbols of synthetic tasks are written s0, s1, …, blanks _, the mark |. The form depends on the task of the training:

    classify     tokens between spaces, and the answer
    regress      adding: digits, the two marked ones as 7*, and their sum / 10
    tag          each token with its answer, or "-" without one
    translate    the tokens before the mark, and the answers
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from unrolled.data import synthetic
from unrolled.data.encoding.tokenizers import SEP
from unrolled.data.reading.files import open_bytes
from unrolled.data.reading.samples import named, read_sample, split_file

__all__ = ["SPLITS", "draw", "write"]

SPLITS = ("train", "valid", "test")
NO_TAG = "-"
WITH_BLANKS = ("recall", "copy", "reverse", "selective_copy")
KEYS = {"classify": ("text", "label"), "regress": ("text", "label"), "translate": ("source", "target")}
EXTENSIONS = {"tag": ".txt", "generate": ".txt"}
ORDER = 1_000  # seed of the order of a sample's examples, before that of the training is added

Pairs = list[tuple[Any, Any]]


def draw(data: Mapping[str, Any], task: str, seed: int) -> dict[str, Any]:
    """Return the three splits: (input, answer) pairs; of task generate texts.

    Args:
        data: the table of a claim, see above.
        task: the task of the training.
        seed: seed of the training and validation examples.
    """
    splits = _synthetic(data, task, seed) if "synthetic" in data else _sample(data, task, seed)
    if "remove" in data:
        splits["test"] = [(_without(text, data["remove"], data["words"]), label) for text, label in splits["test"]]
    return splits


def _without(text: str, end: str, count: int) -> str:
    """Return a text without its first or last words, but with at least one."""
    words = text.split()
    count = min(count, len(words) - 1)
    return " ".join(words[count:] if end == "first" else words[: len(words) - count])


def _synthetic(data: Mapping[str, Any], task: str, seed: int) -> dict[str, Pairs]:
    """Return examples of a synthetic task: other draws for each split, and for each seed but in the test split."""
    drawn = {"train": 1 + seed, "valid": 1 + seed, "test": 0}
    own = {name: data[name] for name in ("symbols", "gap") if name in data}
    name, length = data["synthetic"], data["length"]
    made = {split: synthetic.make(name, length, seed=drawn[split], **own) for split in SPLITS}
    return {split: _written(name, made[split], task, index, data[split]) for index, split in enumerate(SPLITS)}


def _written(name: str, source: synthetic.Synthetic, task: str, index: int, count: int) -> Pairs:
    """Return the examples of a batch in the form of the task."""
    if task == "regress":
        return _sums(source, index, count)
    inputs, targets = (tensor.tolist() for tensor in source.batch(index, count))
    names = {SEP: "|"} | ({synthetic.FIRST + source.symbols: "_"} if name in WITH_BLANKS else {})
    tokens = [[names.get(i, f"s{i - synthetic.FIRST}") for i in ids] for ids in inputs]
    if task == "classify":
        return [(" ".join(each), str(target)) for each, target in zip(tokens, targets, strict=True)]
    answers = [[NO_TAG if target < 0 else f"s{target}" for target in each] for each in targets]
    if task == "tag":
        return list(zip(tokens, answers, strict=True))
    return [
        (" ".join(each[: each.index("|")]), " ".join(tag for tag in tags if tag != NO_TAG))
        for each, tags in zip(tokens, answers, strict=True)
    ]


def _sums(source: synthetic.Synthetic, index: int, count: int) -> Pairs:
    """Return adding as text: the tenths of each number as a digit, and the sum of the two marked ones."""
    inputs, _ = source.batch(index, count)
    digits, marks = (10 * inputs[..., 0]).long(), inputs[..., 1] > 0
    sums = (digits * marks).sum(dim=1) / 10
    texts = (
        " ".join(f"{digit}*" if mark else f"{digit}" for digit, mark in zip(*each, strict=True))
        for each in zip(digits.tolist(), marks.tolist(), strict=True)
    )
    return [(text, f"{total:.1f}") for text, total in zip(texts, sums.tolist(), strict=True)]


def _sample(data: Mapping[str, Any], task: str, seed: int) -> dict[str, Any]:
    """Return examples of a sample: the first of each split, in an order by the seed; the test split's is fixed."""
    name, splits = data["sample"], {}
    if data.get("pool"):
        return _pooled(data, seed)
    for split in SPLITS:
        if task == "generate":
            splits[split] = _text(name, split, data[split], 0 if split == "test" else seed)
            continue
        rows = list(_sentences(name, split) if task == "tag" else _rows(name, split))
        random.Random(ORDER + (0 if split == "test" else seed)).shuffle(rows)
        splits[split] = rows[: data[split]]
    return splits


def _pooled(data: Mapping[str, Any], seed: int) -> dict[str, Pairs]:
    """Return splits drawn from all examples of a sample, one for each text; the test split does not depend on seed."""
    rows = list(dict(row for split in SPLITS for row in _rows(data["sample"], split)).items())
    random.Random(ORDER).shuffle(rows)
    test, rest = rows[: data["test"]], rows[data["test"] :]
    random.Random(ORDER + seed).shuffle(rest)
    return {"train": rest[data["valid"] :][: data["train"]], "valid": rest[: data["valid"]], "test": test}


@cache
def _rows(name: str, split: str) -> Pairs:
    """Return the rows of a sample; they are read once in a process, and must not be changed."""
    sample, _ = named(f"sample:{name}")
    return [row.values[:2] for row in read_sample(f"sample:{name}/{split}", sample.columns)]


def _sentences(name: str, split: str) -> Pairs:
    """Return the words and tags (UPOS) of a sample in CoNLL-U."""
    with open_bytes(split_file(name, split, ".conllu"), name) as lines:
        blocks = lines.read().decode().strip().split("\n\n")
    rows = [[line.split("\t") for line in block.splitlines() if not line.startswith("#")] for block in blocks]
    words = [[fields for fields in block if fields[0].isdigit()] for block in rows]
    return [([fields[1] for fields in block], [fields[3] for fields in block]) for block in words if block]


def _text(name: str, split: str, characters: int, seed: int) -> str:
    """Return consecutive characters of a sample of plain text, from a position by the seed."""
    with open_bytes(split_file(name, split, ".txt"), name) as lines:
        text = lines.read().decode()
    start = int(np.random.default_rng(ORDER + seed).integers(max(1, len(text) - characters)))
    return text[start : start + characters]


def write(splits: Mapping[str, Any], task: str, folder: Path) -> dict[str, str]:
    """Write the splits as files; return the path of each."""
    paths = {split: folder / f"{split}{EXTENSIONS.get(task, '.jsonl')}" for split in SPLITS}
    for split, path in paths.items():
        path.write_text(_file(splits[split], task), encoding="utf-8")
    return {split: str(path) for split, path in paths.items()}


def _file(examples: Any, task: str) -> str:
    if task == "generate":
        text: str = examples
        return text
    if task == "tag":
        return "\n".join("".join(f"{word}\t{tag}\n" for word, tag in zip(*each, strict=True)) for each in examples)
    rows: Sequence[tuple[str, str]] = examples
    return "".join(json.dumps(dict(zip(KEYS[task], row, strict=True)), ensure_ascii=False) + "\n" for row in rows)
