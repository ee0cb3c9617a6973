"""The minLSTM: an LSTM whose gates do not see h, with a forget and an input gate that sum to 1.

    f_t = σ(W_f x_t + b_f);  i_t = σ(W_i x_t + b_i)       forget and input gate
    h̃_t = W_h x_t + b_h                                   candidate
    f′_t = f_t / (f_t + i_t);  i′_t = i_t / (f_t + i_t)
    h_t = f′_t ⊙ h_{t−1} + i′_t ⊙ h̃_t
    y_t = h_t

| here   | in the paper                |
|--------|-----------------------------|
| g      | h̃, the candidate            |
| f, i   | f′, i′ after their division |

Packed order: i, f, g. State: (h). Twin: scan/parallel.py. f′ is σ of the difference of both logarithms, which has no
0 / 0 where both gates are shut.
Feng, Tung, Ahmed, Bengio & Hajimirsadeghi, "Were RNNs all we needed?", 2024, section 3.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unrolled.cells.cell import OPEN, Cell, glorot_
from unrolled.cells.mingru import MinGRUState

__all__ = ["MinLSTMCell", "MinLSTMGates"]


class MinLSTMGates(NamedTuple):
    """Input gate, forget gate, which sum to 1, and candidate, each (…, H)."""

    i: Tensor
    f: Tensor
    g: Tensor


class MinLSTMCell(Cell[MinGRUState, MinLSTMGates]):
    """One step of a minLSTM.

    Args:
        input_size: size D of the input x.
        hidden_size: size H of the hidden state.
        forget_bias: initial value of b_f; with 1 a new cell keeps more than it writes.

    Parameters: weight_x (3H, D), bias (3H,), packed i, f, g.
    """

    State = MinGRUState
    feedback = ()
    is_linear = True
    name = "minlstm"
    options = frozenset({"forget_bias"})
    gate_meanings: ClassVar[Mapping[str, str]] = {
        "i": f"input gate, {OPEN}",
        "f": "forget gate, keeps at 1, forgets at 0",
        "g": "candidate, the value that may be written",
    }
    packed = "i, f, g"
    keeps = "f"

    def __init__(self, input_size: int, hidden_size: int, *, forget_bias: float = 1.0) -> None:
        super().__init__(input_size, hidden_size)
        self.forget_bias = forget_bias
        self.weight_x = nn.Parameter(torch.empty(3 * hidden_size, input_size))
        self.bias = nn.Parameter(torch.empty(3 * hidden_size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initialise: Glorot weights, bias 0 except the forget gate's."""
        glorot_(self.weight_x, gates=3)
        nn.init.zeros_(self.bias)
        nn.init.constant_(self.bias[self.hidden_size : 2 * self.hidden_size], self.forget_bias)

    def project(self, x: Tensor) -> Tensor:
        """Return W x + b: (B, T, D) -> (B, T, 3H)."""
        return F.linear(x, self.weight_x, self.bias)

    def gates(self, x_gates: Tensor, state: MinGRUState) -> MinLSTMGates:
        """Return i, f, g, each (…, H), from x_gates (…, 3H)."""
        i, f, g = x_gates.chunk(3, dim=-1)
        log_ratio = F.logsigmoid(f) - F.logsigmoid(i)
        return MinLSTMGates((-log_ratio).sigmoid(), log_ratio.sigmoid(), g)

    def advance(self, gates: MinLSTMGates, state: MinGRUState) -> tuple[Tensor, MinGRUState]:
        """Forget and write -> h as output and as state."""
        h = gates.f * state.h + gates.i * gates.g
        return h, MinGRUState(h)
