"""Variants of cells for the claims: LSTMs with one part left out or two gates tied, an Elman cell of small weights.

Each LSTM computes some of the pre-activations of the LSTM (src/unrolled/cells/lstm.py), in its letters,

    a_t = W_xa x_t + b_a + W_ha h_{t−1}        for a in i, f, g, o

and differs from it in one equation:

    NoInputGate           i_t = 1
    NoForgetGate          f_t = 1                       the LSTM of 1997
    NoOutputGate          o_t = 1
    NoOutputActivation    h_t = o_t ⊙ c_t
    TiedGates             i_t = 1 − f_t                 the GRU's assumption

Greff, Srivastava, Koutník, Steunebrink & Schmidhuber, "LSTM: a search space odyssey", IEEE Transactions on Neural
Networks and Learning Systems 28, 2017, section IV-C (NIG, NFG, NOG, NOAF, CIFG). Parameters are initialised as those of
the LSTM: Glorot, orthogonal, bias 0 except that of the forget gate, 1.

`SmallElman` is the Elman cell (src/unrolled/cells/elman.py) with the initial recurrent weights of torch.nn.RNN:

    W_h ~ U(−1/√H, 1/√H)        a spectral radius of about 1/√3, so that h shrinks at each step
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unrolled.cells import Cell, ElmanCell
from unrolled.cells.cell import glorot_, orthogonal_
from unrolled.cells.lstm import LSTMGates, LSTMState

__all__ = ["CELLS", "NoForgetGate", "NoInputGate", "NoOutputActivation", "NoOutputGate", "SmallElman", "TiedGates"]

FORGET_BIAS = 1.0


class _Variant(Cell[LSTMState, LSTMGates]):
    """An LSTM cell whose gates are those in `computed`; the others are 1.

    Args:
        input_size: size D of the input x.
        hidden_size: size H of the hidden state.

    Parameters: weight_x (G·H, D), weight_h (G·H, H), bias (G·H,), packed in the order of `computed`.
    """

    State = LSTMState
    state_meanings: ClassVar[dict[str, str]] = {"h": "hidden state", "c": "cell state"}
    computed: ClassVar[str] = "ifgo"

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        G = len(self.computed)
        self.weight_x = nn.Parameter(glorot_(torch.empty(G * hidden_size, input_size), gates=G))
        self.weight_h = nn.Parameter(orthogonal_(torch.empty(G * hidden_size, hidden_size), gates=G))
        bias = torch.zeros(G, hidden_size)
        if "f" in self.computed:
            bias[self.computed.index("f")] = FORGET_BIAS
        self.bias = nn.Parameter(bias.flatten())

    def project(self, x: Tensor) -> Tensor:
        """Return W_x x + b: (B, T, D) -> (B, T, G·H)."""
        return F.linear(x, self.weight_x, self.bias)

    def gates(self, x_gates: Tensor, state: LSTMState) -> LSTMGates:
        """Return i, f, g, o, each (…, H), from x_gates (…, G·H) and h (…, H)."""
        parts = (x_gates + state.h @ self.weight_h.T).chunk(len(self.computed), dim=-1)
        a = dict(zip(self.computed, parts, strict=True))
        one = torch.ones_like(a["g"])
        i, f, o = (a[gate].sigmoid() if gate in a else one for gate in "ifo")
        return LSTMGates(i, f, a["g"].tanh(), o)

    def advance(self, gates: LSTMGates, state: LSTMState) -> tuple[Tensor, LSTMState]:
        """Forget and write the cell state, then read it."""
        c = gates.f * state.c + gates.i * gates.g
        h = gates.o * c.tanh()
        return h, LSTMState(h, c)


class NoInputGate(_Variant):
    """i_t = 1: each candidate is written whole (NIG)."""

    computed = "fgo"


class NoForgetGate(_Variant):
    """f_t = 1: nothing is forgotten, as in the LSTM of 1997 (NFG)."""

    computed = "igo"


class NoOutputGate(_Variant):
    """o_t = 1: the whole cell state is read at each step (NOG)."""

    computed = "ifg"


class NoOutputActivation(_Variant):
    """h_t = o_t ⊙ c_t: the cell state is read without tanh (NOAF)."""

    def advance(self, gates: LSTMGates, state: LSTMState) -> tuple[Tensor, LSTMState]:
        """Forget and write the cell state, then read it as it is."""
        c = gates.f * state.c + gates.i * gates.g
        h = gates.o * c
        return h, LSTMState(h, c)


class TiedGates(_Variant):
    """i_t = 1 − f_t: as much is written as was forgotten (CIFG)."""

    computed = "fgo"

    def gates(self, x_gates: Tensor, state: LSTMState) -> LSTMGates:
        """Return 1 − f, f, g, o, each (…, H), from x_gates (…, 3H) and h (…, H)."""
        gates = super().gates(x_gates, state)
        return gates._replace(i=1 - gates.f)


class SmallElman(ElmanCell):
    """An Elman cell with W_h ~ U(−1/√H, 1/√H) at first."""

    def reset_parameters(self) -> None:
        """Initialise: Glorot input weights, small recurrent weights, bias 0."""
        super().reset_parameters()
        nn.init.uniform_(self.weight_h, -(self.hidden_size**-0.5), self.hidden_size**-0.5)


CELLS = {
    cell.__name__: cell for cell in (NoInputGate, NoForgetGate, NoOutputGate, NoOutputActivation, TiedGates, SmallElman)
}
"""The variants by the name that an arm of a claim gives as its model."""
