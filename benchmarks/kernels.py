"""The fused scans compared with torch.nn (and ONNX Runtime, where it is installed), in turn, in one process.

    python benchmarks/kernels.py [--cells elman,gru,lstm] [--shapes all|quick|B,T,D,H] [--seconds 1] [--threads 2]
                                 [--isa avx512] [--name kernels]

Inference under inference_mode; training is forward and backward of all outputs with the gradient of x ("train") and
without it ("train, no dx"). Ratios are medians over interleaved pairs: theirs / ours, above 1 where ours is faster.
"peak" is the fraction of the machine's multiply-add peak, measured in the same run from registers alone. "saved" is the
memory that a forward pass saves for its backward, in units of B·T·H float32 numbers, and "mb" the largest growth of the
process in a training step. "frozen" is a step of a stream, from a state, with weights that were packed before
(`unrolled.scan.frozen`), as in decoding. An ONNX Runtime session packs once, and is always fed a state. "bf16" is
inference with weights and inputs in bfloat16: its time, and ours in float32 and torch's in bfloat16 over it. Before
any speed is measured, each shape's outputs and gradients are compared with the reference within the error budget of the
law *twin*; a failure ends the run.

A run of some --cells keeps the figures of the others in the file, where isa and threads are the same.
To hold torch to AVX2: ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 MKL_ENABLE_INSTRUCTIONS=AVX2, with --isa avx2.
"""

from __future__ import annotations

import argparse
import copy
import importlib.util
import json
import math
import statistics
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from record import RESULTS, save, stamp
from stopwatch import against, growth, in_turn
from torch import Tensor, nn

from unrolled.cells import Cell, ElmanCell, GRUCell, LSTMCell
from unrolled.errors import BackendError
from unrolled.kernels import native
from unrolled.layers import Bidirectional, Layer, Recurrent, Stacked, set_backend, to_torch
from unrolled.scan import choose, frozen


class Shape(NamedTuple):
    """Sizes of one measurement, and the kind of layer."""

    B: int
    T: int
    D: int
    H: int
    kind: str = ""  # "", "ragged", "2 layers" or "both directions"

    def __str__(self) -> str:
        return f"({self.B}, {self.T}, {self.D}, {self.H}){' ' + self.kind if self.kind else ''}"


SHAPES = (
    Shape(1, 100, 128, 128),
    Shape(1, 1, 128, 128),
    Shape(1, 1, 512, 512),
    Shape(32, 100, 128, 128),
    Shape(64, 50, 256, 256),
    Shape(64, 100, 256, 512),
    Shape(128, 784, 1, 128),
    Shape(16, 400, 512, 1024),
    Shape(256, 30, 64, 64),
    Shape(32, 100, 128, 128, "ragged"),
    Shape(32, 100, 128, 128, "2 layers"),
    Shape(32, 100, 128, 128, "both directions"),
)
QUICK = SHAPES[:5]
CELLS: dict[str, tuple[type[Cell[Any, Any]], int]] = {  # name -> the cell and its number of gates
    "elman": (ElmanCell, 1),
    "gru": (GRUCell, 3),
    "lstm": (LSTMCell, 4),
}


def build(name: str, shape: Shape) -> Layer:
    """Return our layer of this shape."""
    make = CELLS[name][0]
    if shape.kind == "both directions":
        return Bidirectional(
            Recurrent(make(shape.D, shape.H), backend="fused"),
            Recurrent(make(shape.D, shape.H), reverse=True, backend="fused"),
        )
    layer = Recurrent(make(shape.D, shape.H), backend="fused")
    if shape.kind == "2 layers":
        return Stacked([layer, Recurrent(make(shape.H, shape.H), backend="fused")])
    return layer


