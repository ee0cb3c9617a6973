"""An update of a language model with a large vocabulary: head and loss in chunks, and torch's loss of all logits.

python benchmarks/large_vocabulary.py

A GRU of 256 units reads sequences of 32 tokens. Each pair of updates is timed one after the other in CPU seconds of
one thread, and a ratio is the median over the pairs. Into benchmarks/results/large_vocabulary.json.
"""

from __future__ import annotations

import statistics
import time

import torch
from record import most_bytes as most_bytes_of_process
from record import save
from torch import Tensor
from torch.nn import functional as F

from unrolled import api, machine
from unrolled.config import ModelConfig
from unrolled.data.encoding.tokenizers import PAD
from unrolled.models import Ids
from unrolled.training import Batch, chunked, generation
from unrolled.training.optimizer import adamw
from unrolled.training.step import Step

SIZES = {(1_000, 16): 15, (10_000, 16): 9, (10_000, 160): 5, (50_000, 16): 5, (50_000, 64): 5}
"""Pairs of updates for each size of the vocabulary and number of sequences."""
T = 32
CHUNKED, WHOLE = chunked.WHOLE_BYTES, 1 << 62


def torchs_nats(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the loss as torch computes it."""
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum", ignore_index=PAD)


def measured(vocabulary: int, B: int, pairs: int) -> dict[str, float]:
    """Return the milliseconds and peak memory of an update in chunks and whole, and ratios."""
    torch.manual_seed(0)
    config = ModelConfig(embedding_size=128, hidden_size=256, dropout=0)
    model = api.build("gru", Ids(vocabulary), vocabulary, config, answer="each")
    optimizer = adamw(model, rate=1e-3, weight_decay=0.01)
    steps = {CHUNKED: Step(model, generation.loss_nats), WHOLE: Step(model, torchs_nats)}
    ids, targets = torch.randint(5, vocabulary, (2, B, T))
    batch = Batch(ids, None, targets, B * T, B * T)

    def update(most_bytes: int) -> tuple[float, float]:
        chunked.WHOLE_BYTES = most_bytes
        began = time.process_time()
        nats, _, _ = steps[most_bytes](batch)
        (nats / (B * T)).backward()
        middle = time.process_time()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return time.process_time() - began, middle - began

    times: list[tuple[tuple[float, float], tuple[float, float]]] = []
    for _ in range(pairs + 1):
        times.append((update(CHUNKED), update(WHOLE)))
    times = times[1:]
    peaks = {}
    for name, most_bytes in (("chunked", CHUNKED), ("whole", WHOLE)):
        machine.reset_peak_memory()
        update(most_bytes)
        peaks[f"{name}_peak_bytes"] = most_bytes_of_process()
    return peaks | {
        "chunked_ms": 1e3 * statistics.median(ours[0] for ours, _ in times),
        "whole_ms": 1e3 * statistics.median(whole[0] for _, whole in times),
        "ratio": statistics.median(ours[0] / whole[0] for ours, whole in times),
        "ratio_without_optimizer": statistics.median(ours[1] / whole[1] for ours, whole in times),
    }


def main() -> None:
    """Measure each size."""
    with machine.use_threads(1), machine.retain_memory():
        figures = {
            f"{vocabulary} outputs, {B * T} tokens": measured(vocabulary, B, pairs)
            for (vocabulary, B), pairs in SIZES.items()
        }
    for vocabulary, row in figures.items():
        print(vocabulary, {name: round(value, 3) for name, value in row.items()}, flush=True)
    print(save("large_vocabulary", {"hidden_size": 256, "updates": figures}))


if __name__ == "__main__":
    main()
