"""The transformer row: attention only, no recurrence. An encoder alone reads a sequence, to label it or its steps.

    x = enter(E[ids]) + places;  x = blocks(x), in which each step looks at all;  logits = W read(x) + b

read = mean or max: of all real steps. See layers/block.py for a block, layers/attention.py for what it looks with.
Vaswani et al., "Attention is all you need", 2017; the encoder alone: Devlin et al., "BERT", 2019.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from unrolled.config import ModelConfig
from unrolled.errors import ConfigError
from unrolled.layers import Bag, Blocks, Head
from unrolled.models.model import Answer, Inputs, Model, ModelState
from unrolled.state import State

__all__ = ["TransformerModel", "blocks"]

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
        inputs, num_outputs, config, answer: see Model. Of the config it uses the embeddings' options, hidden_size (D of
            the blocks), num_layers, num_heads, feedforward_size, norm, position, window (the longest sequence: any,
            1,024 by default where places are learned), nonlinearity (ReLU by default), dropout; where it answers once,
            read ("mean", the default, or "max"). It is bidirectional, told so or not.
    """

    def __init__(self, inputs: Inputs, num_outputs: int, config: ModelConfig, answer: Answer = "once") -> None:
        super().__init__(inputs, num_outputs, config, answer, causal=False)
        self.refuse_unused("row transformer", USES | {"bidirectional"} | ({"read"} if answer == "once" else set()))
        read = config.read or "mean"
        if read == "last":
            raise ConfigError(
                'read "last" needs a state at the end: row transformer sees all steps at once and reads "mean" or "max"'
            )
        places = PLACES if config.position == "learned" else None
        self.blocks = blocks(self.input_size, config, causal=False, window=places, nonlinearity="relu")
        self.limit = self.blocks.position.limit
        self.pool = Bag(config.hidden_size, pool=read) if answer == "once" else None
        self.head = Head(config.hidden_size, num_outputs, spread=SPREAD)

    def forward(self, inputs: Tensor, state: State = None, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        """(B, T) or (B, T, D) -> logits (B, V) and the pool, or (B, T, V). A call is a whole sequence."""
        y, _ = self.blocks(self.vectors(inputs), None, lengths)
        pool: Any = ()
        if self.pool is not None:
            pool = self.pool.absorb(y.to(self.head.weight.dtype), None, lengths)  # sums stay wide under autocast
            y = self.pool.summary(pool)
        logits: Tensor = self.head(y)
        return logits, ModelState((), pool)


def blocks(
    input_size: int, config: ModelConfig, *, causal: bool, window: int | None, nonlinearity: str, **source: Any
) -> Blocks:
    """Build a stack of blocks as the config says; `window` and `nonlinearity` where it says nothing."""
    size = config.hidden_size
    return Blocks(
        input_size,
        size,
        config.num_layers,
        num_heads=config.num_heads,
        inner_size=config.feedforward_size or 4 * size,
        causal=causal,
        position=config.position,
        limit=config.window or window,
        norm=config.norm,
        nonlinearity=config.nonlinearity or nonlinearity,
        dropout=config.dropout,
        **source,
    )