class Call:
    """A cell at one shape: our layer, torch's with the same weights, and the calls that are timed."""

    def __init__(self, name: str, shape: Shape) -> None:
        torch.manual_seed(0)
        self.name, self.shape = name, shape
        self.ours = build(name, shape)
        self.theirs = to_torch(self.ours)
        B, T, D, H = shape[:4]
        self.x = torch.randn(B, T, D)
        self.dy = torch.randn(B, T, H * (2 if shape.kind == "both directions" else 1))
        self.lengths = torch.linspace(T / 2, T, B).long() if shape.kind == "ragged" else None

    def run_ours(self, x: Tensor) -> Tensor:
        """Return our outputs (B, T, ·) of x (B, T, D)."""
        return self.ours(x, None, self.lengths)[0]

    def run_theirs(self, x: Tensor) -> Tensor:
        """Return torch's outputs (B, T, ·) of x (B, T, D); sequences of unequal length are packed."""
        if self.lengths is None:
            return self.theirs(x)[0]
        packed = nn.utils.rnn.pack_padded_sequence(x, self.lengths, batch_first=True, enforce_sorted=False)
        y, _ = nn.utils.rnn.pad_packed_sequence(self.theirs(packed)[0], batch_first=True, total_length=x.shape[1])
        return y

    def infer(self, run: Callable[[Tensor], Tensor]) -> Callable[[], object]:
        """Return a call without gradients."""

        def call() -> None:
            with torch.inference_mode():
                run(self.x)

        return call

    def train(self, run: Callable[[Tensor], Tensor], module: nn.Module, with_dx: bool) -> Callable[[], object]:
        """Return a call forward and backward."""
        x = self.x.clone().requires_grad_(with_dx)

        def call() -> None:
            module.zero_grad()
            x.grad = None
            run(x).backward(self.dy)

        return call

    def stream(self, module: nn.Module) -> Callable[[], object]:
        """Return a call that continues from a state."""
        _, state = module(self.x)
        return lambda: module(self.x, state)

    def flops(self) -> float:
        """Return the floating-point operations of the forward pass."""
        B, T, D, H = self.shape[:4]
        G = CELLS[self.name][1]
        steps = int(self.lengths.sum()) if self.lengths is not None else B * T
        both, deep = self.shape.kind == "both directions", self.shape.kind == "2 layers"
        return 2.0 * steps * G * H * ((D + H) * (2 if both else 1) + (2 * H if deep else 0))

    def check(self) -> None:
        """Compare outputs and gradients with the reference in float64 (a few steps), within the error budget.

        The law's second term is for sums of a few hundred numbers. A sum of K numbers in one chain rounds K times: its
        error grows with √K.
        """
        T = min(self.shape.T, 12)
        x, dy = self.x[:8, :T], self.dy[:8, :T]
        lengths = None if self.lengths is None else self.lengths[:8].clamp(max=T)

        def gradients(backend: str, dtype: torch.dtype) -> dict[str, Tensor]:
            layer = copy.deepcopy(self.ours).to(dtype)
            set_backend(layer, backend)
            leaf = x.to(dtype).requires_grad_()
            y = layer(leaf, None, lengths)[0]
            named = {"x": leaf, **dict(layer.named_parameters())}
            found = torch.autograd.grad((y * dy.to(dtype)).sum(), list(named.values()), allow_unused=True)
            return {"y": y.detach(), **{n: d for n, d in zip(named, found, strict=True) if d is not None}}

        exact, rounded = gradients("reference", torch.float64), gradients("reference", torch.float32)
        longest = max(self.shape.D + self.shape.H, CELLS[self.name][1] * self.shape.H)  # the sums in y and in dx
        rounding = 8 * torch.finfo(torch.float32).eps * max(1.0, math.sqrt(longest / 256))
        for name, value in gradients("fused", torch.float32).items():
            limit = 4 * (rounded[name].double() - exact[name]).abs().max()
            limit += rounding * exact[name].abs().max()
            off = (value.double() - exact[name]).abs().max()
            if not off <= limit:
                sys.exit(
                    f"the twin test is red: {self.name} {self.shape}: {name} is off by {off:.3g} (limit {limit:.3g})"
                )

    def in_bf16(self) -> Call | None:
        """Return the same with weights and inputs in bfloat16; None where our kernels do not take them.

        The budget of our error against float64 is a multiple of torch's own error, as in the law.
        """
        lower, exact = copy.copy(self), copy.copy(self)
        lower.ours, lower.theirs = copy.deepcopy(self.ours).bfloat16(), copy.deepcopy(self.theirs).bfloat16()
        lower.x = self.x.bfloat16()
        try:
            with torch.no_grad():
                for layer in lower.ours.modules():
                    if isinstance(layer, Recurrent):
                        choose("fused", layer.cell)
        except BackendError:
            return None
        exact.theirs, exact.x = copy.deepcopy(lower.theirs).double(), lower.x.double()
        with torch.inference_mode():
            right = exact.run_theirs(exact.x)
            own = (lower.run_theirs(lower.x).double() - right).abs().max()
            off = (lower.run_ours(lower.x).double() - right).abs().max()
        if not off <= 4 * own + 8 * torch.finfo(torch.bfloat16).eps * right.abs().max():
            sys.exit(f"the twin test is red in bfloat16: {self.name} {self.shape}: y is off by {off:.3g}")
        return lower

    def saved(self, run: Callable[[Tensor], Tensor], module: nn.Module) -> float:
        """Return the memory that forward saves for backward, but weights and x, in units of B·T·H float32 numbers."""
        known = {t.untyped_storage().data_ptr() for t in (self.x, *module.parameters())}
        sizes: dict[int, int] = {}

        def keep(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in known:
                sizes[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            y = run(self.x)  # alive while counting: a freed tensor's address could be reused
            units = sum(sizes.values()) / (4 * y.shape[0] * y.shape[1] * self.shape.H)
        del y
        return units


def onnx_session(name: str, shape: Shape, threads: int) -> Callable[[], object] | None:
    """Return a call of ONNX Runtime's own operator: time first, weights packed when the session is made."""
    if importlib.util.find_spec("onnxruntime") is None or importlib.util.find_spec("onnx") is None or shape.kind:
        return None
    import numpy as np
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    B, T, D, H = shape[:4]
    kind, G = {"elman": "RNN", "gru": "GRU", "lstm": "LSTM"}[name], CELLS[name][1]
    rng = np.random.default_rng(0)
    weights = {"W": (1, G * H, D), "R": (1, G * H, H), "bias": (1, 2 * G * H)}
    constants = [numpy_helper.from_array(0.1 * rng.standard_normal(s, dtype=np.float32), n) for n, s in weights.items()]
    states = ["h0", "c0"] if name == "lstm" else ["h0"]
    options = {"linear_before_reset": 1} if name == "gru" else {}
    outputs = ["y", "h"] + (["c"] if name == "lstm" else [])
    node = helper.make_node(kind, ["x", "W", "R", "bias", "", *states], outputs, hidden_size=H, **options)
    shapes = {"x": (T, B, D), **dict.fromkeys(states, (1, B, H))}
    graph = helper.make_graph(
        [node],
        "scan",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in shapes.items()],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in outputs],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model.SerializeToString(), settings, providers=["CPUExecutionProvider"])
    feed = {n: rng.standard_normal(s, dtype=np.float32) for n, s in shapes.items()}
    return lambda: session.run(None, feed)


