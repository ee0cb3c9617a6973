"""unrolled.nn is torch.nn in every respect: values, gradients, forms of input, state_dict, errors."""

import copy
import warnings

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from modules import gradients
from tolerances import FLOAT64
from unrolled import nn as fast
from unrolled.errors import ConfigError
from unrolled.kernels import layer as kernel_layer
from unrolled.kernels import native

LAYERS = ["RNN", "GRU", "LSTM"]
EPSILON = torch.finfo(torch.float32).eps
OPTIONS = [
    {},
    {"num_layers": 2, "bidirectional": True},
    {"batch_first": True, "bias": False},
    {"bidirectional": True, "batch_first": True},
]


def pair(name: str, **options: object) -> tuple[nn.RNNBase, nn.RNNBase]:
    torch.manual_seed(0)
    theirs = getattr(nn, name)(5, 7, **options)
    ours = getattr(fast, name)(5, 7, **options)
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def flat(found: object) -> list[Tensor]:
    if isinstance(found, PackedSequence):
        return [found.data, found.batch_sizes]
    return [found] if isinstance(found, Tensor) else [leaf for item in found for leaf in flat(item)]


def same(ours: object, theirs: object) -> None:
    for a, b in zip(flat(ours), flat(theirs), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("form", ["batch", "unbatched", "packed", "sorted"])
@pytest.mark.parametrize("with_state", [False, True])
def test_values_and_gradients(name: str, options: dict[str, object], form: str, with_state: bool) -> None:
    ours, theirs = pair(name, **options)
    first = bool(options.get("batch_first"))
    x = torch.randn(6, 5) if form == "unbatched" else torch.randn(*((4, 6) if first else (6, 4)), 5)
    if form in ("packed", "sorted"):
        lengths = torch.tensor([5, 6, 1, 3]) if form == "packed" else torch.tensor([6, 5, 5, 1])
        x = pack_padded_sequence(x, lengths, batch_first=first, enforce_sorted=form == "sorted")
    leaves = theirs.num_layers * (2 if theirs.bidirectional else 1)
    h, c = (torch.randn(*((leaves, 7) if form == "unbatched" else (leaves, 4, 7))) for _ in range(2))
    state = ((h, c) if name == "LSTM" else h) if with_state else None
    found, expected = ours(x, state), theirs(x, state)
    same(found, expected)
    gradients = [
        torch.autograd.grad(sum((leaf * leaf).sum() for leaf in flat(out) if leaf.is_floating_point()), m.parameters())
        for m, out in ((ours, found), (theirs, expected))
    ]
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
    if isinstance(x, PackedSequence):
        same(pad_packed_sequence(found[0])[0], pad_packed_sequence(expected[0])[0])


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("unbatched", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_cells(name: str, unbatched: bool, bias: bool) -> None:
    torch.manual_seed(0)
    theirs = getattr(nn, f"{name}Cell")(5, 7, bias=bias)
    ours = fast.convert(copy.deepcopy(theirs))
    assert type(ours) is getattr(fast, f"{name}Cell")
    x, h, c = torch.randn(3, 5), torch.randn(3, 7), torch.randn(3, 7)
    if unbatched:
        x, h, c = x[0], h[0], c[0]
    same(ours(x), theirs(x))
    state = (h, c) if name == "LSTM" else h
    same(ours(x, state), theirs(x, state))


def test_subclasses_and_repr() -> None:
    ours, theirs = pair("GRU", num_layers=2)
    assert isinstance(ours, nn.GRU)
    assert repr(ours) == repr(theirs)
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    assert ours.double()(torch.randn(3, 2, 5).double())[0].dtype == torch.float64
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, about oneDNN
        assert fast.LSTM(5, 7, proj_size=3)(torch.randn(3, 2, 5))[0].shape == (3, 2, 3)


def test_errors_are_torchs() -> None:
    ours, theirs = pair("LSTM")
    wrong = [
        (torch.randn(3, 2, 4), None),
        (torch.randn(3, 2, 5), (torch.zeros(1, 9, 7), torch.zeros(1, 9, 7))),
        (torch.randn(3, 2, 5, 1), None),
        (torch.zeros(3, 2, 5, dtype=torch.long), None),
    ]
    for x, state in wrong:
        with pytest.raises(Exception) as expected:  # noqa: PT011
            theirs(x, state)
        with pytest.raises(type(expected.value)):
            ours(x, state)


def test_convert_keeps_the_objects() -> None:
    model = nn.Sequential(nn.Embedding(5, 5), nn.GRU(5, 7, batch_first=True), nn.Identity()).eval()
    seen: list[str] = []
    model[1].register_forward_hook(lambda *_: seen.append("hook"))
    before = dict(model.named_parameters())
    y = model[:2](torch.tensor([[1, 2]]))[0]
    layer = model[1]
    assert fast.convert(model) is model
    assert model[1] is layer
    assert type(layer) is fast.GRU
    assert not layer.training
    assert all(p is before[name] for name, p in model.named_parameters())
    same(model[:2](torch.tensor([[1, 2]]))[0], y)
    assert seen == ["hook", "hook"]


def test_dropout_between_layers_acts_in_training_only() -> None:
    ours, theirs = pair("GRU", num_layers=2, dropout=0.5)
    x = torch.randn(3, 2, 5)
    same(ours.eval()(x), theirs.eval()(x))
    assert not torch.equal(ours.train()(x)[0], ours(x)[0])


@pytest.mark.skipif(not native.compiled(), reason="no kernels were compiled here")
def test_our_kernels_run_where_they_can(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[int] = []
    run = kernel_layer.run
    monkeypatch.setattr(kernel_layer, "run", lambda *a, **k: ran.append(1) or run(*a, **k))
    ours, _ = pair("LSTM", num_layers=2, bidirectional=True)
    ours(torch.randn(3, 2, 5))
    assert len(ran) == 4
    ours.double()(torch.randn(3, 2, 5).double())
    assert len(ran) == 4


def step_by_step(name: str, weights: list[Tensor], x: Tensor, h: Tensor, c: Tensor) -> dict[str, Tensor]:
    """Every state and gate of one layer and direction, by torch's own cell and the formulas of its gates."""
    cell = getattr(nn, f"{name}Cell")(x.shape[2], h.shape[1], bias=len(weights) == 4, dtype=x.dtype)
    named = dict(zip(cell.state_dict(), weights, strict=True))
    bias_x, bias_h = weights[2:] or (None, None)
    steps = []
    for x_t in x.unbind(1):
        from_x, from_h = F.linear(x_t, weights[0], bias_x), F.linear(h, weights[1], bias_h)
        found: dict[str, Tensor] = {}
        if name == "LSTM":
            i, f, g, o = (from_x + from_h).chunk(4, dim=1)
            h, c = functional_call(cell, named, (x_t, (h, c)))
            found = {"c": c, "i": i.sigmoid(), "f": f.sigmoid(), "g": g.tanh(), "o": o.sigmoid()}
        elif name == "GRU":
            (x_r, x_z, x_n), (h_r, h_z, h_n) = from_x.chunk(3, dim=1), from_h.chunk(3, dim=1)
            r = (x_r + h_r).sigmoid()
            h = functional_call(cell, named, (x_t, h))
            found = {"r": r, "z": (x_z + h_z).sigmoid(), "n": (x_n + r * h_n).tanh()}
        else:
            h = functional_call(cell, named, (x_t, h))
        steps.append({"h": h, **found})
    return {field: torch.stack([step[field] for step in steps], dim=1) for field in steps[0]}


def every_step(module: nn.RNNBase, x: Tensor, h: Tensor, c: Tensor) -> list[dict[str, Tensor]]:
    """The same for all layers and directions of a batch-first module, in the order of h_n."""
    name, directions, found = type(module).__name__, 2 if module.bidirectional else 1, []
    for layer in range(module.num_layers):
        for index in range(layer * directions, (layer + 1) * directions):
            way = (lambda y: y.flip(1)) if index % directions else (lambda y: y)
            one = step_by_step(name, module.all_weights[index], way(x), h[index], c[index])
            found.append({field: way(value) for field, value in one.items()})
        x = torch.cat([one["h"] for one in found[-directions:]], dim=2)
    return found


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@torch.no_grad()
def test_states_are_those_of_every_step(name: str, options: dict[str, object]) -> None:
    ours, theirs = pair(name, **{**options, "batch_first": True})
    leaves = theirs.num_layers * (2 if theirs.bidirectional else 1)
    x, h, c = torch.randn(4, 6, 5), torch.randn(leaves, 4, 7), torch.randn(leaves, 4, 7)
    rounded = every_step(theirs, x, h, c)
    exact = every_step(theirs.double(), x.double(), h.double(), c.double())
    for dtype in (torch.float32, torch.float64):
        ours.to(dtype)
        state = (h.to(dtype), c.to(dtype)) if name == "LSTM" else h.to(dtype)
        found = ours.states(x.to(dtype), state)
        assert len(found) == leaves
        for one, near, right in zip(found, rounded, exact, strict=True):
            assert set(one._fields) == set(right)
            for field, value in one._asdict().items():
                assert value.dtype == dtype
                limit = 4 * (near[field] - right[field]).abs().max() + 8 * EPSILON * right[field].abs().max()
                off = (value - right[field]).abs().max()
                assert off <= (limit if dtype == torch.float32 else FLOAT64), field


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("form", ["batch", "batch first", "unbatched", "packed", "sorted"])
@torch.no_grad()
def test_states_have_the_form_of_the_output(name: str, form: str) -> None:
    ours, _ = pair(name, bidirectional=True, batch_first=form == "batch first")
    x = torch.randn(*((6, 5) if form == "unbatched" else (6, 4, 5)))
    if form in ("packed", "sorted"):
        lengths = torch.tensor([5, 6, 1, 3]) if form == "packed" else torch.tensor([6, 5, 5, 1])
        x = pack_padded_sequence(x, lengths, enforce_sorted=form == "sorted")
    y, after = ours(x)
    forward, backward = ours.states(x)
    parts = [forward.h, backward.h]
    if isinstance(x, PackedSequence):
        y, parts = y.data, [part.data for part in parts]
    same(torch.cat(parts, dim=-1), y)
    for one in (forward, backward):
        for value in one:
            assert isinstance(value, type(x))
    if isinstance(x, PackedSequence) and name == "LSTM":
        c, lengths = pad_packed_sequence(forward.c)
        same(c[lengths - 1, torch.arange(4)], after[1][0])
        same(pad_packed_sequence(backward.c)[0][0], after[1][1])


@pytest.mark.parametrize("name", LAYERS)
def test_gradients_flow_through_states(name: str) -> None:
    ours, theirs = pair(name, num_layers=2, batch_first=True)
    ours, theirs = ours.double(), theirs.double()
    x = torch.randn(3, 4, 5, dtype=torch.float64, requires_grad=True)
    zero = torch.zeros(2, 3, 7, dtype=torch.float64)
    mine = [value for one in ours.states(x) for value in one._asdict().values()]
    fields = ours.States._fields
    expected = [one[field] for one in every_step(theirs, x, zero, zero) for field in fields]
    ours_dx, *ours_dw = gradients(mine, [x, *ours.parameters()])
    theirs_dx, *theirs_dw = gradients(expected, [x, *theirs.parameters()])
    for a, b in zip([ours_dx, *ours_dw], [theirs_dx, *theirs_dw], strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=10 * FLOAT64)


def test_states_refuse_what_they_cannot_replay() -> None:
    with pytest.raises(ConfigError, match="proj_size=3"):
        fast.LSTM(5, 7, proj_size=3).states(torch.randn(3, 2, 5))
    with pytest.raises(ValueError, match="got 4D"):
        fast.GRU(5, 7).states(torch.randn(3, 2, 5, 1))
    with pytest.raises(RuntimeError, match="Expected hidden size"):
        fast.GRU(5, 7).states(torch.randn(3, 2, 5), torch.zeros(1, 3, 7))


@pytest.mark.parametrize("size", [1, 6, 29])
@pytest.mark.parametrize("name", ["RNN", "GRU", "LSTM", "RNNCell", "GRUCell", "LSTMCell"])
def test_biases_of_another_shape_are_torchs(name: str, size: int) -> None:
    """They are broadcast or refused, as torch does."""
    ours, theirs = pair(name)
    outcomes = []
    for module in (ours, theirs):
        for bias in [key for key, _ in module.named_parameters() if key.startswith("bias_hh")]:
            setattr(module, bias, nn.Parameter(torch.ones(size)))
        try:
            outcomes.append(module(torch.ones(2, 5)))
        except RuntimeError as error:
            outcomes.append(str(error))
    if isinstance(outcomes[1], str):
        assert outcomes[0] == outcomes[1]
    else:
        same(*outcomes)
