"""The fused scans compared with the reference and torch, over random cells, sizes and options.

The tests run a few seeds; benchmarks/trust.py runs a requested number.
"""

import copy
import math
import random
import subprocess
import sys
import threading
from collections.abc import Sequence

import torch
from torch import Tensor

from modules import CELLS, shaken
from unrolled import scan
from unrolled.kernels import native

EPSILON = torch.finfo(torch.float32).eps


class Case:
    """One random call: cell, sizes, options and the weights of the loss."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        torch.manual_seed(seed)
        pick = self.random.choice
        self.name = pick(list(CELLS))
        self.B, self.T = pick([1, 1, 2, 3, 5, 8, 9, 17, 40]), pick([1, 1, 2, 3, 7, 20, 33])
        self.D, self.H = pick([1, 2, 3, 7, 8, 16, 31, 64, 70]), pick([1, 2, 3, 8, 15, 16, 17, 31, 48, 64, 65, 130])
        self.cell = CELLS[self.name](self.D, self.H)  # its weights turn h without stretching it: no chaos over T steps
        with torch.no_grad():
            for name, parameter in self.cell.named_parameters():
                if name.startswith("bias"):
                    parameter.normal_(0, 0.5)
        self.reverse = pick([False, True])
        ragged = pick([False, True, True])
        self.lengths = torch.randint(0, self.T + 1, (self.B,)) if ragged else None
        masked = pick([False, False, True])
        self.mask = torch.bernoulli(torch.full((self.B, self.H), 0.5)) * 2 if masked else None
        if masked:
            self.cell.get_parameter("weight_h").data.mul_(0.5)  # the mask doubles the remaining units of h
        self.x = torch.randn(self.B, self.T, self.D)
        self.state = self.cell.State(*(torch.randn(self.B, self.H) for _ in self.cell.State._fields))
        self.weigh_y, self.weigh_state = torch.randn(self.B, self.T, self.H), torch.randn(self.B, self.H)

    def __str__(self) -> str:
        options = f"reverse={self.reverse}, masked={self.mask is not None}, lengths={self.lengths}"
        return f"{self.name} B={self.B} T={self.T} D={self.D} H={self.H} {options}"

    def turned(self) -> "Case":
        """Return the call with its sequences reversed: weight gradients sum the same terms in another order."""
        other = copy.copy(self)
        other.x, other.weigh_y, other.weigh_state = self.x.flip(0), self.weigh_y.flip(0), self.weigh_state.flip(0)
        other.state = type(self.state)(*(leaf.flip(0) for leaf in self.state))
        other.mask, other.lengths = (None if t is None else t.flip(0) for t in (self.mask, self.lengths))
        return other

    def run(self, backend: str, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
        """Return outputs, states and every gradient, by name."""
        cell = CELLS[self.name](self.D, self.H).to(dtype)
        cell.load_state_dict(self.cell.state_dict())
        x = self.x.to(dtype).requires_grad_()
        state = type(self.state)(*(leaf.to(dtype).requires_grad_() for leaf in self.state))
        mask = None if self.mask is None else self.mask.to(dtype)
        y, after = scan.scan(cell, x, state, self.lengths, reverse=self.reverse, mask=mask, backend=backend)
        loss = (y * self.weigh_y.to(dtype)).sum() + sum((leaf * self.weigh_state.to(dtype)).sum() for leaf in after)
        named = {"x": x, **{f"{n}0": leaf for n, leaf in state._asdict().items()}, **dict(cell.named_parameters())}
        grads = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
        return {
            "y": y.detach(),
            **{n: leaf.detach() for n, leaf in after._asdict().items()},
            **{
                f"d{n}": torch.zeros_like(p) if d is None else d for (n, p), d in zip(named.items(), grads, strict=True)
            },
        }


def check(case: Case, isas: Sequence[str]) -> None:
    """Compare outputs, states and every gradient of each instruction set with the error budget of the law *twin*.

    Of a weight's gradient, a sum over all sequences and steps, the reference's own rounding is the larger one of two
    orders of the sequences: in a single order it may be small by luck, depending on the processor's product.
    """
    exact, rounded = case.run("reference", torch.float64), case.run("reference")
    turned = case.turned().run("reference")
    weights = {f"d{name}" for name, _ in case.cell.named_parameters()}
    for isa in isas:
        with native.use_isa(isa):
            found = case.run("fused")
        for name, value in found.items():
            assert value.shape == exact[name].shape
            if not value.numel():
                continue
            own = float((rounded[name].double() - exact[name]).abs().max())
            if name in weights:
                own = max(own, float((turned[name].double() - exact[name]).abs().max()))
            scale = float(exact[name].abs().max())
            if value.numel() < 16:  # the reference may round a few numbers well by luck: a walk of so many roundings
                scale = max(scale, 1.0)
                own = max(own, EPSILON * scale * math.sqrt(case.B * case.T * case.H))
            off = float((value.double() - exact[name]).abs().max())
            assert off <= 4 * own + 8 * EPSILON * scale, f"{case}, {isa}: {name} is off by {off:.2g}"


@torch.no_grad()
def strange(seed: int, isas: Sequence[str]) -> None:
    """Check that a few NaNs and infinities in x, weights or states appear in the same results as in torch.

    Sequences of different lengths are compared with the reference: our twin in torch runs them as one dense batch, in
    which a NaN of the weights reaches padded steps.
    """
    case = Case(seed)
    tensors = [case.x, *case.state, *case.cell.parameters()]
    for _ in range(case.random.randrange(1, 4)):
        tensor = case.random.choice(tensors)
        tensor.view(-1)[case.random.randrange(tensor.numel())] = case.random.choice([math.nan, math.inf, -math.inf])
    call = (case.cell, case.x, case.state, case.lengths)
    other = "torch" if case.lengths is None else "reference"
    y, after = scan.scan(*call, reverse=case.reverse, backend=other)
    for isa in isas:
        with native.use_isa(isa):
            found, state = scan.scan(*call, reverse=case.reverse, backend="fused")
        for ours, theirs in zip([found, *state], [y, *after], strict=True):
            assert torch.equal(ours.isnan(), theirs.isnan()), f"{case}, {isa}: NaN"
            assert torch.equal(ours.isinf(), theirs.isinf()), f"{case}, {isa}: infinity"


def together(threads: int, calls: int) -> int:
    """Run scans with shared weights in several Python threads, forward and backward, `calls` times in each.

    All must give the bits of a single thread. Returns the number of calls.
    """
    torch.manual_seed(0)
    cells = [shaken(make(24, 64)) for make in CELLS.values()]
    inputs = [torch.randn(B, 6, 24) for B in (1, 3, 16)]

    def run(cell: torch.nn.Module, x: Tensor, *, train: bool) -> list[Tensor]:
        if not train:
            with torch.no_grad():
                return [scan.scan(cell, x, backend="fused")[0]]
        x = x.clone().requires_grad_()
        y, _ = scan.scan(cell, x, backend="fused")
        return [y.detach(), *torch.autograd.grad((y * y).sum(), [x, *cell.parameters()])]

    cases = [(cell, x, train) for cell in cells for x in inputs for train in (False, True)]
    expected = [run(cell, x, train=train) for cell, x, train in cases]
    wrong: list[str] = []

    def work(seed: int) -> None:
        chooser = random.Random(seed)
        for _ in range(calls):
            k = chooser.randrange(len(cases))
            cell, x, train = cases[k]
            found = run(cell, x, train=train)
            if not all(torch.equal(a, b) for a, b in zip(found, expected[k], strict=True)):
                wrong.append(f"{cell}, B = {len(x)}, {'training' if train else 'inference'}")

    workers = [threading.Thread(target=work, args=(seed,)) for seed in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong, wrong[:3]
    return threads * calls


FORKED = """
import os, sys, warnings, torch
from unrolled import scan
from unrolled.cells import GRUCell
torch.manual_seed(0); torch.set_num_threads(2)
cell, x = GRUCell(64, 128), torch.randn(16, 10, 64)  # small: torch itself hangs on large tensors in a fork
with torch.no_grad():
    expected = scan.scan(cell, x, backend="fused")[0]
    warnings.simplefilter("ignore", DeprecationWarning)
    if os.fork() == 0:
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            same = all(torch.equal(scan.scan(cell, x, backend="fused")[0], expected) for _ in range(3))
        os._exit(0 if same and [str(w.message).startswith("unrolled: a forked process") for w in seen] == [True] else 1)
    sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
"""


def fork() -> None:
    """Fork a process that has used the kernels: the child runs on one thread with the same bits and warns once."""
    done = subprocess.run([sys.executable, "-c", FORKED], timeout=60, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
