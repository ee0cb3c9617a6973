"""A layer in torch's form: torch's values and gradients in float64, forms of states, wrong calls, torch.compile."""

import copy
import itertools

import pytest
import torch
from torch import Tensor, nn

from unrolled import nn as fast
from unrolled.kernels import layer, native
from unrolled.kernels.layer import Layer
from unrolled.kernels.native import Recurrence

pytestmark = pytest.mark.skipif(not native.compiled(), reason="no kernels were compiled here")

ISAS = [name for name, here in native.isas().items() if here]
EPSILON = torch.finfo(torch.float32).eps
KINDS = {"RNN": Recurrence.ELMAN, "GRU": Recurrence.GRU, "LSTM": Recurrence.LSTM}
SHAPES = [(1, 1, 5, 7), (3, 1, 64, 64), (9, 1, 300, 17), (2, 4, 3, 33), (17, 3, 5, 16)]  # B, T, D, H


def all_gradients(module: nn.Module, x: Tensor, states: list[Tensor] | None) -> list[Tensor]:
    """Return outputs, states, and the gradients of input, states and parameters; ours may be written to."""
    x = x.clone().requires_grad_()
    states = None if states is None else [s.clone().requires_grad_() for s in states]
    hx = None if states is None else tuple(states) if len(states) == 2 else states[0]
    y, after = module(x, hx)
    y = y * 2 if type(module) is nn.LSTM else y.mul_(2)  # torch's LSTM in float32 refuses it
    leaves = [y, *after] if isinstance(after, tuple) else [y, after]
    wanted = [x, *(states or []), *module.parameters()]
    found = torch.autograd.grad(sum((leaf * leaf).sum() for leaf in leaves), wanted)
    return [*(leaf.detach() for leaf in leaves), *found]


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("isa", ISAS)
def test_values_and_gradients_are_torchs(name: str, shape: tuple[int, ...], isa: str) -> None:
    B, T, D, H = shape
    for bias, first, with_state in itertools.product([True, False], repeat=3):
        torch.manual_seed(0)
        exact = getattr(nn, name)(D, H, bias=bias, batch_first=first).double()
        near, ours = copy.deepcopy(exact).float(), fast.convert(copy.deepcopy(exact).float())
        x = torch.randn(*((B, T) if first else (T, B)), D)
        states = [torch.randn(1, B, H) for _ in range(2 if name == "LSTM" else 1)] if with_state else None
        with native.use_isa(isa):
            found = all_gradients(ours, x, states)
        wide = all_gradients(exact, x.double(), states and [s.double() for s in states])
        for value, other, right in zip(found, all_gradients(near, x, states), wide, strict=True):
            own = max(float((other - right).abs().max()), EPSILON * float(right.abs().max()))
            assert float((value - right).abs().max()) <= 8 * own + 1e-6


def test_only_the_gradients_that_are_needed() -> None:
    ours, x = fast.LSTM(5, 7), torch.randn(2, 3, 5)
    every = torch.autograd.grad(ours(x)[0].square().sum(), [*ours.parameters()])
    for parameter, expected in zip(ours.parameters(), every, strict=True):
        ours.requires_grad_(False)
        parameter.requires_grad_()
        (found,) = torch.autograd.grad(ours(x)[0].square().sum(), [parameter])
        assert torch.equal(found, expected)
    ours.requires_grad_(False)
    h = torch.zeros(1, 3, 7, requires_grad=True)
    assert ours(x, (h, torch.zeros(1, 3, 7)))[0].sum().backward() is None
    assert h.grad is not None


