"""The choice of a backend, and masks, edits, padding and refusals of a scan."""

import copy

import pytest
import torch
from torch.nn.utils import parametrizations

import modules
from modules import CELLS, D, H, shaken
from unrolled.cells import Cell, ElmanCell, GRUCell, LSTMCell, LSTMState
from unrolled.errors import BackendError, ConfigError, ShapeError
from unrolled.kernels import native
from unrolled.scan import BACKENDS, choose, conditions, scan


class EditedGRU(GRUCell):
    """A copy that differs from the plain cell."""

    def advance(self, gates, state):
        y, state = super().advance(gates, state)
        return y * 2, state


@pytest.mark.parametrize("cell", [ElmanCell(D, H), LSTMCell(D, H), GRUCell(D, H)], ids=repr)
def test_auto_takes_the_first_that_can_for_the_plain_cells(cell: Cell) -> None:
    assert choose("auto", cell) == ("fused" if native.compiled() else "torch")
    assert choose("auto", copy.deepcopy(cell).double()) == "torch"


@pytest.mark.parametrize("backend", ["torch", "reference"])
@pytest.mark.parametrize("name", CELLS)
def test_autocast_computes_states_in_float32(name: str, backend: str) -> None:
    torch.manual_seed(0)
    cell, x = shaken(CELLS[name](D, H)), torch.randn(2, 5, D).bfloat16()
    expected, after = scan(cell, x.float(), backend=backend)
    first = cell.State(*(leaf.bfloat16() for leaf in after))
    going_on, _ = scan(cell, x.float(), cell.State(*(leaf.float() for leaf in first)), backend=backend)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y, state = scan(cell, x, backend=backend)
        rest, _ = scan(cell, x, first, backend=backend)
    assert all(leaf.dtype == torch.float32 for leaf in state)
    assert torch.equal(y, expected)
    assert torch.equal(rest, going_on)


def test_auto_does_without_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "kernels", None)
    assert choose("auto", GRUCell(D, H)) == "torch"
    with pytest.raises(BackendError, match="kernels, compiled when the package is installed"):
        choose("fused", GRUCell(D, H))
    assert not all(c.holds for c in conditions("fused"))


def test_auto_takes_the_reference_where_a_twin_would_be_wrong() -> None:
    cell = GRUCell(D, H)
    assert choose("auto", EditedGRU(D, H)) == "reference"
    assert choose("auto", cell, masked=True) == ("fused" if native.compiled() else "reference")
    assert choose("auto", cell, edited=True) == "reference"
    assert choose("auto", parametrizations.weight_norm(GRUCell(D, H), "weight_h")) == "reference"


@pytest.mark.parametrize(
    ("backend", "cell", "options", "named"),
    [
        ("torch", EditedGRU(D, H), {}, "this is EditedGRU"),
        ("torch", GRUCell(D, H), {"masked": True}, "no recurrent dropout"),
        ("torch", GRUCell(D, H), {"edited": True}, "gates that are not edited"),
        ("fused", EditedGRU(D, H), {}, "this is EditedGRU"),
        ("fused", GRUCell(D, H), {"edited": True}, "gates that are not edited"),
        ("fused", GRUCell(D, H).to("meta"), {}, "weights on the CPU"),
        ("fused", GRUCell(D, H).bfloat16(), {}, "weights in float32"),
    ],
)
def test_a_forced_backend_that_cannot_run_names_the_condition(backend, cell, options, named) -> None:
    with pytest.raises(BackendError, match=named):
        choose(backend, cell, **options)


def test_an_unknown_backend_is_refused() -> None:
    with pytest.raises(ConfigError, match='got "cuda"'):
        scan(GRUCell(D, H), torch.zeros(1, 1, D), backend="cuda")


def test_conditions_can_be_printed_without_a_cell() -> None:
    for backend in BACKENDS:
        assert all(isinstance(c.needs, str) and isinstance(c.holds, bool) for c in conditions(backend))


def test_conditions_of_a_foreign_cell() -> None:
    for backend in BACKENDS:
        assert all(c.holds for c in conditions(backend, _foreign())) == (backend == "reference")


def test_a_parametrised_cell_trains_on_the_reference() -> None:
    torch.manual_seed(0)
    cell = parametrizations.weight_norm(GRUCell(D, H), "weight_h")
    y, _ = scan(cell, torch.randn(2, 3, D))
    y.sum().backward()
    assert all(p.grad is not None for p in cell.parameters())


