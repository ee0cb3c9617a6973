"""Each cell against its equations, written out once more with scalars, and its weights at the start."""

import math

import pytest
import torch

from modules import EVERY_CELL, D, H, shaken
from unrolled import cells, lineage
from unrolled.cells import (
    Cell,
    ElmanCell,
    ElmanState,
    GRUCell,
    GRUState,
    LayerNormGRUCell,
    LayerNormLSTMCell,
    LSTMCell,
    LSTMState,
)
from unrolled.errors import ConfigError, ShapeError


def sigmoid(a: float) -> float:
    return 1 / (1 + math.exp(-a))


def step(cell: Cell, x: torch.Tensor, state):
    """One step from the three pieces, for x (B, D)."""
    return cell.advance(cell.gates(cell.project(x.unsqueeze(1))[:, 0], state), state)


def sums(weight: torch.Tensor, v: torch.Tensor, gate: int, unit: int) -> float:
    """Σ_k weight[gate, unit, k] v[k]."""
    row = weight[gate * H + unit]
    return math.fsum(float(row[k]) * float(v[k]) for k in range(len(v)))


@pytest.fixture
def x() -> torch.Tensor:
    torch.manual_seed(1)
    return torch.randn(2, D, dtype=torch.float64)


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
def test_elman_is_its_equation(x: torch.Tensor, nonlinearity: str) -> None:
    cell = shaken(ElmanCell(D, H, nonlinearity=nonlinearity)).double().requires_grad_(False)
    h = torch.randn(2, H, dtype=torch.float64)
    y, state = step(cell, x, ElmanState(h))
    phi = math.tanh if nonlinearity == "tanh" else lambda a: max(a, 0.0)
    for b in range(2):
        for u in range(H):
            a = sums(cell.weight_x, x[b], 0, u) + float(cell.bias[u]) + sums(cell.weight_h, h[b], 0, u)
            assert float(y[b, u]) == pytest.approx(phi(a), abs=1e-13)
    assert torch.equal(y, state.h)


def test_lstm_is_its_equations(x: torch.Tensor) -> None:
    cell = shaken(LSTMCell(D, H)).double().requires_grad_(False)
    h, c = torch.randn(2, 2, H, dtype=torch.float64)
    y, state = step(cell, x, LSTMState(h, c))
    for b in range(2):
        for u in range(H):
            i, f, g, o = (
                sums(cell.weight_x, x[b], k, u) + float(cell.bias[k * H + u]) + sums(cell.weight_h, h[b], k, u)
                for k in range(4)
            )
            c_t = sigmoid(f) * float(c[b, u]) + sigmoid(i) * math.tanh(g)
            assert float(state.c[b, u]) == pytest.approx(c_t, abs=1e-13)
            assert float(y[b, u]) == pytest.approx(sigmoid(o) * math.tanh(c_t), abs=1e-13)
    assert torch.equal(y, state.h)


def test_gru_is_its_equations(x: torch.Tensor) -> None:
    cell = shaken(GRUCell(D, H)).double().requires_grad_(False)
    h = torch.randn(2, H, dtype=torch.float64)
    y, state = step(cell, x, GRUState(h))
    for b in range(2):
        for u in range(H):
            from_x = [sums(cell.weight_x, x[b], k, u) + float(cell.bias[k * H + u]) for k in range(3)]
            from_h = [sums(cell.weight_h, h[b], k, u) for k in range(3)]
            r, z = sigmoid(from_x[0] + from_h[0]), sigmoid(from_x[1] + from_h[1])
            n = math.tanh(from_x[2] + r * (from_h[2] + float(cell.bias_n[u])))
            assert float(y[b, u]) == pytest.approx((1 - z) * n + z * float(h[b, u]), abs=1e-13)
    assert torch.equal(y, state.h)


def test_clamping_the_reset_gate_changes_the_candidate(x: torch.Tensor) -> None:
    cell = shaken(GRUCell(D, H)).double().requires_grad_(False)
    state = GRUState(torch.randn(2, H, dtype=torch.float64))
    gates = cell.gates(cell.project(x.unsqueeze(1))[:, 0], state)
    shut = gates._replace(r=torch.zeros_like(gates.r))
    assert torch.equal(shut.n, gates.x_n.tanh())
    assert not torch.equal(cell.advance(shut, state)[0], cell.advance(gates, state)[0])


