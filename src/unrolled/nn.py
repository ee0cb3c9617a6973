"""torch.nn's recurrent layers and cells, computed by our kernels where they can: change one import.

    from unrolled import nn as fast
    layer = fast.GRU(128, 256, num_layers=2, batch_first=True)      # torch.nn.GRU in every respect, only faster
    fast.convert(model)                                             # the same for a model that exists already

Each class is a subclass of torch's own: isinstance, repr, state_dict, arguments and errors are torch's, and so is
everything that our kernels cannot compute (another device or dtype, autocast, proj_size, a parametrised weight, no
kernels installed). torch adds two biases a gate; ours is their sum, but for the GRU's candidate, whose second one stays
inside the reset product.
"""

from __future__ import annotations

from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from unrolled.scan import fused

__all__ = ["GRU", "LSTM", "RNN", "GRUCell", "LSTMCell", "RNNCell", "convert"]

M = TypeVar("M", bound=nn.Module)


def _biases(bias_ih: Tensor | None, bias_hh: Tensor | None, gru: bool) -> tuple[Tensor | None, Tensor | None]:
    """torch's two biases (G·H,) as our bias (G·H,) and, for the GRU, bias_n (H,)."""
    if bias_ih is None or bias_hh is None:
        return None, None
    if not gru:
        return bias_ih + bias_hh, None
    H = bias_ih.shape[0] // 3
    return torch.cat([bias_ih[: 2 * H] + bias_hh[: 2 * H], bias_ih[2 * H :]]), bias_hh[2 * H :]


def _kind(module: nn.Module) -> int:
    """Which of the kernels' recurrences this is."""
    kernels = fused._kernels
    assert kernels is not None
    if isinstance(module, nn.LSTM | nn.LSTMCell):
        return int(kernels.LSTM)
    if isinstance(module, nn.GRU | nn.GRUCell):
        return int(kernels.GRU)
    return int(kernels.ELMAN_RELU if getattr(module, "nonlinearity", "tanh") == "relu" else kernels.ELMAN)


def _can(module: nn.Module, *tensors: Tensor | None) -> bool:
    """Whether our kernels compute this call; if not, torch does."""
    if not fused.compiled() or "parametrizations" in module._modules or getattr(module, "proj_size", 0) != 0:
        return False
    given = [t for t in (*module._parameters.values(), *tensors) if t is not None]
    return all(t.device.type == "cpu" and t.dtype == torch.float32 for t in given)


class _Layers(nn.RNNBase):
    """What RNN, GRU and LSTM share: layers, directions, dropout, and torch's forms of input and state."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        """As torch's: (T, B, D), (B, T, D), (T, D) or a PackedSequence, and the state -> outputs, final state."""
        x = input.data if isinstance(input, PackedSequence) else input
        states = hx if isinstance(hx, tuple) else (hx,)
        if not isinstance(x, Tensor) or not all(s is None or isinstance(s, Tensor) for s in states):
            return super().forward(input, hx)
        if not _can(self, x, *states) or x.numel() == 0 or torch.is_autocast_enabled("cpu"):
            return super().forward(input, hx)
        if isinstance(input, PackedSequence):
            return self._packed(input, hx)
        if input.dim() not in (2, 3):
            return super().forward(input, hx)  # refused there, in torch's words
        if input.dim() == 2:
            y, after = self._batch(input.unsqueeze(0), _map(hx, lambda s: s.unsqueeze(1)), None)
            return y.squeeze(0), _map(after, lambda s: s.squeeze(1))
        y, after = self._batch(input if self.batch_first else input.transpose(0, 1), hx, None)
        return (y if self.batch_first else y.transpose(0, 1)), after

    def _packed(self, input: PackedSequence, hx: Any) -> tuple[PackedSequence, Any]:
        x, lengths = pad_packed_sequence(input, batch_first=True)  # rows as they were before they were sorted
        y, after = self._batch(x, hx, lengths)
        if input.sorted_indices is None:
            return pack_padded_sequence(y, lengths, batch_first=True), after
        sorted_y = pack_padded_sequence(y[input.sorted_indices], lengths[input.sorted_indices], batch_first=True)
        return PackedSequence(sorted_y.data, input.batch_sizes, input.sorted_indices, input.unsorted_indices), after

    def _batch(self, x: Tensor, hx: Any, lengths: Tensor | None) -> tuple[Tensor, Any]:
        """(B, T, D) and states (layers · directions, B, H) or None -> y (B, T, directions · H) and states."""
        B, directions = x.shape[0], 2 if self.bidirectional else 1
        if x.shape[2] != self.input_size:
            raise RuntimeError(
                f"input.size(-1) must be equal to input_size. Expected {self.input_size}, got {x.shape[2]}"
            )
        shape = (self.num_layers * directions, B, self.hidden_size)
        lstm, gru = isinstance(self, nn.LSTM), isinstance(self, nn.GRU)
        states = [x.new_zeros(shape)] * (2 if lstm else 1) if hx is None else list(hx) if lstm else [hx]
        for name, state in zip(("hidden[0]", "hidden[1]") if lstm else ("hidden",), states, strict=True):
            self.check_hidden_size(state, shape, f"Expected {name} size {{}}, got {{}}")
        finals: list[list[Tensor]] = [[] for _ in states]
        for layer in range(self.num_layers):
            ys = []
            for direction in range(directions):
                index = layer * directions + direction
                names = self._all_weights[index]
                weight_x, weight_h, *biases = (getattr(self, name) for name in names)
                bias, bias_n = _biases(biases[0], biases[1], gru) if biases else (None, None)
                begun = [state[index] for state in states]
                y, after = fused.run(
                    _kind(self), direction == 1, x, lengths, weight_x, weight_h, bias, bias_n, None,
                    begun[0], begun[1] if lstm else None,
                )  # fmt: skip
                ys.append(y)
                for final, leaf in zip(finals, after, strict=True):
                    final.append(leaf)
            x = torch.cat(ys, dim=2) if directions == 2 else ys[0]
            if self.dropout and layer + 1 < self.num_layers:
                x = F.dropout(x, self.dropout, self.training)
        stacked = tuple(torch.stack(final) for final in finals)
        return x, stacked if lstm else stacked[0]


