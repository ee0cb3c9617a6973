"""Rows of ids to padded batches, by a token budget: each batch a pure function of (seed, epoch, index).

Rows of like length share a batch, so that little of it is padding; the budget counts the padding. An epoch shuffles
all rows, sorts them by length within windows of some 64 batches (which keeps batches mixed and nearly free of
padding), cuts them, and shuffles the batches. No Python loop runs over rows.
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
    """N rows of ids of any length, flat in memory: 4 bytes a token."""

    def __init__(self, rows: Iterable[Sequence[int]]) -> None:
        lengths, ids = array("q"), array("i")
        for row in rows:
            lengths.append(len(row))
            ids.extend(row)
        ids.append(PAD)
        self.lengths = torch.from_numpy(np.asarray(lengths))  # (N,)
        self.starts = self.lengths.cumsum(0) - self.lengths  # (N,)
        self.ids = torch.from_numpy(np.asarray(ids))  # (total + 1,): the last one is what padding reads

    def __len__(self) -> int:
        return len(self.lengths)

    def pad(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return the rows (B,) as ids (B, T), padded on the right with <pad>, and their lengths (B,), all int64."""
        places, lengths = self.places(rows)
        return self.ids[places].long(), lengths

    def select(self, rows: Iterable[int]) -> Sequences:
        """Return the rows with these numbers, in this order."""
        spans = ((int(self.starts[row]), int(self.lengths[row])) for row in rows)
        return Sequences(self.ids[start : start + length].tolist() for start, length in spans)

    def places(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return where the tokens of the rows (B,) stand in `ids`, (B, T), padding at its end, and the lengths (B,)."""
        lengths = self.lengths[rows]
        steps = torch.arange(int(lengths.max()) if len(rows) else 0)  # (T,)
        places = self.starts[rows, None] + steps  # (B, T)
        places[steps >= lengths[:, None]] = len(self.ids) - 1
        return places, lengths


class Batches:
    """Batches of at most `batch_tokens` tokens, padding included; a row that is longer is a batch of its own.

    Args:
        lengths: (N,) the rows' lengths; or (N, K), where a row is K sequences that are padded each for itself.
        batch_tokens: the budget.
        seed: of the order. Another epoch has another order, and so may have another number of batches.
    """

    def __init__(self, lengths: Tensor, batch_tokens: int, seed: int) -> None:
        self.batch_tokens = batch_tokens
        self.seed = seed
        self._lengths = _of_rows(lengths)
        self._plan: tuple[int, list[Tensor]] | None = None  # of the epoch asked for last

    def count(self, epoch: int) -> int:
        """Return the number of batches in an epoch."""
        return len(self._epoch(epoch))

    def rows(self, epoch: int, index: int) -> Tensor:
        """Return the rows (B,) of one batch."""
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
            batches += _cut(order[start : start + WINDOW * in_batch], self._lengths, self.batch_tokens)
        return [batches[i] for i in random.permutation(len(batches))]


def by_length(lengths: Tensor, batch_tokens: int) -> list[Tensor]:
    """Return all rows in batches (B,) within the budget, the longest first: a plan without chance, to evaluate.

    lengths: (N,) or (N, K), see `Batches`.
    """
    every = _of_rows(lengths)
    return _cut(np.arange(len(every)), every, batch_tokens)


def _of_rows(lengths: Tensor) -> Indices:
    """Lengths as (N, K)."""
    every: Indices = lengths.numpy()
    return every[:, None] if every.ndim == 1 else every


def _cut(rows: Indices, lengths: Indices, budget: int) -> list[Tensor]:
    """Sort rows from long to short, equal ones as they came, and cut them where the padded tokens exceed the budget."""
    total = lengths[rows].sum(axis=1)
    order = rows[np.argsort(-total, kind="stable")]
    longest = np.sort(total)[::-1]
    batches, start = [], 0
    while start < len(order):
        most = max(1, budget // max(1, int(longest[start])))  # a batch is never smaller than its first row, repeated
        some = lengths[order[start : start + most]]
        padded = np.maximum.accumulate(some, axis=0).sum(axis=1) * np.arange(1, len(some) + 1)
        end = start + max(1, int(np.searchsorted(padded, budget, side="right")))
        batches.append(torch.from_numpy(order[start:end]))
        start = end
    return batches
