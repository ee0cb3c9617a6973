"""The laws hold for every module, and fail for modules that break them."""

import pytest
import torch
from torch import nn

from modules import (
    ATTENTIVE,
    ATTENTIVE_PAIRS_MODELS,
    CELLS,
    EVERY_CELL,
    LAYERS,
    LINEAR,
    MODELS,
    PAIRS,
    PAIRS_MODELS,
    RESIDUAL_PAIRS_MODELS,
    D,
    H,
    ModelCase,
    PairsCase,
    shaken,
)
from unrolled import laws
from unrolled.cells import Cell, GRUCell, LSTMCell
from unrolled.config import ModelConfig
from unrolled.errors import LawError
from unrolled.kernels import native
from unrolled.layers import Bag, Layer, Recurrent
from unrolled.models import EncoderDecoderModel


def held(part: nn.Module) -> dict[str, int]:
    """The laws that `part` was held to, with the number of comparisons."""
    return {finding.law: finding.compared for finding in laws.check(part) if finding.compared}


@pytest.mark.parametrize("name", EVERY_CELL)
def test_every_cell_obeys_every_law(name: str) -> None:
    torch.manual_seed(0)
    expected = {"split", "causal", "batch_invariance", "round_trip"}
    expected |= {"twin"} if name in (*CELLS, *LINEAR) else set()
    assert held(shaken(EVERY_CELL[name](D, H))).keys() == expected


@pytest.mark.parametrize("name", LAYERS)
def test_every_layer_obeys_the_laws_that_bind_it(name: str) -> None:
    torch.manual_seed(0)
    part = shaken(LAYERS[name]())
    expected = {"batch_invariance", "round_trip"}
    expected |= {"split", "causal"} if part.causal else set()
    alone = ("bag", "last", "window", "attention", "block", "layernorm", "slstm", "zoneout")  # no layer with a twin
    mixed = ("block-gru", "block-both", "blocks-mixed", "block-gated_deltanet")
    expected |= set() if name.startswith(alone) and name not in mixed else {"twin"}
    expected |= {"twin"} if name in ("blocks", "blocks-learned") and native.compiled() else set()
    assert held(part).keys() == expected


@pytest.mark.parametrize("case", MODELS, ids=str)
def test_every_row_obeys_the_laws_that_bind_it(case: ModelCase) -> None:
    torch.manual_seed(0)
    part = shaken(case.make())
    expected = {"batch_invariance", "round_trip"}
    expected |= {"split"} if part.causal else set()
    expected |= {"causal"} if part.causal and case.answer == "each" else set()
    slow = case.name == "xlstm" and "minlstm" not in str(case.options)  # a cell without a twin is among its mixers
    slow &= (case.name, case.options) != ("xlstm", {})
    alone = case.name in ("feedforward", *ATTENTIVE) or "zoneout" in case.options or slow
    expected |= set() if alone else {"twin"}
    expected |= {"twin"} if case.name == "gpt" and native.compiled() else set()  # its steps in one call
    assert held(part).keys() == expected


@pytest.mark.parametrize("case", PAIRS_MODELS, ids=str)
def test_every_row_that_reads_a_source_obeys_every_law(case: PairsCase) -> None:
    torch.manual_seed(0)
    expected = {"split", "causal", "batch_invariance", "round_trip"}
    expected |= set() if str(case.options.get("cell", "")).startswith("layernorm") else {"twin"}
    assert held(shaken(case.make())).keys() == expected


@pytest.mark.parametrize("case", RESIDUAL_PAIRS_MODELS, ids=str)
def test_every_model_of_residual_blocks_that_reads_a_source_obeys_the_laws(case: PairsCase) -> None:
    torch.manual_seed(0)
    expected = {"split", "causal", "batch_invariance", "round_trip"} | (set() if case.name == "xlstm" else {"twin"})
    assert held(shaken(case.make())).keys() == expected


@pytest.mark.parametrize("case", ATTENTIVE_PAIRS_MODELS, ids=str)
def test_every_row_without_recurrence_that_reads_a_source_obeys_the_laws(case: PairsCase) -> None:
    torch.manual_seed(0)
    expected = {"split", "causal", "batch_invariance", "round_trip"} | ({"twin"} if native.compiled() else set())
    assert held(shaken(case.make())).keys() == expected


def test_the_part_is_not_changed() -> None:
    cell = GRUCell(D, H).train()
    before = {name: value.clone() for name, value in cell.state_dict().items()}
    laws.check(cell)
    assert cell.training
    assert all(torch.equal(value, before[name]) for name, value in cell.state_dict().items())
    assert all(p.dtype == torch.float32 and p.grad is None for p in cell.parameters())


def test_a_finding_says_what_it_compared_or_why_not() -> None:
    by_law = {finding.law: str(finding) for finding in laws.check(Bag(3))}
    assert "holds" in by_law["batch_invariance"]
    assert "no recurrent layer" in by_law["twin"]