def against_onnx(session: Callable[[], object], ours: Callable[[], object], seconds: float) -> float:
    """Return ONNX Runtime's time over ours, in bursts, so that its spinning threads do not take our cores."""
    return against(in_turn({"ours": ours, "onnx": session}, seconds, burst=8, pause=0.02), "onnx")


def measure(name: str, shape: Shape, seconds: float, threads: int, peak: float) -> dict[str, Any]:
    """Return all figures of a cell and shape."""
    call = Call(name, shape)
    call.check()
    infer = {"ours": call.infer(call.run_ours), "torch": call.infer(call.run_theirs)}
    session = onnx_session(name, shape, threads)
    found: dict[str, Any] = {"cell": name, "shape": list(shape[:4]), "kind": shape.kind}
    times = in_turn(infer, seconds)
    ours = statistics.median(times["ours"])
    found["infer"] = {"ms": 1e3 * ours, "torch": against(times, "torch"), "peak": call.flops() / ours / 1e9 / peak}
    if shape.T == 1:
        with torch.inference_mode(), frozen(call.ours):
            steps = {"ours": call.stream(call.ours), "torch": call.stream(call.theirs)}
            times = in_turn(steps, seconds)
            found["frozen"] = {"ms": 1e3 * statistics.median(times["ours"]), "torch": against(times, "torch")}
            if session is not None:
                found["frozen"]["onnxruntime"] = against_onnx(session, steps["ours"], seconds)
    if session is not None:
        found["infer"]["onnxruntime"] = against_onnx(session, infer["ours"], seconds)
        del session  # its threads end with it
    for label, with_dx in (("train", True), ("train, no dx", False)):
        train = {
            "ours": call.train(call.run_ours, call.ours, with_dx),
            "torch": call.train(call.run_theirs, call.theirs, with_dx),
        }
        times = in_turn(train, seconds)
        found[label] = {"ms": 1e3 * statistics.median(times["ours"]), "torch": against(times, "torch")}
        if with_dx:
            found["mb"] = {who: growth(step) for who, step in train.items()}
    found["saved"] = {"ours": call.saved(call.run_ours, call.ours), "torch": call.saved(call.run_theirs, call.theirs)}
    if (lower := call.in_bf16()) is not None:
        times = in_turn(
            {
                "ours": lower.infer(lower.run_ours),
                "torch": lower.infer(lower.run_theirs),
                "float32": infer["ours"],
            },
            seconds,
        )
        found["bf16"] = {
            "ms": 1e3 * statistics.median(times["ours"]),
            "torch": against(times, "torch"),
            "float32": against(times, "float32"),
        }
    return found


