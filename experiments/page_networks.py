"""Train the small networks of the page, src/unrolled/page/networks/, and the tables that it shows of them.

    python experiments/page_networks.py src/unrolled/page/networks [MODEL …]

Seven of the eight architectures of the lineage, and GPT, each small enough that a page can carry it:

    feedforward, elman, lstm, gru, transformer    is a sentence about a film positive?       MIXED
    encoder_decoder, attention                    the phonemes of a word from its letters    sample:letters
    gpt                                           the next word of a sentence about a film   MIXED, as plain text

MIXED is sample:films and 7,000 short sentences made here, of which 6,000 are for training: *not*, *never* and *hardly*
turn the sense, and the last of two clauses with *but* decides. The film sentences alone did not teach negation to any
of 16 networks of this size. No example sentence of the page is among the made ones.

Every large matrix is rounded to 8 bits a number with a scale for each row, and the rounded network is what is saved and
evaluated: the page's packed form is then exact, so that the page and the product compute the same network.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch

import unrolled
from unrolled import atomic
from unrolled.data.reading.samples import read_sample
from unrolled.page.pack import is_packed, quantized

SEED = 7
LEFT_OUT = ("metrics.jsonl", "README.md")
"""Files of a run that the page does not need."""
MADE = {"train": 6_000, "valid": 500, "test": 500}
EXAMPLES = {
    "it is not , as some say , a pointless film",
    "the film is not , to my surprise , dull",
    "it is too long , but it is funny",
    "it is funny , but it is too long",
    "a warm and funny film",
    "i was never bored",
}
"""The page's example sentences as words: not among the made ones."""

POSITIVE = """good great funny warm clever moving beautiful brilliant charming fresh smart touching honest fascinating
gripping delightful wonderful original powerful sweet""".split()  # noqa: SIM905
NEGATIVE = """bad dull boring flat silly slow empty tedious stupid weak awful predictable cold lazy ugly messy pointless
tired shallow painful""".split()  # noqa: SIM905
NOUNS = ["film", "movie", "story", "comedy", "drama", "picture", "script", "thriller"]
SUBJECTS = [
    "it", "this", "the film", "the movie", "the story", "the script", "the acting", "this comedy", "the ending",
    "the plot",
]  # fmt: skip
NEGATIONS = ["not", "never", "hardly"]
ASIDES = [
    "", "", ", as some say ,", ", in the end ,", ", to my surprise ,", ", for all its length ,",
    ", even at its worst ,",
    "at any moment",
]  # fmt: skip
DEGREES = ["", "", "", "really", "at all", "very", "so", "that"]
FEELINGS = {"bored": False, "tired": False, "moved": True, "touched": True, "charmed": True, "annoyed": False}
MOMENTS = {
    "dull": False, "boring": False, "funny": True, "touching": True, "slow": False, "beautiful": True, "tedious": False,
    "brilliant": True,
}  # fmt: skip

SMALL: dict[str, Any] = {
    "task": "classify", "vocabulary_size": 1_200, "embedding_size": 12, "hidden_size": 12, "epochs": 12, "patience": 0,
    "dropout": 0.15, "learning_rate": 0.006, "baseline": False,
}  # fmt: skip
PAIRS: dict[str, Any] = {
    "task": "translate", "hidden_size": 40, "embedding_size": 16, "bidirectional": False, "dropout": 0.05,
    "updates": 8_000,
}  # fmt: skip
PLAIN: dict[str, Any] = {"position": "sinusoidal", "gated": False, "normalization": "layer"}
"""Blocks as in the paper of 2017, which the page draws; the defaults of some tasks are newer ones."""
RECIPES: dict[str, dict[str, Any]] = {
    "feedforward": {**SMALL, "hidden_size": 16},
    "elman": SMALL,
    "lstm": SMALL,
    "gru": SMALL,
    "transformer": {
        **SMALL, **PLAIN, "num_layers": 2, "num_heads": 2, "feedforward_size": 48, "epochs": 30,
        "dropout": 0.02,
        "learning_rate": 0.004,
    },
    "encoder_decoder": PAIRS,
    "attention": PAIRS,
    "gpt": {
        **PLAIN, "task": "generate", "tokenizer": "word", "vocabulary_size": 1_200, "embedding_size": 24,
        "hidden_size": 24,
        "num_layers": 2, "num_heads": 2, "feedforward_size": 64, "window": 32, "tied": True, "dropout": 0.05,
        "learning_rate": 0.004, "updates": 4_075,
    },
}  # fmt: skip


