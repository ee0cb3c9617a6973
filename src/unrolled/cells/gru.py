"""The GRU cell: two gates and no separate cell state; 1 − update replaces the input gate.

    r_t = σ(W_xr x_t + b_r + W_hr h_{t−1})                     reset gate
    z_t = σ(W_xz x_t + b_z + W_hz h_{t−1})                     update gate
    n_t = tanh(W_xn x_t + b_n + r_t ⊙ (W_hn h_{t−1} + bias_n))  candidate, reset after the product
    h_t = (1 − z_t) ⊙ n_t + z_t ⊙ h_{t−1}
    y_t = h_t

Packed order: r, z, n. State: (h). Twins: csrc/kernels/gru.cc (scan/fused.py), torch.nn.GRU (scan/torch.py).
Cho et al., "Learning phrase representations using RNN encoder–decoder", 2014 (there the reset is before the product;
here it is after it, as in torch and cuDNN. Chung et al. 2014 exchange z and 1 − z).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unrolled.cells.cell import Cell, affine_terms, glorot_, orthogonal_

__all__ = ["MEANINGS", "GRUCell", "GRUGates", "GRUState"]


class GRUState(NamedTuple):
    """The state of a GRU: h (B, H)."""

    h: Tensor


class GRUGates(NamedTuple):
    """Reset, update, and the two halves of the candidate, each (…, H).

    The candidate n is computed from its halves, so that clamping r changes n, as it does in the cell.
    """

    r: Tensor
    z: Tensor
    x_n: Tensor  # W_xn x + b_n, the input's half of the candidate
    h_n: Tensor  # W_hn h + bias_n, the previous step's half, before the reset gate

    @property
    def n(self) -> Tensor:
        """The candidate, (…, H)."""
        return (self.x_n + self.r * self.h_n).tanh()


MEANINGS = {
    "r": "reset gate, lets the past into the candidate at 1",
    "z": "update gate, keeps at 1, writes at 0",
    "n": "candidate, the value that may be written",
}
"""The gates of a GRU, for the names of a trace."""


class GRUCell(Cell[GRUState, GRUGates]):
    """One step of a GRU.

    Args:
        input_size: size D of the input x.
        hidden_size: size H of the hidden state.

    Parameters: weight_x (3H, D), weight_h (3H, H), bias (3H,), packed r, z, n; bias_n (H,).
    """

    State = GRUState
    name = "gru"
    gate_meanings = MEANINGS
    packed = "r, z, n"
    keeps = "z"

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.weight_x = nn.Parameter(torch.empty(3 * hidden_size, input_size))
        self.weight_h = nn.Parameter(torch.empty(3 * hidden_size, hidden_size))
        self.bias = nn.Parameter(torch.empty(3 * hidden_size))
        self.bias_n = nn.Parameter(torch.empty(hidden_size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initialise: Glorot input weights, orthogonal recurrent weights, biases 0."""
        glorot_(self.weight_x, gates=3)
        orthogonal_(self.weight_h, gates=3)
        nn.init.zeros_(self.bias)
        nn.init.zeros_(self.bias_n)

    def project(self, x: Tensor) -> Tensor:
        """Return W_x x + b: (B, T, D) -> (B, T, 3H)."""
        return F.linear(x, self.weight_x, self.bias)

    def gates(self, x_gates: Tensor, state: GRUState) -> GRUGates:
        """Return r, z and the two halves of n, each (…, H), from x_gates (…, 3H) and h (…, H)."""
        x_r, x_z, x_n = x_gates.chunk(3, dim=-1)
        h_r, h_z, h_n = (state.h @ self.weight_h.T).chunk(3, dim=-1)
        return GRUGates((x_r + h_r).sigmoid(), (x_z + h_z).sigmoid(), x_n, h_n + self.bias_n)

    def advance(self, gates: GRUGates, state: GRUState) -> tuple[Tensor, GRUState]:
        """Interpolate between the candidate and the old h -> h as output and as state."""
        h = (1 - gates.z) * gates.n + gates.z * state.h
        return h, GRUState(h)

    def terms(self, x: Tensor, state: GRUState) -> Mapping[str, Tensor]:
        """Return W_x x, W_h h, b and bias_n; see `Cell.terms`."""
        terms = affine_terms(x, state.h, self.weight_x, self.weight_h, self.bias)
        return terms | {"bias_n": self.bias_n.unsqueeze(0)}
