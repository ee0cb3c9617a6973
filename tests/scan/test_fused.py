"""The fused scans: equal to the reference within the error budget, to themselves to the bit, and safe to call."""

import math
import os
import subprocess
import sys
import warnings

import pytest
import torch
from torch import Tensor

import twin
from modules import CELLS, D, H, shaken
from unrolled import scan
from unrolled.cells import Cell, ElmanCell, GRUCell, LSTMCell
from unrolled.kernels import native
from unrolled.layers import Recurrent
from unrolled.scan import fused

pytestmark = pytest.mark.skipif(not native.compiled(), reason="no kernels were compiled here")

ISAS = [name for name, here in native.isas().items() if here]


@pytest.fixture(autouse=True)
def _two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("block", range(5))
def test_the_twin_law_over_random_shapes_and_options(isa: str, block: int) -> None:
    for seed in range(block * 40, block * 40 + 40):
        twin.check(twin.Case(seed), [isa])


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
    with native.use_isa(isa):
        for seed in range(60):
            case = twin.Case(seed)
            torch.set_num_threads(1)
            alone = case.run("fused")
            torch.set_num_threads(2)
            together = case.run("fused")
            for name, value in alone.items():
                assert torch.equal(value, together[name]), f"threads: {name} of seed {seed}, {case}"
            _check_a_sequence(case, together)
            if not case.reverse:
                _check_a_split(case, together)


def _check_a_sequence(case: twin.Case, together: dict[str, Tensor]) -> None:
    """One sequence by itself, without its padding."""
    i = case.random.randrange(case.B)
    length = case.T if case.lengths is None else int(case.lengths[i])
    alone = twin.Case.__new__(twin.Case)
    alone.__dict__ |= case.__dict__
    alone.B, alone.T, alone.lengths = 1, length, None
    alone.x, alone.weigh_y, alone.weigh_state = case.x[[i], :length], case.weigh_y[[i], :length], case.weigh_state[[i]]
    alone.state = type(case.state)(*(leaf[[i]] for leaf in case.state))
    alone.mask = None if case.mask is None else case.mask[[i]]
    for name, value in alone.run("fused").items():
        if name in ("y", "dx"):
            assert torch.equal(value[0], together[name][i, :length]), f"sequence {i}: {name} of {case}"
            assert not together[name][i, length:].any()
        elif name in ("h", "c", "dh0", "dc0"):
            assert torch.equal(value[0], together[name][i]), f"sequence {i}: {name} of {case}"


@torch.no_grad()
def _check_a_split(case: twin.Case, together: dict[str, Tensor]) -> None:
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
def test_nan_and_infinity_come_through_as_in_torch(isa: str) -> None:
    for seed in range(40):
        twin.strange(seed, [isa])