def clause(rng: random.Random) -> tuple[str, bool]:
    """Return a clause and whether it is positive."""
    subject, positive = rng.choice(SUBJECTS), rng.random() < 0.5
    adjective = rng.choice(POSITIVE if positive else NEGATIVE)
    negated = rng.random() < 0.5
    no = rng.choice(NEGATIONS) if negated else ""
    kind = rng.random()
    if kind < 0.45:
        article = "an" if adjective[0] in "aeiou" else "a"
        if subject in ("it", "this") or rng.random() < 0.4:
            words = [subject, "is", no, rng.choice(ASIDES), article, adjective, rng.choice(NOUNS)]
        else:
            words = [subject, "is", no, rng.choice(ASIDES), rng.choice(DEGREES[:4]), adjective]
    elif kind < 0.8:
        degree = rng.choice(DEGREES)
        words = [subject, "is", no, rng.choice(ASIDES), "" if degree == "at all" and not negated else degree, adjective]
    elif kind < 0.9:
        feeling, positive = rng.choice(list(FEELINGS.items()))
        words = ["i was", no, rng.choice(ASIDES), feeling]
    else:
        moment, positive = rng.choice(list(MOMENTS.items()))
        negated = rng.random() < 0.6
        start = rng.choice(["there is", ""])
        words = [start, "not" if negated else "", "a", moment, "moment", "in it" if start else ""]
    return " ".join(" ".join(words).split()), positive != negated


def sentence(rng: random.Random) -> tuple[str, bool]:
    """Return a sentence of one clause, or of two; after "but" the second has the other sense, and decides."""
    kind = rng.random()
    first, sense = clause(rng)
    if kind < 0.72:
        return first, sense
    second, other = clause(rng)
    while (other == sense) == (kind < 0.9):
        second, other = clause(rng)
    return f"{first} , {'but' if kind < 0.9 else 'and'} {second}", other


def made() -> list[tuple[str, str]]:
    """Return the made sentences and their labels, without repetitions."""
    rng, found = random.Random(SEED), {}
    while len(found) < sum(MADE.values()):
        text, positive = sentence(rng)
        if text not in EXAMPLES:
            found.setdefault(text, "positive" if positive else "negative")
    return list(found.items())


def mixed() -> dict[str, list[tuple[str, str]]]:
    """Return the texts and labels of each split."""
    sentences, splits, first = made(), {}, 0
    for split, number in MADE.items():
        films = [row.values[:2] for row in read_sample(f"sample:films/{split}", ("text", "label"))]
        splits[split] = films + sentences[first : first + number]
        random.Random(SEED).shuffle(splits[split])
        first += number
    return splits


def train(model: str, out: Path, folder: Path) -> None:
    """Train a network, round it, and save it with the result of the rounded one."""
    recipe = {**RECIPES[model], "model": model, "seed": SEED}
    if recipe["task"] == "translate":
        run = unrolled.train("sample:letters", **recipe)
        test: Any = "sample:letters/test"
    elif recipe["task"] == "classify":
        run = unrolled.train(
            str(folder / "train.jsonl"), valid=str(folder / "valid.jsonl"), test=str(folder / "test.jsonl"), **recipe
        )
        test = str(folder / "test.jsonl")
    else:
        run = unrolled.train(
            str(folder / "train.txt"), valid=str(folder / "valid.txt"), test=str(folder / "test.txt"), **recipe
        )
        test = str(folder / "test.txt")
    with torch.no_grad():
        for weight in run.model.parameters():
            if is_packed(weight):
                weight.copy_(quantized(weight))
    result = run.evaluate(test)
    run.record["result"] = result.to_dict()
    shutil.rmtree(out / model, ignore_errors=True)
    files = {name: content for name, content in run.files().items() if name not in LEFT_OUT}
    atomic.write(out / model, files)
    print(model, f"{run.record['parameters']:,} parameters", result, sep="\n", flush=True)


def main() -> None:
    """Write the splits, and train the models that are named: by default all."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("models", nargs="*", default=list(RECIPES))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for split, rows in mixed().items():
            lines = [json.dumps({"text": text, "label": label}) for text, label in rows]
            (folder / f"{split}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
            (folder / f"{split}.txt").write_text("\n".join(text for text, _ in rows) + "\n", encoding="utf-8")
        for model in arguments.models:
            train(model, arguments.out, folder)


if __name__ == "__main__":
    main()
