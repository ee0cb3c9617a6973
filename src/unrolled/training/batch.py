"""Batches of training examples, and the protocol of the loaders that make them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

__all__ = ["Batch", "Loader"]


@dataclass(frozen=True)
class Batch:
    """The tensors of one forward pass, and how many of their entries are real.

    Args:
        inputs: (B, T) ids or (B, T, D) features.
        lengths: (B,) real steps; None where all are.
        targets: the loss's second argument: (B,) classes, or (B, T) tokens.
        num_targets, num_tokens: number of real targets and tokens.
        continues: whether its sequences continue those of the previous batch. They begin with the state that batch
            left, and no gradient flows back into it (truncated backpropagation through time).
        source, source_lengths: (B, S) ids for the encoder, and their real lengths (B,); None where the model has no
            encoder.
    """

    inputs: Tensor
    lengths: Tensor | None
    targets: Tensor
    num_targets: int
    num_tokens: int
    continues: bool = False
    source: Tensor | None = None
    source_lengths: Tensor | None = None


class Loader(Protocol):
    """An ordered supply of batches: each is a pure function of (epoch, index), and they are requested in this order.

    The batches of a loader that reads streams have `continues` set: such a batch begins with the state that the one
    before it left.
    """

    def count(self, epoch: int) -> int:
        """Return the number of batches of an epoch."""

    def batch(self, epoch: int, index: int) -> Batch:
        """Return a batch by its index, from 0, in an epoch."""
