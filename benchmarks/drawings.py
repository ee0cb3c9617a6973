"""Drawings of the article, into docs/pictures/lineage/: networks are trained on the samples, in minutes, and drawn.
NAME_narrow.svg is the same drawing for narrow screens.

    python benchmarks/drawings.py                     all drawings
    python benchmarks/drawings.py lstm attention      drawings of these networks only
    python benchmarks/drawings.py --keep FOLDER       save the networks there; saved ones are not trained again

All numbers in them are those of trained networks; the small print names the network and its score. The networks are
small, so that every unit is visible. The same machine and versions give the same bytes.
"""

from __future__ import annotations

import argparse
import gzip
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import long_lag
import made_sentences
import numpy as np
from record import PLAIN_BLOCKS

import unrolled
from unrolled.config import DataConfig
from unrolled.data.reading.samples import FOLDER
from unrolled.data.splits.labelled import load_splits
from unrolled.inside import Trace
from unrolled.pictures import draw, score_by_length
from unrolled.pictures.figure import WIDTH
from unrolled.training import Run

PICTURES = Path(__file__).parents[1] / "docs" / "pictures" / "lineage"
NARROW = 320  # pixels of the narrow drawings
SENTENCE = "it is not a dull film"
TURNED = "it is not , as some say , a pointless film"  # too far for an Elman network
WORD = "unrolled"
BOOT = "python objects, image 0"  # the name of an image without a file
TRUTH = {SENTENCE: ["positive"], TURNED: ["positive"], WORD: ["AH", "N", "R", "OW", "L", "D"], BOOT: ["ankle boot"]}
"""The true answers by input. The pronouncing dictionary has the sounds."""
AT_DULL = {"layer": "lstm.l0", "step": 4}  # at "dull", after "not"


class Network(NamedTuple):
    """A network: its training, the input that it reads, and its drawings (file -> picture and options)."""

    data: Callable[[], Any]
    settings: dict[str, Any]
    input: Callable[[], Any]
    drawings: dict[str, tuple[str, dict[str, Any]]]


def films() -> list[tuple[str, str]]:
    """Return film sentences, and short made ones from which a small network learns negation."""
    splits = load_splits("sample:films", DataConfig())
    rows = [
        pair
        for split in (splits.train, splits.valid, splits.test)
        for pair in zip(split.texts(), split.labels(), strict=True)
    ]
    return [*rows, *made_sentences.make(6_000, without=[SENTENCE])]


def letters() -> str:
    """Return the sample of words and their sounds."""
    return "sample:letters"


def fashion() -> str:
    """Return the sample of images."""
    return "sample:fashion"


def shakespeare() -> str:
    """Return the sample of plays, for a language model by character."""
    return "sample:shakespeare"


def image() -> Any:
    """Return the first boot (class 9) of the test split."""
    labels = np.frombuffer(
        gzip.decompress((FOLDER / "fashion" / "t10k-labels-idx1-ubyte.gz").read_bytes())[8:], np.uint8
    )
    pixels = gzip.decompress((FOLDER / "fashion" / "t10k-images-idx3-ubyte.gz").read_bytes())[16:]
    first = int(np.flatnonzero(labels == 9)[0])
    return np.frombuffer(pixels, np.uint8).reshape(-1, 28, 28)[first].copy()


def keyed_majority() -> list[tuple[str, str]]:
    """Return texts whose first token decides how the rest is read."""
    return long_lag.make()


def keyed_text() -> str:
    """Return the first of these texts."""
    return long_lag.make()[0][0]


def sentence() -> str:
    """Return a sentence with two words that change each other's meaning."""
    return SENTENCE


def word() -> str:
    """Return a word to pronounce."""
    return WORD


def line_of_verse() -> str:
    """Return the beginning of a line."""
    return "My lord, the king"


