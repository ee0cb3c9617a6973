"""The Elman cell: the previous output is an input of the step.

    h_t = φ(W_x x_t + b + W_h h_{t−1})        φ = tanh, or ReLU
    y_t = h_t

State: (h). Twins: csrc/kernels/elman.cc (scan/fused.py), torch.nn.RNN (scan/torch.py).
Elman, "Finding structure in time", Cognitive Science 14, 1990. ReLU with W_h = 1 initially: Le, Jaitly & Hinton,
"A simple way to initialize recurrent networks of rectified linear units", 2015.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unrolled.cells.cell import Cell, affine_terms, glorot_, orthogonal_
from unrolled.errors import ConfigError

__all__ = ["ElmanCell", "ElmanGates", "ElmanState"]


class ElmanState(NamedTuple):
    """The state of an Elman cell: h (B, H)."""

    h: Tensor


class ElmanGates(NamedTuple):
    """No gate, only the new hidden state: h (…, H)."""

    h: Tensor


class ElmanCell(Cell[ElmanState, ElmanGates]):
    """One step of an Elman network.

    Args:
        input_size: size D of the input x.
        hidden_size: size H of the hidden state.
        nonlinearity: φ, "tanh" or "relu".

    Parameters: weight_x (H, D), weight_h (H, H), bias (H,).
    """

    State = ElmanState
    name = "elman"
    options = frozenset({"nonlinearity"})
    packed = "h"

    def __init__(self, input_size: int, hidden_size: int, *, nonlinearity: Literal["tanh", "relu"] = "tanh") -> None:
        super().__init__(input_size, hidden_size)
        if nonlinearity not in ("tanh", "relu"):
            raise ConfigError(f'nonlinearity must be "tanh" or "relu": got {nonlinearity!r}')
        self.nonlinearity = nonlinearity
        self.weight_x = nn.Parameter(torch.empty(hidden_size, input_size))
        self.weight_h = nn.Parameter(torch.empty(hidden_size, hidden_size))
        self.bias = nn.Parameter(torch.empty(hidden_size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initialise: Glorot input weights, orthogonal recurrent weights (the identity for ReLU), bias 0."""
        glorot_(self.weight_x, gates=1)
        if self.nonlinearity == "relu":
            nn.init.eye_(self.weight_h)
        else:
            orthogonal_(self.weight_h, gates=1)
        nn.init.zeros_(self.bias)

    def project(self, x: Tensor) -> Tensor:
        """Return W_x x + b: (B, T, D) -> (B, T, H)."""
        return F.linear(x, self.weight_x, self.bias)

    def gates(self, x_gates: Tensor, state: ElmanState) -> ElmanGates:
        """Return the new h (…, H), from x_gates (…, H) and h (…, H)."""
        a = x_gates + state.h @ self.weight_h.T
        return ElmanGates(a.tanh() if self.nonlinearity == "tanh" else a.relu())

    def advance(self, gates: ElmanGates, state: ElmanState) -> tuple[Tensor, ElmanState]:
        """Return the new h as output and as state."""
        return gates.h, ElmanState(gates.h)

    def terms(self, x: Tensor, state: ElmanState) -> Mapping[str, Tensor]:
        """Return W_x x, W_h h and b; see `Cell.terms`."""
        return affine_terms(x, state.h, self.weight_x, self.weight_h, self.bias)

    def extra_repr(self) -> str:
        """Return the sizes and φ, for repr()."""
        return f"{super().extra_repr()}, nonlinearity={self.nonlinearity!r}"
