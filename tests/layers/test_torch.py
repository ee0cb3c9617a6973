"""Weights both ways: the same function, and the same bits on the way there and back."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from modules import CELLS, LAYERS, D, H, shaken
from tolerances import FLOAT64
from unrolled import nn as fast
from unrolled.cells import ElmanCell, GRUCell, LSTMCell
from unrolled.errors import ConfigError
from unrolled.layers import Bag, Bidirectional, Layer, Recurrent, Stacked, from_torch, to_torch

THEIRS: dict[str, Callable[..., nn.RNNBase]] = {
    "elman-tanh": nn.RNN,
    "elman-relu": lambda *sizes, **options: nn.RNN(*sizes, nonlinearity="relu", **options),
    "lstm": nn.LSTM,
    "gru": nn.GRU,
    "unrolled.nn": fast.GRU,
}
OPTIONS = [{}, {"bidirectional": True}, {"num_layers": 2, "bidirectional": True}, {"num_layers": 3, "bias": False}]
TAKEN = [name for name in LAYERS if name.endswith(("forward", "both")) and name.startswith(("elman", "lstm", "gru"))]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("name", THEIRS)
def test_theirs_and_ours_compute_the_same(name: str, options: dict[str, object]) -> None:
    torch.manual_seed(0)
    module = THEIRS[name](D, H, **options).double()
    layer = from_torch(module)
    x = torch.randn(2, 4, D, dtype=torch.float64)
    expected = module(x.transpose(0, 1))[0].transpose(0, 1)
    torch.testing.assert_close(layer(x)[0], expected, rtol=0, atol=FLOAT64)
    back = to_torch(layer)
    assert isinstance(module, type(back))
    torch.testing.assert_close(back(x)[0], expected, rtol=0, atol=FLOAT64)


@pytest.mark.parametrize("name", TAKEN)
def test_ours_to_torch_to_ours_are_the_same_bits(name: str) -> None:
    torch.manual_seed(0)
    layer = shaken(LAYERS[name]())
    module = to_torch(layer)
    back = from_torch(module)
    assert repr(back) == repr(layer)
    for (parameter, value), (_, other) in zip(layer.named_parameters(), back.named_parameters(), strict=True):
        assert torch.equal(value, other), parameter
    x = torch.randn(2, 4, D)
    torch.testing.assert_close(module(x)[0], layer(x)[0])


def test_the_two_biases_are_summed() -> None:
    module = nn.LSTM(D, H)
    layer = from_torch(module)
    assert torch.equal(layer.cell.bias, module.bias_ih_l0 + module.bias_hh_l0)
    assert layer.cell.bias.data_ptr() != module.bias_ih_l0.data_ptr()


def test_nothing_is_drawn_and_mode_dropout_and_dtype_are_kept() -> None:
    module = nn.GRU(D, H, num_layers=2, dropout=0.5, dtype=torch.float64).eval()
    before = torch.get_rng_state()
    layer = from_torch(module)
    back = to_torch(layer)
    assert torch.equal(torch.get_rng_state(), before)
    assert not layer.training
    assert not back.training
    assert layer.dropout.rate == back.dropout == 0.5
    assert next(layer.parameters()).dtype == next(back.parameters()).dtype == torch.float64


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (Bag(D), "Recurrent layers that read forward"),
        (Recurrent(GRUCell(D, H), reverse=True), "Recurrent layers that read forward"),
        (Stacked([Recurrent(GRUCell(D, H)), Recurrent(LSTMCell(H, H))]), r"got GRUCell\(3, 5\), LSTMCell\(5, 5\)"),
        (Stacked([Recurrent(GRUCell(D, H)), Recurrent(GRUCell(H, 4))]), "one kind and size"),
        (Bidirectional(Recurrent(ElmanCell(D, H)), Recurrent(CELLS["elman-relu"](D, H), reverse=True)), "relu"),
        (Recurrent(GRUCell(D, H), recurrent_dropout=0.5), "recurrent nor variational"),
        (Stacked([Recurrent(GRUCell(D, H))], dropout=0.5, variational=True), "recurrent nor variational"),
    ],
)  # fmt: skip
def test_what_torch_cannot_say_is_refused(layer: Layer, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        to_torch(layer)


def test_what_we_cannot_say_is_refused() -> None:
    with pytest.raises(ConfigError, match="LSTM with proj_size"):
        from_torch(nn.LSTM(D, H, proj_size=2))
    with pytest.raises(ConfigError, match="got Linear"):
        from_torch(nn.Linear(D, H))
