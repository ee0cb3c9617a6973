"""RNNCell, GRUCell and LSTMCell: torch.nn's cells, one step of a recurrence, by our kernels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, fx, nn

from unrolled.kernels.native import Recurrence
from unrolled.kernels.packed import Packable
from unrolled.nn.scripting import Twin, call_module
from unrolled.nn.weights import GATES, available, have_shapes, packable, scan, takes

__all__ = ["GRUCell", "LSTMCell", "RNNCell"]


def names(module: nn.RNNCellBase) -> tuple[str, ...]:
    """Return the names of a cell's weights, in the order of `weights.in_our_form`."""
    every = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    return every if module.bias_ih is not None else every[:2]


class _Cell(Twin, nn.RNNCellBase):
    """Base class of RNNCell, GRUCell and LSTMCell."""

    def recurrence(self) -> int | None:
        """Return the recurrence that the cell computes; None if the kernels have none like it."""
        raise NotImplementedError(f"{type(self).__name__} must define recurrence()")

    def forward(self, input: Tensor, hx: Any = None) -> Any:
        """Return the next state, as torch's forward does.

        Args:
            input: (B, D), or (D,) without a batch.
            hx: state before the step, (B, H) or (H,), of an LSTMCell a pair (h, c); None: 0.
        """
        if isinstance(input, fx.Proxy):
            return call_module(self, super().forward, input, hx)
        is_pair = isinstance(self, nn.LSTMCell)
        states = () if hx is None else tuple(hx) if is_pair and isinstance(hx, tuple | list) else (hx,)
        recurrence = self.recurrence()
        # One step is compiled better from torch's own operations.
        if recurrence is None or torch.compiler.is_compiling() or not available():
            return super().forward(input, hx)
        if not self._fits(input, states, 0 if hx is None else 2 if is_pair else 1):
            return super().forward(input, hx)
        weights = [getattr(self, name) for name in names(self)]
        fits = have_shapes(weights, GATES[recurrence], self.input_size, self.hidden_size)
        if not fits or not takes(weights, (input, *states)):
            return super().forward(input, hx)
        batched = input.dim() == 2
        x = input if batched else input.unsqueeze(0)
        initial = [state if batched else state.unsqueeze(0) for state in states]
        if not initial:
            initial = [x.new_zeros(x.shape[0], self.hidden_size)] * (2 if is_pair else 1)
        _, after = scan(self, "weight_hh", recurrence, weights, False, x.unsqueeze(1), None, initial)
        state = after if batched else tuple(leaf.squeeze(0) for leaf in after)
        return state if is_pair else state[0]

    def packable(self) -> Iterator[Packable]:
        """Yield the cell's recurrence, for `frozen`."""
        return packable(self, self.recurrence(), names(self))

    def _fits(self, input: Any, states: tuple[Any, ...], leaves: int) -> bool:
        """Return True if the shapes are those of a call; torch raises its own errors for others."""
        if not isinstance(input, Tensor) or input.dim() not in (1, 2) or input.shape[-1] != self.input_size:
            return False
        if not input.numel() or not self.hidden_size or len(states) != leaves:
            return False
        shape = (*input.shape[:-1], self.hidden_size)
        return all(isinstance(state, Tensor) and state.shape == shape for state in states)


class RNNCell(_Cell, nn.RNNCell):
    """torch.nn.RNNCell, faster on the CPU: one step of an Elman network. The arguments are torch's."""

    twin = nn.RNNCell

    def recurrence(self) -> int | None:
        """Return the recurrence of the cell's nonlinearity; None for one that torch refuses."""
        return {"tanh": Recurrence.ELMAN, "relu": Recurrence.ELMAN_RELU}.get(self.nonlinearity)


class GRUCell(_Cell, nn.GRUCell):
    """torch.nn.GRUCell, faster on the CPU: one step of a GRU. The arguments are torch's."""

    twin = nn.GRUCell

    def recurrence(self) -> int:
        """Return the recurrence of the GRU."""
        return Recurrence.GRU


class LSTMCell(_Cell, nn.LSTMCell):
    """torch.nn.LSTMCell, faster on the CPU: one step of an LSTM. The arguments are torch's."""

    twin = nn.LSTMCell

    def recurrence(self) -> int:
        """Return the recurrence of the LSTM."""
        return Recurrence.LSTM
