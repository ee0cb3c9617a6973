"""A recurrence of your own (minGRU, Feng et al. 2024), tested against the laws and run as a layer."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from unrolled import laws
from unrolled.cells import Cell
from unrolled.layers import Recurrent


class MinGRUState(NamedTuple):
    h: Tensor


class MinGRUCell(Cell):
    """z_t = σ(W_z x_t);  n_t = W_n x_t;  h_t = (1 − z_t) h_{t−1} + z_t n_t."""

    State = MinGRUState
    feedback = ()  # the gates depend on the input alone

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.gate, self.candidate = nn.Linear(input_size, hidden_size), nn.Linear(input_size, hidden_size)

    def project(self, x: Tensor) -> Tensor:  # (B, T, D) -> (B, T, 2H), every step at once
        return torch.cat([self.gate(x).sigmoid(), self.candidate(x)], dim=-1)

    def gates(self, x_gates: Tensor, state: MinGRUState) -> tuple[Tensor, ...]:  # (…, 2H) -> z, n
        return x_gates.chunk(2, dim=-1)

    def advance(self, gates: tuple[Tensor, ...], state: MinGRUState) -> tuple[Tensor, MinGRUState]:
        z, n = gates
        h = (1 - z) * state.h + z * n
        return h, MinGRUState(h)


print(*laws.check(MinGRUCell(3, 5)), sep="\n")
y, state = Recurrent(MinGRUCell(3, 5))(torch.randn(2, 7, 3), lengths=torch.tensor([7, 4]))
print(tuple(y.shape), tuple(state.h.shape))
