"""The fused scans: equal to the reference within the error budget, to themselves to the bit, and safe to call."""

import math
import os
import random
import subprocess
import sys
import threading
import warnings

import pytest
import torch
from torch import Tensor

from parts import CELLS, D, H, shaken
from unrolled import scan
from unrolled.cells import Cell, ElmanCell, GRUCell, LSTMCell
from unrolled.errors import BackendError
from unrolled.layers import Recurrent
from unrolled.scan import fused

pytestmark = pytest.mark.skipif(not fused.compiled(), reason="no kernels were compiled here")

ISAS = [name for name, here in fused.isas().items() if here]
EPSILON = torch.finfo(torch.float32).eps


@pytest.fixture(autouse=True)
def _two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


class Case:
    """One random call: cell, sizes, options and what the loss weighs."""

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
        self.x = torch.randn(self.B, self.T, self.D)
        self.state = self.cell.State(*(torch.randn(self.B, self.H) for _ in self.cell.State._fields))
        self.weigh_y, self.weigh_state = torch.randn(self.B, self.T, self.H), torch.randn(self.B, self.H)

    def __str__(self) -> str:
        options = f"reverse={self.reverse}, masked={self.mask is not None}, lengths={self.lengths}"
        return f"{self.name} B={self.B} T={self.T} D={self.D} H={self.H} {options}"

    def run(self, backend: str, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
        """Outputs, states and every gradient, by name."""
        cell = CELLS[self.name](self.D, self.H).to(dtype)
        cell.load_state_dict(self.cell.state_dict())
        x = self.x.to(dtype).requires_grad_()
        state = type(self.state)(*(leaf.to(dtype).requires_grad_() for leaf in self.state))
        mask = None if self.mask is None else self.mask.to(dtype)
        y, after = scan.scan(cell, x, state, self.lengths, reverse=self.reverse, mask=mask, backend=backend)
        loss = (y * self.weigh_y.to(dtype)).sum() + sum((leaf * self.weigh_state.to(dtype)).sum() for leaf in after)
        named = {"x": x, **{f"{n}0": leaf for n, leaf in state._asdict().items()}, **dict(cell.named_parameters())}
        found = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
        return {
            "y": y.detach(),
            **{n: leaf.detach() for n, leaf in after._asdict().items()},
            **{
                f"d{n}": torch.zeros_like(p) if d is None else d for (n, p), d in zip(named.items(), found, strict=True)
            },
        }


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("block", range(5))
def test_the_twin_law_over_random_shapes_and_options(isa: str, block: int) -> None:
    for seed in range(block * 40, block * 40 + 40):
        case = Case(seed)
        exact, rounded = case.run("reference", torch.float64), case.run("reference")
        with fused.use_isa(isa):
            found = case.run("fused")
        for name, value in found.items():
            assert value.shape == exact[name].shape
            if not value.numel():
                continue
            own = float((rounded[name].double() - exact[name]).abs().max())
            scale = float(exact[name].abs().max())
            if value.numel() < 16:  # the reference may round a few numbers well by luck: a walk of so many roundings
                scale = max(scale, 1.0)
                own = max(own, EPSILON * scale * math.sqrt(case.B * case.T * case.H))
            off = float((value.double() - exact[name]).abs().max())
            assert off <= 4 * own + 8 * EPSILON * scale, f"seed {seed}, {case}: {name} is off by {off:.2g}"


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("reverse", [False, True])
def test_gradients_in_float64(name: str, reverse: bool) -> None:
    torch.manual_seed(0)
    cell = shaken(CELLS[name](D, H)).double()
    lengths = torch.tensor([3, 0, 2])
    mask = torch.tensor([[2.0, 0, 2, 2, 0]] * 3, dtype=torch.float64)
    leaves = [torch.randn(3, H, dtype=torch.float64, requires_grad=True) for _ in cell.State._fields]
    x = torch.randn(3, 4, D, dtype=torch.float64, requires_grad=True)
    names, values = zip(*cell.named_parameters(), strict=True)

    def run(x: Tensor, *rest: Tensor):
        state, weights = rest[: len(leaves)], rest[len(leaves) :]
        with torch.no_grad():
            for n, value in zip(names, weights, strict=True):
                cell.get_parameter(n).copy_(value)
        twin = CELLS[name](D, H).double()
        for n, value in zip(names, weights, strict=True):
            twin._parameters[n] = value  # not a leaf of its own: the gradient goes to what gradcheck moves
        y, after = scan.scan(twin, x, cell.State(*state), lengths, reverse=reverse, mask=mask, backend="fused")
        return y, *after

    weights = [value.detach().clone().requires_grad_() for value in values]
    assert torch.autograd.gradcheck(run, (x, *leaves, *weights))


@pytest.mark.parametrize("isa", ISAS)
def test_the_same_bits_for_any_threads_batch_padding_and_split(isa: str) -> None:
    with fused.use_isa(isa):
        for seed in range(60):
            case = Case(seed)
            torch.set_num_threads(1)
            alone = case.run("fused")
            torch.set_num_threads(2)
            together = case.run("fused")
            for name, value in alone.items():
                assert torch.equal(value, together[name]), f"threads: {name} of seed {seed}, {case}"
            _check_a_row(case, together)
            if not case.reverse:
                _check_a_split(case, together)


def _check_a_row(case: Case, together: dict[str, Tensor]) -> None:
    """One row by itself, without its padding."""
    i = case.random.randrange(case.B)
    length = case.T if case.lengths is None else int(case.lengths[i])
    row = Case.__new__(Case)
    row.__dict__ |= case.__dict__
    row.B, row.T, row.lengths = 1, length, None
    row.x, row.weigh_y, row.weigh_state = case.x[[i], :length], case.weigh_y[[i], :length], case.weigh_state[[i]]
    row.state = type(case.state)(*(leaf[[i]] for leaf in case.state))
    row.mask = None if case.mask is None else case.mask[[i]]
    for name, value in row.run("fused").items():
        if name in ("y", "dx"):
            assert torch.equal(value[0], together[name][i, :length]), f"row {i}: {name} of {case}"
            assert not together[name][i, length:].any()
        elif name in ("h", "c", "dh0", "dc0"):
            assert torch.equal(value[0], together[name][i]), f"row {i}: {name} of {case}"


@torch.no_grad()
def _check_a_split(case: Case, together: dict[str, Tensor]) -> None:
    at = case.random.randrange(case.T + 1)
    first, second = None, None
    if case.lengths is not None:
        first, second = case.lengths.clamp(max=at), (case.lengths - at).clamp(min=0)
    y1, state = scan.scan(case.cell, case.x[:, :at], case.state, first, mask=case.mask, backend="fused")
    y2, state = scan.scan(case.cell, case.x[:, at:], state, second, mask=case.mask, backend="fused")
    assert torch.equal(torch.cat([y1, y2], dim=1), together["y"]), f"split at {at}: {case}"
    for name, leaf in state._asdict().items():
        assert torch.equal(leaf, together[name]), f"split at {at}: {name} of {case}"


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("name", CELLS)
def test_nan_and_infinity_come_through_as_in_torch(name: str, isa: str) -> None:
    torch.manual_seed(0)
    cell = shaken(CELLS[name](3, 37))
    x = torch.randn(6, 5, 3)
    x[0, 2, 0], x[1, 1, 1], x[2, 0, 2], x[3, 4, 0] = math.nan, math.inf, -math.inf, 3e38
    with fused.use_isa(isa), torch.no_grad():
        y, _ = scan.scan(cell, x, backend="fused")
        expected, _ = scan.scan(cell, x, backend="torch")
    assert torch.equal(y.isnan(), expected.isnan())
    assert torch.equal(y.isinf(), expected.isinf())
    assert y[0, 2:].isnan().all()
    assert y[4:].isfinite().all()


def test_every_layout_of_the_inputs() -> None:
    torch.manual_seed(0)
    cell = shaken(GRUCell(6, 9))
    x = torch.randn(4, 7, 6)
    y, state = scan.scan(cell, x, backend="fused")
    wide = torch.zeros(4, 7, 12)
    wide[..., ::2] = x
    layouts = {
        "time first": x.transpose(0, 1).contiguous().transpose(0, 1),
        "every other number": wide[..., ::2],
        "features first": x.permute(2, 0, 1).contiguous().permute(1, 2, 0),
        "a slice": torch.cat([x, x], dim=2)[..., 6:],
    }
    for name, layout in layouts.items():
        found, after = scan.scan(cell, layout, backend="fused")
        assert torch.equal(found, y), name
        assert torch.equal(after.h, state.h), name
    one = scan.scan(cell, x[:1].expand(4, 7, 6), backend="fused")[0]
    assert torch.equal(one[3], y[0])
    h = torch.randn(9, 4).T
    scan.scan(cell, x, cell.State(h), backend="fused")
    turned = GRUCell(6, 9)
    turned.load_state_dict(cell.state_dict())
    turned.weight_h.data = cell.weight_h.data.T.contiguous().T
    assert torch.equal(scan.scan(turned, x, backend="fused")[0], y)


def test_what_leaves_no_gradient_still_has_one_where_it_was_asked() -> None:
    torch.manual_seed(0)
    cell = shaken(LSTMCell(3, 4))
    x = torch.randn(2, 3, 3, requires_grad=True)
    y, state = scan.scan(cell, x, backend="fused")
    (only_c,) = torch.autograd.grad(state.c.sum(), x, retain_graph=True)
    expected, after = scan.scan(cell, x, backend="reference")
    torch.testing.assert_close(only_c, torch.autograd.grad(after.c.sum(), x, retain_graph=True)[0])
    (stretched,) = torch.autograd.grad(y.sum(), x)  # its gradient is one number, expanded
    torch.testing.assert_close(stretched, torch.autograd.grad(expected.sum(), x)[0])
    cell.requires_grad_(False)
    y, _ = scan.scan(cell, x.detach(), backend="fused")
    assert not y.requires_grad
    y, _ = scan.scan(cell, x, backend="fused")
    torch.testing.assert_close(torch.autograd.grad(y.sum(), x)[0], stretched)


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize(("B", "T"), [(0, 5), (3, 0), (0, 0)])
def test_nothing_to_do_is_done(name: str, B: int, T: int) -> None:
    cell = CELLS[name](4, 6)
    x = torch.randn(B, T, 4, requires_grad=True)
    y, state = scan.scan(cell, x, backend="fused")
    assert y.shape == (B, T, 6)
    assert state.h.shape == (B, 6)
    (y.sum() + state.h.sum()).backward()
    assert x.grad.shape == x.shape
    assert all(not p.grad.any() for p in cell.parameters())


@pytest.mark.parametrize(("cell", "units"), [(ElmanCell(8, 8), 1), (GRUCell(8, 8), 5), (LSTMCell(8, 8), 6)], ids=repr)
def test_what_is_kept_for_backward(cell: Cell, units: int) -> None:
    B, T = 3, 5
    x = torch.randn(B, T, 8)
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.data_ptr()] = tensor.numel()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        scan.scan(cell, x, cell.initial(x), backend="fused")
    known = {p.data_ptr() for p in cell.parameters()} | {x.data_ptr()}
    states = len(cell.State._fields) * B * 8
    assert sum(n for pointer, n in kept.items() if pointer not in known) - states == units * B * T * 8


