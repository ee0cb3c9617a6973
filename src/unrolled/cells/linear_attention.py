"""Linear attention: attention without the softmax is a recurrent network whose state is a matrix.

    q_t, k_t, v_t = W_q x_t, W_k x_t, W_v x_t             in N heads; K = V = H / N
    φ(x) = elu(x) + 1                                     above 0
    S_t = S_{t−1} + φ(k_t) v_tᵀ                           written: a value under a key
    z_t = z_{t−1} + φ(k_t)                                the normaliser
    y_t = S_tᵀ φ(q_t) / (z_t · φ(q_t) + ε)                read by a query

Written over all steps, y_t = Σ_{s ≤ t} w_ts v_s with w_ts = φ(q_t) · φ(k_s) / Σ_r φ(q_t) · φ(k_r): the weights of
attention, with a product of features where it has exp(q · k).

| here     | in the paper                       |
|----------|------------------------------------|
| S, z     | s, z (equations 18 and 19)         |
| q, k     | φ(x W_Q), φ(x W_K)                 |
| v        | x W_V                              |

Packed order: q, k, v. State: (S, z, y). Twin: scan/parallel.py. ε = 1e-6 as in the authors' code.
Katharopoulos, Vyas, Pappas & Fleuret, "Transformers are RNNs", 2020, equations 16 to 20.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unrolled.cells.cell import Cell
from unrolled.cells.heads import EPS, head_size, heads, outer, read, start_

__all__ = ["LinearAttentionCell", "LinearAttentionGates", "LinearAttentionState"]


class LinearAttentionState(NamedTuple):
    """The state: S (B, N, K, V), z (B, N, K), and the last output y (B, H)."""

    S: Tensor
    z: Tensor
    y: Tensor


class LinearAttentionGates(NamedTuple):
    """Features of the query and the key, and the value, each (…, N, K)."""

    q: Tensor
    k: Tensor
    v: Tensor


class LinearAttentionCell(Cell[LinearAttentionState, LinearAttentionGates]):
    """One step of linear attention.

    Args:
        input_size: size D of the input x.
        hidden_size: size H of the output, N heads of size K.
        num_heads: N.

    Parameters: weight_x (3H, D), packed q, k, v.

    Raises:
        ConfigError: num_heads does not divide hidden_size.
    """

    State = LinearAttentionState
    feedback = ()
    emits = "y"
    is_linear = True
    name = "linear_attention"
    options = frozenset({"num_heads"})
    gate_meanings: ClassVar[Mapping[str, str]] = {
        "q": "features of the query, φ(W_q x)",
        "k": "features of the key, φ(W_k x)",
        "v": "value, W_v x",
    }
    state_meanings: ClassVar[Mapping[str, str]] = {
        "S": "matrix of each head, Σ φ(k) vᵀ",
        "z": "normaliser of each head, Σ φ(k)",
        "y": "output",
    }
    axes: ClassVar[Mapping[str, str]] = {"q": "N K", "k": "N K", "v": "N K", "S": "N K V", "z": "N K"}
    packed = "q, k, v"

    def __init__(self, input_size: int, hidden_size: int, *, num_heads: int = 1) -> None:
        super().__init__(input_size, hidden_size)
        self.num_heads, self.head_size = num_heads, head_size(hidden_size, num_heads)
        self.weight_x = nn.Parameter(torch.empty(3 * hidden_size, input_size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initialise: Glorot weights."""
        start_(self.weight_x, [self.hidden_size] * 3)

    def state_shapes(self) -> LinearAttentionState:
        """Return the shapes of S, z and y."""
        N, K = self.num_heads, self.head_size
        return LinearAttentionState((N, K, K), (N, K), (self.hidden_size,))  # type: ignore[arg-type]

    @property
    def state_products(self) -> tuple[int, int]:
        """N K V each: S is written, and read."""
        M = self.hidden_size * self.head_size
        return M, M

    def project(self, x: Tensor) -> Tensor:
        """Return W x: (B, T, D) -> (B, T, 3H)."""
        return F.linear(x, self.weight_x)

    def gates(self, x_gates: Tensor, state: LinearAttentionState) -> LinearAttentionGates:
        """Return φ(q), φ(k) and v, each (…, N, K), from x_gates (…, 3H)."""
        q, k, v = (heads(part, self.num_heads) for part in x_gates.chunk(3, dim=-1))
        return LinearAttentionGates(F.elu(q) + 1, F.elu(k) + 1, v)

    def advance(self, gates: LinearAttentionGates, state: LinearAttentionState) -> tuple[Tensor, LinearAttentionState]:
        """Write the value under its key, then read with the query."""
        S = state.S + outer(gates.k, gates.v)
        z = state.z + gates.k
        y = self.emitted(gates, read(S, gates.q), (z * gates.q).sum(dim=-1))
        return y, LinearAttentionState(S, z, y)

    def emitted(self, gates: LinearAttentionGates, numerator: Tensor, denominator: Tensor) -> Tensor:
        """Return y (…, H) from Sᵀ q (…, N, V) and z · q (…, N)."""
        return (numerator / (denominator.unsqueeze(-1) + EPS)).flatten(-2)
