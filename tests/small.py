"""Small data and small runs, shared by the tests of several packages."""

from __future__ import annotations

import atexit
import gzip
import random
import shutil
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import unrolled
from unrolled import lineage
from unrolled.config import HEADED
from unrolled.training import Run

MODELS = tuple(architecture.name for architecture in lineage.architectures_for("classify"))
OWN: dict[str, dict[str, Any]] = {
    "transformer": {"num_heads": 1},
    "gpt": {"num_heads": 1},
    **{name: {"num_heads": 1} for name in HEADED},
}  # options that a model needs at odd sizes
SMALL: dict[str, Any] = {"embedding_size": 6, "hidden_size": 5, "updates": 4, "evaluate_every": 2, "min_frequency": 1}
GOOD, BAD = ("fine", "warm", "funny", "superb"), ("dull", "thin", "flat", "boring")
FILLER = ("the", "film", "a", "plot", "Film", "scene", "it", "story")


def pairs(n: int = 60, *, seed: int = 0) -> list[tuple[str, str]]:
    """Texts of 3 to 9 words with their labels; no two texts are equal."""
    draw = random.Random(seed)
    made = []
    for i in range(n):
        label = draw.choice(("pos", "neg"))
        words = [*draw.choices(FILLER, k=draw.randint(1, 6)), draw.choice(GOOD if label == "pos" else BAD), f"no{i}"]
        draw.shuffle(words)
        made.append((" ".join(words), label))
    return made


def rated(n: int = 60, *, seed: int = 0) -> list[tuple[str, float]]:
    """Texts of 3 to 9 words with numbers from 10 to 50, the higher the more of their words are good."""
    draw = random.Random(seed)
    made = []
    for i in range(n):
        words = draw.choices(GOOD + BAD, k=draw.randint(2, 5))
        value = 30 + 20 * sum(1 if word in GOOD else -1 for word in words) / len(words) + draw.uniform(-1, 1)
        made.append((" ".join([*words, *draw.choices(FILLER, k=3), f"no{i}"]), round(value, 2)))
    return made


def write_csv(path: Path, rows: Sequence[tuple[str, object]] | None = None, *, header: str = "text,label") -> Path:
    """Write pairs as CSV and return the path."""
    lines = [header, *(f"{text},{label}" for text, label in rows or pairs())]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@cache
def number_run(name: str = "gru", **settings: Any) -> Run:
    """Return a model that predicts numbers, of a few updates, cached by its arguments."""
    return unrolled.train(rated(), task="regress", model=name, **SMALL | OWN.get(name, {}) | settings)


@cache
def trained(name: str = "gru", **settings: Any) -> Run:
    """Return a run of a few updates, cached by its arguments."""
    return unrolled.train(pairs(), model=name, **SMALL | OWN.get(name, {}) | settings)


def write_text(path: Path, text: str | None = None) -> Path:
    """Write plain text and return the path."""
    if text is None:
        draw = random.Random(0)
        lines = (" ".join(["the", *draw.choices(FILLER, k=4), "cat"]) for _ in range(60))
        text = "\n".join(lines) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@cache
def text_run(name: str = "gru", **settings: Any) -> Run:
    """Return a language model of a few updates, cached by its arguments."""
    path = write_text(Path(tempfile.mkdtemp(prefix="unrolled-")) / "text.txt")
    atexit.register(shutil.rmtree, path.parent)
    own = {"window": 3} if name == "feedforward" else {}
    small = {"embedding_size": 6, "hidden_size": 8, "updates": 4, "evaluate_every": 2, "streams": 2, "chunk": 16}
    return unrolled.train(path, task="generate", model=name, **small | own | settings)


