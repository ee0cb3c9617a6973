"""The transformer row: attention only, no recurrence.

    x = enter(E[ids]) + places;  x = blocks(x), in which each step looks at all;  logits = W read(x) + b

An encoder alone reads a sequence, to label it (read = mean or max of all real steps) or each of its steps. From one
sequence to another it takes two: the encoder reads the source, and in the decoder each step looks at the steps up to
itself and, in every block, at all outputs of the encoder. Its state is what the encoder left, as keys and values
for every block, computed once, and the decoder's own keys and values.

See layers/block.py for a block, layers/attention.py for what it looks with.
Vaswani et al., "Attention is all you need", 2017; the encoder alone: Devlin et al., "BERT", 2019.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from unrolled.config import ModelConfig
from unrolled.errors import ConfigError
from unrolled.layers import Bag, Block, Blocks, CrossAttention, Head, Memory, SelfAttention, TiedHead
from unrolled.models.model import Answer, Inputs, Model, ModelState, Pairs, source_lengths
from unrolled.state import EncoderDecoderState, State

__all__ = ["TransformerModel", "blocks", "head"]

USES = frozenset(
    {"hidden_size", "num_layers", "dropout", "num_heads", "feedforward_size", "norm", "position", "window"}
    | {"nonlinearity"}
)
"""What a stack of blocks uses of the config."""
PLACES = 1_024
"""The longest sequence where places are learned, unless told."""
SPREAD = 0.25
"""Of the head: a norm's outputs have a spread of 1, and a gate's a good deal less."""


class TransformerModel(Model):
    """Embedding or features, places, blocks, head.

    Args:
        inputs, num_outputs, config, answer: see Model; with Pairs it is an encoder and a decoder. Of the config it uses
            the embeddings' options, hidden_size (D of the blocks), num_layers, num_heads, feedforward_size, norm,
            position, window (the longest sequence: any, 1,024 by default where places are learned), nonlinearity (ReLU
            by default), dropout; where it answers once, read ("mean", the default, or "max"); with Pairs,
            tied. What reads a whole sequence is bidirectional, told so or not.
    """

    def __init__(self, inputs: Inputs, num_outputs: int, config: ModelConfig, answer: Answer = "once") -> None:
        pairs = isinstance(inputs, Pairs)
        super().__init__(inputs, num_outputs, config, answer, causal=pairs)
        if pairs and answer != "each":
            raise ConfigError("model transformer writes a target step by step: with Pairs it answers at each step")
        own = {"tied"} if pairs else {"read"} if answer == "once" else set()
        self.refuse_unused("model transformer", USES | {"bidirectional"} | own)
        read = config.read or "mean"
        if read == "last":
            raise ConfigError(
                'read "last" needs a state at the end: model transformer sees all steps at once and reads "mean" or "max"'
            )
        places = PLACES if config.position == "learned" else None
        self.blocks = blocks(self.input_size, config, causal=False, window=places, nonlinearity="relu")
        self.max_length = self.blocks.max_length
        self.decoder: Blocks | None = None
        if pairs:
            source_size, self.max_length, self.max_source_length = config.hidden_size, None, self.max_length
            self.decoder = blocks(
                self.input_size, config, causal=True, window=places, nonlinearity="relu", source_size=source_size
            )
        self.pool = Bag(config.hidden_size, pool=read) if answer == "once" else None
        self.head = head(self)

    def encode(self, source: Tensor, lengths: Tensor | None = None) -> EncoderDecoderState:
        """Read the source, ids (B, S), of which lengths (B,) are real, and return the state in which decoding begins.

        Raises:
            ConfigError: it is an encoder alone. ShapeError: a source without any token.
        """
        if self.decoder is None:
            raise ConfigError(
                "model transformer is an encoder alone, unless it is built with Pairs: it begins with None"
            )
        x = self.source_vectors(source)
        lengths = source_lengths(x, lengths)
        outputs, _ = self.blocks(x, None, lengths)
        return EncoderDecoderState(Memory((), self.decoder.keys(outputs), lengths, ()), None)

    def remaining_length(self, lengths: Tensor) -> Tensor:
        """See Model: each side has its own places."""
        if self.max_source_length is None:
            return super().remaining_length(lengths)
        return torch.where(lengths <= self.max_source_length, self.max_source_length, 0)

    def forward(self, inputs: Tensor, state: State = None, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        """(B, T) or (B, T, D) -> logits (B, V) and the pool, or (B, T, V). A call is a whole sequence.

        With Pairs: ids of the target (B, T), <bos> first -> logits (B, T, V) of what comes next, and the state.

        Raises:
            ConfigError: no state with Pairs: `encode` comes first.
        """
        if self.decoder is not None:
            if state is None:
                raise ConfigError(
                    "model transformer has an encoder: call encode(source, lengths) first and pass its state"
                )
            memory = state.memory
            y, decoder = self.decoder(self.vectors(inputs), state.decoder, lengths, memory.keys, memory.lengths)
            return self.logits(y), EncoderDecoderState(memory, decoder)
        y, _ = self.blocks(self.vectors(inputs), None, lengths)
        pool: Any = ()
        if self.pool is not None:
            pool = self.pool.absorb(y.to(self.head.weight.dtype), None, lengths)  # sums stay wide under autocast
            y = self.pool.summary(pool)
        return self.logits(y), ModelState((), pool)


def head(model: Model) -> Head | TiedHead:
    """Build what turns a stack's outputs into logits."""
    config = model.config
    if config.tied:
        return TiedHead(config.hidden_size, config.embedding_size, model.num_outputs)
    return Head(config.hidden_size, model.num_outputs, spread=SPREAD)


def blocks(
    input_size: int,
    config: ModelConfig,
    *,
    causal: bool,
    window: int | None,
    nonlinearity: str,
    source_size: int | None = None,
) -> Blocks:
    """Build a stack of blocks with self-attention as the config says.

    Args:
        input_size: of x. causal: whether a step attends only to itself and the steps before it.
        window, nonlinearity: defaults for options that the config leaves open.
        source_size: D of the encoder whose outputs each block attends to; None: no source.
    """
    size = config.hidden_size
    return Blocks(
        input_size,
        size,
        (
            Block(
                SelfAttention(size, config.num_heads, causal=causal),
                config.feedforward_size or 4 * size,
                cross=None if source_size is None else CrossAttention(size, source_size, config.num_heads),
                norm=config.norm,
                nonlinearity=config.nonlinearity or nonlinearity,
                dropout=config.dropout,
            )
            for _ in range(config.num_layers)
        ),
        position=config.position,
        max_length=config.window or window,
    )
