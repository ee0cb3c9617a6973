"""Drop-in replacements of torch.nn's recurrent layers and cells that use our CPU kernels where possible.

    from unrolled import nn as fast
    layer = fast.GRU(128, 256, num_layers=2, batch_first=True)      # torch.nn.GRU in every respect, only faster
    fast.convert(model)                                             # the same for an existing model
    first, second = layer.states(x)                                 # every gate and state of every step

Each class is a subclass of torch's own: isinstance, repr, state_dict, arguments and errors are torch's, and so is
the computation where our kernels do not apply (another device or dtype, autocast, proj_size, a parametrised weight, no
kernels installed). torch has two biases for each gate. Ours is their sum, except for the GRU's candidate, whose second
bias is inside the reset product.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from unrolled import cells
from unrolled.errors import ConfigError
from unrolled.kernels import freeze
from unrolled.kernels import scan as recurrences
from unrolled.kernels.freeze import Packable
from unrolled.kernels.native import compiled, kernels
from unrolled.kernels.scan import CellWeights
from unrolled.scan import scan
from unrolled.scan.replay import replay

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "GRUCell",
    "GRUStates",
    "LSTMCell",
    "LSTMStates",
    "RNNCell",
    "RNNStates",
    "convert",
]

M = TypeVar("M", bound=nn.Module)


def _biases(bias_ih: Tensor | None, bias_hh: Tensor | None, gru: bool) -> tuple[Tensor | None, Tensor | None]:
    """Convert torch's two biases (G·H,) to our bias (G·H,) and, for the GRU, bias_n (H,)."""
    if bias_ih is None or bias_hh is None:
        return None, None
    if not gru:
        return bias_ih + bias_hh, None
    H = bias_ih.shape[0] // 3
    return torch.cat([bias_ih[: 2 * H] + bias_hh[: 2 * H], bias_ih[2 * H :]]), bias_hh[2 * H :]


def _kind(module: nn.Module) -> int:
    """Return the kernels' number of the module's recurrence."""
    assert kernels is not None
    if isinstance(module, nn.LSTM | nn.LSTMCell):
        return int(kernels.LSTM)
    if isinstance(module, nn.GRU | nn.GRUCell):
        return int(kernels.GRU)
    return int(kernels.ELMAN_RELU if getattr(module, "nonlinearity", "tanh") == "relu" else kernels.ELMAN)


def _in_our_form(module: nn.Module, names: Sequence[str]) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
    """Return weight_x, weight_h, bias, bias_n of a layer's direction, or of a cell. names: of torch's parameters."""
    weight_x, weight_h, *biases = (getattr(module, name) for name in names)
    bias, bias_n = _biases(biases[0], biases[1], isinstance(module, nn.GRU | nn.GRUCell)) if biases else (None, None)
    return weight_x, weight_h, bias, bias_n


def _weights(module: nn.Module, names: Sequence[str]) -> CellWeights:
    """Return the same weights in the form that the kernels take."""
    return CellWeights(_kind(module), *_in_our_form(module, names))


