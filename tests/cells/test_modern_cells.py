"""The cells after GPT against their equations, written out once more with scalars over several steps, in float64."""

import math
from collections.abc import Callable

import pytest
import torch

from modules import D, shaken
from unrolled import scan
from unrolled.cells import (
    Cell,
    GatedDeltaNetCell,
    LinearAttentionCell,
    Mamba2Cell,
    MinGRUCell,
    MinLSTMCell,
    MLSTMCell,
    SLSTMCell,
)
from unrolled.errors import ConfigError
from unrolled.layers import Recurrent

T, N, K = 5, 2, 3
H = N * K
Row = list[float]


def sigmoid(a: float) -> float:
    return 1 / (1 + math.exp(-a))


def silu(a: float) -> float:
    return a * sigmoid(a)


def softplus(a: float) -> float:
    return math.log1p(math.exp(a))


def product(cell: Cell, x: Row) -> Row:
    """W_x x with scalars."""
    return [math.fsum(w * v for w, v in zip(row, x, strict=True)) for row in cell.weight_x.tolist()]


def per_head(values: Row) -> list[Row]:
    return [values[n * K : (n + 1) * K] for n in range(N)]


def unit(values: Row) -> Row:
    length = math.sqrt(math.fsum(v * v for v in values) + 1e-6)
    return [v / length for v in values]


def rms(values: Row, gain: Row) -> Row:
    root = math.sqrt(math.fsum(v * v for v in values) / len(values) + 1e-6)
    return [g * v / root for g, v in zip(gain, values, strict=True)]


def read(S: list[Row], q: Row) -> Row:
    """Sᵀ q."""
    return [math.fsum(S[a][b] * q[a] for a in range(len(q))) for b in range(len(S[0]))]


def zeros() -> list[list[Row]]:
    return [[[0.0] * K for _ in range(K)] for _ in range(N)]


def convolved(us: list[Row], filters: list[Row], bias: Row) -> Row:
    """The convolution after the vectors so far: the last has the last filter."""
    n = len(filters)
    padded = [[0.0] * len(us[0])] * (n - 1) + us
    last = padded[-n:]
    return [math.fsum(filters[j][c] * last[j][c] for j in range(n)) + bias[c] for c in range(len(us[0]))]


def mingru(cell: MinGRUCell, xs: list[Row]) -> list[Row]:
    h, ys = [0.0] * H, []
    for x in xs:
        a = [p + b for p, b in zip(product(cell, x), cell.bias.tolist(), strict=True)]
        z, n = [sigmoid(v) for v in a[:H]], a[H:]
        h = [(1 - z[u]) * h[u] + z[u] * n[u] for u in range(H)]
        ys.append(h)
    return ys


def minlstm(cell: MinLSTMCell, xs: list[Row]) -> list[Row]:
    h, ys = [0.0] * H, []
    for x in xs:
        a = [p + b for p, b in zip(product(cell, x), cell.bias.tolist(), strict=True)]
        i, f, g = [sigmoid(v) for v in a[:H]], [sigmoid(v) for v in a[H : 2 * H]], a[2 * H :]
        h = [(f[u] * h[u] + i[u] * g[u]) / (f[u] + i[u]) for u in range(H)]
        ys.append(h)
    return ys


def linear_attention(cell: LinearAttentionCell, xs: list[Row]) -> list[Row]:
    """By the weights over all steps so far, not by a state."""

    def phi(v: float) -> float:
        return v + 1 if v > 0 else math.exp(v)

    keys, values, ys = [], [], []
    for x in xs:
        a = product(cell, x)
        keys.append(per_head([phi(v) for v in a[H : 2 * H]]))
        values.append(per_head(a[2 * H :]))
        y = []
        for n, q in enumerate(per_head([phi(v) for v in a[:H]])):
            fits = [math.fsum(q[c] * key[n][c] for c in range(K)) for key in keys]
            total = math.fsum(fits) + 1e-6
            y += [math.fsum(fit * value[n][c] for fit, value in zip(fits, values, strict=True)) / total
                  for c in range(K)]  # fmt: skip
        ys.append(y)
    return ys


