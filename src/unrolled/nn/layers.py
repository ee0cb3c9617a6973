"""RNN, GRU and LSTM: torch.nn's recurrent layers by our kernels, with every gate and state of every step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from operator import is_
from typing import Any, ClassVar, NamedTuple, cast

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from unrolled.eager import in_memory
from unrolled.errors import ConfigError
from unrolled.kernels import freeze, layer
from unrolled.kernels.layer import Layer
from unrolled.kernels.native import Recurrence
from unrolled.kernels.packed import Packable
from unrolled.nn.scripting import Twin, call_module, compiles_frames, untraced
from unrolled.nn.weights import GATES, available, have_shapes, in_our_form, packable, scan, takes
from unrolled.scan import scan as scan_cell
from unrolled.scan.fused import cell_of
from unrolled.scan.replay import replay

__all__ = ["GRU", "LSTM", "RNN", "GRUStates", "LSTMStates", "RNNStates"]


class RNNStates(NamedTuple):
    """States of one layer and direction of an RNN: h, in the form of the layer's output with H numbers a step."""

    h: Tensor


class GRUStates(NamedTuple):
    """Gates and states of one layer and direction of a GRU, in the form of the layer's output with H numbers a step.

    h_t = (1 − z_t) ⊙ n_t + z_t ⊙ h_{t−1}.

    Args:
        h: hidden state.
        r: reset gate.
        z: update gate.
        n: candidate.
    """

    h: Tensor
    r: Tensor
    z: Tensor
    n: Tensor


