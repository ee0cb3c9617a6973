"""A cell of the user as a model: by its class, or by a file and the name of a class in it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

import unrolled
from unrolled import laws
from unrolled.cells import Cell
from unrolled.errors import CheckpointError, ConfigError

SOURCE = '''
from typing import NamedTuple
from torch import Tensor, nn
from unrolled.cells import Cell

class State(NamedTuple):
    h: Tensor

class Gates(NamedTuple):
    n: Tensor

class Leaky(Cell):
    """h ← ½ h + ½ tanh(W x + b)."""

    State = State
    feedback = ()
    name = "leaky"

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.linear = nn.Linear(input_size, hidden_size)

    def project(self, x):
        return self.linear(x)

    def gates(self, x_gates, state):
        return Gates(x_gates.tanh())

    def advance(self, gates, state):
        h = (state.h + gates.n) / 2
        return h, State(h)
'''
ROWS = [(f"{word} film number {n}", label) for n in range(30) for word, label in (("good", "yes"), ("bad", "no"))]
SETTINGS = {"epochs": 2, "hidden_size": 8, "embedding_size": 8, "baseline": False, "min_frequency": 1}


class KeptState(NamedTuple):
    """The state: h (B, H)."""

    h: Tensor


class KeptGates(NamedTuple):
    """The candidate, (…, H)."""

    n: Tensor


class KeepHalf(Cell[KeptState, KeptGates]):
    """h ← ½ h + ½ tanh(W x + b)."""

    State = KeptState
    feedback = ()

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.linear = nn.Linear(input_size, hidden_size)

    def project(self, x: Tensor) -> Tensor:
        out: Tensor = self.linear(x)
        return out

    def gates(self, x_gates: Tensor, state: KeptState) -> KeptGates:
        return KeptGates(x_gates.tanh())

    def advance(self, gates: KeptGates, state: KeptState) -> tuple[Tensor, KeptState]:
        h = (state.h + gates.n) / 2
        return h, KeptState(h)


def test_a_class_becomes_a_model_that_is_trained_saved_and_loaded(tmp_path: Path) -> None:
    laws.check(KeepHalf(3, 5))
    name = unrolled.use_cell(KeepHalf)
    assert name == "KeepHalf"
    run = unrolled.train(ROWS, model=name, **SETTINGS, out=tmp_path / "run")
    again = unrolled.load(tmp_path / "run")
    assert again.decode("a good film") == run.decode("a good film")
    cells = [module for module in again.model.modules() if isinstance(module, KeepHalf)]
    assert [cell.hidden_size for cell in cells] == [8]


def test_a_file_and_a_name_become_a_model_and_a_run_needs_it_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "leaky.py").write_text(SOURCE)
    name = unrolled.use_cell(f"{tmp_path / 'leaky.py'}:Leaky")
    unrolled.train(ROWS, model=name, **SETTINGS, out=tmp_path / "run")
    assert unrolled.load(tmp_path / "run").config.model.name == "Leaky"
    monkeypatch.setattr("unrolled.lineage._OWN", {})
    with pytest.raises(CheckpointError, match='"Leaky" is unknown'):
        unrolled.load(tmp_path / "run")


@pytest.mark.parametrize(
    ("source", "name", "message"),
    [
        (SOURCE, "Leaki", 'has no class "Leaki" (did you mean "Leaky"?)'),
        ("x = 1", "x", "is no cell"),
        ("raise OSError('no')", "x", "cannot be executed: OSError: no"),
        ("def (", "x", "cannot be executed: SyntaxError"),
        (SOURCE.replace("Leaky", "gru"), "gru", 'there is a model or cell "gru" already'),
    ],
)
def test_what_is_no_cell_is_refused(source: str, name: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(source)
    with pytest.raises(ConfigError) as refused:
        unrolled.use_cell(f"{tmp_path / 'own.py'}:{name}")
    assert message in str(refused.value)
    with pytest.raises(ConfigError, match="there is no such file"):
        unrolled.use_cell(f"{tmp_path / 'none.py'}:{name}")


def test_its_settings_are_those_of_gru_and_others_are_refused() -> None:
    name = unrolled.use_cell(KeepHalf)
    with pytest.raises(ConfigError, match="num_heads"):
        unrolled.train(ROWS, model=name, num_heads=2)
    with pytest.raises(ConfigError, match="remove recurrent_dropout"):
        unrolled.train(ROWS, model=name, recurrent_dropout=0.2, **SETTINGS)
    assert torch.isfinite(torch.tensor(unrolled.train(ROWS, model=name, zoneout=0.1, **SETTINGS).test.loss_nats))
