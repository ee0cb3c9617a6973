"""From one sequence to another: the models encoder_decoder and attention.

    outputs, states = encoder(E_s[source])                                the whole source
    h_l = tanh(W_lh [→h_l; ←h_l] + b_lh),  c_l = tanh(W_lc [→c_l; ←c_l] + b_lc)        the bridge, layer by layer
    y, s = decoder(E[ids], s),  s begins with (h, c);  logits = W y + b

→h is the encoder's state after the last real step of the source; read in both directions, ←h is that after the first.
In model encoder_decoder the decoder is a stack of recurrent layers: what it knows of the source has passed the bridge. In
model attention it looks at all outputs at each step, see layers/bahdanau.py and layers/luong.py.

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
from unrolled.models.recurrent import RECURRENT, find_cell, make_layers
from unrolled.state import EncoderDecoderState, State

__all__ = ["AttentionModel", "EncoderDecoderModel"]

DEFAULT_CELL = "gru"


class EncoderDecoderModel(Model):
    """Encoder, bridge, decoder, head; one fixed vector a layer between the two.

    Args:
        inputs: Pairs(source_size, vocabulary_size).
        num_outputs: V, the target's tokens.
        config: see Model. Used are the embeddings' options, cell and its own options, hidden_size, num_layers (of both
            sides), bidirectional and reverse_source (of the encoder), the dropouts and tied.
        answer: "each".
    """

    name = "encoder_decoder"
    uses = RECURRENT | {"reverse_source", "tied"}

    def __init__(self, inputs: Inputs, num_outputs: int, config: ModelConfig, answer: Answer = "each") -> None:
        super().__init__(inputs, num_outputs, config, answer)
        if not isinstance(inputs, Pairs) or answer != "each":
            raise ConfigError(
                f"model {self.name} writes a target from a source: it takes Pairs and answers at each step"
            )
        cell = config.cell or DEFAULT_CELL
        self.refuse_unused(f"model {self.name}", self.uses | find_cell(cell).options)
        if config.bidirectional and config.reverse_source:
            raise ConfigError("a bidirectional encoder reads from both ends: leave reverse_source out")
        self.encoder = make_layers(
            cell, self.input_size, config, bidirectional=config.bidirectional, reverse=config.reverse_source
        )
        self.bridge = nn.ModuleList(
            Bridge(self.encoder.cells[0], directions=2 if config.bidirectional else 1) for _ in range(config.num_layers)
        )
        self.decoder: Stacked | Bahdanau | Luong = self.make_decoder(cell)
        self.head = self.make_head(self.decoder.output_size)

    def make_decoder(self, cell: str) -> Stacked | Bahdanau | Luong:
        """Build what writes: (B, T, D) -> (B, T, output_size)."""
        return make_layers(cell, self.input_size, self.config)

    def encode(self, source: Tensor, lengths: Tensor | None = None) -> EncoderDecoderState:
        """Read the source, ids (B, S), of which lengths (B,) are real, and return the state in which decoding begins.

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
        """Return the state in which decoding begins, from what the encoder has left and its layers' first states."""
        return EncoderDecoderState(memory._replace(outputs=()), layers)

    def forward(self, inputs: Tensor, state: State = None, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        """Ids of the target (B, T), <bos> first -> logits (B, T, V) of what comes next, and the state.

        Raises:
            ConfigError: no state: `encode` comes first.
        """
        if state is None:
            raise ConfigError(
                f"model {self.name} has an encoder: call encode(source, lengths) first and pass its state"
            )
        y, decoder = self.decode(self.vectors(inputs), state, lengths)
        return self.logits(y), EncoderDecoderState(state.memory, decoder)

    def decode(self, x: Tensor, state: EncoderDecoderState, lengths: Tensor | None) -> tuple[Tensor, State]:
        """(B, T, D) -> (B, T, output_size), and what the decoder carries."""
        y, decoder = self.decoder(x, state.decoder, lengths)
        return y, decoder


class AttentionModel(EncoderDecoderModel):
    """Encoder, bridge, a decoder that looks at all of the encoder's outputs at each step, head.

    Args:
        inputs, num_outputs, config, answer: see EncoderDecoderModel. Used are, beside its options, score ("additive",
            the default, "dot" or "general") and, with the latter two, input_feeding.
    """

    decoder: Bahdanau | Luong
    name = "attention"
    uses = EncoderDecoderModel.uses | {"score", "input_feeding"}

    def make_decoder(self, cell: str) -> Bahdanau | Luong:
        """Build a decoder that looks before it moves (additive) or after (dot, general)."""
        config = self.config
        size, seen = config.hidden_size, self.encoder.output_size
        if config.score == "additive":
            if config.input_feeding:
                raise ConfigError('input_feeding is for score "dot" or "general": "additive" looks before it moves')
            layers = make_layers(cell, self.input_size + seen, config)
            return Bahdanau(layers, Additive(size, seen, size))
        if config.input_feeding and (config.variational or config.recurrent_dropout):
            raise ConfigError(
                "input_feeding takes one step at a time, each with a mask of its own: leave variational and "
                "recurrent_dropout out"
            )
        layers = make_layers(cell, self.input_size + (size if config.input_feeding else 0), config)
        kind = Dot if config.score == "dot" else General
        return Luong(layers, kind(size, seen), input_feeding=config.input_feeding)

    def first(self, memory: Memory, layers: State) -> EncoderDecoderState:
        """As above; the keys are computed here, once."""
        memory = memory._replace(keys=self.decoder.score.keys(memory.outputs))
        return EncoderDecoderState(memory, self.decoder.initial(layers, memory))

    def decode(self, x: Tensor, state: EncoderDecoderState, lengths: Tensor | None) -> tuple[Tensor, State]:
        """(B, T, D) -> (B, T, output_size), and what the decoder carries."""
        y, decoder = self.decoder(x, state.memory, state.decoder, lengths)
        return y, decoder


class Bridge(nn.Module):
    """From the final state of an encoder's layer to the initial state of the decoder's: a Linear and tanh for each leaf.

    Args:
        cell: of both layers. directions: of the encoder's layer, whose states are concatenated.
    """

    def __init__(self, cell: Cell[Any, Any], *, directions: int) -> None:
        super().__init__()
        self.kind, self.shapes = cell.State, tuple(cell.state_shapes())
        sizes = {name: math.prod(shape) for name, shape in zip(cell.State._fields, self.shapes, strict=True)}
        self.fields = nn.ModuleDict({name: Linear(directions * size, size) for name, size in sizes.items()})

    def forward(self, states: Sequence[State]) -> State:
        """Final states, one a direction, leaves (B, …) -> the initial state, leaves (B, …)."""
        leaves = []
        for (name, linear), shape in zip(self.fields.items(), self.shapes, strict=True):
            x = torch.cat([getattr(state, name).flatten(1) for state in states], dim=1)
            leaves.append(linear(x).tanh().view(-1, *shape))
        return self.kind(*leaves)
