"""Ours compared with JoeyNMT: an RNN with additive attention and a Transformer, on the same batches, in turn.

    make bench-joeynmt            (its environment, .venv-joeynmt, is made first)
    python benchmarks/compare_joeynmt.py [rnn] [transformer] [--python .venv-joeynmt/bin/python]

Both read the same ids, English and French verses of up to 60 words in byte pairs, in the same batches, and take an
AdamW update on each of the same batches, one side after the other, a few updates a turn. Then both search with a beam
of 5 for the same sources, with the weights that they have learnt, every answer LENGTH tokens long, so that the
times are of equally long outputs. Ratios are medians over turns. Tokens are those of the target, <eos> included.
JoeyNMT is called as its own training calls it; its data loading, validation and logging are left out.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from record import PLAIN_BLOCKS, save_part

from unrolled import machine
from unrolled.config import Config, from_flat
from unrolled.data.encoding.batches import Sequences
from unrolled.decoding.search import Beam
from unrolled.decoding.translation import translate
from unrolled.models import Pairs
from unrolled.runs.build import build
from unrolled.tasks.translation import Translate
from unrolled.training import Batch, Trainer
from unrolled.training.progress import Score

SIZES = {  # about 6.4 and 7.6 million parameters
    "rnn": {"model": "attention", "hidden_size": 288, "embedding_size": 256},
    "transformer": {
        "model": "transformer",
        "hidden_size": 256,
        "embedding_size": 256,
        "num_layers": 3,
        "num_heads": 4,
        **PLAIN_BLOCKS,
    },
}
SETTINGS = {"task": "translate", "vocabulary_size": 4_000, "max_length": 200, "batch_tokens": 4_096, "dropout": 0.1}
TURNS, UPDATES = 6, 8  # of training; the first turn warms up
SEARCHES, SOURCES, LENGTH, BEAM = 3, 16, 40, 5
RATE = 1e-3


class Fixed:
    """A loader of the same few batches, in their order."""

    def __init__(self, batches: list[Batch]) -> None:
        self.batches = batches

    def count(self, epoch: int) -> int:
        """Return the number of batches."""
        return len(self.batches)

    def batch(self, epoch: int, index: int) -> Batch:
        """Return one batch."""
        return self.batches[index]


class Ours:
    """Our model, with its own training loop around it."""

    def __init__(self, config: Config, task: Translate, batches: list[Batch]) -> None:
        torch.manual_seed(0)
        self.batches, self.tokenizer = batches, task.preprocessor.target
        sizes = [t.vocabulary_size for t in (task.preprocessor.source, task.preprocessor.target)]
        self.model = build(config.model.name, Pairs(*sizes), sizes[1], config.model, answer="each")
        loss = task.loss(config, torch.device("cpu"))
        self.trainer = Trainer(self.model, Fixed(batches), loss, lambda: Score(0.0, 0.0), config.training)

    def train(self, first: int, end: int) -> dict[str, float]:
        """Do an update on each of the batches; return the seconds."""
        self.model.train()
        began = time.perf_counter()
        for _ in range(first, end):
            self.trainer.update()
        return {"seconds": time.perf_counter() - began}

    def decode(self, number: int) -> dict[str, float]:
        """Search with a beam for the first sources of a batch; return the seconds and the mean length."""
        self.model.eval()
        batch = self.batches[number]
        padded = zip(batch.source[:SOURCES].tolist(), batch.source_lengths.tolist(), strict=False)
        sources = Sequences(ids[:length] for ids, length in padded)
        began = time.perf_counter()
        answers = translate(
            self.model, self.tokenizer, [""] * SOURCES, sources, Beam(BEAM), min_length=LENGTH, max_length=LENGTH
        )
        seconds = time.perf_counter() - began
        return {"seconds": seconds, "tokens": statistics.mean(answer.targets[0].tokens for answer in answers)}


class Theirs:
    """JoeyNMT's model and training, in another process."""

    def __init__(self, python: str, **options: Any) -> None:
        worker = str(Path(__file__).with_name("compare_joeynmt_worker.py"))
        self.process = subprocess.Popen(
            [python, worker], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self.parameters = self.ask("make", **options)["parameters"]

    def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Send a command to the process; return its answer."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps({"do": command, **arguments}), file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit(
                f"JoeyNMT's process ended with {self.process.wait()} at {command}: run it by hand to see why"
            )
        return json.loads(answer)