def mlstm(cell: MLSTMCell, xs: list[Row]) -> list[Row]:
    """Without the stabiliser: exp(ĩ) as it stands, and the normaliser of at least 1."""
    C, norm, ys = zeros(), [[0.0] * K for _ in range(N)], []
    for x in xs:
        a, bias = product(cell, x), cell.bias.tolist()
        q, k, v, o = (per_head(a[p * H : (p + 1) * H]) for p in range(4))
        y = []
        for n in range(N):
            i, f = math.exp(a[4 * H + n] + bias[n]), sigmoid(a[4 * H + N + n] + bias[N + n])
            key = [value / math.sqrt(K) for value in k[n]]
            C[n] = [[f * C[n][r][c] + i * key[r] * v[n][c] for c in range(K)] for r in range(K)]
            norm[n] = [f * norm[n][r] + i * key[r] for r in range(K)]
            least = max(abs(math.fsum(norm[n][r] * q[n][r] for r in range(K))), 1.0)
            hidden = rms([value / least for value in read(C[n], q[n])], cell.gain[n].tolist())
            y += [sigmoid(o[n][c]) * hidden[c] for c in range(K)]
        ys.append(y)
    return ys


def slstm(cell: SLSTMCell, xs: list[Row]) -> list[Row]:
    """Without the stabiliser."""
    h, c, norm, ys = [0.0] * H, [0.0] * H, [0.0] * H, []
    R = cell.weight_h.tolist()  # (4N, K, K), packed i, f, g, o
    for x in xs:
        a, bias, before = product(cell, x), cell.bias.tolist(), per_head(h)
        after = []
        for u in range(H):
            n, r = divmod(u, K)
            i, f, g, o = (
                a[p * H + u] + bias[p * H + u] + math.fsum(R[p * N + n][r][s] * before[n][s] for s in range(K))
                for p in range(4)
            )
            c[u] = sigmoid(f) * c[u] + math.exp(i) * math.tanh(g)
            norm[u] = sigmoid(f) * norm[u] + math.exp(i)
            after.append(sigmoid(o) * c[u] / norm[u])
        h = after
        ys.append(h)
    return ys


def mamba2(cell: Mamba2Cell, xs: list[Row]) -> list[Row]:
    S, us, ys = zeros(), [], []
    for x in xs:
        a = product(cell, x)
        z, delta = per_head(a[:H]), a[2 * H + 2 * K :]
        us.append(a[H : 2 * H + 2 * K])
        mixed = [silu(v) for v in convolved(us, cell.filter.tolist(), cell.filter_bias.tolist())]
        value, B, C = per_head(mixed[:H]), mixed[H : H + K], mixed[H + K :]
        gated = []
        for n in range(N):
            step = softplus(delta[n] + float(cell.step_bias[n]))
            decay = math.exp(-step * math.exp(float(cell.decay_log[n])))
            S[n] = [[decay * S[n][r][c] + B[r] * step * value[n][c] for c in range(K)] for r in range(K)]
            s = [v + float(cell.skip[n]) * w for v, w in zip(read(S[n], C), value[n], strict=True)]
            gated += [v * silu(w) for v, w in zip(s, z[n], strict=True)]
        ys.append(rms(gated, cell.gain.tolist()))
    return ys


def gated_deltanet(cell: GatedDeltaNetCell, xs: list[Row]) -> list[Row]:
    """By the matrix α (I − β k kᵀ), not by the prediction error."""
    S, us, ys = zeros(), [], []
    for x in xs:
        a = product(cell, x)
        us.append(a[: 3 * H])
        mixed = [silu(v) for v in convolved(us, cell.filter.tolist(), [0.0] * 3 * H)]
        q, k, v = (per_head(mixed[p * H : (p + 1) * H]) for p in range(3))
        g, y = per_head(a[3 * H : 4 * H]), []
        for n in range(N):
            beta = sigmoid(a[4 * H + n]) * (2 if cell.negative_eigenvalues else 1)
            slope = softplus(a[4 * H + N + n] + float(cell.step_bias[n]))
            alpha = math.exp(-math.exp(float(cell.decay_log[n])) * slope)
            key, query = unit(k[n]), [value / math.sqrt(K) for value in unit(q[n])]
            keeps = [[(r == c) - beta * key[r] * key[c] for c in range(K)] for r in range(K)]
            S[n] = [
                [alpha * math.fsum(keeps[r][m] * S[n][m][c] for m in range(K)) + beta * key[r] * v[n][c]
                 for c in range(K)]
                for r in range(K)
            ]  # fmt: skip
            hidden = rms(read(S[n], query), cell.gain[n].tolist())
            y += [hidden[c] * silu(g[n][c]) for c in range(K)]
        ys.append(y)
    return ys