def _map(state: Any, change: Any) -> Any:
    if state is None:
        return None
    return tuple(change(s) for s in state) if isinstance(state, tuple) else change(state)


class RNN(_Layers, nn.RNN):
    """torch.nn.RNN, faster on the CPU."""


class GRU(_Layers, nn.GRU):
    """torch.nn.GRU, faster on the CPU."""


class LSTM(_Layers, nn.LSTM):
    """torch.nn.LSTM, faster on the CPU."""


class _Step(nn.RNNCellBase):
    """What the three cells share."""

    def forward(self, input: Tensor, hx: Any = None) -> Any:
        """As torch's: (B, D) or (D,), and the state -> the next state."""
        states = hx if isinstance(hx, tuple) else (hx,)
        lstm, gru = isinstance(self, nn.LSTMCell), isinstance(self, nn.GRUCell)
        fits = isinstance(input, Tensor) and input.dim() in (1, 2) and input.shape[-1] == self.input_size
        fits = fits and all(s is None or s.shape == (*input.shape[:-1], self.hidden_size) for s in states)
        if not fits or not _can(self, input, *states) or torch.is_autocast_enabled("cpu"):
            return super().forward(input, hx)
        x = input if input.dim() == 2 else input.unsqueeze(0)
        begun = [x.new_zeros(x.shape[0], self.hidden_size)] * (2 if lstm else 1)
        if hx is not None:
            begun = [s if input.dim() == 2 else s.unsqueeze(0) for s in states]
        bias, bias_n = _biases(self.bias_ih, self.bias_hh, gru) if self.bias else (None, None)
        _, after = fused.run(
            _kind(self), False, x.unsqueeze(1), None, self.weight_ih, self.weight_hh, bias, bias_n, None,
            begun[0], begun[1] if lstm else None,
        )  # fmt: skip
        found = tuple(leaf if input.dim() == 2 else leaf.squeeze(0) for leaf in after)
        return found if lstm else found[0]


class RNNCell(_Step, nn.RNNCell):
    """torch.nn.RNNCell, faster on the CPU."""


class GRUCell(_Step, nn.GRUCell):
    """torch.nn.GRUCell, faster on the CPU."""


class LSTMCell(_Step, nn.LSTMCell):
    """torch.nn.LSTMCell, faster on the CPU."""


_OURS: dict[type[nn.Module], type[nn.Module]] = {
    nn.RNN: RNN,
    nn.GRU: GRU,
    nn.LSTM: LSTM,
    nn.RNNCell: RNNCell,
    nn.GRUCell: GRUCell,
    nn.LSTMCell: LSTMCell,
}


def convert(module: M) -> M:
    """Let our kernels compute every recurrent layer and cell of torch's inside `module`; return it.

    Only what is exactly torch's class becomes ours: the very same object, with its parameters, hooks and mode.
    """
    for part in module.modules():
        if type(part) in _OURS:
            part.__class__ = _OURS[type(part)]
    return module
