"""Our dropout compared with torch's, forward and backward, in turn, in one process, on a CPU.

python benchmarks/dropout.py [--pairs 200]
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
from record import save
from torch import nn

from unrolled.layers import Dropout

SHAPES = [(93, 22, 128), (16, 64, 384), (256, 30, 64)]  # (B, T, D); the first is a batch of film sentences
RATE = 0.4


def milliseconds(module: nn.Module, x: torch.Tensor) -> float:
    """Return the milliseconds of one forward and backward pass."""
    began = time.perf_counter()
    module(x).sum().backward()
    x.grad = None
    return (time.perf_counter() - began) * 1e3


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=200)
    pairs = parser.parse_args().pairs
    ours, theirs, cases = Dropout(RATE), nn.Dropout(RATE), []
    for shape in SHAPES:
        x = torch.randn(shape, requires_grad=True)
        times = [(milliseconds(ours, x), milliseconds(theirs, x)) for _ in range(pairs + 10)][10:]
        ours_ms, theirs_ms = (round(statistics.median(column), 3) for column in zip(*times, strict=True))
        ratio = round(statistics.median(b / a for a, b in times), 2)
        cases.append({"shape": shape, "unrolled_ms": ours_ms, "torch_ms": theirs_ms, "ratio": ratio})
        print(f"{shape!s:<16} ours {ours_ms} ms, torch {theirs_ms} ms: {ratio} times as fast")
    print(save("dropout", {"rate": RATE, "pairs": pairs, "cases": cases}))


if __name__ == "__main__":
    main()
