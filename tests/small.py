"""Small data and small runs, shared by the tests of several packages."""

from __future__ import annotations

import atexit
import random
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import unrolled
from unrolled import lineage
from unrolled.training import Run

ROWS = tuple(row.name for row in lineage.rows_for("classify"))
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


def write_csv(path: Path, rows: list[tuple[str, str]] | None = None, *, header: str = "text,label") -> Path:
    """Write pairs as CSV and return the path."""
    lines = [header, *(f"{text},{label}" for text, label in rows or pairs())]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@cache
def trained(row: str = "gru", **settings: Any) -> Run:
    """A run of a few updates; the same one for all who ask for the same."""
    return unrolled.train(pairs(), row=row, **SMALL | settings)


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
def text_run(row: str = "gru", **settings: Any) -> Run:
    """A language model of a few updates; the same one for all who ask for the same."""
    path = write_text(Path(tempfile.mkdtemp(prefix="unrolled-")) / "text.txt")
    atexit.register(shutil.rmtree, path.parent)
    own = {"window": 3} if row == "feedforward" else {}
    small = {"embedding_size": 6, "hidden_size": 8, "updates": 4, "evaluate_every": 2, "streams": 2, "chunk": 16}
    return unrolled.train(path, task="generate", row=row, **small | own | settings)
