"""int8 products of linear layers: ours in int8 compared with ours in float32 and with torch's dynamic quantisation.

    python benchmarks/int8.py [--rounds 15]

Calls go in turn on one thread; a ratio is the median over rounds of CPU times, and above 1 ours in int8 is faster.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

import torch
from record import save_part
from torch import nn

from unrolled.kernels import native

SHAPES = [(1, 128, 512), (1, 384, 1536), (1, 1024, 4096), (16, 256, 1024), (16, 1024, 4096), (256, 512, 2048)]
WORK = 200_000_000
"""Multiply-adds of one timed group of calls."""


def seconds(call: Callable[[], object], count: int) -> float:
    """Return the CPU seconds of a call, as the mean of `count` calls."""
    begin = time.process_time()
    for _ in range(count):
        call()
    return (time.process_time() - begin) / count


def measure(N: int, D: int, V: int, rounds: int) -> dict[str, Any]:
    """Return the figures of one shape: N rows, D inputs, V outputs."""
    assert native.kernels is not None
    layer, x, y = nn.Linear(D, V), torch.randn(N, D), torch.empty(N, V)
    weights = layer.weight.detach(), layer.bias.detach()
    float32, int8 = (native.kernels.FrozenLinear(native.index(torch.float32), *weights, kind) for kind in (0, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a later torch without it
        peer = torch.ao.quantization.quantize_dynamic(nn.Sequential(layer), {nn.Linear}, dtype=torch.qint8)
    calls = [lambda: int8.forward(1, x, y), lambda: float32.forward(1, x, y), lambda: peer(x)]
    count = max(3, min(3_000, WORK // (N * D * V)))
    with torch.inference_mode():
        for call in calls:
            call()
        times = [[seconds(call, count) for call in calls] for _ in range(rounds)]
    ours = statistics.median(row[0] for row in times)
    return {
        "rows": N,
        "inputs": D,
        "outputs": V,
        "ours_int8_seconds": ours,
        "ours_float32_over_int8": statistics.median(row[1] / row[0] for row in times),
        "torch_int8_over_ours": statistics.median(row[2] / row[0] for row in times),
        "multiply_adds_per_second": N * D * V / ours,
    }


def main() -> None:
    """Measure all shapes and write benchmarks/results/int8.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    figures = [measure(*shape, rounds) for shape in SHAPES]
    for row in figures:
        print({name: float(f"{value:.3g}") for name, value in row.items()})
    print(save_part("int8", "linear", {"isa": native.isa(), "rounds": rounds, "shapes": figures}))


if __name__ == "__main__":
    main()
