"""The minGRU: a GRU whose gates do not see h, so that its state is a linear function of the previous one.

    z_t = σ(W_z x_t + b_z)                        update gate
    h̃_t = W_h x_t + b_h                           candidate
    h_t = (1 − z_t) ⊙ h_{t−1} + z_t ⊙ h̃_t
    y_t = h_t

| here        | in the paper                    |
|-------------|---------------------------------|
| n           | h̃, the candidate                |
| z, at 1     | writes, as there; a GRU's keeps |
| a           | 1 − z                           |

Packed order: z, n. State: (h). Twin: scan/parallel.py. There is neither a tanh nor the g of the appendix, which keeps h
positive for a scan in log space: the scan here multiplies the gates as they are.
Feng, Tung, Ahmed, Bengio & Hajimirsadeghi, "Were RNNs all we needed?", 2024, section 3.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unrolled.cells.cell import Cell, glorot_

__all__ = ["MinGRUCell", "MinGRUGates", "MinGRUState"]


class MinGRUState(NamedTuple):
    """The state of a minGRU: h (B, H)."""

    h: Tensor


class MinGRUGates(NamedTuple):
    """Update gate and candidate, each (…, H)."""

    z: Tensor
    n: Tensor

    @property
    def a(self) -> Tensor:
        """The fraction of h that stays, (…, H)."""
        return 1 - self.z


class MinGRUCell(Cell[MinGRUState, MinGRUGates]):
    """One step of a minGRU.

    Args:
        input_size: size D of the input x.
        hidden_size: size H of the hidden state.

    Parameters: weight_x (2H, D), bias (2H,), packed z, n.
    """

    State = MinGRUState
    feedback = ()
    is_linear = True
    name = "mingru"
    gate_meanings: ClassVar[Mapping[str, str]] = {
        "a": "1 − z, keeps at 1, forgets at 0",
        "z": "update gate, writes at 1, keeps at 0",
        "n": "candidate, the value that may be written",
    }
    packed = "z, n"
    keeps = "a"

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.weight_x = nn.Parameter(torch.empty(2 * hidden_size, input_size))
        self.bias = nn.Parameter(torch.empty(2 * hidden_size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initialise: Glorot weights, biases 0."""
        glorot_(self.weight_x, gates=2)
        nn.init.zeros_(self.bias)

    def project(self, x: Tensor) -> Tensor:
        """Return W x + b: (B, T, D) -> (B, T, 2H)."""
        return F.linear(x, self.weight_x, self.bias)

    def gates(self, x_gates: Tensor, state: MinGRUState) -> MinGRUGates:
        """Return z and n, each (…, H), from x_gates (…, 2H)."""
        z, n = x_gates.chunk(2, dim=-1)
        return MinGRUGates(z.sigmoid(), n)

    def advance(self, gates: MinGRUGates, state: MinGRUState) -> tuple[Tensor, MinGRUState]:
        """Interpolate between the old h and the candidate -> h as output and as state."""
        h = gates.a * state.h + gates.z * gates.n
        return h, MinGRUState(h)
