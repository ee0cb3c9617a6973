"""Commands that are run in this process, and the small data that cases give them."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from unrolled.cli.main import run

SMALL = ("--hidden-size", "4", "--embedding-size", "4", "--updates", "2", "--min-frequency", "1", "--threads", "1")


class Outcome(NamedTuple):
    """Exit code and output of a command."""

    code: int
    out: str
    err: str


def command(*arguments: object) -> Outcome:
    """Run a command of unrolled in this process."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run([str(argument) for argument in arguments])
    texts = []
    for stream in (out, err):
        stream.flush()
        texts.append(stream.buffer.getvalue().decode())
    return Outcome(code, *texts)


def table(path: Path, rows: list[tuple[str, ...]], header: str | None = "text,label") -> Path:
    """Write a CSV file whose values hold no quotes."""
    lines = [",".join(f'"{value}"' if "," in value else value for value in row) for row in rows]
    path.write_text("\n".join([*([header] if header else []), *lines]) + "\n", encoding="utf-8")
    return path


def reviews(number: int = 40, labels: tuple[str, ...] = ("good", "bad")) -> list[tuple[str, ...]]:
    """Texts with labels in turn."""
    words = ("warm", "cold", "plain", "lively", "empty", "bright", "slow")
    return [
        (f"the {words[i % 7]} garden was {words[(3 * i) % 7]} number {i}", labels[i % len(labels)])
        for i in range(number)
    ]


def images(folder: Path, *classes: str, number: int = 20, shade: int = 0) -> Path:
    """Write different images into a folder for each class."""
    random = np.random.default_rng(shade)
    for name in classes:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for i in range(number):
            Image.fromarray(random.integers(0, 255, (5, 4), dtype=np.uint8)).save(folder / name / f"{i}.png")
    return folder


def conllu(path: Path, words: list[str], number: int = 30) -> Path:
    """Write sentences of these words with tags in turn, and a number in each."""
    blocks = []
    for i in range(number):
        lines = [
            f"{k}\t{word}\t_\t{('NOUN', 'VERB')[k % 2]}\t_\t_\t0\tdep\t_\t_"
            for k, word in enumerate([*words, f"no{i}"], start=1)
        ]
        blocks.append("\n".join(lines) + "\n\n")
    path.write_bytes("".join(blocks).encode())
    return path
