"""Draw docs/pictures/lineage/: the article's drawings, from networks that are trained here, on the samples, in minutes.

    python benchmarks/drawings.py                     all of them
    python benchmarks/drawings.py lstm attention      those of these networks alone
    python benchmarks/drawings.py --keep FOLDER       keep the networks there, and draw those that are there untrained

Every number in them is one of a trained network's; each caption says which, and how good it is. The networks are small,
so that a strip shows every unit. The same machine and versions give the same bytes.
"""

from __future__ import annotations

import argparse
import gzip
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import unrolled
from unrolled.data.reading.samples import FOLDER
from unrolled.pictures import draw, score_by_length
from unrolled.training import Run

PICTURES = Path(__file__).parents[1] / "docs" / "pictures" / "lineage"
SENTENCE = "it is not a dull film"
WORD = "unrolled"
PLACE = {"layer": "lstm.l0", "step": 4}  # at "dull", which "not" has gone before


class Network(NamedTuple):
    """A network that is trained, what it is asked, and what is drawn of it: file -> picture, what of it."""

    data: str
    settings: dict[str, Any]
    given: Callable[[], Any]
    drawings: dict[str, tuple[str, dict[str, Any]]]


def image() -> Any:
    """A boot: the first image of the test split that is one (class 9)."""
    labels = np.frombuffer(
        gzip.decompress((FOLDER / "fashion" / "t10k-labels-idx1-ubyte.gz").read_bytes())[8:], np.uint8
    )
    pixels = gzip.decompress((FOLDER / "fashion" / "t10k-images-idx3-ubyte.gz").read_bytes())[16:]
    first = int(np.flatnonzero(labels == 9)[0])
    return np.frombuffer(pixels, np.uint8).reshape(-1, 28, 28)[first].copy()


def sentence() -> str:
    """A sentence of which two words change each other's meaning."""
    return SENTENCE


def word() -> str:
    """A word to pronounce."""
    return WORD


FILMS: dict[str, Any] = {"embedding_size": 32, "hidden_size": 32, "epochs": 4, "seed": 1, "keep": "snapshots"}
LETTERS: dict[str, Any] = {"task": "translate", "embedding_size": 32, "hidden_size": 48, "updates": 1500, "seed": 1}
NETWORKS = {
    "feedforward": Network(
        "sample:fashion", {"model": "feedforward", "hidden_size": 64, "num_layers": 2, "epochs": 10}, image,
        {"feedforward": ("feedforward", {})},
    ),
    "elman": Network(
        "sample:films", {"model": "elman", **FILMS}, sentence,
        {"elman_cell": ("cell", {"step": 4}), "unrolled": ("network", {})},
    ),
    "lstm": Network(
        "sample:films", {"model": "lstm", **FILMS}, sentence,
        {
            "lstm_cell": ("cell", PLACE),
            "lstm_forget": ("cell", {**PLACE, "gate": "f"}),
            "lstm_input": ("cell", {**PLACE, "gate": "i"}),
            "lstm_output": ("cell", {**PLACE, "gate": "o"}),
            "lstm_gates": ("gates", {"units": 12}),
            "lstm_text": ("text", {}),
        },
    ),
    "gru": Network("sample:films", {"model": "gru", **FILMS}, sentence, {"gru_cell": ("cell", {"step": 4})}),
    "encoder_decoder": Network(
        "sample:letters", {"model": "encoder_decoder", **LETTERS}, word, {"encoder_decoder": ("network", {})}
    ),
    "attention": Network(
        "sample:letters", {"model": "attention", **LETTERS}, word,
        {
            "attention": ("network", {}),
            "attention_matrix": ("attention", {}),
            "attention_inside": ("attention-step", {"step": 4}),
        },
    ),
    "transformer": Network(
        "sample:letters", {"model": "transformer", **LETTERS, "num_layers": 1, "num_heads": 4}, word,
        {
            "transformer_heads": ("heads", {}),
            "transformer_inside": ("attention-step", {"layer": "encoder.transformer.l0", "step": 0}),
        },
    ),
}  # fmt: skip


LONG = (
    "it is a long and winding story of two brothers and a lost letter , told without a single dull moment , and in the "
    "end every one of its many threads is tied with care"
)


def gradients(runs: dict[str, Run]) -> str:
    """How much the answer to a long sentence feels each step, after ten updates of the training."""
    traces = [each.explain(LONG, gradient=True) for name in ("elman", "lstm") for each in stages(runs[name])]
    return draw("gradient", traces)


def stages(run: Run) -> list[Run]:
    """Some of the runs as they were in training, and the run."""
    return [*run.snapshots()[::3], run]


def lengths(runs: dict[str, Run]) -> str:
    """Short and long words through one vector, and with attention."""
    return score_by_length({name: runs[name].evaluate() for name in ("encoder_decoder", "attention")})


TOGETHER: dict[str, tuple[tuple[str, ...], Callable[[dict[str, Run]], str]]] = {
    "gradient": (("elman", "lstm"), gradients),
    "by_length": (("encoder_decoder", "attention"), lengths),
}
"""Drawings of several networks: which, and how; drawn where all of them are asked for."""


def main() -> None:
    """Train and draw."""
    parser = argparse.ArgumentParser()
    parser.add_argument("networks", nargs="*", metavar="network", help=f"of {', '.join(NETWORKS)}; default: all")
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()
    asked = options.networks or list(NETWORKS)
    if unknown := set(asked) - set(NETWORKS):
        sys.exit(f"no network {', '.join(sorted(unknown))}; there are {', '.join(NETWORKS)}")
    PICTURES.mkdir(parents=True, exist_ok=True)
    runs: dict[str, Run] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in asked:
            begun, network = time.perf_counter(), NETWORKS[name]
            runs[name] = trained(name, network, options.keep or Path(folder))
            trace = runs[name].explain(network.given())
            for file, (picture, what) in network.drawings.items():
                write(file, draw(picture, [trace], **what))
            print(f"{name}: {time.perf_counter() - begun:.0f} s, {trace.about.score}")
        for file, (needed, drawn) in TOGETHER.items():
            if set(needed) <= set(runs):
                write(file, drawn(runs))


def trained(name: str, network: Network, folder: Path) -> Run:
    """The run in the folder, trained unless it is there."""
    out = folder / f"{network.data.partition(':')[2]}-{name}"
    return unrolled.load(out) if out.exists() else unrolled.train(network.data, out=out, **network.settings)


def write(file: str, svg: str) -> None:
    """Keep a drawing, and say how large it is."""
    path = PICTURES / f"{file}.svg"
    path.write_text(svg, encoding="utf-8")
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