CASES: dict[str, tuple[Callable[[], Cell], Callable]] = {
    "mingru": (lambda: MinGRUCell(D, H), mingru),
    "minlstm": (lambda: MinLSTMCell(D, H), minlstm),
    "linear_attention": (lambda: LinearAttentionCell(D, H, num_heads=N), linear_attention),
    "mlstm": (lambda: MLSTMCell(D, H, num_heads=N), mlstm),
    "slstm": (lambda: SLSTMCell(D, H, num_heads=N), slstm),
    "mamba2": (lambda: Mamba2Cell(D, H, num_heads=N), mamba2),
    "mamba2-2": (lambda: Mamba2Cell(D, H, num_heads=N, convolution=2), mamba2),
    "gated_deltanet": (lambda: GatedDeltaNetCell(D, H, num_heads=N), gated_deltanet),
    "gated_deltanet-negative": (
        lambda: GatedDeltaNetCell(D, H, num_heads=N, convolution=1, negative_eigenvalues=True),
        gated_deltanet,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_cell_is_its_equations(name: str) -> None:
    torch.manual_seed(3)
    make, by_hand = CASES[name]
    cell = shaken(make()).double().requires_grad_(False)
    x = torch.randn(2, T, D, dtype=torch.float64)
    wanted = torch.tensor([by_hand(cell, sequence) for sequence in x.tolist()], dtype=torch.float64)
    y, state = scan.scan(cell, x, backend="reference")
    torch.testing.assert_close(y, wanted, rtol=1e-5 if name == "mlstm" else 0, atol=1e-12)  # ε on either scale
    assert torch.equal(cell.output(state), y[:, -1])
    if cell.is_linear:
        parallel, _ = scan.scan(cell, x, backend="torch")
        torch.testing.assert_close(parallel, y, rtol=0, atol=1e-12)


@pytest.mark.parametrize("make", [MLSTMCell, SLSTMCell])
@pytest.mark.parametrize("size", [-300.0, 300.0])
def test_exponential_gates_do_not_overflow(make: type[Cell], size: float) -> None:
    torch.manual_seed(0)
    cell = make(D, 4, num_heads=2)
    with torch.no_grad():
        cell.bias[: 2 if make is MLSTMCell else 4] = size
    x = torch.randn(2, 6, D, requires_grad=True)
    y, _ = scan.scan(cell, x)
    assert y.isfinite().all()
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert gradient.isfinite().all()


def test_both_gates_of_a_minlstm_may_be_shut() -> None:
    cell = MinLSTMCell(D, 4)
    with torch.no_grad():
        cell.bias[:8] = -200
    y, _ = scan.scan(cell, torch.randn(1, 3, D))
    assert y.isfinite().all()


def test_a_delta_rule_replaces_the_value_of_a_key_and_linear_attention_does_not() -> None:
    """With β = 1, without decay, the same key twice: only its second value is read."""
    cell = GatedDeltaNetCell(D, 4)
    S = torch.zeros(1, 1, 4, 4)
    key, one = torch.nn.functional.normalize(torch.randn(1, 1, 4), dim=-1), torch.ones(1, 1)
    for value in (torch.tensor([[[1.0, 2, 3, 4]]]), torch.tensor([[[5.0, 6, 7, 8]]])):
        gates = cell.gates(torch.zeros(1, 18), cell.initial(torch.zeros(1, 1, D)))
        gates = gates._replace(q=key, k=key, v=value, beta=one, log_alpha=0 * one)
        _, state = cell.advance(gates, cell.State(S, torch.zeros(1, 3, 12), torch.zeros(1, 4)))
        S = state.S
    torch.testing.assert_close((key.unsqueeze(-2) @ S).flatten(), torch.tensor([5.0, 6, 7, 8]))


def test_a_key_can_change_signs_only_with_negative_eigenvalues() -> None:
    for negative in (False, True):
        cell = GatedDeltaNetCell(D, 4, negative_eigenvalues=negative)
        gates = cell.gates(torch.full((1, 18), 50.0), cell.initial(torch.zeros(1, 1, D)))
        assert float(gates.beta) == pytest.approx(2 if negative else 1)


def test_a_state_is_refused_with_its_shape_and_heads_must_divide() -> None:
    for make in (LinearAttentionCell, MLSTMCell, SLSTMCell, Mamba2Cell, GatedDeltaNetCell):
        with pytest.raises(ConfigError, match="divisible by num_heads: got 6 and 4; try 4 or 8"):
            make(D, 6, num_heads=4)
        with pytest.raises(ConfigError, match="divisible by num_heads"):
            make(D, 6, num_heads=0)
    for make in (Mamba2Cell, GatedDeltaNetCell):
        with pytest.raises(ConfigError, match="convolution must be at least 1: got 0"):
            make(D, 6, convolution=0)
    for make in (MinGRUCell, LinearAttentionCell, Mamba2Cell):
        with pytest.raises(ConfigError, match="feeds nothing back into its gates: remove recurrent_dropout"):
            Recurrent(make(D, 6), recurrent_dropout=0.2)
