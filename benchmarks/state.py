"""Bytes of each model's state and milliseconds of the next token, by position.

    python benchmarks/state.py

Every model writes 4,096 tokens one by one, as in decoding, with fresh weights: neither figure depends on the weights.
Models that read a source read one of 64 tokens. Milliseconds are medians over the 32 steps up to a position,
of the fastest of three passes.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from typing import Any

import torch
from record import save

from unrolled import lineage
from unrolled.config import ModelConfig
from unrolled.kernels.freeze import frozen
from unrolled.models import Ids, Model, Pairs
from unrolled.runs.build import build
from unrolled.state import nbytes

V, S, H = 100, 64, 256
POSITIONS = [2**k for k in range(5, 13)]
MEDIAN_OF = 32
SETTINGS: dict[str, dict[str, Any]] = {
    "feedforward": {"window": 16},
    "transformer": {"num_layers": 2},
    "gpt": {"num_layers": 2, "window": POSITIONS[-1]},
}


def make(name: str) -> Model:
    """Return a fresh model that writes tokens."""
    torch.manual_seed(0)
    task = "generate" if "generate" in lineage.architecture(name).tasks else "translate"
    config = ModelConfig(embedding_size=H, hidden_size=H, dropout=0.0, **SETTINGS.get(name, {}))
    return build(name, Ids(V) if task == "generate" else Pairs(V, V), V, config, answer="each").eval()


def write(model: Model) -> tuple[list[float], dict[int, int]]:
    """Write tokens; return the milliseconds of every step, and the state's bytes at POSITIONS."""
    ids = torch.randint(V, (1, POSITIONS[-1] + 1), generator=torch.Generator().manual_seed(1))
    state = model.encode(ids[:, :S]) if isinstance(model.inputs, Pairs) else None
    milliseconds, sizes = [], {}
    for position in range(1, POSITIONS[-1] + 1):
        began = time.perf_counter()
        _, state = model(ids[:, position : position + 1], state)
        milliseconds.append(1e3 * (time.perf_counter() - began))
        if position in POSITIONS:
            sizes[position] = nbytes(state)
    return milliseconds, sizes


def measure(name: str) -> dict[str, Any]:
    """Return both figures by position."""
    model = make(name)
    with torch.inference_mode(), frozen(model):
        passes = [write(model) for _ in range(3)]
    return {
        "model": name,
        "parameters": sum(p.numel() for p in model.parameters()),
        "bytes": [passes[0][1][position] for position in POSITIONS],
        "milliseconds": [
            round(min(statistics.median(steps[position - MEDIAN_OF : position]) for steps, _ in passes), 4)
            for position in POSITIONS
        ],
    }


def main() -> None:
    """Measure every model in turn, print, draw and save."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    models = []
    for architecture in lineage.LINEAGE:
        models.append(measure(architecture.name))
        print(models[-1], flush=True)
        assert all(math.isfinite(value) for value in models[-1]["milliseconds"])
    figures = {"hidden_size": H, "source": S, "positions": POSITIONS, "models": models}
    print(save("state", figures))


if __name__ == "__main__":
    main()
