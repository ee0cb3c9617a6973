"""int8 on one thread: linear layers and recurrences beside ours in float32, torch's dynamic int8 and ONNX Runtime's.

    python benchmarks/int8.py linear scans steps --python .venv-peers/bin/python

`linear` and the two parts of recurrences compare layers; GPTs and Transformers in int8 are the parts gpt_int8 and
translate_int8 of decoding_peers.py. ONNX Runtime (LSTM only: it has no int8 GRU) is that of another environment of the
same Python, which is read after this one. Calls go in turn, in CPU seconds of the process; a ratio is the median over
pairs, and above 1 ours in int8 is faster. Each part into benchmarks/results/int8.json.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from record import save_part
from torch import Tensor, nn

from unrolled.cells import Cell, GRUCell, LSTMCell
from unrolled.kernels import native
from unrolled.layers import Recurrent, to_torch
from unrolled.scan import frozen

LINEAR = [(1, 128, 512), (1, 384, 1536), (1, 1024, 4096), (16, 256, 1024), (16, 1024, 4096), (256, 512, 2048)]
SIZES, BATCHES, LONG = (128, 256, 512, 1024), (1, 16), 50
CELLS: dict[str, type[Cell[Any, Any]]] = {"LSTM": LSTMCell, "GRU": GRUCell}
WORK = 200_000_000
"""Multiply-adds of one timed group of calls."""
Call = Callable[[], object]


def in_turn(calls: dict[str, Call], work: int, rounds: int) -> dict[str, list[float]]:
    """Return CPU seconds of a call, the mean of a group that does WORK, for each round.

    Args:
        work: multiply-adds of a call.
    """
    count = max(2, min(3_000, WORK // work))
    times: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(rounds):
        for name, call in calls.items():
            begin = time.process_time()
            for _ in range(count):
                call()
            times[name].append((time.process_time() - begin) / count)
    return times


def figures(times: dict[str, list[float]], work: int) -> dict[str, float]:
    """Return our seconds and rate, and the time of each other call over ours."""
    ours = times.pop("ours")
    found = {"ours_int8_seconds": statistics.median(ours), "multiply_adds_per_second": work / statistics.median(ours)}
    for name, theirs in times.items():
        found[f"{name}_over_ours"] = round(statistics.median(a / b for a, b in zip(theirs, ours, strict=True)), 3)
        found[f"{name}_over_ours_by_minima"] = round(min(theirs) / min(ours), 3)
    return found


def quantized(module: nn.Module, kinds: set[type[nn.Module]]) -> nn.Module:
    """Return the module as torch's dynamic quantisation makes it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a later torch without it
        made: nn.Module = torch.ao.quantization.quantize_dynamic(nn.Sequential(module), kinds, dtype=torch.qint8)
    return made


def linear(rounds: int) -> list[dict[str, Any]]:
    """N rows, D inputs, V outputs."""
    assert native.kernels is not None
    rows = []
    for N, D, V in LINEAR:
        layer, x, y = nn.Linear(D, V), torch.randn(N, D), torch.empty(N, V)
        weights = layer.weight.detach(), layer.bias.detach()
        float32, int8 = (native.kernels.FrozenLinear(native.index(torch.float32), *weights, kind) for kind in (0, 1))
        peer = quantized(layer, {nn.Linear})

        def ours(packed: Any = int8, x: Tensor = x, y: Tensor = y) -> None:
            packed.forward(1, x, y)

        calls: dict[str, Call] = {
            "ours": ours,
            "ours_float32": lambda packed=float32, x=x, y=y: packed.forward(1, x, y),
            "torch_int8": lambda peer=peer, x=x: peer(x),
        }
        found = figures(in_turn(calls, N * D * V, rounds), N * D * V)
        rows.append({"rows": N, "inputs": D, "outputs": V, **found})
        print(rows[-1], flush=True)
    return rows