def _scan(
    module: nn.Module, names: Sequence[str], reverse: bool, x: Tensor, lengths: Tensor | None, initial: Sequence[Tensor]
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run one direction of a layer, or a cell, from its initial state: return y and the final state, (h,) or (h, c)."""
    h0, c0 = initial[0], initial[1] if len(initial) == 2 else None
    if (packed := freeze.of(module, names[1])) is not None:
        y, h, c = packed.run(reverse, x, lengths, None, h0, c0)
    else:
        w = _weights(module, names)
        y, h, c = recurrences.run(w, reverse, x, lengths, None, h0, c0)
    return y, tuple(s.to(x.dtype) for s in ((h,) if c is None else (h, c)))  # bfloat16's state is float32


def _can(module: nn.Module, *tensors: Tensor | None) -> bool:
    """Return whether our kernels can compute a call; otherwise torch does."""
    if not compiled() or "parametrizations" in module._modules or getattr(module, "proj_size", 0) != 0:
        return False
    operands = [t for t in (*module._parameters.values(), *tensors) if t is not None]
    dtype = operands[0].dtype  # a layer has parameters
    if dtype is torch.bfloat16 and torch.is_grad_enabled() and any(t.requires_grad for t in operands):
        return False
    return dtype in (torch.float32, torch.bfloat16) and all(t.is_cpu and t.dtype is dtype for t in operands)


class RNNStates(NamedTuple):
    """States of one layer and direction of an RNN: h, in the form of the layer's output with H numbers a step."""

    h: Tensor


class GRUStates(NamedTuple):
    """Gates and states of one layer and direction of a GRU, in the form of the layer's output with H numbers a step.

    h: hidden state, r: reset gate, z: update gate, n: candidate. h_t = (1 − z_t) ⊙ n_t + z_t ⊙ h_{t−1}.
    """

    h: Tensor
    r: Tensor
    z: Tensor
    n: Tensor


class LSTMStates(NamedTuple):
    """Gates and states of one layer and direction of an LSTM, in the form of the layer's output with H numbers a step.

    h: hidden state, c: cell state, i, f, g, o: input gate, forget gate, candidate, output gate.
    c_t = f_t ⊙ c_{t−1} + i_t ⊙ g_t, h_t = o_t ⊙ tanh(c_t).
    """

    h: Tensor
    c: Tensor
    i: Tensor
    f: Tensor
    g: Tensor
    o: Tensor


class _Form(NamedTuple):
    """Arguments of a call in batch-first form, and the functions that restore the caller's form."""

    x: Tensor  # (B, T, D)
    state: Any  # (layers · directions, B, H), a pair of them, or None
    lengths: Tensor | None
    out: Callable[[Tensor], Any]  # (B, T, ·) -> the form of the input
    out_state: Callable[[Tensor], Tensor]  # (layers · directions, B, H) -> the form of the state


class _Layers(nn.RNNBase):
    """Base class of RNN, GRU and LSTM: layers, directions, dropout, and torch's forms of input and state."""

    States: ClassVar[type[Any]]

    def forward(self, input: Any, hx: Any = None) -> Any:
        """Return outputs and final state, as torch's forward does.

        Args:
            input: (T, B, D), (B, T, D) with batch_first, (T, D), or a PackedSequence. hx: the initial state; None: 0.
        """
        x = input.data if isinstance(input, PackedSequence) else input
        states = hx if isinstance(hx, tuple) else (hx,)
        if not isinstance(x, Tensor) or not all(s is None or isinstance(s, Tensor) for s in states):
            return super().forward(input, hx)
        if not _can(self, x, *states) or x.numel() == 0 or torch.is_autocast_enabled("cpu"):
            return super().forward(input, hx)
        if isinstance(input, Tensor) and input.dim() not in (2, 3):
            return super().forward(input, hx)  # torch raises its own error
        form = self._form(input, hx)
        y, after = self._run(form, self._fused)
        return form.out(y), _map(after, form.out_state)

    def states(self, input: Any, hx: Any = None) -> list[Any]:
        """Return every gate and state of every step of `layer(input, hx)`, differentiable.

        The scan runs at full speed; the gates are then computed from x and the returned h, all steps at once (replay),
        and the LSTM's c step by step. Any device and dtype. Dropout between layers follows the layer's mode and is
        drawn for this call.

        Args:
            input, hx: as forward takes them.

        Returns:
            One RNNStates, GRUStates or LSTMStates for each layer and direction, in the order of torch's h_n (layer 0
            forward, layer 0 backward, layer 1 forward, …). Their fields have the form of forward's output, with H
            numbers a step: (T, B, H), (B, T, H), (T, H) or a PackedSequence.

        Raises:
            ConfigError: the layer has a proj_size. ValueError: input is neither 2-D nor 3-D.
        """
        if self.proj_size:
            raise ConfigError(f"states: a layer with proj_size={self.proj_size} cannot be replayed; build it without")
        if isinstance(input, Tensor) and input.dim() not in (2, 3):
            raise ValueError(f"states: input must be 2-D or 3-D, as forward takes it: got {input.dim()}-D")
        form = self._form(input, hx)
        collected: list[Any] = []

        def run(index: int, x: Tensor, lengths: Tensor | None, initial: list[Tensor]) -> tuple[Tensor, Any]:
            cell, reverse = self._cell(index), self._is_reverse(index)
            state = cell.State(*initial)
            y, after = scan(cell, x, state, lengths, reverse=reverse)
            gates, states = replay(cell, x, y, state, lengths, reverse=reverse)
            named = (getattr(states if name in states._fields else gates, name) for name in self.States._fields)
            collected.append(self.States._make(form.out(value) for value in named))
            return y, after

        self._run(form, run)
        return collected

    def _form(self, input: Any, hx: Any) -> _Form:
        """Convert torch's forms of input and state to batch-first form."""
        if isinstance(input, PackedSequence):
            x, lengths = pad_packed_sequence(input, batch_first=True)  # in the order before packing sorted them
            on_device = lengths.to(x.device)  # pack_padded_sequence takes lengths on the CPU

            def packed(y: Tensor) -> PackedSequence:
                if input.sorted_indices is None:
                    return pack_padded_sequence(y, lengths, batch_first=True)
                order = input.sorted_indices
                data = pack_padded_sequence(y[order], lengths[order.cpu()], batch_first=True).data
                return PackedSequence(data, input.batch_sizes, order, input.unsorted_indices)

            return _Form(x, hx, on_device, packed, lambda s: s)
        if input.dim() == 2:
            initial = _map(hx, lambda s: s.unsqueeze(1))
            return _Form(input.unsqueeze(0), initial, None, lambda y: y.squeeze(0), lambda s: s.squeeze(1))
        if self.batch_first:
            return _Form(input, hx, None, lambda y: y, lambda s: s)
        return _Form(input.transpose(0, 1), hx, None, lambda y: y.transpose(0, 1), lambda s: s)

    def _run(self, form: _Form, run: Callable[..., tuple[Tensor, Any]]) -> tuple[Tensor, Any]:
        """Return y (B, T, directions · H) and torch's final state. run: computes one layer and direction."""
        x, hx = form.x, form.state
        B, directions = x.shape[0], 2 if self.bidirectional else 1
        if x.shape[2] != self.input_size:
            raise RuntimeError(
                f"input.size(-1) must be equal to input_size. Expected {self.input_size}, got {x.shape[2]}"
            )
        shape = (self.num_layers * directions, B, self.hidden_size)
        lstm = isinstance(self, nn.LSTM)
        states = [x.new_zeros(shape)] * (2 if lstm else 1) if hx is None else list(hx) if lstm else [hx]
        for name, state in zip(("hidden[0]", "hidden[1]") if lstm else ("hidden",), states, strict=True):
            self.check_hidden_size(state, shape, f"Expected {name} size {{}}, got {{}}")
        finals: list[list[Tensor]] = [[] for _ in states]
        for layer in range(self.num_layers):
            ys = []
            for index in range(layer * directions, (layer + 1) * directions):
                y, after = run(index, x, form.lengths, [state[index] for state in states])
                ys.append(y)
                for final, leaf in zip(finals, after, strict=True):
                    final.append(leaf)
            x = torch.cat(ys, dim=2) if directions == 2 else ys[0]
            if self.dropout and layer + 1 < self.num_layers:
                x = F.dropout(x, self.dropout, self.training)
        stacked = tuple(torch.stack(final) for final in finals)
        return x, stacked if lstm else stacked[0]

    def _weights(self, index: int) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
        """Return weight_x, weight_h, bias, bias_n of one layer and direction."""
        return _in_our_form(self, self._all_weights[index])

    def _fused(self, index: int, x: Tensor, lengths: Tensor | None, initial: list[Tensor]) -> tuple[Tensor, Any]:
        """Compute one layer and direction with our kernels."""
        return _scan(self, self._all_weights[index], self._is_reverse(index), x, lengths, initial)

    def _cell(self, index: int) -> cells.Cell[Any, Any]:
        """Return a cell of ours that computes one layer and direction with this layer's own parameters."""
        weights = self._weights(index)
        values, weight_x = dict(zip(("weight_x", "weight_h", "bias", "bias_n"), weights, strict=True)), weights[0]
        sizes = weight_x.shape[1], self.hidden_size
        with torch.device("meta"):  # no weights of its own
            cell: cells.Cell[Any, Any]
            if isinstance(self, nn.LSTM):
                cell = cells.LSTMCell(*sizes)
            elif isinstance(self, nn.GRU):
                cell = cells.GRUCell(*sizes)
            else:
                cell = cells.ElmanCell(*sizes, nonlinearity=self.nonlinearity)  # type: ignore[arg-type]
        for name, own in cell._parameters.items():
            assert own is not None
            value = values[name]
            # Not a Parameter: gradients flow to torch's parameters, of which our bias is a sum.
            cell._parameters[name] = weight_x.new_zeros(own.shape) if value is None else value  # type: ignore[assignment]
        return cell

    def _is_reverse(self, index: int) -> bool:
        return self.bidirectional and index % 2 == 1


def _map(state: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Apply a function to each tensor of torch's state."""
    if state is None:
        return None
    return tuple(change(s) for s in state) if isinstance(state, tuple) else change(state)


class RNN(_Layers, nn.RNN):
    """torch.nn.RNN, faster on the CPU."""

    States = RNNStates


class GRU(_Layers, nn.GRU):
    """torch.nn.GRU, faster on the CPU."""

    States = GRUStates


class LSTM(_Layers, nn.LSTM):
    """torch.nn.LSTM, faster on the CPU."""

    States = LSTMStates


class _Step(nn.RNNCellBase):
    """Base class of RNNCell, GRUCell and LSTMCell."""

    def forward(self, input: Tensor, hx: Any = None) -> Any:
        """Return the next state, as torch's forward does. input: (B, D) or (D,). hx: the state; None: 0."""
        states = hx if isinstance(hx, tuple) else (hx,)
        lstm = isinstance(self, nn.LSTMCell)
        fits = isinstance(input, Tensor) and input.dim() in (1, 2) and input.shape[-1] == self.input_size
        fits = fits and all(s is None or s.shape == (*input.shape[:-1], self.hidden_size) for s in states)
        if not fits or not _can(self, input, *states) or torch.is_autocast_enabled("cpu"):
            return super().forward(input, hx)
        x = input if input.dim() == 2 else input.unsqueeze(0)
        initial = [x.new_zeros(x.shape[0], self.hidden_size)] * (2 if lstm else 1)
        if hx is not None:
            initial = [s if input.dim() == 2 else s.unsqueeze(0) for s in states]
        _, after = _scan(self, _names(self), False, x.unsqueeze(1), None, initial)
        state = tuple(leaf if input.dim() == 2 else leaf.squeeze(0) for leaf in after)
        return state if lstm else state[0]


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


def _names(module: nn.RNNCellBase) -> tuple[str, ...]:
    """Return the names of a cell's parameters, in the order of torch's `_all_weights` of a layer."""
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    return names if module.bias else names[:2]


def _recurrences(module: nn.Module) -> Iterator[Packable]:
    """Yield the recurrences that `frozen` packs: each layer and direction, or the cell itself."""
    if getattr(module, "proj_size", 0) == 0:
        directions: Any = [_names(module)] if isinstance(module, nn.RNNCellBase) else module._all_weights
        for names in directions:
            parameters = tuple(getattr(module, name) for name in names)
            if all(isinstance(p, nn.Parameter) for p in parameters):
                yield Packable(names[1], _weights(module, names), parameters)


freeze.OWNERS.update(dict.fromkeys((RNN, GRU, LSTM, RNNCell, GRUCell, LSTMCell), _recurrences))


def convert(module: M) -> M:
    """Change the class of every torch recurrent layer and cell inside `module` to ours, in place; return `module`.

    Objects keep their parameters, hooks and mode. Subclasses of torch's classes stay unchanged.
    """
    for each in module.modules():
        if type(each) in _OURS:
            each.__class__ = _OURS[type(each)]
    return module
