"""A cell with a matrix as state passes every law and works in models, decoding and traces, without changes there."""

from types import MappingProxyType
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from unrolled import laws
from unrolled.cells import CELLS, Cell
from unrolled.config import ModelConfig
from unrolled.data.encoding.tokenizers import BOS
from unrolled.decoding.sampling import Sampling
from unrolled.decoding.search import search
from unrolled.errors import ConfigError, ShapeError
from unrolled.inside.recurrent import of_scan
from unrolled.layers import Block, Recurrent, Stacked
from unrolled.models import Ids, Pairs
from unrolled.models.recurrent import RecurrentModel
from unrolled.models.seq2seq import EncoderDecoderModel
from unrolled.scan import scan

D, H, K = 3, 4, 2


class MatrixState(NamedTuple):
    S: Tensor  # (B, K, V)
    y: Tensor  # (B, V)


class MatrixGates(NamedTuple):
    f: Tensor
    k: Tensor
    v: Tensor
    q: Tensor


class MatrixCell(Cell[MatrixState, MatrixGates]):
    """S_t = f_t S_{t−1} + k_t v_tᵀ;  y_t = S_tᵀ q_t: gated linear attention, whose gates depend on the input alone."""

    State, feedback, emits, name = MatrixState, (), "y", "matrix"
    gate_meanings = MappingProxyType({"f": "forget gate", "k": "key", "v": "value", "q": "query"})
    state_meanings = MappingProxyType({"S": "matrix", "y": "output"})

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.sizes = [1, K, hidden_size, K]
        self.all = nn.Linear(input_size, sum(self.sizes))

    def state_shapes(self) -> MatrixState:
        return MatrixState((K, self.hidden_size), (self.hidden_size,))  # type: ignore[arg-type]

    def project(self, x: Tensor) -> Tensor:
        return self.all(x)

    def gates(self, x_gates: Tensor, state: MatrixState) -> MatrixGates:
        f, k, v, q = x_gates.split(self.sizes, dim=-1)
        return MatrixGates(f.sigmoid(), k, v, q)

    def advance(self, gates: MatrixGates, state: MatrixState) -> tuple[Tensor, MatrixState]:
        S = gates.f.unsqueeze(-1) * state.S + gates.k.unsqueeze(-1) * gates.v.unsqueeze(-2)
        y = (S * gates.q.unsqueeze(-1)).sum(dim=-2)
        return y, MatrixState(S, y)


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CELLS, "matrix", MatrixCell)


@pytest.mark.parametrize(
    "make",
    [
        lambda: MatrixCell(D, H),
        lambda: Recurrent(MatrixCell(D, H), reverse=True),
        lambda: Recurrent(MatrixCell(D, H), zoneout=0.2),
        lambda: Stacked([Recurrent(MatrixCell(D, H)), Recurrent(MatrixCell(H, D))]),
        lambda: Block(Recurrent(MatrixCell(D, D)), 5),
    ],
)
def test_it_passes_every_law(make) -> None:
    torch.manual_seed(0)
    held = {finding.law for finding in laws.check(make()) if finding.compared}
    assert held >= {"batch_invariance", "round_trip"}


def test_it_is_a_model_that_reads_last_and_writes(registered: None) -> None:
    torch.manual_seed(0)
    config = ModelConfig(embedding_size=D, hidden_size=H, dropout=0.0).model_copy(update={"cell": "matrix"})
    once = RecurrentModel(Ids(11), 3, config, cells=("gru", "matrix")).eval()
    ids = torch.randint(5, 11, (2, 6))
    logits, state = once(ids)
    assert torch.equal(logits, once.head(state.layers[0].y))
    writer = RecurrentModel(Ids(11), 11, config, "each", cells=("gru", "matrix")).eval()
    ((hypothesis,),) = search(writer, [[6, 7]], Sampling(temperature=0), max_length=5)
    read, written = [BOS, 6, 7], list(hypothesis.tokens)
    for token in written:  # one call over all that stands before each token chooses it
        assert int(writer(torch.tensor([read]))[0][0, -1, 5:].argmax()) + 5 == token
        read.append(token)
    assert laws.check(once)
    assert laws.check(EncoderDecoderModel(Pairs(9, 11), 11, config))


def test_it_is_traced(registered: None) -> None:
    torch.manual_seed(0)
    cell, x = MatrixCell(D, H).requires_grad_(False), torch.randn(1, 5, D)
    y, _ = scan(cell, x)
    found = of_scan(cell, x, y, None)
    assert found["S"].shape == (5, K, H)
    assert found["f"].shape == (5, 1)
    torch.testing.assert_close(found["y"], y[0])
    torch.testing.assert_close(found["S"][-1].T @ found["q"][-1], y[0, -1])


def test_it_refuses_another_state_and_recurrent_dropout() -> None:
    cell = MatrixCell(D, H)
    with pytest.raises(ShapeError, match=r"state.S must have shape \(2, 2, 4\): got \(2, 4\)"):
        scan(cell, torch.zeros(2, 1, D), MatrixState(torch.zeros(2, H), torch.zeros(2, H)))
    with pytest.raises(ConfigError, match="MatrixCell feeds nothing back into its gates: remove recurrent_dropout"):
        Recurrent(cell, recurrent_dropout=0.1)