def test_second_derivatives_and_the_masks_gradient_are_refused() -> None:
    cell = GRUCell(3, 4)
    x = torch.randn(2, 3, 3, requires_grad=True)
    y, _ = scan.scan(cell, x, backend="fused")
    (dx,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    with pytest.raises(BackendError, match="no second derivatives"):
        dx.sum().backward()
    y, _ = scan.scan(cell, x, mask=torch.ones(2, 4, requires_grad=True), backend="fused")
    with pytest.raises(BackendError, match="no gradient of the recurrent mask"):
        y.sum().backward()


def test_autocast_keeps_states_and_sums_in_float32() -> None:
    torch.manual_seed(0)
    cell = shaken(LSTMCell(3, 20))
    x = torch.randn(2, 5, 3)
    expected, _ = scan.scan(cell, x.bfloat16().float(), backend="fused")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y, state = scan.scan(cell, x.bfloat16(), backend="fused")
        y.sum().backward()
    assert y.dtype == state.h.dtype == state.c.dtype == torch.float32
    assert torch.equal(y, expected)
    assert cell.weight_x.grad.dtype == torch.float32


@pytest.mark.parametrize("name", CELLS)
def test_every_mode_gives_the_same_bits(name: str) -> None:
    torch.manual_seed(0)
    cell = shaken(CELLS[name](3, 20))
    x, lengths = torch.randn(4, 6, 3), torch.tensor([6, 2, 0, 5])
    y, state = scan.scan(cell, x, None, lengths.int(), backend="fused")
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            found, after = scan.scan(cell, x, None, lengths, backend="fused")
        assert torch.equal(found, y)
        assert all(torch.equal(a, b) for a, b in zip(after, state, strict=True))


@pytest.mark.parametrize("name", CELLS)
def test_the_operator_that_torch_compile_knows(name: str) -> None:
    torch.manual_seed(0)
    cell = shaken(CELLS[name](3, 5))
    kernels = fused._kernels
    kinds = {"elman-tanh": kernels.ELMAN, "elman-relu": kernels.ELMAN_RELU, "gru": kernels.GRU, "lstm": kernels.LSTM}
    c0 = torch.randn(2, 5, requires_grad=True) if name == "lstm" else None
    x, h0 = torch.randn(2, 4, 3, requires_grad=True), torch.randn(2, 5, requires_grad=True)
    bias_n = cell._parameters.get("bias_n")
    weights = (cell.weight_x, cell.weight_h, cell.bias, bias_n)
    arguments = (kinds[name], 0, 1, False, x, torch.tensor([4, 2]), *weights, None, h0, c0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own
        torch.library.opcheck(torch.ops.unrolled.scan, arguments)
        layer = Recurrent(cell)
        compiled = torch.compile(layer, backend="aot_eager")
        y, _ = compiled(x.detach())
        expected, _ = layer(x.detach())
        found = torch.autograd.grad(y.sum(), list(cell.parameters()))
    assert torch.equal(y, expected)
    for a, b in zip(found, torch.autograd.grad(expected.sum(), list(cell.parameters())), strict=True):
        assert torch.equal(a, b)


def test_four_python_threads_on_shared_weights_get_the_bits_of_one() -> None:
    torch.manual_seed(0)
    cells = [shaken(make(24, 64)) for make in CELLS.values()]
    inputs = [torch.randn(B, 6, 24) for B in (1, 3, 16)]
    with torch.no_grad():
        expected = {
            (i, k): scan.scan(c, x, backend="fused")[0] for i, c in enumerate(cells) for k, x in enumerate(inputs)
        }
    wrong: list[str] = []

    def work(seed: int) -> None:
        chooser = random.Random(seed)
        with torch.no_grad():
            for _ in range(150):
                i, k = chooser.randrange(len(cells)), chooser.randrange(len(inputs))
                y, _ = scan.scan(cells[i], inputs[k], backend="fused")
                if not torch.equal(y, expected[i, k]):
                    wrong.append(f"cell {i}, input {k}")

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


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
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            same = all(torch.equal(scan.scan(cell, x, backend="fused")[0], expected) for _ in range(3))
        os._exit(0 if same and [str(w.message).startswith("unrolled: a forked process") for w in said] == [True] else 1)
    sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
"""


def test_a_forked_child_works_alone_and_says_so_once() -> None:
    assert subprocess.run([sys.executable, "-c", FORKED], timeout=60).returncode == 0


@pytest.mark.parametrize("isa", ["portable", "avx1024"])
def test_an_instruction_set_is_forced_or_refused(isa: str) -> None:
    code = "from unrolled.scan import fused; print(fused.isa())"
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "UNROLLED_ISA": isa},
        capture_output=True,
        text=True,
        timeout=60,
    )
    if isa == "portable":
        assert run.stdout.strip() == "portable"
    else:
        assert "avx1024" in run.stderr
        assert "there are no such kernels" in run.stderr
        assert run.returncode
