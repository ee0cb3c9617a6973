"""The contract of a model: it maps inputs to logits, with an explicit state.

    logits, state = model(inputs, state, lengths)

inputs are ids (B, T) or features (B, T, D); logits are (B, T, V) from a model that answers at each step, (B, V) from
one that answers once for all inputs so far. The initial state is None; that of a model with an encoder is

    state = model.encode(source, lengths)

Decoding, evaluation and the laws use only this interface.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from unrolled import shapes
from unrolled.config import EMBEDDING, IMAGES, Choice, ModelConfig, refusal, unused_options
from unrolled.eager import readable
from unrolled.errors import ConfigError, ShapeError
from unrolled.kernels import freeze
from unrolled.kernels.linear import LinearWeights
from unrolled.kernels.packed import Packable
from unrolled.layers import Dropout, Embedding, Head, TiedHead
from unrolled.state import State

__all__ = ["Answer", "Features", "Ids", "Inputs", "Model", "ModelState", "Pairs", "source_lengths"]

Answer = Literal["once", "each"]


class Ids(NamedTuple):
    """Inputs that are token ids, (B, T)."""

    vocabulary_size: int

    def __str__(self) -> str:
        return f"vocabulary {self.vocabulary_size:,}"


class Features(NamedTuple):
    """Inputs that are vectors, (B, T, size): the rows of an image, the readings of a sensor."""

    size: int

    def __str__(self) -> str:
        return f"steps of {self.size:,}"


class Pairs(NamedTuple):
    """Inputs that are a source and a target, both token ids: (B, S) and (B, T).

    Args:
        source_size, vocabulary_size: sizes of the vocabularies of source and target.
        shared: whether both are one vocabulary.
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
    """The state of a model: that of its layers, and the pool from which its one answer is computed (or ())."""

    layers: Any
    pool: Any


