"""Gated DeltaNet: a key's old value is erased before the new one is written, and everything decays.

    q_t, k_t, v_t = silu(Σ_j w_j ⊙ u_{t−n+1+j}),  u_t = W x_t         a filter of n steps for each channel; N heads
    q_t ← unit(q_t) / √K;  k_t ← unit(k_t)                           length 1, so that a key is erased as a whole
    β_t = σ(w_β x_t)                                                 write strength, in (0, 1); times 2: in (0, 2)
    α_t = exp(−exp(A) softplus(w_α x_t + b_α))                       decay
    S_t = α_t (I − β_t k_t k_tᵀ) S_{t−1} + β_t k_t v_tᵀ
        = α_t S_{t−1} + β_t k_t (v_t − α_t S_{t−1}ᵀ k_t)ᵀ            the delta rule: v minus its prediction
    y_t = rms(S_tᵀ q_t; γ) ⊙ silu(W_g x_t)

With β up to 2, I − β k kᵀ has eigenvalues down to −1: a step may change a sign, as parity needs.

| here      | in the paper                                             |
|-----------|----------------------------------------------------------|
| S (K, V)  | S transposed, which is written as v kᵀ (equation 10)     |
| decay_log | A_log, of Mamba-2                                        |
| α, β, q, k, v | the same                                             |

Packed order: q, k, v, g, β, α. State: (S, window, y). Twin: scan/parallel.py, in the WY form.
Yang, Kautz & Hatamizadeh, "Gated delta networks", 2024, equation 10; the delta rule: Schlag, Irie & Schmidhuber 2021;
β up to 2: Grazzi et al., "Unlocking state-tracking in linear RNNs through negative eigenvalues", 2024.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unrolled.cells.cell import Cell
from unrolled.cells.heads import convolved, head_size, heads, outer, pushed, read, rms, start_, start_convolution_, unit
from unrolled.cells.mamba2 import step_bias
from unrolled.errors import ConfigError

__all__ = ["GatedDeltaNetCell", "GatedDeltaNetGates", "GatedDeltaNetState"]


class GatedDeltaNetState(NamedTuple):
    """The state: S (B, N, K, V), the window (B, n − 1, 3H) of the convolution, and the last output y (B, H)."""

    S: Tensor
    window: Tensor
    y: Tensor


class GatedDeltaNetGates(NamedTuple):
    """Query, key, value and output gate (…, N, K), β and ln α (…, N), and u (…, 3H), which enters the window."""

    q: Tensor
    k: Tensor
    v: Tensor
    g: Tensor
    beta: Tensor
    log_alpha: Tensor
    u: Tensor

    @property
    def alpha(self) -> Tensor:
        """The decay, (…, N)."""
        return self.log_alpha.exp()


class GatedDeltaNetCell(Cell[GatedDeltaNetState, GatedDeltaNetGates]):
    """One step of a gated DeltaNet.

    Args:
        input_size: size D of the input x.
        hidden_size: size H of the output, N heads of size K.
        num_heads: N.
        convolution: n, the number of steps of the convolution, the step's own among them.
        negative_eigenvalues: whether β is in (0, 2) instead of (0, 1).

    Parameters: weight_x (4H + 2N, D), packed q, k, v, g, β, α; filter (n, 3H); step_bias and decay_log (N,); gain
    (N, K).

    Raises:
        ConfigError: num_heads does not divide hidden_size, or a convolution of less than one step.
    """

    State = GatedDeltaNetState
    feedback = ("window",)
    emits = "y"
    is_linear = True
    elementwise = frozenset({"filter", "gain"})
    name = "gated_deltanet"
    options = frozenset({"num_heads", "convolution", "negative_eigenvalues"})
    gate_meanings: ClassVar[Mapping[str, str]] = {
        "alpha": "decay α, keeps at 1, forgets at 0",
        "beta": "write strength β: how much of the old value of the key is replaced",
        "q": "query, of length 1/√K",
        "k": "key, of length 1",
        "v": "value",
        "g": "gate of the output before its silu",
    }
    state_meanings: ClassVar[Mapping[str, str]] = {
        "S": "matrix of each head",
        "window": "last inputs of the convolution",
        "y": "output",
    }
    axes: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(("q", "k", "v", "g"), "N K"),
        **dict.fromkeys(("alpha", "beta"), "N"),
        "S": "N K V",
        "window": "W C",
    }
    packed = "q, k, v, g, β, α"
    keeps = "alpha"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        num_heads: int = 1,
        convolution: int = 4,
        negative_eigenvalues: bool = False,
    ) -> None:
        super().__init__(input_size, hidden_size)
        if convolution < 1:
            raise ConfigError(f"convolution must be at least 1: got {convolution}")
        self.num_heads, self.head_size, self.convolution = num_heads, head_size(hidden_size, num_heads), convolution
        self.negative_eigenvalues = negative_eigenvalues
        self.parts = [3 * hidden_size, hidden_size, num_heads, num_heads]
        self.weight_x = nn.Parameter(torch.empty(sum(self.parts), input_size))
        self.filter = nn.Parameter(torch.empty(convolution, 3 * hidden_size))
        self.step_bias = nn.Parameter(torch.empty(num_heads))
        self.decay_log = nn.Parameter(torch.empty(num_heads))
        self.gain = nn.Parameter(torch.empty(num_heads, self.head_size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initialise: Glorot weights; the decay as that of Mamba-2; gain 1."""
        start_(self.weight_x, [self.hidden_size] * 4 + [self.num_heads] * 2)
        start_convolution_(self.filter)
        with torch.no_grad():
            self.step_bias.copy_(step_bias(self.num_heads))
            self.decay_log.uniform_(1, 16).log_()
        nn.init.ones_(self.gain)

    def state_shapes(self) -> GatedDeltaNetState:
        """Return the shapes of S, the window and y."""
        N, K, H = self.num_heads, self.head_size, self.hidden_size
        return GatedDeltaNetState((N, K, K), (self.convolution - 1, 3 * H), (H,))  # type: ignore[arg-type]

    @property
    def state_products(self) -> tuple[int, int]:
        """2 N K V and N K V: S is read with the key and written, and read with the query."""
        M = self.hidden_size * self.head_size
        return 2 * M, M

    def project(self, x: Tensor) -> Tensor:
        """Return W x: (B, T, D) -> (B, T, 4H + 2N)."""
        return F.linear(x, self.weight_x)

    def gates(self, x_gates: Tensor, state: GatedDeltaNetState) -> GatedDeltaNetGates:
        """Return the gates from x_gates (…, 4H + 2N) and the window (…, n − 1, 3H)."""
        u, g, beta, alpha = torch.split(x_gates, self.parts, dim=-1)
        mixed = F.silu(convolved(u, state.window, self.filter))
        q, k, v = (heads(part, self.num_heads) for part in mixed.chunk(3, dim=-1))
        log_alpha = -self.decay_log.exp() * F.softplus(alpha + self.step_bias)
        beta = beta.sigmoid() * (2 if self.negative_eigenvalues else 1)
        q = unit(q) * self.head_size**-0.5
        return GatedDeltaNetGates(q, unit(k), v, heads(g, self.num_heads), beta, log_alpha, u)

    def advance(self, gates: GatedDeltaNetGates, state: GatedDeltaNetState) -> tuple[Tensor, GatedDeltaNetState]:
        """Decay, replace the value of the key, then read with the query."""
        S = gates.alpha[..., None, None] * state.S
        change = gates.beta.unsqueeze(-1) * (gates.v - read(S, gates.k))
        S = S + outer(gates.k, change)
        y = self.emitted(gates, read(S, gates.q))
        return y, GatedDeltaNetState(S, pushed(state.window, gates.u), y)

    def emitted(self, gates: GatedDeltaNetGates, value: Tensor) -> Tensor:
        """Return y (…, H) from Sᵀ q (…, N, V)."""
        return (rms(value, self.gain) * F.silu(gates.g)).flatten(-2)