@pytest.mark.parametrize("name", KINDS)
def test_second_derivatives_are_those_of_the_definition(name: str) -> None:
    torch.manual_seed(0)
    theirs = getattr(nn, name)(3, 4)
    ours, x = fast.convert(copy.deepcopy(theirs)), torch.randn(2, 2, 3)
    second = []
    for module in (ours, theirs):
        at = x.clone().requires_grad_()
        (dx,) = torch.autograd.grad(module(at)[0].tanh().sum(), at, create_graph=True)
        second.append(torch.autograd.grad(dx.square().sum(), [at, *module.parameters()]))
    for a, b in zip(*second, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_a_plain_call_is_one_of_float32_in_torchs_shapes() -> None:
    x, h = torch.randn(2, 3, 5), torch.zeros(1, 3, 7)
    w = [torch.randn(21, 5), torch.randn(21, 7), torch.randn(21), torch.randn(21)]

    def fits(x: Tensor, *weights: Tensor, h0: Tensor | None = None, D: int = 5, H: int = 7) -> bool:
        return layer.fits(Recurrence.GRU, D, H, Layer(x, *weights, h0, None), time_first=True)

    assert fits(x, *w)
    assert fits(x, *w, h0=h)
    assert fits(torch.randn(2, 3, 10)[..., :5], *w)
    for wrong in (x.double(), x[0], x[..., :4], x[:0], x.bfloat16(), torch.randn(2, 3, 10)[..., ::2]):
        assert not fits(wrong, *w)
    for i, wrong in (
        (0, w[0].double()),
        (1, w[1][:, :6]),
        (1, w[1].mT.contiguous().mT),
        (2, w[2][:20]),
        (3, w[3][None]),
    ):
        assert not fits(x, *w[:i], wrong, *w[i + 1 :])
    assert not fits(x, *w, h0=torch.zeros(1, 2, 7))
    assert not fits(x, *w, D=4)
    assert not fits(x, *w, H=6)


def test_wrong_calls_name_the_argument() -> None:
    x, y, h = torch.zeros(2, 3, 5), torch.zeros(2, 3, 7), torch.zeros(1, 3, 7)
    good = {
        "recurrence": Recurrence.GRU, "isa": 0 if len(ISAS) == len(native.isas()) else native.index(torch.float32),
        "threads": 1, "reverse": False, "lengths": None, "time_first": True, "x": x, "weight_ih": torch.zeros(21, 5),
        "weight_hh": torch.zeros(21, 7), "bias_ih": torch.zeros(21), "bias_hh": torch.zeros(21), "h0": None, "c0": None,
        "y": y, "h": h, "c": None, "saved": None,
    }  # fmt: skip
    native.kernels.layer_forward(**good)
    for name, wrong in (
        ("x", None), ("x", x[0]), ("x", x.double()), ("weight_ih", torch.zeros(21, 4)),
        ("weight_hh", torch.zeros(21, 7).double()),
        ("bias_ih", torch.zeros(20)), ("bias_hh", None), ("h0", torch.zeros(2, 7)), ("c0", h), ("y", y[:, :2]),
        ("h", torch.zeros(2, 3, 7)), ("h", y[:1]), ("c", h.clone()), ("saved", torch.zeros(3)), ("threads", 0),
        ("lengths", torch.tensor([1, 2, 3])), ("lengths", torch.tensor([1, 2])), ("recurrence", 7),
    ):  # fmt: skip
        with pytest.raises((ValueError, TypeError), match=name):
            native.kernels.layer_forward(**{**good, name: wrong})
    saved = torch.zeros(2, 3, 28)
    after = {name: value for name, value in good.items() if name not in ("y", "h", "c", "saved")}
    after |= {
        "y": y, "saved": saved, "dy": y.clone(), "dh": h, "dc": None, "dx": x.clone(),
        **{f"d{name}": good[name].clone() for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")},
        "dh0": torch.zeros(3, 7), "dc0": None,
    }  # fmt: skip
    native.kernels.layer_backward(**after)
    for name, wrong in (
        ("saved", None), ("dy", y[0]), ("dh", torch.zeros(2, 7)), ("dc", h), ("dx", x), ("dweight_hh", None),
        ("dbias_hh", None), ("dbias_ih", torch.zeros(20)), ("dbias_hh", torch.zeros(7)), ("dh0", h), ("dc0", h),
    ):  # fmt: skip
        with pytest.raises((ValueError, TypeError), match=name):
            native.kernels.layer_backward(**{**after, name: wrong})


@pytest.mark.parametrize("allowed", [False, True])
def test_under_torch_compile(allowed: bool) -> None:
    """torch breaks its graph at every recurrent module; if that is allowed, ours is one graph without a break."""
    torch._dynamo.reset()
    ours, x = fast.GRU(5, 7, num_layers=2, bidirectional=True), torch.randn(2, 3, 5)
    compiled = torch.compile(ours, backend="eager", fullgraph=allowed)
    torch._dynamo.utils.counters.clear()
    with torch._dynamo.config.patch(allow_rnn=allowed):
        torch.testing.assert_close(compiled(x), ours(x))
    breaks = " ".join(torch._dynamo.utils.counters["graph_break"])
    assert "nb_func" not in breaks
    assert "_has_storage" not in breaks
    torch._dynamo.reset()