class Model(nn.Module):
    """Base of the models.

    Args:
        inputs: Ids(vocabulary_size), Features(size) or Pairs(source_size, vocabulary_size).
        num_outputs: V, the number of classes or tokens.
        config: sizes and options.
        answer: "once" for the whole sequence, or "each" for every step.
        causal: whether the answers up to t depend only on the inputs up to t.
    """

    receptive_field: int | None = None
    """The number of last inputs that an answer depends on; None: all inputs in the state."""
    max_length: int | None = None
    """Maximum length of a sequence, inputs in the state included; None: unlimited. For Pairs see `remaining_length`."""
    max_source_length: int | None = None
    """Maximum length of a source, in tokens; None: unlimited."""

    def __init__(
        self, inputs: Inputs, num_outputs: int, config: ModelConfig, answer: Answer = "once", *, causal: bool = True
    ) -> None:
        super().__init__()
        if num_outputs < 1:
            raise ConfigError(f"num_outputs must be at least 1: got {num_outputs}")
        self.inputs, self.num_outputs, self.config = inputs, num_outputs, config
        self.answer, self.causal = answer, causal
        self.embedding: Embedding | None = None
        self.source_embedding: Embedding | None = None  # None: the source shares the target's
        if isinstance(inputs, Features):
            self.input_size = inputs.size
        else:
            self.input_size = config.embedding_size
            self.embedding = Embedding(inputs.vocabulary_size, config.embedding_size, std=config.embedding_std)
            if isinstance(inputs, Pairs) and not (inputs.shared and config.tied):
                self.source_embedding = Embedding(inputs.source_size, config.embedding_size, std=config.embedding_std)
        self.dropout = Dropout(config.dropout, variational=config.variational)

    def encode(self, source: Tensor, lengths: Tensor | None = None) -> State:
        """Read a source and return the initial state of decoding.

        Args:
            source: ids (B, S).
            lengths: (B,), numbers of real tokens; None: all S.

        Raises:
            ConfigError: the model has no encoder.
        """
        raise ConfigError(f"{type(self).__name__} has no encoder: start with state None")

    def remaining_length(self, lengths: Tensor) -> Tensor:
        """Return the maximum number of target inputs, <bos> included, after sources of these lengths, (N,) -> (N,)."""
        return torch.full_like(lengths, torch.iinfo(lengths.dtype).max)

    def forward(self, inputs: Tensor, state: State = None, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        """(B, T) or (B, T, D) -> logits (B, V) or (B, T, V), and the state."""
        y, state = self.outputs(inputs, state, lengths)
        return self.logits(y), state

    def outputs(self, inputs: Tensor, state: State = None, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        """(B, T) or (B, T, D) -> the inputs of the head, (B, size) or (B, T, size) with dropout, and the state."""
        raise NotImplementedError(f"{type(self).__name__} must define outputs(inputs, state, lengths), or forward")

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
        """Build the head, from y (…, size) to logits: with its own weights or, if tied, with those of the embedding."""
        if not self.config.tied:
            return Head(size, self.num_outputs)
        return TiedHead(size, self.config.embedding_size, self.num_outputs)

    def logits(self, y: Tensor) -> Tensor:
        """Return the logits of the head for `outputs`: (…, size) -> (…, V)."""
        head = self.head
        if isinstance(head, TiedHead):
            packed = freeze.linear_of(self, y, "head")
            if packed is not None:
                return packed.run(head.project(y))
            logits: Tensor = head(y, self.embedding.weight)  # type: ignore[union-attr]
        else:
            logits = head(y)  # type: ignore[operator]
        return logits

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        freeze.OWNERS[cls] = _tied_product

    def last_product(self, y: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return x (…, D), W (V, D) and b (V,), or None, with `logits(y)` = W x + b."""
        head = self.head
        if isinstance(head, TiedHead):
            assert self.embedding is not None
            return head.project(y), self.embedding.weight, head.bias
        assert isinstance(head, Head)
        return y, head.weight, head.bias

    def refuse_unused(self, name: str, cell: str | None = None, *, ignored: Collection[str] = ()) -> None:
        """Refuse options that are set although the model does not use them; the table is in `config/uses.py`.

        Args:
            name: name of the architecture.
            cell: cell of its recurrent layers.
            ignored: options that are accepted without a use.

        Raises:
            ConfigError: an option differs from its default; says who uses it.
        """
        tasks = self._tasks()
        unused = {*unused_options(tasks, name, cell), *(EMBEDDING if self.embedding is None else ())}
        foreign = [
            option
            for option, field in ModelConfig.model_fields.items()
            if option in unused and option not in ignored and getattr(self.config, option) != field.default
        ]
        if foreign:
            raise ConfigError(refusal(foreign, Choice(tasks[0], name, cell, "")))

    def _tasks(self) -> tuple[str, ...]:
        """Return the tasks that have these inputs and answers."""
        if isinstance(self.inputs, Pairs):
            return ("translate",)
        if self.answer == "each":
            return ("tag", "generate")
        return (IMAGES,) if isinstance(self.inputs, Features) else ("classify",)


def _tied_product(model: Model) -> Iterator[Packable]:
    """Yield the last product of a tied head, for `scan.frozen`."""
    head, embedding = model._modules.get("head"), model._modules.get("embedding")
    if type(head) is TiedHead and type(embedding) is Embedding:
        parameters: dict[str, Tensor] = {"embedding.weight": embedding.weight, "head.bias": head.bias}
        if all(type(p) is nn.Parameter for p in parameters.values()):
            yield Packable("head", LinearWeights(*parameters.values()), parameters)


def source_lengths(source: Tensor, lengths: Tensor | None) -> Tensor:
    """Return the lengths (B,) of sources (B, S) or (B, S, D), all at least 1; S where `lengths` is None.

    Raises:
        ShapeError: a source without any token (checked where values are `readable`), or lengths that do not fit the
            sources.
    """
    B, S = source.shape[:2]
    shapes.check_lengths(lengths, B, S)
    if lengths is None:
        lengths = torch.full((B,), S, device=source.device)
    if B and readable(lengths) and int(lengths.min()) < 1:
        raise ShapeError(f"a source has at least one token: sequence {int(lengths.argmin())} has none")
    return lengths.long()
