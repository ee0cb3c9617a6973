"""Torch's own modules, traced: their outputs are the states, and the gates obey torch's equations."""

from collections.abc import Callable
from itertools import product

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

import unrolled
import unrolled.nn
from unrolled import nn as fast
from unrolled.errors import ConfigError, ShapeError

T, B, D, H = 7, 3, 4, 5
KINDS = {"RNN": nn.RNN, "LSTM": nn.LSTM, "GRU": nn.GRU}


@pytest.mark.parametrize(("kind", "layers", "both"), [*product(KINDS, (1, 2), (False, True))])
def test_the_states_are_the_module_s_outputs(kind: str, layers: int, both: bool) -> None:
    torch.manual_seed(0)
    module = KINDS[kind](D, H, num_layers=layers, bidirectional=both, batch_first=True).eval()
    x, hx = torch.randn(B, T, D), torch.randn(layers * (1 + both), B, H)
    state = (hx, torch.randn_like(hx)) if kind == "LSTM" else hx
    y, final = module(x, state)
    trace = unrolled.trace(module, x, state, sequence=1)
    cell = {"RNN": "elman"}.get(kind, kind.lower())
    top = [trace[f"{cell}.l{layers - 1}.{side}h"] for side in (("", "reverse.") if both else ("",))]
    close(torch.cat(top, dim=1), y[1])
    if kind == "LSTM":
        close(trace["lstm.l0.c"][-1], final[1][0, 1])
        close(trace["lstm.l0.c0"], state[1][0, 1])


def test_the_gates_obey_torch_s_equations() -> None:
    torch.manual_seed(0)
    module = nn.GRU(D, H)  # time first
    x = torch.randn(T, B, D)
    y, _ = module(x)
    trace = unrolled.trace(module, x, sequence=2)
    before = torch.cat([torch.zeros(1, H), y[:-1, 2]])
    a, b = x[:, 2] @ module.weight_ih_l0.T + module.bias_ih_l0, before @ module.weight_hh_l0.T + module.bias_hh_l0
    r, z = (a + b)[:, : 2 * H].sigmoid().chunk(2, dim=1)
    close(trace["gru.l0.r"], r)
    close(trace["gru.l0.z"], z)
    close(trace["gru.l0.n"], (a[:, 2 * H :] + r * b[:, 2 * H :]).tanh())
    assert "gru.l0.half_life" in trace
    assert "retention" in trace


@pytest.mark.parametrize("module", [nn.LSTM(D, H, bias=False), nn.LSTM(D, H).double(), unrolled.nn.LSTM(D, H)], ids=str)
def test_other_forms(module: nn.LSTM) -> None:
    x = torch.randn(T, D, dtype=module.weight_ih_l0.dtype)  # without a batch
    close(unrolled.trace(module, x)["lstm.l0.h"], module(x)[0].float())


def test_wrong_arguments_are_refused() -> None:
    module = nn.LSTM(D, H)
    with pytest.raises(ConfigError, match="proj_size"):
        unrolled.trace(nn.LSTM(D, H, proj_size=2), torch.zeros(T, D))
    with pytest.raises(ShapeError, match=r"with D=4: got \(7, 3\)"):
        unrolled.trace(module, torch.zeros(T, 3))
    with pytest.raises(ShapeError, match="sequence must be from 0 to 2, an index in the batch: got 3"):
        unrolled.trace(module, torch.zeros(T, B, D), sequence=3)
    with pytest.raises(ShapeError, match="hx must be 2 tensor"):
        unrolled.trace(module, torch.zeros(T, B, D), torch.zeros(1, B, H))


def close(a: torch.Tensor, b: torch.Tensor) -> None:
    torch.testing.assert_close(a, b.detach(), rtol=0, atol=1e-6)


class Tagger(nn.Module):
    """A model with two layers in a dictionary, one of which is called twice, packed."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.ModuleDict({"rnn": nn.LSTM(5, 7, batch_first=True), "top": nn.GRU(7, 7)})

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        y, (h, _) = self.encoder["rnn"](packed)
        y, _ = self.encoder["top"](y, h)
        y, _ = self.encoder["top"](hx=h, input=y)
        return y.data


@pytest.mark.parametrize("convert", [lambda model: model, fast.convert], ids=["torch", "ours"])
def test_layers_of_a_model_are_found_by_name(convert: Callable[[nn.Module], nn.Module]) -> None:
    torch.manual_seed(0)
    model = convert(Tagger())
    model.encoder["top"].eval()
    x, lengths = torch.randn(3, 4, 5), torch.tensor([2, 4, 1])
    trace = unrolled.trace(model, x, lengths, sequence=1)
    rnn, top = model.encoder["rnn"], model.encoder["top"]
    assert (rnn.training, top.training) == (True, False)
    y, (h, _) = rnn(x[1:2])
    first, _ = top(y.transpose(0, 1), h)
    second, _ = top(first, h)
    torch.testing.assert_close(trace["encoder.rnn.lstm.l0.h"], y[0])
    torch.testing.assert_close(trace["encoder.top.gru.l0.h"], first[:, 0])
    torch.testing.assert_close(trace["encoder.top.call2.gru.l0.h"], second[:, 0])
    short = unrolled.trace(model, x, lengths, sequence=0)
    assert short["encoder.rnn.lstm.l0.f"].shape == (2, 7)


def test_a_model_without_recurrent_layers_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"calls no torch\.nn\.RNN, LSTM or GRU"):
        unrolled.trace(nn.Sequential(nn.Linear(3, 4)), torch.ones(2, 3))
