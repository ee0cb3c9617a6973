"""int8 scans: the same integers on every instruction set, the equations in float64, bits, and the budget of errors."""

from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import modules
from unrolled import nn as fast
from unrolled.cells import Cell, ElmanCell, GRUCell, LSTMCell
from unrolled.kernels import freeze, native
from unrolled.kernels.native import Recurrence
from unrolled.layers import Bidirectional, Recurrent, Stacked
from unrolled.scan import frozen, scan

pytestmark = pytest.mark.skipif(not native.compiled(), reason="no kernels were compiled here")

SETS = [(name, vnni) for name, here in native.isas().items() if here for vnni in (True, False)]
KINDS = {"elman": Recurrence.ELMAN, "relu": Recurrence.ELMAN_RELU, "gru": Recurrence.GRU, "lstm": Recurrence.LSTM}
GATES = {"elman": 1, "relu": 1, "gru": 3, "lstm": 4}
SIZES = [(1, 1, 1), (1, 5, 7), (2, 33, 64), (9, 130, 67), (5, 3, 300), (20, 70, 48)]


class Weights(NamedTuple):
    weight_x: Tensor
    weight_h: Tensor
    bias: Tensor | None
    bias_n: Tensor | None


def drawn(kind: str, D: int, H: int) -> Weights:
    G = GATES[kind]
    weight_x, weight_h = torch.randn(G * H, D) * D**-0.5, torch.randn(G * H, H) * H**-0.5
    return Weights(weight_x, weight_h, torch.randn(G * H), torch.randn(H) if kind == "gru" else None)


def run(
    isa: str,
    vnni: bool,
    kind: str,
    weights: Weights,
    x: Tensor,
    h: Tensor,
    c: Tensor | None,
    *,
    lengths: Tensor | None = None,
    reverse: bool = False,
    mask: Tensor | None = None,
    threads: int = 1,
    int8: bool = True,
) -> tuple[Tensor, Tensor, Tensor | None]:
    assert native.kernels is not None
    kinds = (1 if vnni else 2) if int8 else 0
    packed = native.kernels.FrozenCell(KINDS[kind], list(native.isas()).index(isa), *weights, kinds)
    y, h_after = torch.full((*x.shape[:2], h.shape[1]), torch.nan), torch.full_like(h, torch.nan)
    c_after = None if c is None else torch.full_like(c, torch.nan)
    packed.forward(threads, reverse, x, lengths, mask, h, c, y, h_after, c_after)
    return y, h_after, c_after


def states(kind: str, B: int, H: int) -> tuple[Tensor, Tensor | None]:
    return torch.rand(B, H) * 2 - 1, torch.randn(B, H) if kind == "lstm" else None


@pytest.mark.parametrize(("isa", "vnni"), SETS)
@pytest.mark.parametrize(("B", "D", "H"), SIZES)
@pytest.mark.parametrize("signs", ["same", "mixed"])
@pytest.mark.parametrize("of", ["x", "h"])
def test_both_products_are_the_integers(isa: str, vnni: bool, B: int, D: int, H: int, signs: str, of: str) -> None:
    # ±127 everywhere: the scales are 1, so a ReLU of the sum is the int32 itself, rounded once to float32.
    weights = Weights(torch.full((H, D), 127.0), torch.full((H, H), 127.0), None, None)
    x, h = (torch.full((B, 1, D), 127.0), torch.zeros(B, H)) if of == "x" else (torch.zeros(B, 1, D), torch.ones(B, H))
    h = h * 127
    if signs == "mixed":
        x, h = (t * (torch.randint(0, 2, t.shape) * 2 - 1) for t in (x, h))
        weights = Weights(*(w * (torch.randint(0, 2, w.shape) * 2 - 1) for w in weights[:2]), None, None)
    exact = (x[:, 0].double() @ weights.weight_x.double().T + h.double() @ weights.weight_h.double().T).float()
    y, *_ = run(isa, vnni, "relu", weights, x, h, None)
    assert torch.equal(y[:, 0], exact.relu())


def rounded(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return q and the scales by the equations, with numpy's rounding to even."""
    largest = np.abs(rows).max(axis=1, keepdims=True)
    inverse = np.divide(np.float32(127), largest, out=np.zeros_like(largest), where=largest >= np.float32(1e-30))
    return np.rint(rows * inverse).astype(np.int64), (largest / np.float32(127)).astype(np.float64)


def product(rows: Tensor, weight: Tensor) -> np.ndarray:
    """Return s_x s_w Σ q(x) q(W), (B, G·H), in float64."""
    (qx, sx), (qw, sw) = rounded(rows.numpy()), rounded(weight.numpy())
    return (qx @ qw.T) * (sx * sw.T)


def sigmoid(a: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-a))