@pytest.mark.parametrize("name", CELLS)
def test_what_a_nan_reaches(name: str) -> None:
    torch.manual_seed(0)
    cell = shaken(CELLS[name](3, 37))
    x = torch.randn(3, 5, 3)
    x[0, 2, 0], x[1, 4, 0] = math.nan, 3e38
    with torch.no_grad():
        y, _ = scan.scan(cell, x, backend="fused")
    assert y[0, :2].isfinite().all()
    assert y[0, 2:].isnan().all()
    assert y[1:].isfinite().all()


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
def test_a_parameter_that_learns_alone_has_its_gradient(name: str) -> None:
    torch.manual_seed(0)
    cell, x = shaken(CELLS[name](3, 4)).requires_grad_(False), torch.randn(2, 3, 3)
    for parameter in cell.parameters():
        parameter.requires_grad_(True)
        found, expected = (
            torch.autograd.grad(scan.scan(cell, x, backend=backend)[0].square().sum(), parameter)[0]
            for backend in ("fused", "reference")
        )
        torch.testing.assert_close(found, expected)
        parameter.requires_grad_(False)


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


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("kind", CELLS)
def test_second_derivatives_are_those_of_the_reference(kind: str, ragged: bool, reverse: bool, masked: bool) -> None:
    torch.manual_seed(0)
    cell = shaken(CELLS[kind](3, 4)).double()
    lengths = torch.tensor([5, 2, 0]) if ragged else None
    x = torch.randn(3, 5, cell.input_size, dtype=torch.float64, requires_grad=True)
    state = cell.State(*(torch.randn_like(leaf).requires_grad_() for leaf in cell.initial(x)))
    mask = torch.rand(3, cell.hidden_size, dtype=torch.float64, requires_grad=True) if masked else None
    leaves = [x, *state, *cell.parameters(), *(() if mask is None else (mask,))]

    def run(backend: str) -> list[Tensor]:
        y, after = scan.scan(cell, x, state, lengths, reverse=reverse, mask=mask, backend=backend)
        total = sum((leaf.square().sum() for leaf in after), y.square().sum())
        first = torch.autograd.grad(total, leaves, create_graph=True)
        return [*first, *torch.autograd.grad(sum(d.square().sum() for d in first), leaves)]

    for one, other in zip(run("fused"), run("reference"), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


def test_gradients_of_an_input_that_depends_on_another() -> None:
    """The gradient of x does not include the path through a state that was computed from x."""
    torch.manual_seed(0)
    cell = shaken(GRUCell(3, 4)).double()
    x = torch.randn(2, 3, 3, dtype=torch.float64, requires_grad=True)

    def run(backend: str) -> Tensor:
        state = cell.State(torch.tanh(x.sum((1, 2)).unsqueeze(1).expand(2, 4)))
        y, _ = scan.scan(cell, x, state, backend=backend)
        (first,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
        return torch.autograd.grad(first.square().sum(), x)[0]

    torch.testing.assert_close(run("fused"), run("reference"), rtol=1e-9, atol=1e-9)


def test_the_gradient_of_a_mask() -> None:
    torch.manual_seed(0)
    cell, x = shaken(GRUCell(3, 4)), torch.randn(2, 3, 3)
    mask = torch.rand(2, 4, requires_grad=True)
    found = [
        torch.autograd.grad(scan.scan(cell, x, mask=mask, backend=backend)[0].square().sum(), mask)[0]
        for backend in ("fused", "reference")
    ]
    torch.testing.assert_close(*found)


def test_autocast_keeps_states_and_sums_in_float32() -> None:
    torch.manual_seed(0)
    cell = shaken(LSTMCell(3, 20))
    x = torch.randn(2, 5, 3)
    expected, _ = scan.scan(cell, x.bfloat16().float(), backend="fused")
    unit = torch.finfo(torch.bfloat16).eps * expected.abs().max()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y, state = scan.scan(cell, x.bfloat16(), backend="fused")
        y.sum().backward()
    assert y.dtype == state.h.dtype == state.c.dtype == torch.float32
    assert (y - expected).abs().max() <= unit, "operands are rounded, where the processor multiplies bfloat16"
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
    recurrence = fused.weights_of(cell).recurrence
    c0 = torch.randn(2, 5, requires_grad=True) if name == "lstm" else None
    x, h0 = torch.randn(2, 4, 3, requires_grad=True), torch.randn(2, 5, requires_grad=True)
    bias_n = cell._parameters.get("bias_n")
    weights = (cell.weight_x, cell.weight_h, cell.bias, bias_n)
    arguments = (recurrence, 0, False, x, torch.tensor([4, 2]), *weights, None, h0, c0, True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own
        torch.library.opcheck(torch.ops.unrolled.scan, arguments)
        layer = Recurrent(cell)
        compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
        y, _ = compiled(x.detach())
        expected, _ = layer(x.detach())
        found = torch.autograd.grad(y.sum(), list(cell.parameters()))
    assert torch.equal(y, expected)
    for a, b in zip(found, torch.autograd.grad(expected.sum(), list(cell.parameters())), strict=True):
        assert torch.equal(a, b)


def test_four_python_threads_on_shared_weights_get_the_bits_of_one() -> None:
    assert twin.together(threads=4, calls=150) == 600


def test_a_forked_child_works_alone_and_says_so_once() -> None:
    twin.fork()


@pytest.mark.parametrize(("isa", "printed"), [("portable", "portable"), ("none", "None"), ("avx1024", "")])
def test_an_instruction_set_is_forced_or_refused(isa: str, printed: str) -> None:
    code = "from unrolled.kernels import native; print(native.isa())"
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "UNROLLED_ISA": isa},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.stdout.strip() == printed
    if not printed:
        assert "avx1024" in run.stderr
        assert "there are no such kernels" in run.stderr
        assert run.returncode