@pytest.mark.parametrize("name", EVERY_CELL)
def test_gates_of_all_steps_at_once_equal_step_by_step(name: str) -> None:
    torch.manual_seed(2)
    cell = shaken(EVERY_CELL[name](D, H)).double().requires_grad_(False)
    B, T = 3, 4
    x_gates = cell.project(torch.randn(B, T, D, dtype=torch.float64))
    state = cell.State(*(torch.randn(B, T, *shape, dtype=torch.float64) for shape in cell.state_shapes()))
    together = cell.gates(x_gates, state)
    for t in range(T):
        alone = cell.gates(x_gates[:, t], cell.State(*(leaf[:, t] for leaf in state)))
        for a, b in zip(alone, together, strict=True):
            torch.testing.assert_close(a, b[:, t], rtol=0, atol=1e-14)


@pytest.mark.parametrize("name", EVERY_CELL)
def test_the_beginning_is_zero_of_the_same_kind(name: str) -> None:
    cell = EVERY_CELL[name](D, H)
    state = cell.initial(torch.ones(7, 2, D, dtype=torch.float64))
    assert all(leaf.dtype == torch.float64 and not leaf.any() for leaf in state)
    assert [leaf.shape for leaf in state] == [(7, *shape) for shape in cell.state_shapes()]


def test_weights_at_the_start() -> None:
    torch.manual_seed(0)
    for cell, gates in ((ElmanCell(64, 48), 1), (GRUCell(64, 48), 3), (LSTMCell(64, 48), 4)):
        bound = math.sqrt(6 / (64 + 48))
        assert 0.98 * bound < float(cell.weight_x.detach().abs().max()) <= bound
        for rotation in cell.weight_h.detach().double().chunk(gates):
            torch.testing.assert_close(rotation @ rotation.T, torch.eye(48).double(), rtol=0, atol=1e-5)
    assert not GRUCell(3, 5).bias.any()
    assert not GRUCell(3, 5).bias_n.any()
    assert torch.equal(ElmanCell(3, 5, nonlinearity="relu").weight_h, torch.eye(5))


@pytest.mark.parametrize("forget_bias", [1.0, 2.5])
def test_the_forget_bias_is_written_once(forget_bias: float) -> None:
    cell = LSTMCell(D, H, forget_bias=forget_bias) if forget_bias != 1 else LSTMCell(D, H)
    i, f, g, o = cell.bias.detach().chunk(4)
    assert torch.equal(f, torch.full((H,), forget_bias))
    assert not torch.cat([i, g, o]).any()


def test_bad_sizes_and_options_are_refused() -> None:
    with pytest.raises(ConfigError, match="hidden_size must be at least 1: got 0"):
        GRUCell(3, 0)
    with pytest.raises(ConfigError, match="got 'sigmoid'"):
        ElmanCell(3, 5, nonlinearity="sigmoid")  # type: ignore[arg-type]


def test_a_cell_without_its_pieces_says_which() -> None:
    cell = Cell(3, 5)
    with pytest.raises(NotImplementedError, match=r"Cell must define project"):
        cell.project(torch.zeros(1, 1, 3))
    with pytest.raises(NotImplementedError, match=r"gates"):
        cell.gates(torch.zeros(1, 5), None)
    with pytest.raises(NotImplementedError, match=r"advance"):
        cell.advance(None, None)


def test_repr_names_the_sizes() -> None:
    assert repr(ElmanCell(3, 5)) == "ElmanCell(3, 5, nonlinearity='tanh')"
    assert repr(GRUCell(3, 5)) == "GRUCell(3, 5)"


def normalised(values: list[float], gain: torch.Tensor, bias: torch.Tensor | None = None) -> list[float]:
    """Layer normalisation of scalars; the ε of the variance is 1e-5."""
    mean = math.fsum(values) / len(values)
    deviation = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / len(values) + 1e-5)
    return [
        float(gain[k]) * (v - mean) / deviation + (0.0 if bias is None else float(bias[k]))
        for k, v in enumerate(values)
    ]


