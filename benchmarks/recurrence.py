"""The parallel forms of linear cells compared with public readable implementations that run on a CPU.

python benchmarks/recurrence.py --python .venv-recurrence/bin/python

The environment has fla-core, minGRU-pytorch and einops (and torch, which they ask for):

    gated delta rule     fla, ops/gated_delta_rule/naive.py, in chunks of 64
    decay                fla, ops/simple_gla/naive.py, in chunks of 64 (Mamba-2, and the mLSTM without its normaliser)
    minGRU               minGRU_pytorch, the scan in log space of Feng et al.

Their files are loaded by path, since their packages ask for a compiler of GPU kernels when imported. Outputs and all
gradients of each pair are compared on the same numbers; then both are timed, forward and backward, in turns on one
thread, by the CPU time of the process. The ratio is theirs over ours. B 8, T 512, 4 heads of 64 (d 256), float32. Also
the time of one step of each model, after 32 steps and after 65,536. Into benchmarks/results/recurrence.json.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from record import save
from torch import Tensor

from unrolled import lineage, scan
from unrolled.api import build
from unrolled.config import ModelConfig
from unrolled.models import Ids
from unrolled.scan import parallel

B, T, N, K = 8, 512, 4, 64
ROUNDS = 7
Call = Callable[[], list[Tensor]]


def packages_of(python: str) -> Path:
    """Return the folder of packages of an environment."""
    code = "import einops, pathlib; print(pathlib.Path(einops.__file__).parents[1])"
    return Path(subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip())


def loaded(path: Path) -> ModuleType:
    """Return the module of one file."""
    spec = importlib.util.spec_from_file_location("peer_" + path.parent.name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def with_gradients(f: Callable[..., Tensor], *inputs: Tensor) -> list[Tensor]:
    """Return the output of a call and the gradients of a fixed function of it."""
    leaves = [each.detach().requires_grad_() for each in inputs]
    y = f(*leaves)
    return [y.detach(), *torch.autograd.grad((y * torch.linspace(-1, 1, y.shape[1]).view(1, -1, 1, 1)).sum(), leaves)]


def cases(packages: Path) -> dict[str, tuple[Call, Call]]:
    """Return ours and theirs of each case, on the same numbers."""
    torch.manual_seed(0)
    q, k, v = torch.randn(3, B, T, N, K)
    k = torch.nn.functional.normalize(k, dim=-1)
    log_decay, beta = -torch.rand(B, T, N) * 0.2, torch.rand(B, T, N)
    S = torch.zeros(B, N, K, K)
    delta = loaded(packages / "fla" / "ops" / "gated_delta_rule" / "naive.py")
    gla = loaded(packages / "fla" / "ops" / "simple_gla" / "naive.py")
    mingru = loaded(packages / "minGRU_pytorch" / "minGRU.py")
    gate, value = torch.randn(2, B, T, 1, N * K)

    def ours_mingru(gate: Tensor, value: Tensor) -> Tensor:
        a, n = (-gate).sigmoid(), mingru.g(value)
        h0 = a.new_zeros(B, N * K)
        return parallel.recurrence(a.squeeze(2), ((1 - a) * n).squeeze(2), h0).unsqueeze(2)

    def their_mingru(gate: Tensor, value: Tensor) -> Tensor:
        log_z = -torch.nn.functional.softplus(-gate)
        h: Tensor = mingru.heinsen_associative_scan_log(
            -torch.nn.functional.softplus(gate), log_z + mingru.log_g(value)
        )
        return h

    return {
        "gated delta rule": (
            lambda: with_gradients(lambda *x: parallel.chunked(*x[:4], S, x[4])[0], q, k, v, log_decay, beta),
            lambda: with_gradients(
                lambda q, k, v, g, beta: delta.naive_chunk_gated_delta_rule(q, k, v, g, beta, scale=1.0)[0],
                q, k, v, log_decay, beta,
            ),
        ),
        "decay": (
            lambda: with_gradients(lambda *x: parallel.chunked(*x, S)[0], q, k, v, log_decay),
            lambda: with_gradients(lambda *x: gla.naive_chunk_simple_gla(*x, scale=1.0)[0], q, k, v, log_decay),
        ),
        "minGRU": (
            lambda: with_gradients(ours_mingru, gate, value),
            lambda: with_gradients(their_mingru, gate, value),
        ),
    }  # fmt: skip


def timed(call: Callable[[], Any]) -> float:
    """Return the CPU seconds of a call."""
    began = time.process_time()
    call()
    return time.process_time() - began


def compared(ours: Call, theirs: Call) -> dict[str, Any]:
    """Compare outputs, gradients and times of a case."""
    apart = [float((a - b).abs().max() / b.abs().max().clamp(min=1e-30)) for a, b in zip(ours(), theirs(), strict=True)]
    pairs = [(timed(ours), timed(theirs)) for _ in range(ROUNDS)]
    ratios = sorted(b / a for a, b in pairs)
    return {
        "output_off": apart[0],
        "gradients_off": max(apart[1:]),
        "ours_ms": round(1e3 * min(a for a, _ in pairs), 2),
        "theirs_ms": round(1e3 * min(b for _, b in pairs), 2),
        "ratio": round(statistics.median(ratios), 2),
        "ratios": [round(each, 2) for each in ratios],
    }


@torch.inference_mode()
def steps() -> dict[str, dict[str, float]]:
    """Return the milliseconds of one step of each model of fixed state, early and late in a sequence."""
    found = {}
    for architecture in lineage.LINEAGE:
        if architecture.mixers and "attention" not in architecture.mixers:
            config = ModelConfig(embedding_size=256, hidden_size=256, num_layers=2, dropout=0.0)
            model = build(architecture.name, Ids(90), 90, config, answer="each").eval()
            state, at = None, {}
            with scan.frozen(model):
                for length in (32, 65_536):
                    while (read := 0 if state is None else int(state.layers.steps)) < length:
                        _, state = model(torch.randint(5, 90, (1, min(4_096, length - read))), state)
                    step = partial(model, torch.randint(5, 90, (1, 1)), state)
                    at[str(length)] = round(1e3 * min(timed(step) for _ in range(30)), 3)
            found[architecture.name] = at
    return found


def main() -> None:
    """Measure and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", required=True, help="python of the environment of the peers")
    parser.add_argument("--no-steps", action="store_true", help="leave out the steps, which take minutes")
    options = parser.parse_args()
    torch.set_num_threads(1)
    packages = packages_of(options.python)
    sys.path.append(str(packages))  # einops; torch stays ours
    figures: dict[str, Any] = {"shape": {"B": B, "T": T, "heads": N, "head_size": K}}
    figures["pairs"] = {name: compared(*pair) for name, pair in cases(packages).items()}
    if not options.no_steps:
        figures["step_ms"] = steps()
    print(save("recurrence", figures, "torch"))


if __name__ == "__main__":
    main()
