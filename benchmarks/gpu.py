"""Every model on one GPU: its loss curve next to the CPU's, and its throughput next to torch.nn on cuDNN.

    python benchmarks/gpu.py [--device cuda] [--seconds 540]

Without a GPU it prints one line and ends with exit code 0. `--device cpu --small` is a rehearsal, which saves nothing.

Curves: each model trains on a sample for its task, with SEEDS on the CPU and with the first of them on the device, from
the same weights and batches. The device draws other random numbers (dropout) and sums in another order. The rule:
at every evaluation the device's validation loss lies within the range of the CPU's seeds, widened at both ends by the
width of that range, or by SLACK nats if that is more. All curves are saved, those that break the rule too, and the
exit code is then 1.

Throughput: training tokens a second of the scans, our layer against torch.nn's in turn, and of the blocks against
nn.TransformerEncoderLayer, at sizes that fill a GPU. On a GPU our scan's backend is torch, thus cuDNN: the ratio says
what the layers around it cost.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from record import save
from torch import nn

import unrolled
from unrolled.cells import ElmanCell, GRUCell, LSTMCell
from unrolled.config import ModelConfig
from unrolled.layers import Recurrent
from unrolled.lineage import LINEAGE
from unrolled.models.transformer import blocks
from unrolled.training import Event

SEEDS = (0, 1, 2, 3)
SLACK = 0.02  # nats; of curves whose seeds have all reached the same loss
UPDATES, EVALUATIONS = 200, 5
DATA = {"classify": "sample:films", "generate": "sample:shakespeare", "translate": "sample:letters"}
"""A data source for each task that a model's curve is measured on."""
WORDS = [" ".join("abcdefgh"[(7 * k * k + j) % 8] for j in range(3 + k % 4)) for k in range(120)]
SMALL_DATA: dict[str, Any] = {
    "classify": [(f"{word} {k}", "even" if k % 2 else "odd") for k, word in enumerate(WORDS)],
    "generate": str(Path(__file__).parents[1] / "constraints.txt"),
    "translate": [(f"{word} {k}", word[::-1]) for k, word in enumerate(WORDS)],
}
"""Data of a rehearsal."""


class Shape(NamedTuple):
    """The sizes of a throughput: x is (B, T, H)."""

    B: int
    T: int
    H: int


FULL, SMALL = Shape(128, 256, 512), Shape(4, 8, 16)


def task_of(model: str) -> str:
    """Return the first task of the model that has a data source here."""
    (tasks,) = (each.tasks for each in LINEAGE if each.name == model)
    return next(task for task in DATA if task in tasks)


def curve(model: str, device: str, seed: int, *, small: bool) -> list[float]:
    """Train once, and return the validation loss in nats at each evaluation."""
    losses: list[float] = []

    def report(event: Event) -> None:
        if event.valid is not None:
            losses.append(event.valid.loss_nats)

    task, updates = task_of(model), 10 if small else UPDATES
    data = SMALL_DATA[task] if small else DATA[task]
    sizes = {"hidden_size": 16 if small else 128, "embedding_size": 16 if small else 128}
    unrolled.train(
        data, task=task, model=model, device=device, seed=seed, updates=updates, report=report, patience=0,
        evaluate_every=updates // EVALUATIONS, **sizes,
    )  # fmt: skip
    return losses


def breaks(device: list[float], cpu: list[list[float]]) -> list[int]:
    """Return the indices of the evaluations at which the device's loss lies outside the widened range of the seeds.

    Args:
        device: the losses on the device.
        cpu: the losses of each seed on the CPU.
    """
    outside = []
    for index, (loss, *seeds) in enumerate(zip(device, *cpu, strict=True)):
        low, high = min(seeds), max(seeds)
        margin = max(high - low, SLACK)
        if not low - margin <= loss <= high + margin:  # also NaN
            outside.append(index)
    return outside


def curves(model: str, device: str, *, small: bool) -> dict[str, Any]:
    """Return the curves of a model and the verdict of the rule."""
    cpu = [curve(model, "cpu", seed, small=small) for seed in (SEEDS[:2] if small else SEEDS)]
    on_device = curve(model, device, SEEDS[0], small=small)
    outside = breaks(on_device, cpu)
    return {"task": task_of(model), "cpu": cpu, "device": on_device, "breaks_at": outside, "holds": not outside}


