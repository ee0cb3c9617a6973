"""The GRU with layer normalisation.

    a_t = LN(W_x x_t; γ_x) + LN(W_h h_{t−1}; γ_h) + b                   packed r, z, over the 2H numbers of both gates
    r_t, z_t = σ(a_t)
    n_t = tanh(LN(W_xn x_t; γ_xn) + b_n + r_t ⊙ (LN(W_hn h_{t−1}; γ_hn) + bias_n))
    h_t = (1 − z_t) ⊙ n_t + z_t ⊙ h_{t−1}
    y_t = h_t

    LN(a; γ) = γ ⊙ (a − mean(a)) / √(var(a) + ε)

State: (h). Packed order of the weights: r, z, n. No fast twin: it runs on the reference backend.
Ba, Kiros & Hinton, "Layer normalization", 2016, supplementary material (their z is 1 − z here); the GRU: see
cells/gru.py.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unrolled.cells.cell import Cell, glorot_, orthogonal_
from unrolled.cells.gru import MEANINGS, GRUGates, GRUState

__all__ = ["LayerNormGRUCell"]


class LayerNormGRUCell(Cell[GRUState, GRUGates]):
    """One step of a GRU with layer normalisation.

    Args:
        input_size: size D of the input x.
        hidden_size: size H of the hidden state.

    Parameters: weight_x (3H, D), weight_h (3H, H), bias, gain_x and gain_h (3H,), packed r, z, n; bias_n (H,).
    """

    State = GRUState
    name = "layernorm_gru"
    gate_meanings = MEANINGS
    packed = "r, z, n"
    keeps = "z"

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.weight_x = nn.Parameter(torch.empty(3 * hidden_size, input_size))
        self.weight_h = nn.Parameter(torch.empty(3 * hidden_size, hidden_size))
        self.bias = nn.Parameter(torch.empty(3 * hidden_size))
        self.bias_n = nn.Parameter(torch.empty(hidden_size))
        self.gain_x = nn.Parameter(torch.empty(3 * hidden_size))
        self.gain_h = nn.Parameter(torch.empty(3 * hidden_size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initialise: Glorot input weights, orthogonal recurrent weights, gains 1, biases 0."""
        glorot_(self.weight_x, gates=3)
        orthogonal_(self.weight_h, gates=3)
        nn.init.ones_(self.gain_x)
        nn.init.ones_(self.gain_h)
        nn.init.zeros_(self.bias)
        nn.init.zeros_(self.bias_n)

    def project(self, x: Tensor) -> Tensor:
        """Return LN(W_x x) + b: (B, T, D) -> (B, T, 3H)."""
        return self._normalised(F.linear(x, self.weight_x), self.gain_x) + self.bias

    def gates(self, x_gates: Tensor, state: GRUState) -> GRUGates:
        """Return r, z and the two halves of n, each (…, H), from x_gates (…, 3H) and h (…, H)."""
        x_r, x_z, x_n = x_gates.chunk(3, dim=-1)
        h_r, h_z, h_n = self._normalised(F.linear(state.h, self.weight_h), self.gain_h).chunk(3, dim=-1)
        return GRUGates((x_r + h_r).sigmoid(), (x_z + h_z).sigmoid(), x_n, h_n + self.bias_n)

    def advance(self, gates: GRUGates, state: GRUState) -> tuple[Tensor, GRUState]:
        """Interpolate between the candidate and the old h -> h as output and as state."""
        h = (1 - gates.z) * gates.n + gates.z * state.h
        return h, GRUState(h)

    def terms(self, x: Tensor, state: GRUState) -> Mapping[str, Tensor]:
        """Return LN(W_x x), LN(W_h h), b and bias_n; see `Cell.terms`."""
        terms = {
            "from_x": self._normalised(F.linear(x, self.weight_x), self.gain_x),
            "from_h": self._normalised(F.linear(state.h, self.weight_h), self.gain_h),
            "bias": self.bias.unsqueeze(0),
        }
        by_gate = {name: value.view(*value.shape[:-1], 3, self.hidden_size) for name, value in terms.items()}
        return by_gate | {"bias_n": self.bias_n.unsqueeze(0)}

    def _normalised(self, sums: Tensor, gain: Tensor) -> Tensor:
        """Normalise (…, 3H): the 2H numbers of both gates together, the H of the candidate separately."""
        H = self.hidden_size
        gates = F.layer_norm(sums[..., : 2 * H], (2 * H,), gain[: 2 * H])
        return torch.cat([gates, F.layer_norm(sums[..., 2 * H :], (H,), gain[2 * H :])], dim=-1)
