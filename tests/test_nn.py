"""unrolled.nn is torch.nn in every respect: values, gradients, forms of input, state_dict, errors."""

import copy
import warnings

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from unrolled import nn as fast
from unrolled.scan import fused

LAYERS = ["RNN", "GRU", "LSTM"]
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


def flat(found: object) -> list[torch.Tensor]:
    if isinstance(found, PackedSequence):
        return [found.data, found.batch_sizes]
    return [found] if isinstance(found, torch.Tensor) else [leaf for part in found for leaf in flat(part)]


def same(ours: object, theirs: object) -> None:
    for a, b in zip(flat(ours), flat(theirs), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("form", ["batch", "unbatched", "packed", "sorted"])
@pytest.mark.parametrize("begun", [False, True])
def test_values_and_gradients(name: str, options: dict[str, object], form: str, begun: bool) -> None:
    ours, theirs = pair(name, **options)
    first = bool(options.get("batch_first"))
    x = torch.randn(6, 5) if form == "unbatched" else torch.randn(*((4, 6) if first else (6, 4)), 5)
    if form in ("packed", "sorted"):
        lengths = torch.tensor([5, 6, 1, 3]) if form == "packed" else torch.tensor([6, 5, 5, 1])
        x = pack_padded_sequence(x, lengths, batch_first=first, enforce_sorted=form == "sorted")
    leaves = theirs.num_layers * (2 if theirs.bidirectional else 1)
    h, c = (torch.randn(*((leaves, 7) if form == "unbatched" else (leaves, 4, 7))) for _ in range(2))
    state = ((h, c) if name == "LSTM" else h) if begun else None
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


def test_what_they_are() -> None:
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


@pytest.mark.skipif(not fused.compiled(), reason="no kernels were compiled here")
def test_our_kernels_run_where_they_can(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[int] = []
    run = fused.run
    monkeypatch.setattr(fused, "run", lambda *a: ran.append(1) or run(*a))
    ours, _ = pair("LSTM", num_layers=2, bidirectional=True)
    ours(torch.randn(3, 2, 5))
    assert len(ran) == 4
    ours.double()(torch.randn(3, 2, 5).double())
    assert len(ran) == 4
