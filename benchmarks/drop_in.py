"""The drop-in: unrolled.nn next to torch.nn at single steps, and both under torch.compile.

    python benchmarks/drop_in.py [--pairs 40]

One thread; calls in turn (A B A B) on the CPU time of the process, so that other work on the machine counts little. A
ratio is torch's time over ours, the median over the turns: above 1, ours is faster. Steps are of one layer with D = H,
without an initial state, in the default form (T, B, D). Into benchmarks/results/drop_in.json, 4 minutes.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

import torch
from record import save
from torch import Tensor, nn

from unrolled import nn as fast
from unrolled.cells import ElmanCell, GRUCell, LSTMCell
from unrolled.layers import Recurrent

NAMES = {"RNN": ElmanCell, "GRU": GRUCell, "LSTM": LSTMCell}
SIZES, BATCHES = (64, 128, 256, 512), (1, 4, 8, 16)
COMPILED = {"step": (1, 1, 128), "sequences": (16, 40, 128)}  # (B, T, H)

Call = Callable[[], Any]


def inference(module: nn.Module, x: Tensor) -> Call:
    """Return a call without gradients."""

    def run() -> None:
        with torch.inference_mode():
            module(x)

    return run


def forward(module: nn.Module, x: Tensor) -> Call:
    """Return a forward pass that a backward pass may follow."""
    return lambda: module(x)


def training(module: nn.Module, x: Tensor) -> Call:
    """Return a forward and a backward pass."""

    def run() -> None:
        module(x)[0].sum().backward()
        module.zero_grad(set_to_none=True)

    return run


KINDS = {"inference": inference, "forward": forward, "training": training}


def seconds(calls: dict[str, Call], pairs: int, each: int) -> dict[str, list[float]]:
    """Return the CPU seconds of each call, `pairs` times; the calls take turns, `each` at a time."""
    for call in calls.values():
        for _ in range(2 * each):
            call()
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(pairs):
        for name, call in calls.items():
            began = time.process_time()
            for _ in range(each):
                call()
            times[name].append((time.process_time() - began) / each)
    return times


def over(times: dict[str, list[float]], theirs: str, ours: str) -> float:
    """Return the median ratio of two calls, turn by turn."""
    return round(statistics.median(a / b for a, b in zip(times[theirs], times[ours], strict=True)), 3)


def microseconds(times: list[float]) -> float:
    """Return the median."""
    return round(1e6 * statistics.median(times), 1)


def pair(name: str, H: int) -> tuple[nn.Module, nn.Module]:
    """Return torch's layer and ours, with the same weights."""
    torch.manual_seed(0)
    theirs, ours = getattr(nn, name)(H, H), getattr(fast, name)(H, H)
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


def step(name: str, H: int, B: int, pairs: int) -> dict[str, Any]:
    """Return the figures of one step."""
    theirs, ours = pair(name, H)
    x = torch.randn(1, B, H)
    found: dict[str, Any] = {"layer": name, "H": H, "B": B}
    for kind, make in KINDS.items():
        times = seconds({"ours": make(ours, x), "torch": make(theirs, x)}, pairs, 20 if H < 256 else 6)
        found[kind] = {"microseconds": microseconds(times["ours"]), "ratio": over(times, "torch", "ours")}
    return found


def compiled(name: str, case: str, pairs: int) -> dict[str, Any]:
    """Return eager and compiled times: of unrolled.nn, of torch.nn and of a layer of unrolled.layers."""
    B, T, H = COMPILED[case]
    theirs, ours = pair(name, H)
    layer, x = Recurrent(NAMES[name](H, H)), torch.randn(T, B, H)
    modules = {"unrolled.nn": (ours, x), "torch.nn": (theirs, x), "unrolled.layers": (layer, x.transpose(0, 1).clone())}
    found: dict[str, Any] = {"layer": name, "case": case, "shape": [B, T, H]}
    torch.compile(layer, fullgraph=True)(modules["unrolled.layers"][1])  # an error if its graph has a break
    for label, (module, inputs) in modules.items():
        fast_module = torch.compile(module)
        found[label] = {}
        for kind in ("inference", "training"):
            calls = {"eager": KINDS[kind](module, inputs), "compiled": KINDS[kind](fast_module, inputs)}
            times = seconds(calls, pairs, 10)
            found[label][kind] = {
                "eager": microseconds(times["eager"]),
                "compiled_to_eager": over(times, "compiled", "eager"),
            }
        torch._dynamo.reset()
    return found


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=40, help="turns of each comparison")
    pairs = parser.parse_args().pairs
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # torch's own, while it compiles
    steps, sequences = [], []
    for name in NAMES:
        for H in SIZES:
            for B in BATCHES:
                steps.append(step(name, H, B, pairs))
                print(steps[-1], flush=True)
        for case in COMPILED:
            sequences.append(compiled(name, case, pairs))
            print(sequences[-1], flush=True)
    print(save("drop_in", {"threads": 1, "pairs": pairs, "steps": steps, "compiled": sequences}))


if __name__ == "__main__":
    main()