def pictures(n: int = 60, *, seed: int = 0, height: int = 6, width: int = 5) -> tuple[NDArray[np.uint8], list[str]]:
    """Images (N, H, W) that are brighter above or below, as their label says; no two are equal."""
    random = np.random.default_rng(seed)
    images = random.integers(0, 120, (n, height, width), dtype=np.uint8)
    labels = random.choice(["above", "below"], n).tolist()
    for image, label in zip(images, labels, strict=True):
        image[: height // 2] += np.uint8(130 * (label == "above"))
        image[height // 2 :] += np.uint8(130 * (label == "below"))
    return images, labels


def write_idx(path: Path, array: NDArray[np.uint8]) -> Path:
    """Write bytes as IDX, gzipped if the name says so, and return the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def write_images(folder: Path, part: str = "train", n: int = 60, *, seed: int = 0) -> Path:
    """Write pictures and their labels (0 below, 1 above) as two IDX files; return that of the images."""
    images, labels = pictures(n, seed=seed)
    write_idx(folder / f"{part}-labels-idx1-ubyte", np.array([label == "above" for label in labels], np.uint8))
    return write_idx(folder / f"{part}-images-idx3-ubyte", images)


@cache
def image_run(name: str = "gru", **settings: Any) -> Run:
    """Return a classifier of images of a few updates, cached by its arguments."""
    small = {"hidden_size": 5, "updates": 4, "evaluate_every": 2, "batch_images": 16}
    return unrolled.train(pictures(), model=name, **small | OWN.get(name, {}) | settings)


TAGS = {"fine": "ADJ", "dull": "ADJ", "the": "DET", "a": "DET", "film": "NOUN", "plot": "NOUN", "is": "VERB"}


def sentences(n: int = 40, *, seed: int = 0) -> list[tuple[list[str], list[str]]]:
    """Sentences of 4 to 9 words with their tags; "no7" is a NOUN after a DET, else an ADJ. No two are equal."""
    draw = random.Random(seed)
    made = []
    for i in range(n):
        words = draw.choices(list(TAGS), k=draw.randint(3, 8))
        words.insert(draw.randint(0, len(words)), f"no{i % 7}")
        words.append(f"x{i}")
        tags = [TAGS.get(word, "NOUN" if k and words[k - 1] in ("the", "a") else "ADJ") for k, word in enumerate(words)]
        made.append((words, tags))
    return made


def word(identity: object, form: str, upos: str = "NOUN", **more: str) -> str:
    """A line of CoNLL-U."""
    fields = {"lemma": "_", "upos": upos, "xpos": "_", "feats": "_", "head": "_", "deprel": "dep", "deps": "_"} | more
    return "\t".join([str(identity), form, *fields.values(), "_"]) + "\n"


def bare(identity: str, form: str) -> str:
    """A line of a multiword token or an empty node: nothing but its form."""
    return "\t".join([identity, form, *["_"] * 8]) + "\n"


FINE = word(1, "fine", "ADJ") + "\n"  # a whole sentence, in two lines


def written(path: Path, data: str | bytes) -> Path:
    """A file with these bytes, or this text in UTF-8."""
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def write_conllu(path: Path, made: list[tuple[list[str], list[str]]] | None = None) -> Path:
    """Write sentences as CoNLL-U and return the path."""
    blocks = []
    for number, (words, tags) in enumerate(sentences() if made is None else made):
        rows = []
        for k, (word, tag) in enumerate(zip(words, tags, strict=True), start=1):
            xpos = "closed" if tag == "DET" else "open"
            rows.append(f"{k}\t{word}\t_\t{tag}\t{xpos}\t_\t_\tdep\t_\t_")
        blocks.append("\n".join([f"# sent_id = {number}", *rows]) + "\n\n")
    path.write_text("".join(blocks), encoding="utf-8")
    return path


@cache
def tag_run(name: str = "gru", **settings: Any) -> Run:
    """Return a tagger of a few updates, cached by its arguments."""
    own = {"window": 3} if name == "feedforward" else OWN.get(name, {})
    small = {**SMALL, "tokenizer": "character", "dropout": 0.0}
    return unrolled.train(sentences(), task="tag", model=name, **small | own | settings)


def translations(n: int = 60, *, seed: int = 0) -> list[tuple[str, str]]:
    """Words of 2 to 6 letters, and the same letters backwards in upper case; no two are equal."""
    draw = random.Random(seed)
    words = dict.fromkeys("".join(draw.choices("abcdefgh", k=draw.randint(2, 6))) for _ in range(20 * n))
    return [(word, word[::-1].upper()) for word in list(words)[:n]]


@cache
def translation_run(name: str = "attention", **settings: Any) -> Run:
    """Return a translator of a few updates, cached by its arguments."""
    small = {**SMALL, "tokenizer": "character", "dropout": 0.0, "batch_tokens": 400}
    return unrolled.train(translations(), task="translate", model=name, **small | OWN.get(name, {}) | settings)


def write_pairs(path: Path, made: list[tuple[str, str]] | None = None) -> Path:
    """Write pairs of a source and a target as CSV and return the path."""
    return write_csv(path, made or translations(), header="source,target")


WHOLE = (
    "# newdoc id = d\n# sent_id = s-1\n# text = vámonos al mar\n"
    + bare("1-2", "vámonos")
    + word(1, "vamos", "VERB")
    + word(2, "nos", "PRON")
    + bare("2.1", "elided")
    + bare("3-4", "al")
    + word(3, "a", "ADP")
    + word(4, "el", "DET")
    + word(5, "10 000", "NUM")
    + "\n# sent_id = s-2\n"
    + bare("0.1", "before")
    + bare("0.2", "all")
    + word(1, "_", "SYM")
    + word(2, "#", "SYM")
    + "\n"
)
"""Two sentences in CoNLL-U, with comments, multiword tokens and empty nodes."""
