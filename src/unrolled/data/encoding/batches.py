"""Padded batches of id sequences within a token budget; each batch is a pure function of (seed, epoch, index).

Sequences of similar length share a batch, so that it has little padding; the budget counts the padding. An epoch
shuffles all sequences, sorts them by length within windows of about 64 batches (which keeps batches mixed and nearly
free of padding), groups them into batches, and shuffles the batches. No Python loop runs over single sequences.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor

from unrolled.data.encoding.tokenizers import PAD, UNK, Tokenizer
from unrolled.data.reading.arrays import Growing, blocks, integer_for

__all__ = ["Batches", "Sequences", "by_length"]

WINDOW = 64  # batches that are sorted together

Indices = NDArray[np.integer[Any]]


class Sequences:
    """N sequences of ids of any length, one after the other in an array, which is on disk if it is large.

    Args:
        sequences: the ids of each.
        kind: type in which an id is stored.
    """

    def __init__(self, sequences: Iterable[Sequence[int] | Indices], kind: DTypeLike = np.int32) -> None:
        ids, lengths, starts = Growing(kind), Growing(np.int32), Growing(np.int64)
        for sequence in sequences:
            starts.append(len(ids))
            lengths.append(len(sequence))
            ids.extend(sequence)
        ids.append(PAD)
        self._set(ids.array(), lengths.array(), starts.array())

    @classmethod
    def encode(cls, tokenizer: Tokenizer, texts: Iterable[str]) -> Self:
        """Return texts as ids of a tokenizer, in the smallest type that holds its vocabulary."""
        kind = integer_for(tokenizer.vocabulary_size)
        ids, lengths, starts = Growing(kind), Growing(np.int32), Growing(np.int64)
        for some, sizes in tokenizer.encode_flat(texts):
            starts.extend(len(ids) + np.cumsum(sizes, dtype=np.int64) - sizes)
            lengths.extend(sizes)
            ids.extend(some.astype(kind))
        ids.append(PAD)
        return cls.of({"ids": ids.array(), "lengths": lengths.array(), "starts": starts.array()})

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Return the sequences with the arrays that `arrays` has returned."""
        made = cls.__new__(cls)
        made._set(**arrays)
        return made

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays that make up the sequences, by name."""
        return {"ids": self.ids, "lengths": self.lengths.numpy(), "starts": self.starts.numpy()}

    def _set(self, ids: NDArray[Any], lengths: NDArray[Any], starts: NDArray[Any]) -> None:
        self.ids: NDArray[np.integer[Any]] = ids  # (total + 1,), the last one for padding
        self.lengths = torch.from_numpy(lengths)  # (N,) int32
        self.starts = torch.from_numpy(starts)  # (N,)

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def unknown_rate(self) -> float:
        """Fraction of the ids that are <unk>."""
        return sum(int((self.ids[some] == UNK).sum()) for some in blocks(len(self.ids))) / len(self.ids)

    def pad(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Return the sequences at `indices` (B,) as ids (B, T) and lengths (B,), int64; <pad> is on the right."""
        if len(indices) == 1:  # a view instead of a table of positions
            start, length = int(self.starts[indices]), self.lengths[indices].long()
            ids = self.ids[start : start + int(length)]
            return torch.from_numpy(ids.astype(np.int64)[None]), length
        positions, lengths = self.positions(indices)
        return torch.from_numpy(self.ids[positions.numpy()].astype(np.int64)), lengths

    def select(self, indices: Iterable[int]) -> Sequences:
        """Return the sequences with these indices, in this order."""
        spans = ((int(self.starts[i]), int(self.lengths[i])) for i in indices)
        return Sequences((self.ids[start : start + length] for start, length in spans), self.ids.dtype)

    def positions(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Return the positions in `ids` of the tokens of sequences (B,), (B, T), and the lengths (B,).

        Padding has the last position of `ids`.
        """
        lengths = self.lengths[indices].long()
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
        self._plan: tuple[int, _Plan] | None = None  # of the last requested epoch

    def count(self, epoch: int) -> int:
        """Return the number of batches in an epoch."""
        return len(self._planned(epoch).batches)

    def indices(self, epoch: int, index: int) -> Tensor:
        """Return the indices (B,) of the examples in one batch."""
        order, ends, batches = self._planned(epoch)
        batch = batches[index]
        return torch.from_numpy(order[ends[batch] : ends[batch + 1]].astype(np.int64))

    def _planned(self, epoch: int) -> _Plan:
        plan = self._plan
        if plan is None or plan[0] != epoch:
            self._plan = None  # so that only one is in memory
            plan = self._plan = (epoch, self._make(epoch))
        return plan[1]

    def _make(self, epoch: int) -> _Plan:
        random, N = np.random.default_rng((self.seed, epoch)), len(self._lengths)
        order: Indices = np.arange(N, dtype=np.int32 if np.iinfo(np.int32).max >= N else np.int64)
        random.shuffle(order)
        mean = sum(int(self._lengths[some].sum()) for some in blocks(N)) // max(1, N)
        in_batch = max(1, self.batch_tokens // max(1, mean))
        ends = Growing(np.int64)
        ends.append(0)
        for start in range(0, N, WINDOW * in_batch):
            window = order[start : start + WINDOW * in_batch]
            window[:], sizes = _grouped(window, self._lengths, self.batch_tokens)
            ends.extend(start + np.cumsum(sizes))
        return _Plan(order, ends.array(), random.permutation(len(ends) - 1))


class _Plan(NamedTuple):
    """The batches of an epoch."""

    order: Indices  # (N,), the examples, one batch after the other
    ends: NDArray[np.int64]  # (M + 1,), the borders of the M batches in it
    batches: NDArray[np.int64]  # (M,), the order of the batches


def by_length(lengths: Tensor, batch_tokens: int) -> list[Tensor]:
    """Return the indices of all examples in batches (B,) within the budget, the longest first, without randomness.

    Args:
        lengths: (N,) or (N, K), see `Batches`.
        batch_tokens: the budget.
    """
    table = _lengths(lengths)
    order, sizes = _grouped(np.arange(len(table)), table, batch_tokens)
    return [*torch.split(torch.from_numpy(order), sizes)] if sizes else []


def _lengths(lengths: Tensor) -> Indices:
    """Return lengths (N,) or (N, K) as (N, K)."""
    table: Indices = lengths.numpy()
    return table[:, None] if table.ndim == 1 else table


def _grouped(indices: Indices, lengths: Indices, budget: int) -> tuple[Indices, list[int]]:
    """Sort examples from long to short (stable), and group them into batches whose padded tokens fit the budget.

    Args:
        indices: the examples.
        lengths: (N, K) of all examples.
        budget: tokens of a batch.

    Returns:
        the sorted examples, and the number of examples of each batch.
    """
    total = lengths[indices].sum(axis=1)
    order = indices[np.argsort(-total, kind="stable")]
    longest = np.sort(total)[::-1]
    sizes: list[int] = []
    start = 0
    while start < len(order):
        most = max(1, budget // max(1, int(longest[start])))  # a batch has at least the tokens of its first example
        some = lengths[order[start : start + most]]
        padded = np.maximum.accumulate(some, axis=0).sum(axis=1) * np.arange(1, len(some) + 1)
        sizes.append(max(1, int(np.searchsorted(padded, budget, side="right"))))
        start += sizes[-1]
    return order, sizes