def test_only_parts_are_bound() -> None:
    with pytest.raises(TypeError, match="Linear"):
        laws.check(nn.Linear(2, 2))


# Parts that break one law each. What they do wrong are the mistakes that were found in the field.


class Forgets(Recurrent):
    """A carried state is ignored: gives another answer than one call."""

    def forward(self, x, state=None, lengths=None):
        return super().forward(x, None, lengths)


class Remembers(Recurrent):
    """State is kept on the module."""

    kept = None

    def forward(self, x, state=None, lengths=None):
        y, self.kept = super().forward(x, self.kept if state is None and self.kept is not None else state, lengths)
        return y, self.kept


class Peeks(Bag):
    """y at every step is the mean of all steps, those to come included."""

    def forward(self, x, state=None, lengths=None):
        y, state = super().forward(x, state, lengths)
        return y[:, -1:].expand_as(y) if y.shape[1] else y, state


class Mixes(Layer):
    """Normalises over the batch: a row's answer depends on its neighbours."""

    def forward(self, x, state=None, lengths=None):
        real = torch.ones(x.shape[:2], dtype=torch.bool)
        if lengths is not None:
            real = torch.arange(x.shape[1]) < lengths.unsqueeze(1)
        return (x - x.mean(0, keepdim=True)).masked_fill(~real.unsqueeze(2), 0), ()


class ReadsPadding(Bag):
    """Pools padding too."""

    def forward(self, x, state=None, lengths=None):
        y, state = super().forward(x, state, None)
        if lengths is not None:
            y = y.masked_fill((torch.arange(x.shape[1]) >= lengths.unsqueeze(1)).unsqueeze(2), 0)
        return y, state


class LeavesPadding(Recurrent):
    """Puts something out at padded steps."""

    def forward(self, x, state=None, lengths=None):
        y, state = super().forward(x, state, lengths)
        return y + 1, state


class WrongGates(LSTMCell):
    """An LSTM with forget and input gate exchanged, which pretends to be the plain one."""

    def gates(self, x_gates, state):
        gates = super().gates(x_gates, state)
        return gates._replace(i=gates.f, f=gates.i)


class ReadsSourcePadding(EncoderDecoderModel):
    """Encodes padding too."""

    def encode(self, source, lengths=None):
        state = super().encode(source)
        return state if lengths is None else state._replace(memory=state.memory._replace(lengths=lengths))


class Hides(Recurrent):
    """A weight that no state_dict has."""

    def __init__(self, cell: Cell) -> None:
        super().__init__(cell)
        self.hidden = [nn.Parameter(torch.ones(()))]

    def parameters(self, recurse: bool = True):
        yield from super().parameters(recurse)
        yield from self.hidden

    def forward(self, x, state=None, lengths=None):
        y, state = super().forward(x, state, lengths)
        return y * self.hidden[0], state


@pytest.mark.parametrize(
    ("law", "make"),
    [
        (laws.split, lambda: Forgets(GRUCell(D, H))),
        (laws.batch_invariance, lambda: Remembers(GRUCell(D, H))),
        (laws.causal, lambda: Peeks(D)),
        (laws.batch_invariance, lambda: Mixes(D, D, causal=True)),
        (laws.batch_invariance, lambda: ReadsPadding(D)),
        (laws.batch_invariance, lambda: LeavesPadding(GRUCell(D, H))),
        (laws.batch_invariance, lambda: ReadsSourcePadding(PAIRS, 11, ModelConfig(hidden_size=5))),
        (laws.round_trip, lambda: Hides(GRUCell(D, H))),
    ],
)
def test_a_broken_part_goes_red(law, make) -> None:
    torch.manual_seed(0)
    with pytest.raises(LawError, match=law.__name__):
        law(make())


def test_a_cell_that_is_not_its_twin_goes_red(monkeypatch: pytest.MonkeyPatch) -> None:
    from unrolled.scan import torch as twin

    torch.manual_seed(0)
    monkeypatch.setattr(twin, "CELLS", {**twin.CELLS, WrongGates: twin.CELLS[LSTMCell]})
    with pytest.raises(LawError, match="(torch|fused): y"):
        laws.twin(shaken(WrongGates(D, H)))


def test_an_option_that_is_never_read_goes_red() -> None:
    def build(settings):
        return {"y": torch.tensor([settings.get("size", 1.0)]), "z": torch.tensor([1.0])}

    assert laws.options_matter(build, [laws.Option("size", 2.0)]).compared == 1
    assert laws.options_matter(build, [laws.Option("colour", 2.0, changes=False)]).compared == 1
    with pytest.raises(LawError, match="colour=2.0 changed nothing"):
        laws.options_matter(build, [laws.Option("colour", 2.0)])
    with pytest.raises(LawError, match="size=2.0 changed something"):
        laws.options_matter(build, [laws.Option("size", 2.0, changes=False)])
    assert laws.options_matter(build, [laws.Option("size", 1.001, changes=False, within=0.01)]).compared == 1
