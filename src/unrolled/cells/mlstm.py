"""The mLSTM of xLSTM: an LSTM with a matrix as its cell state, an exponential input gate and gates that do not see h.

    q_t, k_t, v_t = W_q x_t, W_k x_t / √K, W_v x_t                    in N heads; K = V = H / N
    ĩ_t = w_i x_t + b_i;  f̃_t = w_f x_t + b_f                        one number each in a head
    o_t = σ(W_o x_t)
    i_t = exp(ĩ_t);  f_t = σ(f̃_t)
    C_t = f_t C_{t−1} + i_t k_t v_tᵀ
    n_t = f_t n_{t−1} + i_t k_t                                      the normaliser
    h̃_t = C_tᵀ q_t / max(|n_t · q_t|, 1)
    y_t = o_t ⊙ rms(h̃_t; γ)

computed with a stabiliser m_t that is divided out, because exp(ĩ_t) overflows:

    m_t = max(ln f_t + m_{t−1}, ĩ_t)
    i′_t = exp(ĩ_t − m_t);  f′_t = exp(ln f_t + m_{t−1} − m_t)        C and n in the state are C / exp(m), n / exp(m)
    h̃_t = C_tᵀ q_t / (max(|n_t · q_t|, exp(−m_t)) + ε)

| here         | in the paper                                       |
|--------------|----------------------------------------------------|
| C (K, V)     | C transposed, which is written as v kᵀ             |
| y            | h; the norm of each head stands in the block there |
| C, n, m, o, ĩ, f̃ | the same (equations 19 to 27)                 |

Packed order: q, k, v, o, i, f. State: (C, n, m, y). Twin: scan/parallel.py. f̃ starts at 3 to 6 over the heads, ĩ near
0, as in the authors' code (NX-AI/xlstm); ε = 1e-6 as in mlstm_kernels.
Beck et al., "xLSTM: extended long short-term memory", 2024, equations 19 to 27; chunkwise: Beck et al., 2025.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unrolled.cells.cell import OPEN, Cell
from unrolled.cells.heads import EPS, head_size, heads, outer, read, rms, start_

__all__ = ["MLSTMCell", "MLSTMGates", "MLSTMState"]


class MLSTMState(NamedTuple):
    """The state: C (B, N, K, V) and n (B, N, K), both over exp(m), m (B, N), and the last output y (B, H)."""

    C: Tensor
    n: Tensor
    m: Tensor
    y: Tensor


class MLSTMGates(NamedTuple):
    """Query, key, value and output gate, each (…, N, K); ĩ and ln f, each (…, N)."""

    q: Tensor
    k: Tensor
    v: Tensor
    o: Tensor
    log_i: Tensor
    log_f: Tensor

    @property
    def i(self) -> Tensor:
        """The input gate, above 0, (…, N)."""
        return self.log_i.exp()

    @property
    def f(self) -> Tensor:
        """The forget gate, (…, N)."""
        return self.log_f.exp()


class MLSTMCell(Cell[MLSTMState, MLSTMGates]):
    """One step of an mLSTM.

    Args:
        input_size: size D of the input x.
        hidden_size: size H of the output, N heads of size K.
        num_heads: N.

    Parameters: weight_x (4H + 2N, D), packed q, k, v, o, i, f; bias (2N,), of i and f; gain (N, K).

    Raises:
        ConfigError: num_heads does not divide hidden_size.
    """

    State = MLSTMState
    feedback = ()
    emits = "y"
    is_linear = True
    elementwise = frozenset({"gain"})
    name = "mlstm"
    options = frozenset({"num_heads"})
    gate_meanings: ClassVar[Mapping[str, str]] = {
        "f": "forget gate, keeps at 1, forgets at 0",
        "i": "input gate, exponential: 0 writes nothing",
        "q": "query, W_q x",
        "k": "key, W_k x / √K",
        "v": "value, W_v x",
        "o": f"output gate, {OPEN}",
    }
    state_meanings: ClassVar[Mapping[str, str]] = {
        "C": "matrix of each head over exp(m)",
        "n": "normaliser of each head over exp(m)",
        "m": "stabiliser of each head",
        "y": "output",
    }
    axes: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(("q", "k", "v", "o", "n"), "N K"),
        **dict.fromkeys(("f", "i", "m"), "N"),
        "C": "N K V",
    }
    packed = "q, k, v, o, i, f"
    keeps = "f"

    def __init__(self, input_size: int, hidden_size: int, *, num_heads: int = 1) -> None:
        super().__init__(input_size, hidden_size)
        self.num_heads, self.head_size = num_heads, head_size(hidden_size, num_heads)
        self.parts = [hidden_size] * 4 + [num_heads] * 2
        self.weight_x = nn.Parameter(torch.empty(sum(self.parts), input_size))
        self.bias = nn.Parameter(torch.empty(2 * num_heads))
        self.gain = nn.Parameter(torch.empty(num_heads, self.head_size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initialise: Glorot weights, but 0 for i and f; b_i from N(0, 0.1²), b_f from 3 to 6 over heads; gain 1."""
        N = self.num_heads
        start_(self.weight_x[: -2 * N], self.parts[:4])
        nn.init.zeros_(self.weight_x[-2 * N :])
        nn.init.normal_(self.bias[:N], std=0.1)
        with torch.no_grad():
            self.bias[N:] = torch.linspace(3, 6, N)
        nn.init.ones_(self.gain)

    def state_shapes(self) -> MLSTMState:
        """Return the shapes of C, n, m and y."""
        N, K = self.num_heads, self.head_size
        return MLSTMState((N, K, K), (N, K), (N,), (self.hidden_size,))  # type: ignore[arg-type]

    @property
    def state_products(self) -> tuple[int, int]:
        """N K V each: C is written, and read."""
        M = self.hidden_size * self.head_size
        return M, M

    def project(self, x: Tensor) -> Tensor:
        """Return W x, with b at the end: (B, T, D) -> (B, T, 4H + 2N)."""
        return F.linear(x, self.weight_x, F.pad(self.bias, (4 * self.hidden_size, 0)))

    def gates(self, x_gates: Tensor, state: MLSTMState) -> MLSTMGates:
        """Return the gates from x_gates (…, 4H + 2N)."""
        *vectors, i, f = torch.split(x_gates, self.parts, dim=-1)
        q, k, v, o = (heads(part, self.num_heads) for part in vectors)
        return MLSTMGates(q, k * self.head_size**-0.5, v, o.sigmoid(), i, F.logsigmoid(f))

    def advance(self, gates: MLSTMGates, state: MLSTMState) -> tuple[Tensor, MLSTMState]:
        """Forget, write the value under its key, then read with the query."""
        m = torch.maximum(gates.log_f + state.m, gates.log_i)
        f, i = (gates.log_f + state.m - m).exp(), (gates.log_i - m).exp()
        k = i.unsqueeze(-1) * gates.k
        C = f[..., None, None] * state.C + outer(k, gates.v)
        n = f.unsqueeze(-1) * state.n + k
        y = self.emitted(gates, read(C, gates.q), (n * gates.q).sum(dim=-1), m)
        return y, MLSTMState(C, n, m, y)

    def emitted(self, gates: MLSTMGates, numerator: Tensor, denominator: Tensor, m: Tensor) -> Tensor:
        """Return y (…, H) from Cᵀ q (…, N, V), n · q (…, N) and m (…, N)."""
        least = torch.maximum(denominator.abs(), (-m).exp()) + EPS
        return (gates.o * rms(numerator / least.unsqueeze(-1), self.gain)).flatten(-2)
