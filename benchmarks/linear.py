"""A linear layer in a step of decoding: weights packed once (`scan.frozen`), packed at each call, and torch's layer.

    python benchmarks/linear.py [--seconds 1]

In turn, in one process; N vectors are those of a beam or of a batch. Microseconds are medians, ratios medians over the
turns.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable

import torch
from record import save
from stopwatch import against, in_turn
from torch import Tensor
from torch.nn import functional as F

from unrolled.layers.mlp import Linear
from unrolled.scan import frozen

SIZES = [(192, 768), (512, 512), (256, 4000)]  # D, V
COUNTS = (1, 5, 20, 80, 320)


def measured(D: int, V: int, N: int, seconds: float) -> dict[str, object]:
    """Return the figures of a size and a number of vectors."""
    layer, free = Linear(D, V), Linear(D, V)
    x = torch.randn(N, D)
    with frozen(layer):
        calls: dict[str, Callable[[], Tensor]] = {
            "ours": lambda: layer(x),
            "free": lambda: free(x),
            "torch": lambda: F.linear(x, free.weight, free.bias),
        }
        times = in_turn(calls, seconds, burst=5, pause=0.001)
    return {
        "shape": [D, V, N],
        "microseconds": {name: round(1e6 * statistics.median(some), 1) for name, some in times.items()},
        "free": round(against(times, "free"), 2),
        "torch": round(against(times, "torch"), 2),
    }


@torch.inference_mode()
def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=1.0, help="for each size and number of vectors")
    options = parser.parse_args()
    rows = []
    for D, V in SIZES:
        for N in COUNTS:
            rows.append(measured(D, V, N, options.seconds))
            print(rows[-1], flush=True)
    print(save("linear", {"rows": rows}))


if __name__ == "__main__":
    main()
