"""What a cell is: the maths of one time step, in three pieces.

    x_gates = project(x)               needs no previous step, so all steps go through it in one product
    gates   = gates(x_gates, state)    what the gates say: one step, or all of them at once when watching
    y, state = advance(gates, state)   what they do

One step is `advance(gates(project(x), state), state)`. A scan (unrolled.scan) repeats it over time.
To write a cell of your own, subclass Cell, name its State, and pass the laws: `unrolled.laws.check(MyCell(3, 5))` holds
it to the first five, `unrolled.laws.options_matter` a table of its options to the sixth.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar, Generic, TypeVar

import torch
from torch import Tensor, nn

from unrolled.errors import ConfigError

__all__ = ["Cell", "glorot_", "orthogonal_"]

StateT = TypeVar("StateT")
GatesT = TypeVar("GatesT")


class Cell(nn.Module, Generic[StateT, GatesT]):
    """One time step of a recurrent network.

    Args:
        input_size: D, the size of x.
        hidden_size: H, the size of every field of the state.
    """

    State: ClassVar[type[Any]]
    """A NamedTuple of (B, H) tensors. Its field `h` is the cell's output: what returns into the gates at the next
    step, what recurrent dropout masks there, and what `read=last` reads."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        for name, size in (("input_size", input_size), ("hidden_size", hidden_size)):
            if size < 1:
                raise ConfigError(f"{name} must be at least 1: got {size}")
        self.input_size, self.hidden_size = input_size, hidden_size

    def project(self, x: Tensor) -> Tensor:
        """What the input says to the gates: (B, T, D) -> (B, T, G·H), every step at once."""
        raise NotImplementedError(f"{type(self).__name__} must define project(x)")

    def gates(self, x_gates: Tensor, state: StateT) -> GatesT:
        """What the gates say: x_gates (…, G·H) and state fields (…, H) -> a NamedTuple of (…, H)."""
        raise NotImplementedError(f"{type(self).__name__} must define gates(x_gates, state)")

    def advance(self, gates: GatesT, state: StateT) -> tuple[Tensor, StateT]:
        """What the gates do: one elementwise step -> y (…, H) and the next state."""
        raise NotImplementedError(f"{type(self).__name__} must define advance(gates, state)")

    def initial(self, x: Tensor) -> StateT:
        """Return the state at the beginning of a sequence, all zeros, for the batch of x: (B, …)."""
        state: StateT = self.State(*(x.new_zeros(x.shape[0], self.hidden_size) for _ in self.State._fields))
        return state

    def extra_repr(self) -> str:
        """Sizes, for repr()."""
        return f"{self.input_size}, {self.hidden_size}"


@torch.no_grad()
def glorot_(weight: Tensor, gates: int) -> Tensor:
    """Fill (G·H, D) in place with U(−a, a), a = √(6 / (D + H)): the G gates as one each (Glorot & Bengio 2010)."""
    H, D = weight.shape[0] // gates, weight.shape[1]
    return weight.uniform_(-math.sqrt(6 / (D + H)), math.sqrt(6 / (D + H)))


@torch.no_grad()
def orthogonal_(weight: Tensor, gates: int) -> Tensor:
    """Fill (G·H, H) in place with G random rotations: what returns keeps its length at first (Saxe et al. 2014)."""
    for one in weight.chunk(gates):
        nn.init.orthogonal_(one)
    return weight