def test_an_edit_acts_on_every_step() -> None:
    torch.manual_seed(0)
    cell = shaken(LSTMCell(D, H))
    x, c = torch.randn(2, 4, D), torch.randn(2, H)

    def keep(gates):
        return gates._replace(f=torch.ones_like(gates.f), i=torch.zeros_like(gates.i))

    _, state = scan(cell, x, LSTMState(torch.zeros(2, H), c), edit=keep)
    assert torch.equal(state.c, c)


@pytest.mark.parametrize("name", CELLS)
def test_the_mask_stands_where_h_enters_the_gates_and_nowhere_else(name: str) -> None:
    torch.manual_seed(0)
    cell = shaken(CELLS[name](D, H)).double()
    x = torch.randn(2, 3, D, dtype=torch.float64)
    mask = torch.tensor([[0.0, 2, 0, 2, 2], [2, 0, 2, 0, 2]], dtype=torch.float64)
    y, _ = scan(cell, x, mask=mask)
    state = cell.initial(x)
    for t in range(3):
        gates = cell.gates(cell.project(x)[:, t], state._replace(h=state.h * mask))
        expected, state = cell.advance(gates, state)
        torch.testing.assert_close(y[:, t], expected, rtol=0, atol=0)


@pytest.mark.parametrize("backend", modules.BACKENDS)
@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("reverse", [False, True])
def test_nothing_in_padding_matters_not_even_nan(name: str, backend: str, reverse: bool) -> None:
    torch.manual_seed(0)
    cell = shaken(CELLS[name](D, H))
    lengths = torch.tensor([2, 4, 0])
    x = torch.randn(3, 4, D)
    padded = torch.arange(4) >= lengths.unsqueeze(1)
    broken = x.masked_fill(padded.unsqueeze(2), float("nan"))
    y, state = scan(cell, x, None, lengths, reverse=reverse, backend=backend)
    y_broken, state_broken = scan(cell, broken, None, lengths, reverse=reverse, backend=backend)
    assert torch.equal(y, y_broken)
    assert not y[padded].any()
    assert all(torch.equal(a, b) for a, b in zip(state, state_broken, strict=True))


@pytest.mark.parametrize("backend", modules.BACKENDS)
def test_nan_and_infinity_in_real_steps_come_through(backend: str) -> None:
    torch.manual_seed(0)
    x = torch.randn(3, 4, D)
    x[0, 2, 0], x[1, 1, 1] = float("nan"), float("inf")
    y, _ = scan(GRUCell(D, H), x, backend=backend)
    assert y[0, :2].isfinite().all()
    assert y[0, 2:].isnan().all()
    assert y[2].isfinite().all()


@pytest.mark.parametrize("backend", modules.BACKENDS)
def test_the_state_that_came_in_is_never_written(backend: str) -> None:
    torch.manual_seed(0)
    cell = LSTMCell(D, H)
    state = LSTMState(torch.randn(2, H), torch.randn(2, H))
    before = [leaf.clone() for leaf in state]
    first = scan(cell, torch.randn(2, 3, D), state, backend=backend)[1]
    copies = [leaf.clone() for leaf in first]
    scan(cell, torch.randn(2, 3, D), first, backend=backend)
    assert all(torch.equal(a, b) for a, b in zip(before, state, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(copies, first, strict=True))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x": torch.zeros(2, 3, D + 1)}, r"x must have shape \(B, T, D=3\): got \(2, 3, 4\)"),
        ({"x": torch.zeros(3, D)}, r"x must have shape \(B, T, D=3\): got \(3, 3\)"),
        ({"lengths": torch.tensor([1])}, r"lengths must have shape \(B=2\): got \(1,\)"),
        ({"lengths": torch.tensor([1.0, 2.0])}, "lengths must be integers: got torch.float32"),
        ({"lengths": torch.tensor([1, 9])}, "lengths must lie between 0 and T=4: got 1 to 9"),
        ({"lengths": torch.tensor([-1, 2])}, "got -1 to 2"),
        ({"mask": torch.ones(2, H + 1)}, r"mask must have shape \(B=2, H=5\)"),
        ({"state": LSTMState(torch.zeros(3, H), torch.zeros(3, H))}, r"state.h must have shape \(2, 5\)"),
    ],
)
def test_wrong_arguments_are_named(arguments, message) -> None:
    with pytest.raises(ShapeError, match=message):
        scan(LSTMCell(D, H), **{"x": torch.zeros(2, 4, D), **arguments})


def test_torchs_twin_of_a_foreign_cell_is_refused() -> None:
    from unrolled.scan import torch as twin

    with pytest.raises(TypeError, match="Foreign"):
        twin.scan(_foreign(), torch.zeros(1, 1, D), None, None, reverse=False)


def _foreign() -> Cell:
    class Foreign(Cell):
        pass

    return Foreign(D, H)