def onnx_session(layer: Any, folder: Path) -> Any:
    """Return ONNX Runtime's session of an LSTM with dynamically quantised weights, on one thread."""
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper
    from onnxruntime.quantization import QuantType, quantize_dynamic

    def iofc(name: str) -> np.ndarray:
        i, f, g, o = np.split(getattr(layer, name).detach().numpy(), 4)
        return np.concatenate([i, o, f, g])

    values = {
        "W": iofc("weight_ih_l0")[None],
        "R": iofc("weight_hh_l0")[None],
        "Both": np.concatenate([iofc("bias_ih_l0"), iofc("bias_hh_l0")])[None],
    }
    node = helper.make_node("LSTM", ["x", *values], ["y"], hidden_size=layer.hidden_size)
    sides = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ["T", "B", layer.input_size]),
        helper.make_tensor_value_info("y", TensorProto.FLOAT, None),
    ]
    stored = [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in values.items()]
    graph = helper.make_graph([node], "lstm", sides[:1], sides[1:], stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    onnx.save(model, folder / "float32.onnx")
    quantize_dynamic(folder / "float32.onnx", folder / "int8.onnx", op_types_to_quantize=["LSTM"],
                     weight_type=QuantType.QInt8)  # fmt: skip
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(folder / "int8.onnx", options, providers=["CPUExecutionProvider"])


def recurrences(rounds: int, T: int) -> list[dict[str, Any]]:
    """Layers of D = H, as their modules are called, for B sequences of T steps; single steps are packed before."""
    rows = []
    for kind in CELLS:
        for H in SIZES:
            ours = Recurrent(CELLS[kind](H, H)).eval()
            plain, theirs = copy.deepcopy(ours), to_torch(ours).eval()
            peer = quantized(theirs, {nn.LSTM, nn.GRU})[0]  # type: ignore[index]
            with tempfile.TemporaryDirectory() as folder:
                session = onnx_session(theirs, Path(folder)) if kind == "LSTM" else None
            for B in BATCHES:
                x = torch.randn(B, T, H)
                theirs_x = np.ascontiguousarray(x.transpose(0, 1).numpy())  # ONNX Runtime's layout
                calls: dict[str, Call] = {
                    "ours": lambda ours=ours, x=x: ours(x),
                    "ours_float32": lambda plain=plain, x=x: plain(x),
                    "torch_int8": lambda peer=peer, x=x: peer(x),
                }
                if session is not None:
                    calls["onnxruntime_int8"] = lambda session=session, x=theirs_x: session.run(None, {"x": x})
                work = B * T * theirs.weight_hh_l0.numel() * 2
                blocks = [frozen(ours, precision="int8"), frozen(plain) if T == 1 else nullcontext()]
                with torch.inference_mode(), blocks[0], blocks[1]:
                    error = float((ours(x)[0] - theirs(x)[0]).abs().max())
                    found = figures(in_turn(calls, work, rounds), work)
                rows.append({"layer": kind, "H": H, "batch": B, "steps": T, "largest_error": error, **found})
                print(rows[-1], flush=True)
    return rows


PARTS: dict[str, Callable[[int], list[dict[str, Any]]]] = {
    "linear": linear,
    "scans": lambda rounds: recurrences(rounds, LONG),
    "steps": lambda rounds: recurrences(rounds, 1),
}


def main() -> None:
    """Measure the parts that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="+", choices=PARTS)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--python", type=Path, help="the peers' environment, for all parts but linear")
    arguments = parser.parse_args()
    versions = {}
    if arguments.python:
        where = "import sysconfig; print(sysconfig.get_path('purelib'))"
        command = [arguments.python, "-c", where]
        sys.path.append(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip())
        sys.argv[sys.argv.index("--python") + 1] = ".venv-peers/bin/python"  # in the record, no path of this machine
        versions = {name: metadata.version(name) for name in ("onnxruntime", "onnx")}
    elif arguments.parts != ["linear"]:
        parser.error("scans and steps need --python, the environment with ONNX Runtime")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    for part in arguments.parts:
        found = {"isa": native.isa(), "peers": versions, "cpu": "CPU seconds of the process"}
        print(save_part("int8", part, {**found, "shapes": PARTS[part](arguments.rounds)}))


if __name__ == "__main__":
    main()
