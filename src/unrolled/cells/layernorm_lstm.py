"""The LSTM with layer normalisation.

    a_t = LN(W_x x_t; γ_x, β_x) + LN(W_h h_{t−1}; γ_h, β_h) + b         packed i, f, g, o
    i_t, f_t, o_t = σ(a_t);  g_t = tanh(a_t)
    c_t = f_t ⊙ c_{t−1} + i_t ⊙ g_t
    h_t = o_t ⊙ tanh(LN(c_t; γ_c, β_c))
    y_t = h_t

    LN(a; γ, β) = γ ⊙ (a − mean(a)) / √(var(a) + ε) + β                 over all 4H numbers of a; over the H of c

State: (h, c). β_x and β_h are omitted, since they would only add to b. No fast twin: it runs on the reference backend.
Ba, Kiros & Hinton, "Layer normalization", 2016, supplementary material, equations 20 to 22; the LSTM: see
cells/lstm.py.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unrolled.cells.cell import Cell, glorot_, orthogonal_
from unrolled.cells.lstm import MEANINGS, STATE_MEANINGS, LSTMGates, LSTMState

__all__ = ["LayerNormLSTMCell"]


class LayerNormLSTMCell(Cell[LSTMState, LSTMGates]):
    """One step of an LSTM with layer normalisation.

    Args:
        input_size: size D of the input x.
        hidden_size: size H of the hidden state.
        forget_bias: initial value of b_f; with 1 a new cell keeps its state.

    Parameters: weight_x (4H, D), weight_h (4H, H), bias (4H,), gain_x and gain_h (4H,), packed i, f, g, o; gain_c and
    bias_c (H,).
    """

    State = LSTMState
    name = "layernorm_lstm"
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
        self.gain_x = nn.Parameter(torch.empty(4 * hidden_size))
        self.gain_h = nn.Parameter(torch.empty(4 * hidden_size))
        self.gain_c = nn.Parameter(torch.empty(hidden_size))
        self.bias_c = nn.Parameter(torch.empty(hidden_size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initialise: Glorot input weights, orthogonal recurrent weights, gains 1, biases 0 except that of f."""
        glorot_(self.weight_x, gates=4)
        orthogonal_(self.weight_h, gates=4)
        for gain in (self.gain_x, self.gain_h, self.gain_c):
            nn.init.ones_(gain)
        nn.init.zeros_(self.bias)
        nn.init.constant_(self.bias[self.hidden_size : 2 * self.hidden_size], self.forget_bias)
        nn.init.zeros_(self.bias_c)

    def project(self, x: Tensor) -> Tensor:
        """Return LN(W_x x) + b: (B, T, D) -> (B, T, 4H)."""
        return self._from_x(x) + self.bias

    def gates(self, x_gates: Tensor, state: LSTMState) -> LSTMGates:
        """Return i, f, g, o, each (…, H), from x_gates (…, 4H) and h (…, H)."""
        i, f, g, o = (x_gates + self._from_h(state.h)).chunk(4, dim=-1)
        return LSTMGates(i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid())

    def advance(self, gates: LSTMGates, state: LSTMState) -> tuple[Tensor, LSTMState]:
        """Forget and write the cell state, then read its normalised values."""
        c = gates.f * state.c + gates.i * gates.g
        h = gates.o * F.layer_norm(c, (self.hidden_size,), self.gain_c, self.bias_c).tanh()
        return h, LSTMState(h, c)

    def terms(self, x: Tensor, state: LSTMState) -> Mapping[str, Tensor]:
        """Return LN(W_x x), LN(W_h h) and b; see `Cell.terms`."""
        terms = {"from_x": self._from_x(x), "from_h": self._from_h(state.h), "bias": self.bias.unsqueeze(0)}
        return {name: value.view(*value.shape[:-1], 4, self.hidden_size) for name, value in terms.items()}

    def _from_x(self, x: Tensor) -> Tensor:
        return F.layer_norm(F.linear(x, self.weight_x), (4 * self.hidden_size,), self.gain_x)

    def _from_h(self, h: Tensor) -> Tensor:
        return F.layer_norm(F.linear(h, self.weight_h), (4 * self.hidden_size,), self.gain_h)
