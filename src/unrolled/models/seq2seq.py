"""Sequence-to-sequence models of recurrent layers: encoder_decoder and attention.

    outputs, states = encoder(E_s[source])                                the whole source
    h_l = tanh(W_lh [→h_l; ←h_l] + b_lh),  c_l = tanh(W_lc [→c_l; ←c_l] + b_lc)        the bridge, layer by layer
    y, s = decoder(E[ids], s),  s initially (h, c);  logits = W y + b

→h is the encoder's state after the last real step of the source; of a bidirectional encoder, ←h is that after the
first. In model encoder_decoder the decoder is a stack of recurrent layers, whose only information about the source is
the bridge. In model attention it attends to all outputs at each step, see layers/bahdanau.py and layers/luong.py.

Cho et al., "Learning phrase representations using RNN encoder–decoder", 2014; Sutskever, Vinyals & Le, "Sequence to
sequence learning with neural networks", 2014 (who read the source from its end); Bahdanau, Cho & Bengio 2015.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from unrolled.cells import Cell
from unrolled.config import ModelConfig
from unrolled.errors import ConfigError
from unrolled.layers import Additive, Bahdanau, Dot, General, Layer, Luong, Memory, Stacked
from unrolled.layers.mlp import Linear
from unrolled.models.model import Answer, Inputs, Model, Pairs, source_lengths
from unrolled.models.recurrent import find_cell, make_layers
from unrolled.state import EncoderDecoderState, State

__all__ = ["AttentionModel", "EncoderDecoderModel"]

DEFAULT_CELL = "gru"


class EncoderDecoderModel(Model):
    """Encoder, bridge, decoder, head; the decoder receives one fixed vector for each layer.

    Args:
        inputs: Pairs(source_size, vocabulary_size).
        num_outputs: V, the number of tokens of the target.
        config: see Model. The model uses the embeddings' options, cell and its options, hidden_size, num_layers (of
            encoder and decoder), bidirectional and reverse_source (of the encoder), the dropouts, zoneout and tied.
        answer: "each".

    Raises:
        ConfigError: other inputs or another answer, bidirectional with reverse_source, or an option that the model
            does not use.
    """

    name = "encoder_decoder"

    def __init__(self, inputs: Inputs, num_outputs: int, config: ModelConfig, answer: Answer = "each") -> None:
        super().__init__(inputs, num_outputs, config, answer)
        if not isinstance(inputs, Pairs) or answer != "each":
            raise ConfigError(
                f'model {self.name} predicts a target from a source: inputs must be Pairs and answer "each"'
            )
        cell = config.cell or DEFAULT_CELL
        find_cell(cell)
        self.refuse_unused(self.name, cell)
        if config.bidirectional and config.reverse_source:
            raise ConfigError("a bidirectional encoder reads from both ends: remove reverse_source")
        self.encoder = make_layers(
            cell, self.input_size, config, bidirectional=config.bidirectional, reverse=config.reverse_source
        )
        self.bridge = nn.ModuleList(
            Bridge(self.encoder.cells[0], directions=2 if config.bidirectional else 1) for _ in range(config.num_layers)
        )
        self.decoder: Stacked | Bahdanau | Luong = self.make_decoder(cell)
        self.head = self.make_head(self.decoder.output_size)

    def make_decoder(self, cell: str) -> Stacked | Bahdanau | Luong:
        """Build the decoder: (B, T, D) -> (B, T, output_size)."""
        return make_layers(cell, self.input_size, self.config)

    def encode(self, source: Tensor, lengths: Tensor | None = None) -> EncoderDecoderState:
        """Read a source and return the initial state of decoding.

        Args:
            source: ids (B, S).
            lengths: (B,), numbers of real tokens; None: all S.

        Raises:
            ShapeError: a source without any token.
        """
        x = self.source_vectors(source)
        lengths = source_lengths(x, lengths)
        outputs, states = self.encoder(x, None, lengths)
        first = tuple(
            bridge(state if self.config.bidirectional else (state,))
            for bridge, state in zip(self.bridge, states, strict=True)
        )
        layers = [layer for layer in self.encoder.layers if isinstance(layer, Layer)]
        summary = tuple(layer.summary(state) for layer, state in zip(layers, states, strict=True))
        return self.first(Memory(outputs, (), lengths, summary), first)

    def first(self, memory: Memory, layers: State) -> EncoderDecoderState:
        """Return the initial state of decoding, from the encoder's memory and the initial states of the layers."""
        return EncoderDecoderState(memory._replace(outputs=()), layers)

    def outputs(self, inputs: Tensor, state: State = None, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        """Ids of the target (B, T), <bos> first -> the inputs of the head (B, T, size), and the state.

        Raises:
            ConfigError: no state; call `encode` first.
        """
        if state is None:
            raise ConfigError(
                f"model {self.name} has an encoder: call encode(source, lengths) first and pass its state"
            )
        y, decoder = self.decode(self.vectors(inputs), state, lengths)
        return self.dropout(y), EncoderDecoderState(state.memory, decoder)

    def decode(self, x: Tensor, state: EncoderDecoderState, lengths: Tensor | None) -> tuple[Tensor, State]:
        """(B, T, D) -> (B, T, output_size) and the decoder's state."""
        y, decoder = self.decoder(x, state.decoder, lengths)
        return y, decoder


class AttentionModel(EncoderDecoderModel):
    """Encoder, bridge, a decoder that attends to all of the encoder's outputs at each step, head.

    Args:
        inputs, num_outputs, config, answer: see EncoderDecoderModel. In addition to its options this model uses score
            ("additive", the default, "dot" or "general") and, with the latter two, input_feeding.

    Raises:
        ConfigError: see EncoderDecoderModel; or input_feeding with score "additive", variational or recurrent_dropout.
    """

    decoder: Bahdanau | Luong
    name = "attention"

    def make_decoder(self, cell: str) -> Bahdanau | Luong:
        """Build a decoder that attends before the step of its layers (additive) or after it (dot, general)."""
        config = self.config
        size, memory_size = config.hidden_size, self.encoder.output_size
        if config.score == "additive":
            if config.input_feeding:
                raise ConfigError('input_feeding needs score "dot" or "general": got score "additive"')
            layers = make_layers(cell, self.input_size + memory_size, config)
            return Bahdanau(layers, Additive(size, memory_size, size))
        if config.input_feeding and (config.variational or config.recurrent_dropout):
            raise ConfigError(
                "input_feeding runs step by step and draws a new mask for each: remove variational and "
                "recurrent_dropout"
            )
        layers = make_layers(cell, self.input_size + (size if config.input_feeding else 0), config)
        kind = Dot if config.score == "dot" else General
        return Luong(layers, kind(size, memory_size), input_feeding=config.input_feeding)

    def first(self, memory: Memory, layers: State) -> EncoderDecoderState:
        """Return the initial state of decoding; the keys of the memory are computed here, once for a source."""
        memory = memory._replace(keys=self.decoder.score.keys(memory.outputs))
        return EncoderDecoderState(memory, self.decoder.initial(layers, memory))

    def decode(self, x: Tensor, state: EncoderDecoderState, lengths: Tensor | None) -> tuple[Tensor, State]:
        """(B, T, D) -> (B, T, output_size) and the decoder's state."""
        y, decoder = self.decoder(x, state.memory, state.decoder, lengths)
        return y, decoder


class Bridge(nn.Module):
    """A Linear and tanh for each leaf, from the final state of an encoder's layer to the decoder's initial state.

    Args:
        cell: cell of both layers.
        directions: their number in the encoder's layer; their states are concatenated.
    """

    def __init__(self, cell: Cell[Any, Any], *, directions: int) -> None:
        super().__init__()
        self.kind, self.shapes = cell.State, tuple(cell.state_shapes())
        sizes = {name: math.prod(shape) for name, shape in zip(cell.State._fields, self.shapes, strict=True)}
        self.fields = nn.ModuleDict({name: Linear(directions * size, size) for name, size in sizes.items()})

    def forward(self, states: Sequence[State]) -> State:
        """Return the initial state, leaves (B, …), from the final states of the directions, leaves (B, …)."""
        leaves = []
        for (name, linear), shape in zip(self.fields.items(), self.shapes, strict=True):
            x = torch.cat([getattr(state, name).flatten(1) for state in states], dim=1)
            leaves.append(linear(x).tanh().view(-1, *shape))
        return self.kind(*leaves)
