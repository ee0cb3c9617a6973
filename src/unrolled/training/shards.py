"""Shards: the parts of a batch whose gradients are computed alone and summed in one fixed tree.

    g = sum(0, S)        sum(s, s + 1) = gradient of shard s        sum(a, b) = sum(a, m) + sum(m, b)
    m = a + the greatest power of two below b − a

A sum of floating-point numbers depends on its order. Here the order is that of the tree over the S shards, whichever
process has computed which of them, so the bits of a training depend on the number of shards, not of processes. Each
shard's loss is divided by the number of targets of the whole batch, so that the sum is the gradient of the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor

from unrolled.training.batch import Batch

__all__ = ["Span", "cut", "owned", "subtrees", "tree_sum"]

Span = tuple[int, int]
"""The shards from the first number up to, but without, the second."""


def cut(batch: Batch, shard: int, shards: int) -> Batch | None:
    """Return a shard of a batch: the sequences shard, shard + S, shard + 2 S, …; None if it has none.

    Its `num_targets` and `num_tokens` are those of the whole batch.

    Args:
        batch: the batch, of B sequences.
        shard: number of the shard, from 0.
        shards: S, the number of shards.
    """
    if shards == 1:
        return batch
    if shard >= len(batch.inputs):
        return None

    def part(tensor: Tensor) -> Tensor:
        return tensor[shard::shards].contiguous()

    def optional(tensor: Tensor | None) -> Tensor | None:
        return None if tensor is None else part(tensor)

    return replace(
        batch,
        inputs=part(batch.inputs),
        lengths=optional(batch.lengths),
        targets=part(batch.targets),
        source=optional(batch.source),
        source_lengths=optional(batch.source_lengths),
    )


def owned(rank: int, processes: int, shards: int) -> Span:
    """Return the shards of a process: consecutive ones, of all processes as equal in number as possible."""
    return rank * shards // processes, (rank + 1) * shards // processes


def subtrees(own: Span, whole: Span) -> Iterator[Span]:
    """Yield the largest subtrees of the tree over `whole` that consist of shards of `own` only, in order."""
    (first, end), (start, stop) = own, whole
    if start >= end or stop <= first:
        return
    if first <= start and stop <= end:
        yield whole
        return
    middle = _middle(whole)
    yield from subtrees(own, (start, middle))
    yield from subtrees(own, (middle, stop))


def tree_sum(whole: Span, known: Callable[[Span], list[Tensor] | None]) -> list[Tensor]:
    """Return the sum of the tensors of all shards of `whole`, in the order of the tree.

    Args:
        whole: the shards.
        known: returns the tensors of a subtree, or None where they are the sum of its two halves. A shard has tensors
            always. They are overwritten.
    """
    tensors = known(whole)
    if tensors is not None:
        return tensors
    start, stop = whole
    middle = _middle(whole)
    left = tree_sum((start, middle), known)
    right = tree_sum((middle, stop), known)
    torch._foreach_add_(left, right)
    return left


def _middle(span: Span) -> int:
    """Return the shard at which a subtree of at least two shards is halved."""
    start, stop = span
    return int(start + (1 << (stop - start - 1).bit_length() - 1))
