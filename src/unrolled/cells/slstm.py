"""The sLSTM of xLSTM: an LSTM with exponential gates, a normaliser, and h that mixes inside each head.

    ĩ_t, f̃_t, z̃_t, õ_t = W x_t + b + R h_{t−1}           R: for each gate one matrix K × K in each of N heads
    z_t = tanh(z̃_t);  o_t = σ(õ_t)
    i_t = exp(ĩ_t);  f_t = σ(f̃_t)
    c_t = f_t ⊙ c_{t−1} + i_t ⊙ z_t
    n_t = f_t ⊙ n_{t−1} + i_t                            the normaliser
    h_t = o_t ⊙ c_t / n_t
    y_t = h_t

computed with a stabiliser m_t that is divided out, because exp(ĩ_t) overflows:

    m_t = max(ln f_t + m_{t−1}, ĩ_t)                     ĩ_t while n_{t−1} = 0: there is nothing yet to keep
    i′_t = exp(ĩ_t − m_t);  f′_t = exp(ln f_t + m_{t−1} − m_t)     c and n in the state are c / exp(m), n / exp(m)

| here            | in the paper                               |
|-----------------|--------------------------------------------|
| g               | z, the cell input                          |
| weight_h        | R, block-diagonal                          |
| c, n, m, i, f, o | the same (equations 8 to 17)              |

Packed order: i, f, g, o. State: (h, c, n, m). No twin: the gates see h, so its steps are taken one after another.
Beck et al., "xLSTM: extended long short-term memory", 2024, equations 8 to 17.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unrolled.cells.cell import OPEN, Cell, glorot_, orthogonal_
from unrolled.cells.heads import head_size, heads

__all__ = ["SLSTMCell", "SLSTMGates", "SLSTMState"]


class SLSTMState(NamedTuple):
    """The state: h, c and n, the last two over exp(m), and m, each (B, H)."""

    h: Tensor
    c: Tensor
    n: Tensor
    m: Tensor


class SLSTMGates(NamedTuple):
    """ĩ, ln f, candidate and output gate, each (…, H)."""

    log_i: Tensor
    log_f: Tensor
    g: Tensor
    o: Tensor

    @property
    def i(self) -> Tensor:
        """The input gate, above 0, (…, H)."""
        return self.log_i.exp()

    @property
    def f(self) -> Tensor:
        """The forget gate, (…, H)."""
        return self.log_f.exp()


class SLSTMCell(Cell[SLSTMState, SLSTMGates]):
    """One step of an sLSTM.

    Args:
        input_size: size D of the input x.
        hidden_size: size H of the hidden state, N heads of size K.
        num_heads: N.

    Parameters: weight_x (4H, D), weight_h (4N, K, K), bias (4H,), packed i, f, g, o.

    Raises:
        ConfigError: num_heads does not divide hidden_size.
    """

    State = SLSTMState
    name = "slstm"
    options = frozenset({"num_heads"})
    gate_meanings: ClassVar[Mapping[str, str]] = {
        "i": "input gate, exponential: 0 writes nothing",
        "f": "forget gate, keeps at 1, forgets at 0",
        "g": "candidate, the value that may be written",
        "o": f"output gate, {OPEN}",
    }
    state_meanings: ClassVar[Mapping[str, str]] = {
        "h": "hidden state",
        "c": "cell state over exp(m)",
        "n": "normaliser over exp(m)",
        "m": "stabiliser",
    }
    packed = "i, f, g, o"
    keeps = "f"

    def __init__(self, input_size: int, hidden_size: int, *, num_heads: int = 1) -> None:
        super().__init__(input_size, hidden_size)
        self.num_heads, self.head_size = num_heads, head_size(hidden_size, num_heads)
        self.weight_x = nn.Parameter(torch.empty(4 * hidden_size, input_size))
        self.weight_h = nn.Parameter(torch.empty(4 * num_heads, self.head_size, self.head_size))
        self.bias = nn.Parameter(torch.empty(4 * hidden_size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initialise: Glorot input weights, orthogonal recurrent weights, bias 0 except the forget gate's, 3 to 6."""
        glorot_(self.weight_x, gates=4)
        for matrix in self.weight_h:
            orthogonal_(matrix, gates=1)
        nn.init.zeros_(self.bias)
        H = self.hidden_size
        with torch.no_grad():
            self.bias[H : 2 * H] = torch.linspace(3, 6, H)

    def project(self, x: Tensor) -> Tensor:
        """Return W x + b: (B, T, D) -> (B, T, 4H)."""
        return F.linear(x, self.weight_x, self.bias)

    def gates(self, x_gates: Tensor, state: SLSTMState) -> SLSTMGates:
        """Return the gates, each (…, H), from x_gates (…, 4H) and h (…, H)."""
        R = self.weight_h.view(4, self.num_heads, self.head_size, self.head_size)
        mixed = (R @ heads(state.h, self.num_heads)[..., None, :, :, None]).squeeze(-1)  # (…, 4, N, K)
        i, f, g, o = (x_gates + mixed.flatten(-3)).chunk(4, dim=-1)
        return SLSTMGates(i, F.logsigmoid(f), g.tanh(), o.sigmoid())

    def advance(self, gates: SLSTMGates, state: SLSTMState) -> tuple[Tensor, SLSTMState]:
        """Forget and write the cell state and the normaliser, then read their quotient."""
        kept = torch.where(state.n == 0, gates.log_i, gates.log_f + state.m)
        m = torch.maximum(kept, gates.log_i)
        f, i = (kept - m).exp(), (gates.log_i - m).exp()
        c = f * state.c + i * gates.g
        n = f * state.n + i
        h = gates.o * c / n
        return h, SLSTMState(h, c, n, m)
