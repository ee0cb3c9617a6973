"""Mamba-2: linear attention whose state decays by one number in a head and step, behind a short convolution.

    z_t, u_t, Δ̃_t = W x_t                                in N heads of size P = H / N; K numbers of state a channel
    x_t, B_t, C_t = silu(Σ_j w_j ⊙ u_{t−n+1+j} + b)      a filter of n steps for each channel of u
    Δ_t = softplus(Δ̃_t + b_Δ)                            step size, one number in a head
    a_t = exp(−Δ_t exp(A))                               decay
    h_t = a_t h_{t−1} + B_t (Δ_t x_t)ᵀ                   B and C are shared by all heads
    s_t = h_tᵀ C_t + D x_t
    y_t = rms(s_t ⊙ silu(z_t); γ)

| here            | in the paper                                           |
|-----------------|--------------------------------------------------------|
| h (K, P)        | h transposed; K is its N, the size of the state        |
| N               | the number of heads, there H                           |
| decay_log       | A_log, A = −exp(A_log)                                 |
| skip            | D                                                      |
| B, C, Δ, z, a   | the same                                               |

With C for q, B for k and Δ x for v it is linear attention with a decay, without normaliser and feature map.
Packed order: z, x, B, C, Δ. State: (h, window, y). Twin: scan/parallel.py. K = P, so that its state is as large as
that of the other cells with heads.
Dao & Gu, "Transformers are SSMs", 2024, Listing 1 and section 7.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unrolled.cells.cell import Cell
from unrolled.cells.heads import convolved, head_size, heads, outer, pushed, read, rms, start_, start_convolution_
from unrolled.errors import ConfigError

__all__ = ["Mamba2Cell", "Mamba2Gates", "Mamba2State", "step_bias"]


class Mamba2State(NamedTuple):
    """The state: h (B, N, K, P), the window (B, n − 1, H + 2K) of the convolution, and the last output y (B, H)."""

    h: Tensor
    window: Tensor
    y: Tensor


class Mamba2Gates(NamedTuple):
    """z and x (…, N, P), B and C (…, 1, K), Δ and ln a (…, N), and u (…, H + 2K), which enters the window."""

    z: Tensor
    x: Tensor
    B: Tensor
    C: Tensor
    delta: Tensor
    log_a: Tensor
    u: Tensor

    @property
    def a(self) -> Tensor:
        """The decay, (…, N)."""
        return self.log_a.exp()


class Mamba2Cell(Cell[Mamba2State, Mamba2Gates]):
    """One step of Mamba-2.

    Args:
        input_size: size D of the input.
        hidden_size: size H of the output, N heads of size P.
        num_heads: N.
        convolution: n, the number of steps of the convolution, the step's own among them.

    Parameters: weight_x (2H + 2K + N, D), packed z, x, B, C, Δ; filter (n, H + 2K), filter_bias (H + 2K,); step_bias,
    decay_log and skip (N,); gain (H,).

    Raises:
        ConfigError: num_heads does not divide hidden_size, or a convolution of less than one step.
    """

    State = Mamba2State
    feedback = ("window",)
    emits = "y"
    is_linear = True
    elementwise = frozenset({"filter"})
    name = "mamba2"
    options = frozenset({"num_heads", "convolution"})
    gate_meanings: ClassVar[Mapping[str, str]] = {
        "a": "decay, keeps at 1, forgets at 0",
        "delta": "step size Δ, 0 writes nothing",
        "x": "value after the convolution",
        "B": "key after the convolution",
        "C": "query after the convolution",
        "z": "gate of the output before its silu",
    }
    state_meanings: ClassVar[Mapping[str, str]] = {
        "h": "matrix of each head",
        "window": "last inputs of the convolution",
        "y": "output",
    }
    axes: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(("z", "x"), "N K"),
        **dict.fromkeys(("B", "C"), "1 K"),
        **dict.fromkeys(("a", "delta"), "N"),
        "h": "N K V",
        "window": "W C",
    }
    packed = "z, x, B, C, Δ"
    keeps = "a"

    def __init__(self, input_size: int, hidden_size: int, *, num_heads: int = 1, convolution: int = 4) -> None:
        super().__init__(input_size, hidden_size)
        if convolution < 1:
            raise ConfigError(f"convolution must be at least 1: got {convolution}")
        self.num_heads, self.head_size, self.convolution = num_heads, head_size(hidden_size, num_heads), convolution
        H, K = hidden_size, self.head_size
        self.parts = [H, H + 2 * K, num_heads]
        self.weight_x = nn.Parameter(torch.empty(sum(self.parts), input_size))
        self.filter = nn.Parameter(torch.empty(convolution, H + 2 * K))
        self.filter_bias = nn.Parameter(torch.empty(H + 2 * K))
        self.step_bias = nn.Parameter(torch.empty(num_heads))
        self.decay_log = nn.Parameter(torch.empty(num_heads))
        self.skip = nn.Parameter(torch.empty(num_heads))
        self.gain = nn.Parameter(torch.empty(H))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initialise: Glorot weights; Δ from 0.001 to 0.1, exp(A) from 1 to 16, both spread; D and gain 1."""
        H, K = self.hidden_size, self.head_size
        start_(self.weight_x, [H, H, K, K, self.num_heads])
        start_convolution_(self.filter)
        nn.init.zeros_(self.filter_bias)
        with torch.no_grad():
            self.step_bias.copy_(step_bias(self.num_heads))
            self.decay_log.uniform_(1, 16).log_()
        nn.init.ones_(self.skip)
        nn.init.ones_(self.gain)

    def state_shapes(self) -> Mamba2State:
        """Return the shapes of h, the window and y."""
        N, K, H = self.num_heads, self.head_size, self.hidden_size
        return Mamba2State((N, K, K), (self.convolution - 1, H + 2 * K), (H,))  # type: ignore[arg-type]

    @property
    def state_products(self) -> tuple[int, int]:
        """N K P each: h is written, and read."""
        M = self.hidden_size * self.head_size
        return M, M

    def project(self, x: Tensor) -> Tensor:
        """Return W x: (B, T, D) -> (B, T, 2H + 2K + N)."""
        return F.linear(x, self.weight_x)

    def gates(self, x_gates: Tensor, state: Mamba2State) -> Mamba2Gates:
        """Return the gates from x_gates (…, 2H + 2K + N) and the window (…, n − 1, H + 2K)."""
        z, u, delta = torch.split(x_gates, self.parts, dim=-1)
        mixed = F.silu(convolved(u, state.window, self.filter) + self.filter_bias)
        x, B, C = torch.split(mixed, [self.hidden_size, self.head_size, self.head_size], dim=-1)
        delta = F.softplus(delta + self.step_bias)
        z, x = heads(z, self.num_heads), heads(x, self.num_heads)
        return Mamba2Gates(z, x, B.unsqueeze(-2), C.unsqueeze(-2), delta, -delta * self.decay_log.exp(), u)

    def advance(self, gates: Mamba2Gates, state: Mamba2State) -> tuple[Tensor, Mamba2State]:
        """Decay, write the value under its key, then read with the query."""
        N = self.num_heads
        B, C = (each.expand(*each.shape[:-2], N, -1) for each in (gates.B, gates.C))
        h = gates.a[..., None, None] * state.h + outer(B, gates.delta.unsqueeze(-1) * gates.x)
        y = self.emitted(gates, read(h, C))
        return y, Mamba2State(h, pushed(state.window, gates.u), y)

    def emitted(self, gates: Mamba2Gates, value: Tensor) -> Tensor:
        """Return y (…, H) from hᵀ C (…, N, P)."""
        s = value + self.skip.unsqueeze(-1) * gates.x
        return rms((s * F.silu(gates.z)).flatten(-2), self.gain)


def step_bias(count: int) -> Tensor:
    """Return biases (N,) with softplus(bias) from 0.001 to 0.1, uniform in the logarithm, at random."""
    delta = torch.empty(count).uniform_(math.log(0.001), math.log(0.1)).exp()
    return delta + torch.log(-torch.expm1(-delta))
