"""N-gram language model by counts, the baseline of task generate: interpolated Witten-Bell smoothing.

With h the n − 1 tokens before a token w, h' the nearest n − 2 of them, c(h w) the number of times that they occur
together in the training split, c(h) = Σ_w c(h w), and T(h) the number of different tokens that follow h:

    p_n(w | h) = (c(h w) + T(h) p_{n−1}(w | h')) / (c(h) + T(h))      where c(h) > 0; else p_{n−1}(w | h')
    p_0(w)     = 1 / V

At the beginning of a text h is as long as the text allows. The order n is chosen on the validation split.

Witten and Bell, "The zero-frequency problem", 1991; interpolated as in Chen and Goodman, "An empirical study of
smoothing techniques for language modeling", 1998.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["MAX_ORDER", "NGrams", "ngram_nats"]

MAX_ORDER = 6
"""Maximum order n: 5 tokens of context."""
MOST_TOKENS = 5_000_000
"""Maximum number of tokens to learn from: the last ones of the training split."""
MOST_VALID = 200_000
"""Maximum number of tokens of the validation split on which the order is chosen: its first ones."""

Integers = NDArray[np.integer[Any]]
Floats = NDArray[np.float64]


class _Counts(NamedTuple):
    """Counts of the n-grams of one order. An n-gram is named by its index; its key is V · context + last token."""

    keys: NDArray[np.int64]  # (U,), ascending
    counts: NDArray[np.int64]  # (U,), c(h w)
    totals: NDArray[np.int64]  # c(h) of each context
    types: NDArray[np.int64]  # T(h) of each context


class NGrams:
    """Counts of all n-grams of a text, up to an order.

    Args:
        ids: (N,) tokens of the text, at least one.
        vocabulary_size: V, above every token.
        order: the maximum order, at least 1; never more than N.
    """

    def __init__(self, ids: Integers, vocabulary_size: int, order: int) -> None:
        self.V = vocabulary_size
        self.orders: list[_Counts] = []
        tokens = np.asarray(ids, dtype=np.int64)
        contexts, size = np.zeros(len(tokens), dtype=np.int64), 1  # of each token: its context's index; −1: too short
        for _ in range(order):
            whole = contexts >= 0
            if not whole.any():
                break
            keys, index, counts = np.unique(
                contexts[whole] * self.V + tokens[whole], return_inverse=True, return_counts=True
            )
            own = keys // self.V
            totals = np.zeros(size, dtype=np.int64)
            np.add.at(totals, own, counts)
            types = np.bincount(own, minlength=size)
            self.orders.append(_Counts(keys, counts, totals, types))
            grams = np.full(len(tokens), -1, dtype=np.int64)
            grams[whole] = index
            contexts, size = _before(grams), len(keys)

    def probabilities(self, ids: Integers) -> Iterator[Floats]:
        """Yield p_n of each of N tokens given those before it, (N,), for n = 1, 2, … up to the order.

        Args:
            ids: (N,) tokens.
        """
        tokens = np.asarray(ids, dtype=np.int64)
        p, contexts = np.full(len(tokens), 1 / self.V), np.zeros(len(tokens), dtype=np.int64)
        for keys, counts, totals, types in self.orders:
            wanted = contexts * self.V + tokens
            index = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
            found = (contexts >= 0) & (keys[index] == wanted)
            followed = (contexts >= 0) & (totals[contexts] > 0)
            mixed = (np.where(found, counts[index], 0) + types[contexts] * p) / np.maximum(totals + types, 1)[contexts]
            p = np.where(followed, mixed, p)
            yield p
            contexts = _before(np.where(found, index, -1))


def _before(grams: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the n-gram that ends before each token: the context of the next order."""
    return np.concatenate([np.full(min(1, len(grams)), -1), grams[:-1]])


def ngram_nats(train: Integers, valid: Integers, test: Integers, vocabulary_size: int) -> tuple[str, Floats, float]:
    """Learn an n-gram model; return its name, −ln p of each token of the test split, (N,), and the seconds.

    Args:
        train, valid, test: tokens of the splits, none empty; of a large training split a part is used.
        vocabulary_size: V, above every token.
    """
    began = time.perf_counter()
    kept = train[-MOST_TOKENS:]
    model = NGrams(kept, vocabulary_size, MAX_ORDER)
    losses = [-np.log(p).mean() for p in model.probabilities(valid[:MOST_VALID])]
    best = int(np.argmin(losses))
    del model.orders[best + 1 :]
    *_, p = model.probabilities(test)
    part = "" if len(kept) == len(train) else f", learned from {len(kept):,} tokens"
    return f"{best + 1}-gram language model{part}", -np.log(p), time.perf_counter() - began