def test_layernorm_lstm_is_its_equations(x: torch.Tensor) -> None:
    cell = shaken(LayerNormLSTMCell(D, H)).double().requires_grad_(False)
    h, c = torch.randn(2, 2, H, dtype=torch.float64)
    y, state = step(cell, x, LSTMState(h, c))
    for b in range(2):
        every = [(k, u) for k in range(4) for u in range(H)]
        from_x = normalised([sums(cell.weight_x, x[b], k, u) for k, u in every], cell.gain_x)
        from_h = normalised([sums(cell.weight_h, h[b], k, u) for k, u in every], cell.gain_h)
        a = [p + q + float(bias) for p, q, bias in zip(from_x, from_h, cell.bias, strict=True)]
        new = []
        for u in range(H):
            i, f, g = a[u], a[H + u], a[2 * H + u]
            new.append(sigmoid(f) * float(c[b, u]) + sigmoid(i) * math.tanh(g))
            assert float(state.c[b, u]) == pytest.approx(new[u], abs=1e-12)
        for u, value in enumerate(normalised(new, cell.gain_c, cell.bias_c)):
            assert float(y[b, u]) == pytest.approx(sigmoid(a[3 * H + u]) * math.tanh(value), abs=1e-12)


def test_layernorm_gru_is_its_equations(x: torch.Tensor) -> None:
    cell = shaken(LayerNormGRUCell(D, H)).double().requires_grad_(False)
    h = torch.randn(2, H, dtype=torch.float64)
    y, _ = step(cell, x, GRUState(h))
    for b in range(2):
        both = [(k, u) for k in range(2) for u in range(H)]
        gates = [normalised([sums(w, v[b], k, u) for k, u in both], gain[: 2 * H])
                 for w, v, gain in ((cell.weight_x, x, cell.gain_x), (cell.weight_h, h, cell.gain_h))]  # fmt: skip
        halves = [normalised([sums(w, v[b], 2, u) for u in range(H)], gain[2 * H :])
                  for w, v, gain in ((cell.weight_x, x, cell.gain_x), (cell.weight_h, h, cell.gain_h))]  # fmt: skip
        for u in range(H):
            r = sigmoid(gates[0][u] + gates[1][u] + float(cell.bias[u]))
            z = sigmoid(gates[0][H + u] + gates[1][H + u] + float(cell.bias[H + u]))
            n = math.tanh(halves[0][u] + float(cell.bias[2 * H + u]) + r * (halves[1][u] + float(cell.bias_n[u])))
            assert float(y[b, u]) == pytest.approx((1 - z) * n + z * float(h[b, u]), abs=1e-12)


def test_the_lineage_names_every_cell_once() -> None:
    assert sorted(lineage.CELLS) == sorted(cells.CELLS)
    assert all(cells.CELLS[name].name == name for name in cells.CELLS)


@pytest.mark.parametrize("cell", cells.CELLS.values(), ids=cells.CELLS)
def test_a_cell_declares_its_own_gates_and_state(cell: type[Cell]) -> None:
    made = cell(D, H)
    state = made.initial(torch.zeros(1, 1, D))
    gates = made.gates(made.project(torch.zeros(1, 1, D))[:, 0], state)
    sizes = {"H": H, "N": 1, "K": H, "V": H, "1": 1, "W": 3, "C": made.weight_x.shape[0]}
    for name in (*cell.gate_meanings, *cell.state_meanings):
        value = getattr(gates if name in cell.gate_meanings else state, name)
        axes = cell.axes.get(name, "H").split()
        assert value.dim() == 1 + len(axes)
        assert all(size == sizes[axis] for size, axis in zip(value.shape[1:], axes, strict=True) if axis != "C")
    assert cell.gate_meanings.keys() <= {*type(gates)._fields, *vars(type(gates))}
    assert set(cell.state_meanings) == set(cell.State._fields)
    assert cell.keeps is None or cell.keeps in cell.gate_meanings
    if not hasattr(made, "num_heads"):
        assert len(cell.packed.split(", ")) * H == made.weight_x.shape[0]


def test_a_state_of_another_shape_is_named() -> None:
    with pytest.raises(ShapeError, match=r"state.c must have shape \(2, 5\): got \(2, 4\)"):
        LSTMCell(D, H).check(LSTMState(torch.zeros(2, H), torch.zeros(2, 4)), 2)
