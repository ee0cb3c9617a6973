"""Exports to ONNX: the difference from the run for each model and task, and onnxruntime's time next to ours.

    python benchmarks/exports.py [--seconds 0.5]

Models of 2 layers with random weights, hidden size 256, a vocabulary of 4,000; float32, one thread, in turn, in one
process. A call is a batch of whole sequences of 64 tokens (28 × 28 images by row); for tasks generate and translate it
is one step of decoding after 32, with weights packed as decoding packs them. `onnxruntime` is the median of its time
over ours, turn by turn: below 1 it is faster.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from record import save
from stopwatch import against, in_turn

import unrolled
from unrolled import machine
from unrolled.config import ModelConfig
from unrolled.interchange.onnx.build import graphs
from unrolled.interchange.onnx.check import Session, check, session, zeros
from unrolled.interchange.onnx.serialize import files_of
from unrolled.interchange.onnx.write import OPSET
from unrolled.lineage import TASKS, architectures_for
from unrolled.models import Features, Ids, Inputs, Pairs
from unrolled.runs.build import build
from unrolled.runs.run import Run
from unrolled.scan import frozen

V, H, LAYERS = 4_000, 256, 2
T, BEFORE = 64, 32
"""Tokens of a sequence, and steps before the measured one."""
BATCHES = (1, 16)
WORDS = [f"word{k} is {label}" for k in range(30) for label in ("good", "bad")]
DATA: dict[str, Any] = {
    "classify": [(text, text.split()[-1]) for text in WORDS],
    "regress": [(text, float(k)) for k, text in enumerate(WORDS)],
    "tag": [(text.split(), ["X"] * 2 + [text[-3:]]) for text in WORDS],
    "translate": [(text, text[::-1]) for text in WORDS],
}
Call = Callable[[], object]


def run_of(task: str, folder: Path) -> Run:
    """Return a run of one update, whose model is then replaced."""
    settings: dict[str, Any] = {"task": task, "model": "gru", "updates": 1, "hidden_size": 4}
    if task == "translate":
        settings["model"] = "attention"
    if task == "images":
        pixels = np.random.default_rng(0).integers(0, 255, (60, 28, 28), dtype=np.uint8)
        return unrolled.train((pixels, ["a", "b"] * 30), **settings | {"task": "classify"})
    if task == "generate":
        path = folder / "text.txt"
        path.write_text("\n".join(WORDS * 20), encoding="utf-8")
        return unrolled.train(path, **settings | {"streams": 2, "chunk": 16})
    return unrolled.train(DATA[task], **settings)


def sized(run: Run, name: str) -> Run:
    """Return the run with a model of the measured size and random weights."""
    ours = run.model.inputs
    inputs: Inputs = ours if isinstance(ours, Features) else Pairs(V, V) if isinstance(ours, Pairs) else Ids(V)
    outputs = V if run.config.task in ("generate", "translate") else run.model.num_outputs
    window = {"window": 256} if name == "gpt" else {}
    config = ModelConfig(name=name, hidden_size=H, num_layers=LAYERS, **window)
    torch.manual_seed(0)
    return replace(run, model=build(name, inputs, outputs, config, answer=run.model.answer).eval())


def whole_calls(run: Run, graph: Session, batch: int) -> dict[str, Call]:
    """Return the calls of both for a batch of whole sequences or images."""
    draw, model = np.random.default_rng(0), run.model
    if isinstance(model.inputs, Features):
        images = draw.integers(0, 255, (batch, 28, 28, 1), dtype=np.uint8)
        pixels = run.preprocessor
        return {
            "ours": lambda: model(pixels.steps(torch.from_numpy(images))),  # type: ignore[union-attr]
            "onnxruntime": lambda: graph({"images": images}),
        }
    feeds = {"ids": draw.integers(5, V, (batch, T)), "lengths": np.full(batch, T)}
    past = zeros_of(graph, batch)
    ids, lengths = (torch.from_numpy(feeds[name]) for name in ("ids", "lengths"))
    return {"ours": lambda: model(ids, None, lengths), "onnxruntime": lambda: graph({**feeds, **past})}


def step_calls(run: Run, graphs: dict[str, Session], batch: int) -> dict[str, Call]:
    """Return the calls of both for one step of decoding after BEFORE others."""
    draw, model = np.random.default_rng(0), run.model
    decoder = graphs.get("decoder") or graphs["model"]
    first, ids, one = draw.integers(5, V, (batch, BEFORE)), draw.integers(5, V, (batch, 1)), np.ones(batch, np.int64)
    memory, past, state = {}, zeros_of(decoder, batch), None
    if "encoder" in graphs:
        source, lengths = draw.integers(5, V, (batch, T)), np.full(batch, T)
        memory = graphs["encoder"]({"ids": source, "lengths": lengths})
        state = model.encode(torch.from_numpy(source), torch.from_numpy(lengths))
    past |= previous(memory)
    _, state = model(torch.from_numpy(first), state)
    past = previous(decoder({"ids": first, "lengths": one * BEFORE, **memory, **past}))
    feeds = {"ids": ids, "lengths": one, **memory, **past}
    token = torch.from_numpy(ids)
    return {"ours": lambda: model(token, state), "onnxruntime": lambda: decoder(feeds)}


def zeros_of(graph: Session, batch: int) -> dict[str, Any]:
    """Return the state before the first step."""
    return zeros(graph.ports, "past.", batch)


def previous(outputs: dict[str, Any]) -> dict[str, Any]:
    """Return the state after a call as that before the next."""
    return {name.replace("present.", "past."): value for name, value in outputs.items() if name.startswith("present.")}


def measured(run: Run, task: str, seconds: float) -> dict[str, Any]:
    """Return the figures of a run: the largest difference, and times by batch."""
    built = graphs(run, OPSET)
    files = {file: data for name, graph in built.items() for file, data in files_of(graph, name).items()}
    found: dict[str, Any] = {"largest_difference": check(run, built, files)}
    sessions = {name: Session(graph, session(files, name)) for name, graph in built.items()}
    for batch in BATCHES:
        with frozen(run.model):
            steps = task in ("generate", "translate")
            calls = step_calls(run, sessions, batch) if steps else whole_calls(run, sessions["model"], batch)
            times = in_turn(calls, seconds)
        found[f"batch_{batch}"] = {
            "microseconds": {name: round(1e6 * statistics.median(some), 1) for name, some in times.items()},
            "onnxruntime": round(against(times, "onnxruntime"), 2),
        }
    return found


@torch.inference_mode()
def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=0.5, help="for each model, task and batch")
    options = parser.parse_args()
    rows = []
    with machine.use_threads(1), tempfile.TemporaryDirectory() as folder:
        for task in ("images", *(each.name for each in TASKS)):
            with torch.inference_mode(False):
                small = run_of(task, Path(folder))
            for known in architectures_for("classify" if task == "images" else task):
                run = sized(small, known.name)
                rows.append({"task": task, "model": known.name, **measured(run, task, options.seconds)})
                print(rows[-1], flush=True)
    sizes = {"vocabulary": V, "hidden_size": H, "layers": LAYERS, "tokens": T, "steps_before": BEFORE}
    print(save("exports", {"sizes": sizes, "opset": OPSET, "rows": rows}, "onnx", "onnxruntime"))


if __name__ == "__main__":
    main()
