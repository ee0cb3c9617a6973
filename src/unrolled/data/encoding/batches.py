"""Padded batches of id sequences within a token budget; each batch is a pure function of (seed, epoch, index).

Sequences of similar length share a batch, so that it has little padding; the budget counts the padding. An epoch
shuffles all sequences, sorts them by length within windows of about 64 batches (which keeps batches mixed and nearly
free of padding), groups them into batches, and shuffles the batches. No Python loop runs over single sequences.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unrolled.data.encoding.tokenizers import PAD

__all__ = ["Batches", "Sequences", "by_length"]

WINDOW = 64  # batches that are sorted together

Indices = NDArray[np.int64]


class Sequences:
    """N sequences of ids of any length, flat in memory: 4 bytes a token."""

    def __init__(self, sequences: Iterable[Sequence[int]]) -> None:
        lengths, ids = array("q"), array("i")
        for sequence in sequences:
            lengths.append(len(sequence))
            ids.extend(sequence)
        ids.append(PAD)
        self.lengths = torch.from_numpy(np.asarray(lengths))  # (N,)
        self.starts = self.lengths.cumsum(0) - self.lengths  # (N,)
        self.ids = torch.from_numpy(np.asarray(ids))  # (total + 1,), the last one for padding

    def __len__(self) -> int:
        return len(self.lengths)

    def pad(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Return the sequences at `indices` (B,) as ids (B, T) and lengths (B,), int64; <pad> is on the right."""
        positions, lengths = self.positions(indices)
        return self.ids[positions].long(), lengths

    def select(self, indices: Iterable[int]) -> Sequences:
        """Return the sequences with these indices, in this order."""
        spans = ((int(self.starts[i]), int(self.lengths[i])) for i in indices)
        return Sequences(self.ids[start : start + length].tolist() for start, length in spans)

    def positions(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Return the positions in `ids` of the tokens of sequences (B,), (B, T), and the lengths (B,).

        Padding has the last position of `ids`.
        """
        lengths = self.lengths[indices]
        steps = torch.arange(int(lengths.max()) if len(indices) else 0)  # (T,)
        positions = self.starts[indices, None] + steps  # (B, T)
        positions[steps >= lengths[:, None]] = len(self.ids) - 1
        return positions, lengths


class Batches:
    """Batches of at most `batch_tokens` tokens, including padding; a longer sequence is a batch of its own.

    Args:
        lengths: (N,) of the sequences; or (N, K), if each example has K sequences that are padded separately.
        batch_tokens: the budget.
        seed: seed of the order. Each epoch has its own order, and may have its own number of batches.
    """

    def __init__(self, lengths: Tensor, batch_tokens: int, seed: int) -> None:
        self.batch_tokens = batch_tokens
        self.seed = seed
        self._lengths = _lengths(lengths)
        self._plan: tuple[int, list[Tensor]] | None = None  # of the last requested epoch

    def count(self, epoch: int) -> int:
        """Return the number of batches in an epoch."""
        return len(self._epoch(epoch))

    def indices(self, epoch: int, index: int) -> Tensor:
        """Return the indices (B,) of the examples in one batch."""
        return self._epoch(epoch)[index]

    def _epoch(self, epoch: int) -> list[Tensor]:
        plan = self._plan
        if plan is None or plan[0] != epoch:
            plan = self._plan = (epoch, self._make(epoch))
        return plan[1]

    def _make(self, epoch: int) -> list[Tensor]:
        random = np.random.default_rng((self.seed, epoch))
        order = random.permutation(len(self._lengths))
        mean = self._lengths.sum(axis=1).mean() if len(order) else 1
        in_batch = max(1, self.batch_tokens // max(1, int(mean)))
        batches: list[Tensor] = []
        for start in range(0, len(order), WINDOW * in_batch):
            batches += _group(order[start : start + WINDOW * in_batch], self._lengths, self.batch_tokens)
        return [batches[i] for i in random.permutation(len(batches))]


def by_length(lengths: Tensor, batch_tokens: int) -> list[Tensor]:
    """Return the indices of all examples in batches (B,) within the budget, the longest first, without randomness.

    Args:
        lengths: (N,) or (N, K), see `Batches`.
        batch_tokens: the budget.
    """
    table = _lengths(lengths)
    return _group(np.arange(len(table)), table, batch_tokens)


def _lengths(lengths: Tensor) -> Indices:
    """Return lengths (N,) or (N, K) as (N, K)."""
    table: Indices = lengths.numpy()
    return table[:, None] if table.ndim == 1 else table


def _group(indices: Indices, lengths: Indices, budget: int) -> list[Tensor]:
    """Sort examples from long to short (stable), and group them into batches whose padded tokens fit the budget."""
    total = lengths[indices].sum(axis=1)
    order = indices[np.argsort(-total, kind="stable")]
    longest = np.sort(total)[::-1]
    batches, start = [], 0
    while start < len(order):
        most = max(1, budget // max(1, int(longest[start])))  # a batch has at least the tokens of its first example
        some = lengths[order[start : start + most]]
        padded = np.maximum.accumulate(some, axis=0).sum(axis=1) * np.arange(1, len(some) + 1)
        end = start + max(1, int(np.searchsorted(padded, budget, side="right")))
        batches.append(torch.from_numpy(order[start:end]))
        start = end
    return batches