def one_step(kind: str, w: Weights, x: Tensor, h: Tensor, c: Tensor | None) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the next h and c by the equations of the papers, from products of rounded operands."""
    a, u = product(x, w.weight_x), product(h, w.weight_h)
    assert w.bias is not None
    H, a, before = h.shape[1], a + w.bias.double().numpy(), h.double().numpy()
    if kind in ("elman", "relu"):
        return (np.tanh(a + u) if kind == "elman" else np.maximum(a + u, 0)), None
    if kind == "gru":
        assert w.bias_n is not None
        r, z = sigmoid((a + u)[:, :H]), sigmoid((a + u)[:, H : 2 * H])
        n = np.tanh(a[:, 2 * H :] + r * (u[:, 2 * H :] + w.bias_n.double().numpy()))
        return (1 - z) * n + z * before, None
    assert c is not None
    i, f, g, o = np.split(a + u, 4, axis=1)
    c_after = sigmoid(f) * c.double().numpy() + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c_after), c_after


@pytest.mark.parametrize(("isa", "vnni"), SETS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("B", "D", "H"), SIZES)
def test_steps_are_those_of_the_equations(isa: str, vnni: bool, kind: str, B: int, D: int, H: int) -> None:
    weights, (h, c) = drawn(kind, D, H), states(kind, B, H)
    for _ in range(3):  # each from the state that the kernel has left
        x = torch.randn(B, 1, D)
        expected, expected_c = one_step(kind, weights, x[:, 0], h, c)
        _, h, c = run(isa, vnni, kind, weights, x, h, c)
        # Some roundings of sums of order 5, and the activations of the kernels, as in tests/tolerances.py.
        np.testing.assert_allclose(h.numpy(), expected, rtol=2e-6, atol=4e-6)
        if c is not None:
            np.testing.assert_allclose(c.numpy(), expected_c, rtol=2e-6, atol=4e-6)


@pytest.mark.parametrize(("isa", "vnni"), SETS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reverse", [False, True])
def test_a_sequence_has_its_bits_in_any_batch_cut_anywhere(isa: str, vnni: bool, kind: str, reverse: bool) -> None:
    B, T, D, H = 23, 9, 37, 70
    weights, (h, c), x = drawn(kind, D, H), states(kind, B, H), torch.randn(B, T, D)
    lengths = torch.randint(0, T + 1, (B,))
    lengths[:2] = torch.tensor([0, T])
    whole = run(isa, vnni, kind, weights, x, h, c, lengths=lengths, reverse=reverse)

    def same(y: Tensor, h_after: Tensor, c_after: Tensor | None, rows: slice) -> bool:
        both = zip((y, h_after, c_after), whole, strict=True)
        return all(one is None or torch.equal(one, other[rows]) for one, other in both)  # type: ignore[index]

    for b in range(B):
        row = slice(b, b + 1)
        alone = run(
            isa, vnni, kind, weights, x[row].contiguous(), h[row], None if c is None else c[row],
            lengths=lengths[row], reverse=reverse,
        )  # fmt: skip
        assert same(*alone, row)
        assert not alone[0][0, lengths[b] :].any()  # padded steps are zero
    assert same(*run(isa, vnni, kind, weights, x, h, c, lengths=lengths, reverse=reverse, threads=2), slice(B))
    if not reverse:
        whole = run(isa, vnni, kind, weights, x, h, c)
        y1, h1, c1 = run(isa, vnni, kind, weights, x[:, :4].contiguous(), h, c)
        y2, h2, c2 = run(isa, vnni, kind, weights, x[:, 4:].contiguous(), h1, c1)
        assert same(torch.cat([y1, y2], dim=1), h2, c2, slice(B))


def test_many_steps_and_threads_that_divide_the_units_change_no_bit() -> None:
    isa = native.isa()
    assert isa is not None
    for kind in KINDS:  # a chunk of sums ends between two steps; two threads wait for each other
        weights, (h, c), x = drawn(kind, 200, 300), states(kind, 2, 300), torch.randn(2, 70, 200)
        one, two = (run(isa, True, kind, weights, x, h, c, threads=n) for n in (1, 2))
        steps = []
        for t in range(70):
            y, h, c = run(isa, True, kind, weights, x[:, t : t + 1].contiguous(), h, c)
            steps.append(y)
        assert torch.equal(one[0], two[0])
        assert torch.equal(one[0], torch.cat(steps, dim=1))


@pytest.mark.parametrize(("isa", "vnni"), SETS)
def test_one_step_of_an_elman_cell_keeps_the_bound_of_its_roundings(isa: str, vnni: bool) -> None:
    # |s q(a) − a| ≤ s / 2, so a product of K terms is wrong by at most s_x/2 Σ|w| + s_w/2 Σ|x| + K s_x s_w / 4, and
    # tanh does not enlarge it.
    B, D, H = 9, 130, 67
    weights, (h, _), x = drawn("elman", D, H), states("elman", B, H), torch.randn(B, 1, D)
    bound = torch.zeros(B, H)
    for rows, w in ((x[:, 0], weights.weight_x), (h, weights.weight_h)):
        s_x, s_w = rows.abs().amax(1, keepdim=True) / 127, w.abs().amax(1) / 127
        bound += s_x / 2 * w.abs().sum(1) + s_w / 2 * rows.abs().sum(1, keepdim=True) + rows.shape[1] / 4 * s_x * s_w
    error = (
        run(isa, vnni, "elman", weights, x, h, None)[0] - run(isa, vnni, "elman", weights, x, h, None, int8=False)[0]
    )
    assert (error[:, 0].abs() <= bound + 1e-6).all()
    assert error.abs().max() > 1e-4  # it is int8


@pytest.mark.parametrize(("isa", "vnni"), SETS)
@pytest.mark.parametrize(("kind", "budget"), [("elman", 0.06), ("gru", 0.02), ("lstm", 0.02)])
def test_sequences_keep_the_budget(isa: str, vnni: bool, kind: str, budget: float) -> None:
    # Roundings of both operands, 1/254 of the largest number each, are spread evenly: a sum of K terms of order 1/√K
    # is wrong by about 3 · 1/254 · 0.4 = 0.005; a state forgets, so that steps add a small factor. Elman's chains are
    # the least stable.
    B, T, D, H = 16, 60, 64, 96
    weights, (h, c), x = drawn(kind, D, H), states(kind, B, H), torch.randn(B, T, D)
    error = run(isa, vnni, kind, weights, x, h, c)[0] - run(isa, vnni, kind, weights, x, h, c, int8=False)[0]
    assert 1e-4 < error.square().mean().sqrt() < budget


@pytest.mark.parametrize(("isa", "vnni"), SETS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_number_that_is_not_finite_stays_in_its_sequence(isa: str, vnni: bool, kind: str) -> None:
    B, T, D, H = 4, 3, 8, 20
    weights, (h, c), x = drawn(kind, D, H), states(kind, B, H), torch.randn(B, T, D)
    expected = run(isa, vnni, kind, weights, x, h, c)[0]
    x[1, 1, 3], x[2] = torch.nan, 0
    y = run(isa, vnni, kind, weights, x, h, c)[0]
    assert torch.equal(y[[0, 3]], expected[[0, 3]])
    assert torch.equal(y[1, 0], expected[1, 0])
    assert y[1, 1:].isnan().all()
    assert y[2].isfinite().all()


def distance(a: Tensor, b: Tensor) -> float:
    """Return the root of the mean square of the differences."""
    return float((a - b).square().mean().sqrt())


@pytest.mark.parametrize("cell", [ElmanCell(5, 7), LSTMCell(40, 64), GRUCell(130, 67)], ids=repr)
def test_layers_in_int8_have_the_bits_of_the_kernel_in_any_layout(cell: Cell) -> None:
    layer = Recurrent(modules.shaken(cell))
    x, lengths, mask = torch.randn(6, 4, cell.input_size), torch.arange(6) % 5, torch.rand(6, cell.hidden_size) * 2
    with torch.no_grad():
        plain, masked = layer(x, None, lengths), scan(cell, x, mask=mask)
        with frozen(layer, precision="int8"):
            packed = freeze.of(cell)
            assert packed is not None
            assert packed.int8
            y, state = layer(x, None, lengths.int())
            other, _ = layer(x.transpose(0, 1).contiguous().transpose(0, 1), None, lengths)
            assert 0 < distance(scan(cell, x, mask=mask)[0], masked[0]) < 0.05
    assert torch.equal(y, other)
    assert 0 < distance(y, plain[0]) < 0.05
    assert 0 < distance(state.h, plain[1].h) < 0.05


def test_layers_of_nn_and_stacks_in_int8() -> None:
    both = Bidirectional(Recurrent(GRUCell(5, 7)), Recurrent(GRUCell(5, 7), reverse=True))
    network = nn.ModuleList([fast.LSTM(5, 7, num_layers=2, bidirectional=True), Stacked([both]), fast.GRUCell(5, 7)])
    x = torch.randn(4, 3, 5)
    with torch.inference_mode():
        free = network[0](x)[0], network[1](x)[0], network[2](x[0])
        with frozen(network, precision="int8"):
            quantised = network[0](x)[0], network[1](x)[0], network[2](x[0])
    for one, other in zip(free, quantised, strict=True):
        assert not torch.equal(one, other)
        torch.testing.assert_close(one, other, rtol=0, atol=0.05)