def steps(module: Callable[[torch.Tensor], Any], parameters: list[nn.Parameter], x: torch.Tensor) -> Callable[[], None]:
    """Return a training step of a layer: forward, backward, and the wait for the device."""

    def step() -> None:
        y = module(x)
        (y[0] if isinstance(y, tuple) else y).float().square().mean().backward()
        for parameter in parameters:
            parameter.grad = None
        if x.is_cuda:
            torch.cuda.synchronize()

    return step


def layers(shape: Shape) -> Iterator[tuple[str, nn.Module, nn.Module]]:
    """Yield pairs of layers with the same mathematics: ours and torch.nn's."""
    H = shape.H
    for kind, theirs in ((ElmanCell, nn.RNN), (LSTMCell, nn.LSTM), (GRUCell, nn.GRU)):
        yield kind.name, Recurrent(kind(H, H)), theirs(H, H, batch_first=True)
    config = ModelConfig(hidden_size=H, embedding_size=H, num_heads=8, feedforward_size=4 * H, position="sinusoidal")
    ours = blocks(H, config.model_copy(update={"num_layers": 1}), causal=False, window=None, nonlinearity="relu")
    yield "block", ours, nn.TransformerEncoderLayer(H, 8, 4 * H, dropout=0.0, batch_first=True, norm_first=True)


def throughput(device: str, shape: Shape, seconds: float) -> dict[str, Any]:
    """Return training tokens a second of each pair of layers, in turn."""
    x, found = torch.randn(*shape, device=device), {}
    for name, *pair in layers(shape):
        ours, theirs = (steps(layer.to(device).train(), [*layer.parameters()], x) for layer in pair)
        times: dict[str, list[float]] = {"ours": [], "torch.nn": []}
        end = time.perf_counter() + seconds
        for turn in range(1_000):
            for key, step in (("ours", ours), ("torch.nn", theirs)):
                began = time.perf_counter()
                step()
                if turn >= 3:  # the first ones compile and choose algorithms
                    times[key].append(time.perf_counter() - began)
            if turn >= 10 and time.perf_counter() > end:
                break
        ratios = [b / a for a, b in zip(times["ours"], times["torch.nn"], strict=True)]
        speeds = {key: round(shape.B * shape.T / statistics.median(each)) for key, each in times.items()}
        found[name] = {"tokens_per_second": speeds, "ours_is_times_as_fast": round(statistics.median(ratios), 3)}
    return found


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true", help="tiny sizes, two seeds, nothing saved: a rehearsal")
    parser.add_argument("--seconds", type=float, default=540, help="no further model begins after this time")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        print("benchmarks/gpu.py: skipped, there is no CUDA device here")
        return
    began = time.perf_counter()
    shape = SMALL if options.small else FULL
    figures: dict[str, Any] = {
        "device": torch.cuda.get_device_name() if options.device == "cuda" else options.device,
        "cudnn": torch.backends.cudnn.version() if options.device == "cuda" else None,
        "throughput": {**shape._asdict(), **throughput(options.device, shape, 0.1 if options.small else 5.0)},
        "rule": f"the range of seeds {SEEDS} on the CPU, widened by its width or {SLACK} nats at both ends",
        "curves": {},
        "not_measured": [],
    }
    for name, speed in figures["throughput"].items():
        if isinstance(speed, dict):
            print(
                f"{name:<16} {speed['tokens_per_second']}, ours is {speed['ours_is_times_as_fast']} times as fast",
                flush=True,
            )
    for model in (each.name for each in LINEAGE):
        if time.perf_counter() - began > options.seconds:
            figures["not_measured"].append(model)
            continue
        found = figures["curves"][model] = curves(model, options.device, small=options.small)
        print(f"{model:<16} {found['task']}: {'holds' if found['holds'] else 'BREAKS'} {found['device']}", flush=True)
    figures["seconds"] = round(time.perf_counter() - began, 1)
    if not options.small:
        print(save("gpu", figures))
    if figures["not_measured"] or not all(found["holds"] for found in figures["curves"].values()):
        sys.exit(1)


if __name__ == "__main__":
    main()
