"""The contract of a cell: the mathematics of one time step, in three methods.

    x_gates = project(x)               needs no previous step, so all steps go through it in one product
    gates   = gates(x_gates, state)    the gates of one step, or of all steps at once in a trace
    y, state = advance(gates, state)   the effect of the gates

One step is `advance(gates(project(x), state), state)`; a scan (unrolled.scan) repeats it over time. A state is a
NamedTuple of tensors of any shape, batch first: a hidden state (B, H), a matrix (B, K, V). The class attributes below
describe the state further, so that scans, layers, models and traces do not depend on the names of its leaves.

A custom cell is a subclass with a State and the three methods. `unrolled.laws.check(MyCell(3, 5))` checks the first
five laws, `unrolled.laws.options_matter` checks the sixth for a table of its options.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Generic, TypeVar

import torch
from torch import Tensor, nn

from unrolled import shapes
from unrolled.errors import ConfigError

__all__ = ["OPEN", "Cell", "affine_terms", "glorot_", "orthogonal_"]

OPEN = "open at 1, shut at 0"

StateT = TypeVar("StateT")
GatesT = TypeVar("GatesT")


class Cell(nn.Module, Generic[StateT, GatesT]):
    """One time step of a recurrent network.

    Args:
        input_size: D, the size of x.
        hidden_size: H, the size of the output and, by default, of every leaf of the state.
    """

    State: ClassVar[type[Any]]
    """A NamedTuple of tensors, batch first; by default each is (B, H), see `state_shapes`."""
    feedback: ClassVar[tuple[str, ...]] = ("h",)
    """The leaves of the state that `gates` reads; () if the gates depend on the input alone. Recurrent dropout masks
    them, and a trace computes all gates at once if they are known."""
    emits: ClassVar[str | None] = "h"
    """The leaf of the state that is the output y of the step; None if `output` computes it from several."""

    is_linear: ClassVar[bool] = False
    """Whether, for given inputs, the next state is a linear function of the state: then the steps need not be taken one
    after another (`unrolled.scan.parallel`)."""

    name: ClassVar[str] = ""
    """The name in settings (`--cell lstm`) and in the names of traced tensors (`lstm.l0.f`)."""
    options: ClassVar[frozenset[str]] = frozenset()
    """The arguments of the constructor that are settings, see `unrolled.config.ModelConfig`."""
    gate_meanings: ClassVar[Mapping[str, str]] = {}
    """The gates that a trace shows, attributes of the gates' NamedTuple, each with its meaning."""
    state_meanings: ClassVar[Mapping[str, str]] = {"h": "hidden state"}
    """The leaves of the state, each with its meaning."""
    axes: ClassVar[Mapping[str, str]] = {}
    """Letters of the axes of gates and leaves that are not (H,), as in a trace: N heads, K and V sizes of a head."""
    elementwise: ClassVar[frozenset[str]] = frozenset()
    """Parameters with two axes or more that are no matrices: they multiply number by number."""
    packed: ClassVar[str] = ""
    """The order of the G gates in `project`, such as "i, f, g, o"."""
    keeps: ClassVar[str | None] = None
    """The gate that keeps the state at 1 and erases it at 0; a trace derives retention and half-life from it."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        for name, size in (("input_size", input_size), ("hidden_size", hidden_size)):
            if size < 1:
                raise ConfigError(f"{name} must be at least 1: got {size}")
        self.input_size, self.hidden_size = input_size, hidden_size

    def project(self, x: Tensor) -> Tensor:
        """Return the input's contribution to the gates: (B, T, D) -> (B, T, G·H), all steps at once."""
        raise NotImplementedError(f"{type(self).__name__} must define project(x)")

    def gates(self, x_gates: Tensor, state: StateT) -> GatesT:
        """Return the gates, a NamedTuple of (…, H), from x_gates (…, G·H) and the leaves in `feedback` (…, H).

        Only the leaves in `feedback` may be read: in a trace the others are None.
        """
        raise NotImplementedError(f"{type(self).__name__} must define gates(x_gates, state)")

    def advance(self, gates: GatesT, state: StateT) -> tuple[Tensor, StateT]:
        """Return y (…, output_size) and the next state, such that y is `output` of that state."""
        raise NotImplementedError(f"{type(self).__name__} must define advance(gates, state)")

    @property
    def output_size(self) -> int:
        """The size of y: H."""
        return self.hidden_size

    @property
    def state_products(self) -> tuple[int, int]:
        """Multiplications of a step between matrices in the state and vectors: for the next state, and for y alone."""
        return 0, 0

    @property
    def masked(self) -> tuple[str, ...]:
        """The leaves that recurrent dropout masks: those in `feedback` of H numbers."""
        shapes = self.state_shapes()
        return tuple(name for name in self.feedback if getattr(shapes, name) == (self.hidden_size,))

    def state_shapes(self) -> StateT:
        """Return the shape of each leaf of the state without the batch, as a State of tuples: (H,) by default."""
        shapes: StateT = self.State(*((self.hidden_size,) for _ in self.State._fields))
        return shapes

    def output(self, state: StateT) -> Tensor:
        """Return y of the step that ended in `state`, (B, output_size): the summary of all steps so far."""
        assert self.emits is not None, f"{type(self).__name__} must define output(state) or emits"
        y: Tensor = getattr(state, self.emits)
        return y

    def initial(self, x: Tensor) -> StateT:
        """Return the state before the first step, all zeros, for the batch of x (B, …)."""
        state: StateT = self.State(*(x.new_zeros(x.shape[0], *shape) for shape in self.state_shapes()))  # type: ignore[attr-defined]
        return state

    def check(self, state: StateT, B: int) -> None:
        """Refuse a state whose shapes are not those of this cell and a batch of B.

        Raises:
            ShapeError: names the leaf, the expected and the actual shape.
        """
        if type(self).state_shapes is Cell.state_shapes:  # for speed: a single step of a small cell takes microseconds
            H = self.hidden_size
            if all(leaf.shape == (B, H) for leaf in state):  # type: ignore[attr-defined]
                return
        for name, leaf, shape in zip(self.State._fields, state, self.state_shapes(), strict=True):  # type: ignore[call-overload]
            if leaf.shape != (B, *shape):
                shapes.refuse(f"state.{name}", leaf, (B, *shape))

    def terms(self, x: Tensor, state: StateT) -> Mapping[str, Tensor]:
        """Return the summands of each gate, for a trace: {} unless the gates are sums of two products and biases.

        Args:
            x: inputs (B, T, D).
            state: the leaves in `feedback` before each step, (B, T, H).

        Returns:
            from_x and from_h (B, T, G, H), bias (1, G, H), and further biases by name.
        """
        return {}

    def extra_repr(self) -> str:
        """Return the sizes, for repr()."""
        return f"{self.input_size}, {self.hidden_size}"


def affine_terms(x: Tensor, h: Tensor, weight_x: Tensor, weight_h: Tensor, bias: Tensor) -> dict[str, Tensor]:
    """Return W_x x and W_h h (B, T, G, H), and b (1, G, H), of gates that are functions of their sum."""
    H = weight_h.shape[1]
    terms = {"from_x": x @ weight_x.T, "from_h": h @ weight_h.T, "bias": bias.unsqueeze(0)}
    return {name: value.view(*value.shape[:-1], -1, H) for name, value in terms.items()}


@torch.no_grad()
def glorot_(weight: Tensor, gates: int) -> Tensor:
    """Fill (G·H, D) in place with U(−a, a), a = √(6 / (D + H)), as G separate matrices (Glorot & Bengio 2010)."""
    H, D = weight.shape[0] // gates, weight.shape[1]
    return weight.uniform_(-math.sqrt(6 / (D + H)), math.sqrt(6 / (D + H)))


@torch.no_grad()
def orthogonal_(weight: Tensor, gates: int) -> Tensor:
    """Fill (G·H, H) in place with G random orthogonal matrices, which preserve the length of h (Saxe et al. 2014)."""
    for matrix in weight.chunk(gates):
        nn.init.orthogonal_(matrix)
    return weight