FILMS: dict[str, Any] = {
    "embedding_size": 32,
    "hidden_size": 32,
    "epochs": 14,
    "learning_rate": 6e-3,
    "patience": 0,
    "seed": 1,
    "keep": "snapshots",
}
LETTERS: dict[str, Any] = {"task": "translate", "embedding_size": 32, "hidden_size": 48, "updates": 1500, "seed": 1}
NETWORKS = {
    "feedforward": Network(
        fashion, {"model": "feedforward", "hidden_size": 64, "num_layers": 2, "epochs": 10}, image,
        {"feedforward": ("feedforward", {"truth": TRUTH})},
    ),
    "bag": Network(films, {"model": "feedforward", **FILMS}, sentence, {}),
    "elman": Network(
        films, {"model": "elman", **FILMS}, sentence,
        {"elman_cell": ("cell", {"step": 4}), "unrolled": ("network", {"truth": TRUTH})},
    ),
    "lstm": Network(
        films, {"model": "lstm", **FILMS}, sentence,
        {
            "lstm_cell": ("cell", AT_DULL),
            "lstm_forget": ("cell", {**AT_DULL, "gate": "f"}),
            "lstm_input": ("cell", {**AT_DULL, "gate": "i"}),
            "lstm_output": ("cell", {**AT_DULL, "gate": "o"}),
            "lstm_gates": ("gates", {"units": 12}),
            "lstm_text": ("text", {}),
        },
    ),
    "gru": Network(films, {"model": "gru", **FILMS}, sentence, {"gru_cell": ("cell", {"step": 4})}),
    "encoder_decoder": Network(
        letters, {"model": "encoder_decoder", **LETTERS}, word, {"encoder_decoder": ("network", {"truth": TRUTH})}
    ),
    "attention": Network(
        letters, {"model": "attention", **LETTERS}, word,
        {
            "attention": ("network", {"truth": TRUTH}),
            "attention_matrix": ("attention", {}),
            "attention_inside": ("attention-step", {"step": 4}),
            "beam": ("beam", {}),
        },
    ),
    "transformer": Network(
        letters, {"model": "transformer", **LETTERS, **PLAIN_BLOCKS, "num_layers": 1, "num_heads": 4}, word,
        {
            "transformer_block": ("block", {"step": 2}),
            "transformer_heads": ("heads", {}),
            "transformer_inside": ("attention-step", {"layer": "encoder.transformer.l0", "step": 0}),
        },
    ),
    "gpt": Network(
        shakespeare,
        {
            "task": "generate", "model": "gpt", **PLAIN_BLOCKS, "hidden_size": 64, "num_layers": 2, "num_heads": 4,
            "window": 64, "updates": 2000, "seed": 1,
        },
        line_of_verse,
        {"gpt_block": ("block", {"layer": "transformer.l0", "step": 7}), "gpt_tree": ("tree", {"step": 4})},
    ),
    "gpt_letters": Network(letters, {"model": "gpt", **LETTERS, "updates": 3000}, word, {}),
    **{
        f"keyed_{name}": Network(
            keyed_majority, {"model": name, **long_lag.SETTINGS, **own}, keyed_text, {}
        )
        for name, own in long_lag.MODELS.items()
    },
}  # fmt: skip


def gradients(runs: dict[str, Run], width: int) -> str:
    """Draw the gradient of the answer by distance, where the first token decides it."""
    traces = [runs[name].explain(keyed_text(), gradient=True) for name in KEYED]
    return draw("gradient", traces, width=width)


def overview(runs: dict[str, Run], width: int) -> str:
    """Draw a card for each architecture: those that label on a sentence, those that translate on a word."""
    traces = [runs[name].explain(TURNED) for name in READERS] + [runs[name].explain(WORD) for name in TRANSLATORS]
    return draw("lineage", traces, truth=TRUTH, width=width)


def backpropagations(runs: dict[str, Run], width: int) -> str:
    """Draw the gradient of the answer to the sentence, on its way back through two networks."""
    traces = [runs[name].explain(SENTENCE, gradient=True) for name in ("elman", "lstm")]
    return draw("backpropagation", traces, width=width)


def lengths(runs: dict[str, Run], width: int) -> str:
    """Draw the score by length of words, through one vector and with attention."""
    results = {name: runs[name].evaluate() for name in ("encoder_decoder", "attention")}
    return score_by_length(results, width=width)


READERS, TRANSLATORS = ("bag", "elman", "lstm", "gru"), ("encoder_decoder", "attention", "transformer", "gpt_letters")
KEYED = tuple(f"keyed_{name}" for name in long_lag.MODELS)
TOGETHER: dict[str, tuple[tuple[str, ...], Callable[[dict[str, Run], int], str]]] = {
    "overview": ((*READERS, *TRANSLATORS), overview),
    "gradient": (KEYED, gradients),
    "backpropagation": (("elman", "lstm"), backpropagations),
    "by_length": (("encoder_decoder", "attention"), lengths),
}
"""Drawings of several networks: these networks, and the function; drawn where all of them are requested."""


def main() -> None:
    """Train the networks and draw them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("networks", nargs="*", metavar="network", help=f"of {', '.join(NETWORKS)}; default: all")
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()
    requested = options.networks or list(NETWORKS)
    if unknown := set(requested) - set(NETWORKS):
        sys.exit(f"no network {', '.join(sorted(unknown))}; there are {', '.join(NETWORKS)}")
    PICTURES.mkdir(parents=True, exist_ok=True)
    runs: dict[str, Run] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in requested:
            begun, network = time.perf_counter(), NETWORKS[name]
            runs[name] = trained(network, options.keep or Path(folder))
            trace = runs[name].explain(network.input())
            for file, (picture, chosen) in network.drawings.items():
                write(file, partial(drawn_alone, picture, trace, chosen))
            print(f"{name}: {time.perf_counter() - begun:.0f} s, {trace.about.score}")
        for file, (needed, drawn) in TOGETHER.items():
            if set(needed) <= set(runs):
                write(file, partial(drawn, runs))


def trained(network: Network, folder: Path) -> Run:
    """Return the run in the folder; train it where it is missing."""
    out = folder / f"{network.data.__name__}-{network.settings['model']}"
    return unrolled.load(out) if out.exists() else unrolled.train(network.data(), out=out, **network.settings)


def drawn_alone(picture: str, trace: Trace, chosen: dict[str, Any], width: int) -> str:
    """Draw one network."""
    return draw(picture, [trace], width=width, **chosen)


def write(file: str, drawn: Callable[[int], str]) -> None:
    """Save a drawing and its narrow form, and print their sizes."""
    for name, width in ((file, WIDTH), (f"{file}_narrow", NARROW)):
        path = PICTURES / f"{name}.svg"
        path.write_text(drawn(width), encoding="utf-8")
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
