"""The Transformer: attention without recurrence.

    x = enter(E[ids]) + positions;  x = blocks(x), in which each step attends to all;  logits = W read(x) + b

To label a sequence (read = mean or max of all real steps) or each of its steps, the model is an encoder alone. To
translate, it is an encoder of the source and a decoder, in which each step attends to the steps up to itself and, in
every block, to all outputs of the encoder. Its state is the keys and values of the encoder's outputs for every block,
computed once, and the keys and values of the decoder itself.

See layers/block.py for a block and layers/attention.py for its attention.

Vaswani et al., "Attention is all you need", 2017; the encoder alone: Devlin et al., "BERT", 2019.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from unrolled.config import ModelConfig
from unrolled.errors import ConfigError
from unrolled.layers import Bag, Block, Blocks, CrossAttention, Head, Memory, SelfAttention, TiedHead
from unrolled.models.model import Answer, Inputs, Model, ModelState, Pairs, source_lengths
from unrolled.state import EncoderDecoderState, State

__all__ = ["TransformerModel", "blocks", "head"]

DEFAULT_POSITIONS = 1_024
"""The default maximum length with learned positions."""
SPREAD = 0.25
"""Spread of the head's initial weights; less than 1, because the outputs of a norm are larger than those of a gate."""


class TransformerModel(Model):
    """Embedding or features, positions, blocks, head.

    Args:
        inputs, num_outputs, config, answer: see Model; with Pairs it is an encoder and a decoder. Of the config it uses
            the embeddings' options, hidden_size (D of the blocks), num_layers, num_heads, kv_heads, feedforward_size,
            norm, normalization, position, window (the maximum length: by default 1,024 with learned positions, else
            unlimited), nonlinearity (ReLU by default), gated, residual_init, dropout; to answer once, read ("mean", the
            default, or "max"); with Pairs, tied. The encoder is always bidirectional, whatever the option
            bidirectional.

    Raises:
        ConfigError: Pairs with answer "once", read "last", or an option that the model does not use.
    """

    def __init__(self, inputs: Inputs, num_outputs: int, config: ModelConfig, answer: Answer = "once") -> None:
        pairs = isinstance(inputs, Pairs)
        super().__init__(inputs, num_outputs, config, answer, causal=pairs)
        if pairs and answer != "each":
            raise ConfigError('model transformer predicts a target step by step: with Pairs answer must be "each"')
        self.refuse_unused("transformer", ignored=("bidirectional",))  # a default of task tag
        read = config.read or "mean"
        if read == "last":
            raise ConfigError('model transformer has no last state to read: read must be "mean" or "max", got "last"')
        max_length = DEFAULT_POSITIONS if config.position == "learned" else None
        self.blocks = blocks(self.input_size, config, causal=False, window=max_length, nonlinearity="relu")
        self.max_length = self.blocks.max_length
        self.decoder: Blocks | None = None
        if pairs:
            source_size, self.max_length, self.max_source_length = config.hidden_size, None, self.max_length
            self.decoder = blocks(
                self.input_size, config, causal=True, window=max_length, nonlinearity="relu", source_size=source_size
            )
        self.pool = Bag(config.hidden_size, pool=read) if answer == "once" else None
        self.head = head(self)

    def encode(self, source: Tensor, lengths: Tensor | None = None) -> EncoderDecoderState:
        """Read a source and return the initial state of decoding.

        Args:
            source: ids (B, S).
            lengths: (B,), numbers of real tokens; None: all S.

        Raises:
            ConfigError: the model is an encoder alone.
            ShapeError: a source without any token.
        """
        if self.decoder is None:
            raise ConfigError("model transformer has a decoder only if built with Pairs: start with state None")
        x = self.source_vectors(source)
        lengths = source_lengths(x, lengths)
        outputs, _ = self.blocks(x, None, lengths)
        return EncoderDecoderState(Memory((), self.decoder.keys(outputs), lengths, ()), None)

    def remaining_length(self, lengths: Tensor) -> Tensor:
        """Return the maximum number of target inputs, (N,); source and target have positions of their own."""
        if self.max_source_length is None:
            return super().remaining_length(lengths)
        return torch.where(lengths <= self.max_source_length, self.max_source_length, 0)

    def outputs(self, inputs: Tensor, state: State = None, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        """(B, T) or (B, T, D) -> the inputs of the head, (B, size) or (B, T, size), and the pool.

        A call is a whole sequence. With Pairs: ids of the target (B, T), <bos> first -> (B, T, size), and the state.

        Raises:
            ConfigError: no state with Pairs; call `encode` first.
        """
        if self.decoder is not None:
            if state is None:
                raise ConfigError(
                    "model transformer has an encoder: call encode(source, lengths) first and pass its state"
                )
            memory = state.memory
            y, decoder = self.decoder(self.vectors(inputs), state.decoder, lengths, memory.keys, memory.lengths)
            return self.dropout(y), EncoderDecoderState(memory, decoder)
        y, _ = self.blocks(self.vectors(inputs), None, lengths)
        pool: Any = ()
        if self.pool is not None:
            pool = self.pool.absorb(
                y.to(self.head.weight.dtype), None, lengths
            )  # under autocast, sums stay in the dtype of the weights
            y = self.pool.summary(pool)
        return self.dropout(y), ModelState((), pool)


def head(model: Model) -> Head | TiedHead:
    """Build the head of a stack of blocks, tied if the config says so."""
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
    """Build a stack of blocks with self-attention from the config.

    Args:
        input_size: size of the input x.
        causal: whether a step attends only to itself and the steps before it.
        window, nonlinearity: defaults of options that the config does not set.
        source_size: D of the encoder whose outputs each block attends to; None: no source.
    """
    size, max_length, rotary = config.hidden_size, config.window or window, config.position == "rotary"

    def block() -> Block:
        mixer = SelfAttention(
            size,
            config.num_heads,
            causal=causal,
            kv_heads=config.kv_heads,
            rotary=rotary,
            max_length=max_length,
        )
        cross = None
        if source_size is not None:
            cross = CrossAttention(size, source_size, config.num_heads, kv_heads=config.kv_heads)
        return Block(
            mixer,
            config.feedforward_size or inner_size(size, gated=config.gated),
            cross=cross,
            norm=config.norm,
            normalization=config.normalization,
            nonlinearity=config.nonlinearity or nonlinearity,
            gated=config.gated,
            dropout=config.dropout,
        )

    return Blocks(
        input_size,
        size,
        (block() for _ in range(config.num_layers)),
        position=None if config.position == "rotary" else config.position,
        max_length=max_length,
        scaled=config.residual_init == "scaled",
    )


def inner_size(size: int, *, gated: bool) -> int:
    """Return the default inner size of a feedforward network: 4 D; gated 8 D / 3, up to the next multiple of 8.

    Its three matrices then have as many weights as two with 4 D, whatever the network (Shazeer 2020, section 3.1).
    """
    return 8 * math.ceil(size / 3) if gated else 4 * size