class LSTMStates(NamedTuple):
    """Gates and states of one layer and direction of an LSTM, in the form of the layer's output with H numbers a step.

    c_t = f_t ⊙ c_{t−1} + i_t ⊙ g_t, h_t = o_t ⊙ tanh(c_t).

    Args:
        h: hidden state.
        c: cell state.
        i: input gate.
        f: forget gate.
        g: candidate.
        o: output gate.
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
    states: tuple[Tensor, ...]  # each (layers · directions, B, H); empty if the caller gave none
    lengths: Tensor | None
    out: Callable[[Tensor], Any]  # (B, T, ·) -> the form of the input
    out_state: Callable[[Tensor], Tensor]  # (layers · directions, B, H) -> the form of the state


# Runs one layer and direction: index, x, lengths, initial state -> y, final state.
_Run = Callable[[int, Tensor, Tensor | None, list[Tensor]], tuple[Tensor, tuple[Tensor, ...]]]


class _Layers(Twin, nn.RNNBase):
    """Base class of RNN, GRU and LSTM: layers, directions, dropout, and torch's forms of input and state."""

    States: ClassVar[type[Any]]
    modes: ClassVar[dict[str, int]]  # torch's `mode`, which may be changed later, and its recurrence

    def forward(self, input: Any, hx: Any = None) -> Any:
        """Return outputs and final state, as torch's forward does.

        Args:
            input: (T, B, D), (B, T, D) with batch_first, (T, D), or a PackedSequence.
            hx: the initial state; None: 0.
        """
        if isinstance(input, fx.Proxy):
            return call_module(self, super().forward, input, hx)
        if not torch.compiler.is_compiling() and compiles_frames():
            return untraced(type(self)._run_forward)(self, input, hx)
        return self._run_forward(input, hx)

    def _run_forward(self, input: Any, hx: Any) -> Any:
        """Return the result of forward, by the first of three ways that can: a plain call, our kernels, torch."""
        self._update_weights()
        if (plain := self._plain(input, hx)) is not None:
            y, h, c = plain
            return y, h if c is None else (h, c)
        if not self._can_run(input, hx):
            return super().forward(input, hx)
        form = self._form(input, hx)
        y, after = self._run(form, self._fused)
        return form.out(y), self._paired([form.out_state(state) for state in after])

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
            ConfigError: the layer has a proj_size.
            RuntimeError, ValueError: input or hx is not what forward takes; the error is torch's.
        """
        if self.proj_size:
            raise ConfigError(f"states: a layer with proj_size={self.proj_size} cannot be replayed; build it without")
        self._update_weights()
        if not self._fits(input, hx):
            super().forward(input, hx)  # raises torch's error, or passes: an empty input
        form = self._form(input, hx)
        collected: list[Any] = []

        def run(index: int, x: Tensor, lengths: Tensor | None, initial: list[Tensor]) -> tuple[Tensor, Any]:
            cell, reverse = cell_of(in_our_form(self._recurrence(), self._weights(index))), self._is_reverse(index)
            state = cell.State(*initial)
            y, after = scan_cell(cell, x, state, lengths, reverse=reverse)
            gates, states = replay(cell, x, y, state, lengths, reverse=reverse)
            named = (getattr(states if name in states._fields else gates, name) for name in self.States._fields)
            collected.append(self.States._make(form.out(value) for value in named))
            return y, after

        self._run(form, run)
        return collected

    def packable(self) -> Iterator[Packable]:
        """Yield the recurrence of each layer and direction, for `frozen`."""
        for names in () if self.proj_size else self._all_weights:
            yield from packable(self, self.modes.get(self.mode), names)

    def _plain(self, x: Any, hx: Any) -> tuple[Tensor, Tensor, Tensor | None] | None:
        """Return y, h and c of a plain call, for which a step of a small layer is fast: None if it is not one.

        It is one of a single layer and direction, on a whole batch in float32, whose weights are not frozen.
        """
        if self.num_layers != 1 or self.bidirectional or self.proj_size or self.mode not in self.modes:
            return None
        if torch.compiler.is_compiling() or not available():
            return None
        states = (None, None) if hx is None else hx if self.mode == "LSTM" else (hx, None)
        if type(states) is not tuple or len(states) != 2 or not in_memory(x, *states):
            return None
        weights = self._flat_weights
        if len(weights) != (4 if self.bias else 2):
            return None
        for weight in weights:
            if type(weight) is not nn.Parameter or weight.is_neg():
                return None
        tensors = Layer.of(x, weights, *states)
        recurrence, time_first = self.modes[self.mode], not self.batch_first
        if not layer.fits(recurrence, self.input_size, self.hidden_size, tensors, time_first=time_first):
            return None
        if freeze.of(self, "weight_hh_l0") is not None:
            return None
        return layer.run(recurrence, False, None, tensors, time_first=time_first)

    def _can_run(self, input: Any, hx: Any) -> bool:
        """Return True if our kernels compute this call; every other call is torch's, and so are its errors."""
        if self.proj_size or self.mode not in self.modes or not available():
            return False
        if not self._fits(input, hx) or not self._weights_fit():
            return False
        x = input.data if isinstance(input, PackedSequence) else input
        return x.numel() > 0 and takes(self._flat_weights, (x, *self._states(hx)))

    def _fits(self, input: Any, hx: Any) -> bool:
        """Return True if input and hx have the types and shapes of a call."""
        packed = isinstance(input, PackedSequence)
        x = input.data if packed else input
        if not isinstance(x, Tensor) or x.dim() not in ((2,) if packed else (2, 3)) or x.shape[-1] != self.input_size:
            return False
        if packed and int(input.batch_sizes.sum()) != len(x):
            return False
        if hx is None:
            return True
        states = self._states(hx)
        shape: tuple[int, ...] = (self.num_layers * (2 if self.bidirectional else 1), self.hidden_size)
        if packed or x.dim() == 3:
            B = int(input.batch_sizes[0]) if packed else x.shape[0 if self.batch_first else 1]
            shape = (shape[0], B, shape[1])
        leaves = 2 if isinstance(self, nn.LSTM) else 1
        return len(states) == leaves and all(isinstance(s, Tensor) and s.shape == shape for s in states)

    def _weights_fit(self) -> bool:
        """Return True if the weights are those of the present attributes, which may be changed after construction."""
        directions, H, G = 2 if self.bidirectional else 1, self.hidden_size, GATES[self._recurrence()]
        each = 4 if self.bias else 2
        if len(self._flat_weights) != self.num_layers * directions * each or len(self._all_weights[0]) != each:
            return False
        for index in range(self.num_layers * directions):
            D = self.input_size if index < directions else directions * H
            if not have_shapes(self._weights(index), G, D, H):
                return False
        return True

    def _update_weights(self) -> None:
        """Let torch update the list of weights if a parameter was replaced; it looks each one up by name."""
        own, flat = self._parameters.values(), self._flat_weights
        if len(own) != len(flat) or not all(map(is_, own, flat)):
            self._update_flat_weights()

    def _states(self, hx: Any) -> tuple[Any, ...]:
        """Return the tensors of torch's state; none for None."""
        if hx is None:
            return ()
        return tuple(hx) if isinstance(self, nn.LSTM) and isinstance(hx, tuple | list) else (hx,)

    def _paired(self, states: list[Tensor]) -> Any:
        """Return the tensors of a state as torch's state."""
        return tuple(states) if isinstance(self, nn.LSTM) else states[0]

    def _form(self, input: Any, hx: Any) -> _Form:
        """Convert torch's forms of input and state to batch-first form."""
        states = self._states(hx)
        if isinstance(input, PackedSequence):
            x, lengths = pad_packed_sequence(input, batch_first=True)  # in the order before packing sorted them
            on_device = lengths.to(x.device)  # pack_padded_sequence takes lengths on the CPU

            def packed(y: Tensor) -> PackedSequence:
                if input.sorted_indices is None:
                    return pack_padded_sequence(y, lengths, batch_first=True)
                order = input.sorted_indices
                data = pack_padded_sequence(y[order], lengths[order.cpu()], batch_first=True).data
                return PackedSequence(data, input.batch_sizes, order, input.unsorted_indices)

            return _Form(x, states, on_device, packed, lambda s: s)
        if input.dim() == 2:
            states = tuple(state.unsqueeze(1) for state in states)
            return _Form(input.unsqueeze(0), states, None, lambda y: y.squeeze(0), lambda s: s.squeeze(1))
        if self.batch_first:
            return _Form(input, states, None, lambda y: y, lambda s: s)
        # Outputs can be viewed as (T · B, ·), as torch's can. The kernels write them in the layout of the input.
        return _Form(input.transpose(0, 1), states, None, lambda y: y.transpose(0, 1).contiguous(), lambda s: s)

    def _run(self, form: _Form, run: _Run) -> tuple[Tensor, list[Tensor]]:
        """Return y (B, T, directions · H) and the final states, each (layers · directions, B, H)."""
        x, directions, leaves = form.x, 2 if self.bidirectional else 1, 2 if isinstance(self, nn.LSTM) else 1
        shape = (self.num_layers * directions, x.shape[0], self.hidden_size)
        states = form.states or (x.new_zeros(shape),) * leaves
        finals: list[list[Tensor]] = [[] for _ in states]
        for level in range(self.num_layers):
            ys = []
            for index in range(level * directions, (level + 1) * directions):
                y, after = run(index, x, form.lengths, [state[index] for state in states])
                ys.append(y)
                for final, leaf in zip(finals, after, strict=True):
                    final.append(leaf)
            x = torch.cat(ys, dim=2) if directions == 2 else ys[0]
            if self.dropout and level + 1 < self.num_layers:
                x = F.dropout(x, self.dropout, self.training)
        return x, [torch.stack(final) for final in finals]

    def _fused(
        self, index: int, x: Tensor, lengths: Tensor | None, initial: list[Tensor]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Compute one layer and direction with our kernels."""
        name, weights = self._all_weights[index][1], self._weights(index)
        return scan(self, name, self._recurrence(), weights, self._is_reverse(index), x, lengths, initial)

    def _recurrence(self) -> int:
        return self.modes[self.mode]

    def _weights(self, index: int) -> list[Tensor]:
        """Return torch's weights of one layer and direction."""
        count = len(self._all_weights[index])
        return cast(list[Tensor], self._flat_weights[index * count : (index + 1) * count])

    def _is_reverse(self, index: int) -> bool:
        return self.bidirectional and index % 2 == 1


class RNN(_Layers, nn.RNN):
    """torch.nn.RNN, faster on the CPU."""

    twin = nn.RNN
    States = RNNStates
    modes: ClassVar = {"RNN_TANH": Recurrence.ELMAN, "RNN_RELU": Recurrence.ELMAN_RELU}


class GRU(_Layers, nn.GRU):
    """torch.nn.GRU, faster on the CPU."""

    twin = nn.GRU
    States = GRUStates
    modes: ClassVar = {"GRU": Recurrence.GRU}


class LSTM(_Layers, nn.LSTM):
    """torch.nn.LSTM, faster on the CPU."""

    twin = nn.LSTM
    States = LSTMStates
    modes: ClassVar = {"LSTM": Recurrence.LSTM}
