"""Names of a model's traced modules, and the trace of a user's own cell."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

import small
from unrolled.cells import Cell, GRUCell, LSTMCell
from unrolled.inside.kinds import named, tensors
from unrolled.inside.watch import watching
from unrolled.layers import Bidirectional, Recurrent, Stacked


class LeakyState(NamedTuple):
    h: Tensor


class LeakyGates(NamedTuple):
    a: Tensor
    keep: Tensor


class LeakyCell(Cell[LeakyState, LeakyGates]):
    State = LeakyState

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.inner = nn.Linear(input_size, hidden_size)

    def project(self, x: Tensor) -> Tensor:
        return self.inner(x)

    def gates(self, x_gates: Tensor, state: LeakyState) -> LeakyGates:
        return LeakyGates((x_gates + state.h).tanh(), x_gates.sigmoid())

    def advance(self, gates: LeakyGates, state: LeakyState) -> tuple[Tensor, LeakyState]:
        h = gates.keep * state.h + (1 - gates.keep) * gates.a
        return h, LeakyState(h)


def test_names_have_layer_and_direction() -> None:
    layer = Stacked(
        [
            Bidirectional(Recurrent(GRUCell(2, 3)), Recurrent(GRUCell(2, 3), reverse=True)),
            Recurrent(LSTMCell(6, 3)),
        ]
    )
    assert list(named(layer).values()) == ["gru.l0.", "gru.l0.reverse.", "lstm.l1."]
    assert list(named(Recurrent(GRUCell(2, 3))).values()) == ["gru.l0."]
    names = list(named(small.translation_run("transformer", num_layers=2).model).values())
    assert names.count("transformer.l1.cross.") == 1
    assert "transformer.l1." in names


def test_a_cell_of_your_own_is_traced_with_its_own_gates() -> None:
    torch.manual_seed(0)
    layer = Recurrent(LeakyCell(2, 3))
    names: dict[nn.Module, str] = named(layer)
    x = torch.randn(1, 5, 2)
    with torch.no_grad(), watching(names) as notes:
        y, _ = layer(x)
        found = dict(tensors(notes, names))
    assert set(found) == {f"leaky.l0.{name}" for name in ("a", "keep", "h", "h0")}
    before = torch.cat([torch.zeros(1, 3), y[0, :-1]])
    keep = found["leaky.l0.keep"]
    torch.testing.assert_close(found["leaky.l0.h"], keep * before + (1 - keep) * found["leaky.l0.a"])
