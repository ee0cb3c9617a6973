"""What a model is: inputs in, logits out, and a state that is a value.

    logits, state = model(inputs, state, lengths)

inputs are ids (B, T) or features (B, T, D); logits are (B, T, V) from a model that answers at each step, (B, V) from
one that answers once, about everything it has read so far. A model with an encoder has a beginning that is not None:

    state = model.encode(source, lengths)

Decoding, evaluation and the laws need nothing else.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from unrolled import shapes
from unrolled.config import ModelConfig
from unrolled.errors import ConfigError, ShapeError
from unrolled.layers import Dropout, Embedding, Head, TiedHead
from unrolled.state import State

__all__ = ["Answer", "Features", "Ids", "Inputs", "Model", "ModelState", "Pairs", "source_lengths"]

Answer = Literal["once", "each"]


class Ids(NamedTuple):
    """Inputs are token ids, (B, T)."""

    vocabulary_size: int

    def __str__(self) -> str:
        return f"vocabulary {self.vocabulary_size:,}"


class Features(NamedTuple):
    """Inputs are vectors, (B, T, size): the rows of an image, a sensor's readings."""

    size: int

    def __str__(self) -> str:
        return f"steps of {self.size:,}"


class Pairs(NamedTuple):
    """Inputs are a source and a target, both of token ids: (B, S) to begin with, then (B, T).

    source_size, vocabulary_size: how many tokens each side has. shared: they are the same tokens, one vocabulary.
    """

    source_size: int
    vocabulary_size: int
    shared: bool = False

    def __str__(self) -> str:
        if self.shared:
            return f"vocabulary {self.vocabulary_size:,} of both sides"
        return f"vocabularies {self.source_size:,} and {self.vocabulary_size:,}"


Inputs = Ids | Features | Pairs


class ModelState(NamedTuple):
    """What a model carries: its layers' state, and the pool it reads its one answer from (or ())."""

    layers: Any
    pool: Any


class Model(nn.Module):
    """Base of every row's model.

    Args:
        inputs: Ids(vocabulary_size), Features(size) or Pairs(source_size, vocabulary_size).
        num_outputs: V, the number of classes or tokens.
        config: sizes and options.
        answer: "once" for the whole sequence, or "each" for every step.
        causal: whether the answer up to t depends only on the inputs up to t.
    """

    receptive_field: int | None = None
    """How many inputs back an answer can see, the last one included; None: as far as its state carries."""
    max_length: int | None = None
    """How many inputs a sequence may have, those in its state included; None: any number. With Pairs see `remaining_length`."""
    max_source_length: int | None = None
    """How many tokens a source may have; None: any number."""

    def __init__(
        self, inputs: Inputs, num_outputs: int, config: ModelConfig, answer: Answer = "once", *, causal: bool = True
    ) -> None:
        super().__init__()
        if num_outputs < 1:
            raise ConfigError(f"num_outputs must be at least 1: got {num_outputs}")
        self.inputs, self.num_outputs, self.config = inputs, num_outputs, config
        self.answer, self.causal = answer, causal
        self.embedding: Embedding | None = None
        self.source_embedding: Embedding | None = None  # where the source's vectors are not the target's
        if isinstance(inputs, Features):
            self.input_size = inputs.size
        else:
            self.input_size = config.embedding_size
            self.embedding = Embedding(inputs.vocabulary_size, config.embedding_size, std=config.embedding_std)
            if isinstance(inputs, Pairs) and not (inputs.shared and config.tied):
                self.source_embedding = Embedding(inputs.source_size, config.embedding_size, std=config.embedding_std)
        self.dropout = Dropout(config.dropout, variational=config.variational)

    def encode(self, source: Tensor, lengths: Tensor | None = None) -> State:
        """Read a source and return the state in which decoding begins. Only rows with an encoder have one."""
        raise ConfigError(f"{type(self).__name__} has no encoder: it begins with state None")

    def remaining_length(self, lengths: Tensor) -> Tensor:
        """How many inputs may follow a source of so many tokens, (N,) -> (N,): of the target, <bos> first."""
        return torch.full_like(lengths, torch.iinfo(lengths.dtype).max)

    def forward(self, inputs: Tensor, state: State = None, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        """(B, T) or (B, T, D) -> logits (B, V) or (B, T, V), and the state."""
        raise NotImplementedError(f"{type(self).__name__} must define forward(inputs, state, lengths)")

    def vectors(self, inputs: Tensor) -> Tensor:
        """Return the inputs as vectors, (B, T, input_size): embeddings with dropout, features as they are."""
        if self.embedding is None:
            shapes.check("inputs", inputs, "BTD", D=self.input_size)
            return inputs
        x: Tensor = self.dropout(self.embedding(inputs))
        return x

    def source_vectors(self, source: Tensor) -> Tensor:
        """Return a source's ids (B, S) as vectors (B, S, D), with dropout."""
        embedding = self.source_embedding or self.embedding
        assert embedding is not None
        x: Tensor = self.dropout(embedding(source))
        return x

    def make_head(self, size: int) -> Head | TiedHead:
        """Build what turns y (…, size) into logits: weights of its own or, where the config says tied, the tokens'."""
        if not self.config.tied:
            return Head(size, self.num_outputs)
        return TiedHead(size, self.config.embedding_size, self.num_outputs)

    def logits(self, y: Tensor) -> Tensor:
        """Return what `self.head` makes of y, with dropout: (…, size) -> (…, V)."""
        y, head = self.dropout(y), self.head
        logits: Tensor = head(y, self.embedding.weight) if isinstance(head, TiedHead) else head(y)  # type: ignore
        return logits

    def refuse_unused(self, name: str, uses: Collection[str]) -> None:
        """Refuse options that differ from their default though `name` does not use them; ids have embeddings.

        Raises:
            ConfigError: names the option and what would use it.
        """
        used = {"name", *uses, *(("embedding_size", "embedding_std") if self.embedding is not None else ())}
        for option, field in ModelConfig.model_fields.items():
            if option not in used and (got := getattr(self.config, option)) != field.default:
                raise ConfigError(f"{name} does not use {option}: remove it (got {got!r})")


def source_lengths(source: Tensor, lengths: Tensor | None) -> Tensor:
    """Return the lengths (B,) of sources (B, S) or (B, S, D), all of them at least 1.

    Raises:
        ShapeError: a source without any token, or lengths that are not its.
    """
    B, S = source.shape[:2]
    shapes.check_lengths(lengths, B, S)
    if lengths is None:
        lengths = torch.full((B,), S, device=source.device)
    if source.device.type == "cpu" and B and int(lengths.min()) < 1:
        raise ShapeError(f"a source has at least one token: sequence {int(lengths.argmin())} has none")
    return lengths.long()