def compare(kind: str, python: str) -> dict[str, Any]:
    """Train and search on both sides in turn; return the figures."""
    size = SIZES[kind]
    config = from_flat({**SETTINGS, **size, "learning_rate": RATE, "schedule": "constant", "warmup": 0.0})
    task = Translate.read("sample:verses", config)
    loader = task.loader(None, config, torch.device("cpu"))  # type: ignore[arg-type]
    batches = [loader.batch(0, index) for index in range(TURNS * UPDATES + SEARCHES)]
    ours = Ours(config, task, batches)
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/batches.npz"
        np.savez(path, **_arrays(batches))
        options = {
            **{name: value for name, value in size.items() if name != "model"},
            "S": task.preprocessor.source.vocabulary_size,
            "V": task.preprocessor.target.vocabulary_size,
            "dropout": config.model.dropout,
            "label_smoothing": config.training.label_smoothing,
            "learning_rate": RATE,
            "threads": torch.get_num_threads(),
        }
        theirs = Theirs(python, kind=kind, batches=path, **options)
        training: list[dict[str, float]] = []
        for turn in range(TURNS):
            first, end = turn * UPDATES, (turn + 1) * UPDATES
            tokens = sum(batch.num_targets for batch in batches[first:end])
            mine, other = ours.train(first, end), theirs.ask("train", batches=[first, end])
            training.append({"unrolled": tokens / mine["seconds"], "joeynmt": tokens / other["seconds"]})
            print(kind, "training", training[-1], flush=True)
        decoding: list[dict[str, float]] = []
        lengths: dict[str, float] = {}
        for number in range(TURNS * UPDATES, TURNS * UPDATES + SEARCHES):
            mine = ours.decode(number)
            other = theirs.ask("decode", batch=number, sources=SOURCES, beam=BEAM, length=LENGTH)
            decoding.append({"unrolled": SOURCES / mine["seconds"], "joeynmt": SOURCES / other["seconds"]})
            lengths = {"unrolled": mine["tokens"], "joeynmt": other["tokens"]}
            print(kind, "decoding", decoding[-1], lengths, flush=True)
    return {
        "settings": {**SETTINGS, **size},
        "parameters": {"unrolled": sum(p.numel() for p in ours.model.parameters()), "joeynmt": theirs.parameters},
        "target_tokens_per_second": _summary(training[1:]),
        f"beam_{BEAM}_sentences_per_second": _summary(decoding),
        "tokens_an_answer": lengths,
    }


def _arrays(batches: list[Batch]) -> dict[str, np.ndarray]:
    """Return the sources and the whole targets of every batch, <bos> and <eos> included."""
    arrays = {}
    for number, batch in enumerate(batches):
        assert batch.source is not None
        last = torch.zeros(len(batch.inputs), 1, dtype=torch.long)
        whole = torch.cat([batch.inputs, last], dim=1)
        ends = batch.targets.gather(1, (batch.lengths - 1).unsqueeze(1))
        arrays[f"source{number}"] = batch.source.numpy()
        arrays[f"target{number}"] = whole.scatter(1, batch.lengths.unsqueeze(1), ends).numpy()
    return arrays


def _summary(turns: list[dict[str, float]]) -> dict[str, Any]:
    return {
        **{name: round(statistics.median(turn[name] for turn in turns), 2) for name in ("unrolled", "joeynmt")},
        "times_as_fast": round(statistics.median(turn["unrolled"] / turn["joeynmt"] for turn in turns), 2),
        "turns": [round(turn["unrolled"] / turn["joeynmt"], 2) for turn in turns],
    }


def main() -> None:
    """Compare the models that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", default=list(SIZES), metavar="kind", help="rnn, transformer")
    parser.add_argument("--python", default=".venv-joeynmt/bin/python")
    options = parser.parse_args()
    script = "import json, joeynmt, torch; print(json.dumps([joeynmt.__version__, torch.__version__]))"
    output = subprocess.run([options.python, "-c", script], check=True, capture_output=True, text=True).stdout
    versions = dict(zip(("version", "torch"), json.loads(output), strict=True))
    for kind in options.kinds:
        with machine.retain_memory():  # as `unrolled.train` does
            figures = compare(kind, options.python)
        figures["joeynmt"] = versions
        print(json.dumps(figures, indent=1))
        print(save_part("joeynmt", kind, figures))


if __name__ == "__main__":
    main()
