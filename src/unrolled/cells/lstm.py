"""The LSTM cell: a cell state with gates that write, keep and read it.

    i_t = σ(W_xi x_t + b_i + W_hi h_{t−1})        input gate
    f_t = σ(W_xf x_t + b_f + W_hf h_{t−1})        forget gate
    g_t = tanh(W_xg x_t + b_g + W_hg h_{t−1})     candidate
    o_t = σ(W_xo x_t + b_o + W_ho h_{t−1})        output gate
    c_t = f_t ⊙ c_{t−1} + i_t ⊙ g_t
    h_t = o_t ⊙ tanh(c_t)
    y_t = h_t

Packed order: i, f, g, o. State: (h, c). Twins: csrc/kernels/lstm.cc (scan/fused.py), torch.nn.LSTM (scan/torch.py).
Hochreiter & Schmidhuber, "Long short-term memory", Neural Computation 9, 1997; the forget gate: Gers, Schmidhuber &
Cummins, "Learning to forget", Neural Computation 12, 2000; its bias of 1: Jozefowicz, Zaremba & Sutskever 2015.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unrolled.cells.cell import OPEN, Cell, affine_terms, glorot_, orthogonal_

__all__ = ["MEANINGS", "STATE_MEANINGS", "LSTMCell", "LSTMGates", "LSTMState"]


class LSTMState(NamedTuple):
    """The state of an LSTM: h (B, H), the hidden state, and c (B, H), the cell state."""

    h: Tensor
    c: Tensor


class LSTMGates(NamedTuple):
    """Input, forget, candidate, output, each (…, H)."""

    i: Tensor
    f: Tensor
    g: Tensor
    o: Tensor


MEANINGS = {
    "i": f"input gate, {OPEN}",
    "f": "forget gate, keeps at 1, forgets at 0",
    "g": "candidate, the value that may be written",
    "o": f"output gate, {OPEN}",
}
"""The gates of an LSTM, for the names of a trace."""
STATE_MEANINGS = {"h": "hidden state", "c": "cell state"}
"""The leaves of the state of an LSTM, for the names of a trace."""


class LSTMCell(Cell[LSTMState, LSTMGates]):
    """One step of an LSTM.

    Args:
        input_size: size D of the input x.
        hidden_size: size H of the hidden state.
        forget_bias: initial value of b_f; with 1 a new cell keeps its state.

    Parameters: weight_x (4H, D), weight_h (4H, H), bias (4H,), packed i, f, g, o.
    """

    State = LSTMState
    name = "lstm"
    options = frozenset({"forget_bias"})
    gate_meanings = MEANINGS
    state_meanings = STATE_MEANINGS
    packed = "i, f, g, o"
    keeps = "f"

    def __init__(self, input_size: int, hidden_size: int, *, forget_bias: float = 1.0) -> None:
        super().__init__(input_size, hidden_size)
        self.forget_bias = forget_bias
        self.weight_x = nn.Parameter(torch.empty(4 * hidden_size, input_size))
        self.weight_h = nn.Parameter(torch.empty(4 * hidden_size, hidden_size))
        self.bias = nn.Parameter(torch.empty(4 * hidden_size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initialise: Glorot input weights, orthogonal recurrent weights, bias 0 except the forget gate's."""
        glorot_(self.weight_x, gates=4)
        orthogonal_(self.weight_h, gates=4)
        nn.init.zeros_(self.bias)
        nn.init.constant_(self.bias[self.hidden_size : 2 * self.hidden_size], self.forget_bias)

    def project(self, x: Tensor) -> Tensor:
        """Return W_x x + b: (B, T, D) -> (B, T, 4H)."""
        return F.linear(x, self.weight_x, self.bias)

    def gates(self, x_gates: Tensor, state: LSTMState) -> LSTMGates:
        """Return i, f, g, o, each (…, H), from x_gates (…, 4H) and h (…, H)."""
        i, f, g, o = (x_gates + state.h @ self.weight_h.T).chunk(4, dim=-1)
        return LSTMGates(i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid())

    def advance(self, gates: LSTMGates, state: LSTMState) -> tuple[Tensor, LSTMState]:
        """Forget and write the cell state, then read it."""
        c = gates.f * state.c + gates.i * gates.g
        h = gates.o * c.tanh()
        return h, LSTMState(h, c)

    def terms(self, x: Tensor, state: LSTMState) -> Mapping[str, Tensor]:
        """Return W_x x, W_h h and b; see `Cell.terms`."""
        return affine_terms(x, state.h, self.weight_x, self.weight_h, self.bias)
