"""A linear layer's products, forward and backward: torch's values, and the same bits in any batch."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from unrolled.kernels import native
from unrolled.kernels.linear import linear, write_gradients
from unrolled.layers import Head

pytestmark = pytest.mark.skipif(not native.compiled(), reason="no kernels were compiled here")

SHAPES = [(1, 384, 81), (3, 5, 7), (8, 33, 17), (9, 33, 17), (300, 128, 2), (70, 1, 65), (2, 64, 1), (0, 4, 4)]
ISAS = [name for name, here in native.isas().items() if here]


@pytest.mark.parametrize(("N", "D", "V"), SHAPES)
@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("bias", [True, False])
def test_it_is_the_product(N: int, D: int, V: int, isa: str, bias: bool) -> None:
    x, weight, b = torch.randn(N, D), torch.randn(V, D), torch.randn(V) if bias else None
    exact = F.linear(x.double(), weight.double(), None if b is None else b.double())
    with torch.no_grad(), native.use_isa(isa):
        y = linear(x, weight, b)
        assert torch.all((y.double() - exact).abs() <= (D + 1) * torch.finfo(torch.float32).eps * (
            x.abs().double() @ weight.abs().double().T + 10))  # a sum of D products, each rounded once  # fmt: skip
        for n in range(0, N, 7):
            assert torch.equal(linear(x[n : n + 1], weight, b)[0], y[n])


def test_it_takes_any_shape_and_stride() -> None:
    weight, b = torch.randn(6, 5), torch.randn(6)
    x = torch.randn(3, 4, 10)[..., ::2]
    with torch.no_grad():
        y = linear(x, weight, b)
        assert y.shape == (3, 4, 6)
        assert torch.equal(y[2, 1], linear(x[2, 1].reshape(1, 5), weight, b)[0])
        assert linear(torch.randn(0, 4, 5), weight, b).shape == (0, 4, 6)


def test_threads_change_no_bit() -> None:
    x, weight, b = torch.randn(500, 200), torch.randn(300, 200), torch.randn(300)
    found = []
    for threads in (1, 2, 3):
        y = torch.empty(500, 300)
        native.kernels.linear(native.index(torch.float32), threads, x, weight, b, y)
        found.append(y)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


@pytest.mark.parametrize(("N", "D", "V"), [*SHAPES, (257, 70, 9), (129, 16, 8)])
@pytest.mark.parametrize("isa", ISAS)
def test_its_gradients_are_sums_of_products(N: int, D: int, V: int, isa: str) -> None:
    x, weight, dy = torch.randn(N, D), torch.randn(V, D), torch.randn(N, V)
    dx, dweight, dbias = _backward(isa, 1, x, weight, dy)
    eps = torch.finfo(torch.float32).eps
    for found, left, right in ((dx, dy, weight), (dweight, dy.T, x), (dbias, torch.ones(N), dy)):
        exact, size = left.double() @ right.double(), left.abs().double() @ right.abs().double()
        assert torch.all(
            (found.double() - exact).abs() <= (left.shape[-1] + 1) * eps * size
        )  # each product rounded once
    for n in range(0, N, 7):
        assert torch.equal(_backward(isa, 1, x[n : n + 1], weight, dy[n : n + 1])[0][0], dx[n])
    for threads in (2, 3):
        for found, one in zip(_backward(isa, threads, x, weight, dy), (dx, dweight, dbias), strict=True):
            assert torch.equal(found, one)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("N", [0, 1, 300])
def test_gradients_can_be_added(N: int, isa: str) -> None:
    """Rows that are cut anywhere give the bits of a sum that goes on: the order is that of the rows."""
    x, weight, dy = torch.randn(N, 21), torch.randn(37, 21), torch.randn(N, 37)
    before = [torch.randn_like(weight), torch.randn(37)]
    found = [total.clone() for total in before]
    native.kernels.linear_backward(list(native.isas()).index(isa), 2, x, weight, dy, None, *found, True)
    _, *alone = _backward(isa, 1, x, weight, dy)
    for total, old, part in zip(found, before, alone, strict=True):
        torch.testing.assert_close(total, old + part, rtol=1e-5, atol=1e-4)
    torch.manual_seed(0)
    by_torch = [total.clone().double() for total in before]
    write_gradients(x.double(), weight.double(), dy.double(), None, *by_torch, add=True)
    for total, exact in zip(found, by_torch, strict=True):
        torch.testing.assert_close(total.double(), exact, rtol=1e-5, atol=1e-4)


def _backward(isa: str, threads: int, x: Tensor, weight: Tensor, dy: Tensor) -> list[Tensor]:
    """The gradients of x, weight and bias."""
    found = [torch.full_like(x, torch.nan), torch.full_like(weight, torch.nan), dy.new_full(dy.shape[1:], torch.nan)]
    native.kernels.linear_backward(list(native.isas()).index(isa), threads, x, weight, dy, *found)
    return found


def test_gradients_of_the_gradients_exist() -> None:
    x, weight = (torch.randn(3, 4).requires_grad_() for _ in range(2))
    second = []
    for product in (linear, F.linear):
        (dx,) = torch.autograd.grad(product(x, weight, None).tanh().sum(), x, create_graph=True)
        second.append(torch.autograd.grad(dx.square().sum(), weight)[0])
    torch.testing.assert_close(*second)


def test_only_what_is_wanted_is_computed() -> None:
    x, weight, bias = torch.randn(9, 2, 5), torch.randn(4, 5), torch.randn(4)
    for learns in (x, weight, bias):
        learns.requires_grad_()
        linear(x, weight, bias).sum().backward()
        assert [t.grad is not None for t in (x, weight, bias)] == [t is learns for t in (x, weight, bias)]
        assert learns.grad.shape == learns.shape
        learns.grad = None
        learns.requires_grad_(False)


@pytest.mark.parametrize("create_graph", [False, True])
def test_the_gradient_of_a_bias_is_a_sum(create_graph: bool) -> None:
    bias = torch.zeros(4, requires_grad=True)
    y = linear(torch.randn(3, 2, 3), torch.randn(4, 3), bias)
    (found,) = torch.autograd.grad((y * torch.arange(4.0)).sum(), bias, create_graph=create_graph)
    assert found.tolist() == [0, 6, 12, 18]


def test_a_bias_that_learns_alone_has_its_gradient() -> None:
    bias = torch.zeros(4, requires_grad=True)
    linear(torch.randn(2, 3), torch.randn(4, 3), bias).sum().backward()
    assert bias.grad.tolist() == [2, 2, 2, 2]


def test_gradients_float64_and_autocast_are_torchs() -> None:
    head = Head(5, 3)
    x = torch.randn(2, 5, requires_grad=True)
    head(x).sum().backward()
    assert torch.equal(x.grad, head.weight.detach().sum(0).expand(2, 5))
    assert Head(5, 3).double()(x.detach().double()).dtype == torch.float64
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        assert head(x).dtype == torch.bfloat16


def test_wrong_calls_name_the_argument() -> None:
    x, weight, y = torch.zeros(2, 3), torch.zeros(4, 3), torch.zeros(2, 4)
    good = {"isa": list(native.isas()).index(ISAS[0]), "threads": 1, "x": x, "weight": weight, "bias": None, "y": y}
    for name, wrong in (
        ("x", torch.zeros(3)), ("x", torch.zeros(2, 3).double()), ("x", None), ("weight", torch.zeros(4, 2)),
        ("weight", torch.zeros(4)), ("bias", torch.zeros(3)), ("y", torch.zeros(2, 3)), ("y", torch.zeros(4, 2).T),
        ("threads", 0), ("isa", 99),
    ):  # fmt: skip
        with pytest.raises((ValueError, TypeError), match=name):
            native.kernels.linear(**{**good, name: wrong})
    gradients = {**good, "dy": y, "dx": torch.zeros(2, 3), "dweight": torch.zeros(4, 3), "dbias": torch.zeros(4)}
    del gradients["bias"], gradients["y"]
    for name, wrong in (
        ("x", torch.zeros(3)), ("weight", torch.zeros(4, 2)), ("dy", torch.zeros(2, 3)), ("dy", None),
        ("dx", torch.zeros(3, 2)), ("dweight", torch.zeros(4)), ("dbias", torch.zeros(4).double()), ("threads", 0),
    ):  # fmt: skip
        with pytest.raises((ValueError, TypeError), match=name):
            native.kernels.linear_backward(**{**gradients, name: wrong})
    shared = torch.zeros(8)
    with pytest.raises(ValueError, match="y overlaps x"):
        native.kernels.linear(**{**good, "x": shared[:6].view(2, 3), "y": shared.view(2, 4)})