def line_of(found: dict[str, Any]) -> str:
    """Return one measurement as one line."""
    infer = found["infer"]
    onnx = f"{infer['onnxruntime']:6.2f}" if "onnxruntime" in infer else "     –"
    shape = str(Shape(*found["shape"], found["kind"]))
    train, plain, saved = found["train"], found["train, no dx"], found["saved"]
    bf16 = (
        f"x{found['bf16']['float32']:.2f} (torch x{found['bf16']['torch']:.2f})" if "bf16" in found else "not supported"
    )
    step = found.get("frozen")
    frozen_step = f" | frozen {step['ms']:.4f} ms x{step['torch']:.2f}" if step else ""
    frozen_step += f" onnx x{step['onnxruntime']:.2f}" if step and "onnxruntime" in step else ""
    return (
        f"{found['cell']:6}{shape:36} {infer['ms']:9.3f} ms x{infer['torch']:5.2f} onnx x{onnx} "
        f"peak {infer['peak']:4.0%}"
        f" | train {train['ms']:9.3f} ms x{train['torch']:5.2f} | no dx x{plain['torch']:5.2f}"
        f" | saved {saved['ours']:.1f}, torch {saved['torch']:.1f} | bf16 {bf16}{frozen_step}"
    )


def means(rows: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Return geometric means and the worst shape of each cell's plain layers, for one sequence and for many."""
    found: dict[str, dict[str, float]] = {}
    for cell in CELLS:
        for label, wanted in (("B = 1", lambda B: B == 1), ("B >= 16", lambda B: B >= 16)):
            plain = [r for r in rows if r["cell"] == cell and wanted(r["shape"][0]) and not r["kind"]]
            if plain:
                found[f"{cell}, {label}"] = {
                    f"{what}, {how}": value
                    for what in ("infer", "train")
                    for how, value in (
                        ("mean", math.exp(statistics.fmean(math.log(r[what]["torch"]) for r in plain))),
                        ("worst", min(r[what]["torch"] for r in plain)),
                    )
                }
    return found


def main() -> None:
    """Check, measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", default="elman,gru,lstm")
    parser.add_argument("--shapes", default="all")
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--isa", default=native.isa())
    parser.add_argument("--name", default="kernels")
    options = parser.parse_args()
    if options.shapes != "all" and options.name == parser.get_default("name"):
        parser.error("some of the shapes go into a file of their own: give a --name")
    torch.set_num_threads(options.threads)
    shapes = {"all": SHAPES, "quick": QUICK}.get(options.shapes) or (Shape(*map(int, options.shapes.split(","))),)
    cells = options.cells.split(",")
    extra = [name for name in ("onnxruntime",) if importlib.util.find_spec(name)]
    with native.use_isa(options.isa):
        peak = measured_peak(options.isa, options.threads)
        print(f"{options.isa}, {options.threads} threads, peak {peak:.0f} billion operations a second")
        rows, runs = others(options.name, options.isa, options.threads, cells)
        for name in cells:
            for shape in shapes:
                rows.append(measure(name, shape, options.seconds, options.threads, peak))
                print(line_of(rows[-1]), flush=True)
            runs[name] = {**stamp(*extra), "peak_gflops": peak}
    rows.sort(key=lambda found: list(CELLS).index(found["cell"]))
    summary = means(rows)
    for name, values in summary.items():
        print(f"{name:16}", "  ".join(f"{what} x{value:.2f}" for what, value in values.items()))
    figures = {"isa": options.isa, "threads_used": options.threads, "means": summary, "runs": runs, "rows": rows}
    print(f"saved in {save(options.name, figures, *extra)}")


def measured_peak(isa: str, threads: int) -> float:
    """Return billions of floating-point operations a second, from registers alone."""
    kernels = native.kernels
    assert kernels is not None
    return max(kernels.peak(list(native.isas()).index(isa), threads) for _ in range(20))


def others(name: str, isa: str, threads: int, cells: list[str]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return the rows and the runs of the other cells in the file, where they were measured the same way."""
    path = RESULTS / f"{name}.json"
    saved = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if (saved.get("isa"), saved.get("threads_used")) != (isa, threads) or "runs" not in saved:
        return [], {}
    rows = [found for found in saved["rows"] if found["cell"] not in cells]
    return rows, {cell: run for cell, run in saved["runs"].items() if cell not in cells}


if __name__ == "__main__":
    main()
