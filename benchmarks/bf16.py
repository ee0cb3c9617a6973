"""Training in bfloat16: ours (`--precision bf16`) next to torch's autocast, and the losses next to those of float32.

    python benchmarks/bf16.py layers [--pairs 9]     LSTM and GRU, forward and backward with dx
    python benchmarks/bf16.py gpt [--pairs 5]        an update of a GPT 6 × 384
    python benchmarks/bf16.py losses [--seeds 3]     trainings on film sentences

One thread; calls in turn (A B A B) on the CPU time of the process. A ratio is the other's time over ours in bfloat16,
the median over the turns. Into benchmarks/results/bf16.json, one part each.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from record import save_part
from torch import Tensor, nn
from torch.nn import functional as F

import unrolled
from unrolled import machine
from unrolled.cells import GRUCell, LSTMCell
from unrolled.config import ModelConfig
from unrolled.layers import Recurrent, to_torch
from unrolled.models import Ids
from unrolled.runs.build import build
from unrolled.training import Event
from unrolled.training.optimizer import adamw, clip_

SIZES, SEQUENCES, STEPS = (256, 512, 1024), (16, 64), 50
V, D, LAYERS, HEADS, WINDOW, BATCH = 65, 384, 6, 6, 256, 8  # of the GPT
Call = Callable[[], Any]


def in_turn(calls: dict[str, Call], pairs: int) -> dict[str, list[float]]:
    """Return the CPU seconds of each call; the calls take turns."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    with machine.retain_memory():
        for turn in range(pairs + 1):
            for name, call in calls.items():
                began = time.process_time()
                call()
                if turn:
                    times[name].append(time.process_time() - began)
    return times


def figures(times: dict[str, list[float]]) -> dict[str, Any]:
    """Return medians in milliseconds, and the ratios to ours in bfloat16."""
    ours = times["ours bf16"]
    ratios = {k: statistics.median(a / b for a, b in zip(t, ours, strict=True)) for k, t in times.items()}
    return {
        "milliseconds": {name: round(1e3 * statistics.median(some), 2) for name, some in times.items()},
        "over_ours_bf16": {name: round(ratio, 3) for name, ratio in ratios.items() if name != "ours bf16"},
    }


def layers(pairs: int) -> dict[str, Any]:
    """Return the figures of each layer and size."""

    def update(layer: nn.Module, x: Tensor, *, bf16: bool) -> Call:
        def run() -> None:
            inputs = x.clone().requires_grad_()
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                y = layer(inputs)[0]
            y.float().sum().backward()
            layer.zero_grad(set_to_none=True)

        return run

    rows = []
    for kind in (LSTMCell, GRUCell):
        for H in SIZES:
            for B in SEQUENCES:
                ours = Recurrent(kind(H, H), backend="fused")
                theirs, x = to_torch(ours), torch.randn(B, STEPS, H)
                calls = {
                    f"{whose}{' bf16' if bf16 else ''}": update(layer, x, bf16=bf16)
                    for whose, layer in (("ours", ours), ("torch", theirs))
                    for bf16 in (False, True)
                }
                rows.append({"layer": kind.name, "H": H, "B": B, "T": STEPS, **figures(in_turn(calls, pairs))})
                print(rows[-1], flush=True)
    return {"rows": rows}


class Block(nn.Module):
    """A block of a GPT as it is written with torch."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.LayerNorm(D), nn.LayerNorm(D)
        self.project, self.output = nn.Linear(D, 3 * D), nn.Linear(D, D)
        self.inner, self.outer = nn.Linear(D, 4 * D), nn.Linear(4 * D, D)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, D)."""
        B, T, _ = x.shape
        heads = (z.view(B, T, HEADS, D // HEADS).transpose(1, 2) for z in self.project(self.first(x)).split(D, 2))
        y = F.scaled_dot_product_attention(*heads, is_causal=True).transpose(1, 2).reshape(B, T, D)
        x = x + self.output(y)
        return x + self.outer(F.gelu(self.inner(self.second(x))))


class Gpt(nn.Module):
    """A GPT as it is written with torch, with tied embeddings."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.position = nn.Embedding(V, D), nn.Embedding(WINDOW, D)
        self.blocks, self.norm = nn.Sequential(*(Block() for _ in range(LAYERS))), nn.LayerNorm(D)

    def forward(self, ids: Tensor) -> Tensor:
        """(B, T) -> (B, T, V)."""
        x = self.embedding(ids) + self.position.weight[: ids.shape[1]]
        return F.linear(self.norm(self.blocks(x)), self.embedding.weight)


def gpt(pairs: int) -> dict[str, Any]:
    """Return the figures of an update: forward, backward, clipping and optimiser."""
    config = ModelConfig(
        embedding_size=D, hidden_size=D, num_layers=LAYERS, num_heads=HEADS, dropout=0.0, window=WINDOW,
        position="learned", tied=True,
    )  # fmt: skip
    ours = build("gpt", Ids(V), V, config, answer="each")
    ids, targets = torch.randint(V, (2, BATCH, WINDOW))

    def update(model: nn.Module, *, bf16: bool, is_ours: bool) -> Call:
        optimizer = adamw(model, rate=1e-3, weight_decay=0.1)

        def run() -> None:
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                logits = model(ids)[0] if is_ours else model(ids)
            loss = F.cross_entropy(logits.float().flatten(0, 1), targets.flatten())
            loss.backward()
            if is_ours:
                clip_(model, 1.0, update=0, loss_nats=float(loss.detach()))
            else:
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

        return run

    theirs = Gpt()
    calls = {
        f"{whose}{' bf16' if bf16 else ''}": update(copy.deepcopy(model), bf16=bf16, is_ours=whose == "ours")
        for whose, model in (("ours", ours), ("torch", theirs))
        for bf16 in (False, True)
    }
    return {"parameters": sum(p.numel() for p in ours.parameters()), **figures(in_turn(calls, pairs))}


def losses(seeds: int) -> dict[str, Any]:
    """Return the best and the last validation loss of each seed, in float32 and in bfloat16."""
    rows = []
    for sample, model in (("sample:films", "lstm"), ("sample:films", "gru")):
        row: dict[str, Any] = {"data": sample, "model": model}
        for precision in ("float32", "bf16"):
            row[precision] = []
            for seed in range(seeds):
                curve: list[float] = []

                def report(event: Event, curve: list[float] = curve) -> None:
                    if event.valid is not None:
                        curve.append(event.valid.loss_nats)

                unrolled.train(
                    sample, model=model, hidden_size=256, updates=300, evaluate_every=50, seed=seed,
                    precision=precision, threads=1, report=report,
                )  # fmt: skip
                row[precision].append({"best": round(min(curve), 4), "last": round(curve[-1], 4)})
        rows.append(row)
        print(row, flush=True)
    return {"rows": rows}


PARTS = {"layers": layers, "gpt": gpt, "losses": losses}


def main() -> None:
    """Measure, print and save one part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--pairs", type=int, default=9, help="turns of each comparison")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each model and precision")
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = PARTS[options.part](options.seeds if options.part == "losses" else options.pairs)
    print(save_part("bf16", options.part, {"threads": 1, **found}))


if __name__ == "__main__":
    main()
