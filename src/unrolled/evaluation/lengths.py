"""Bins of examples by their length, for metrics by length."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["SMALLEST_BIN", "by_length"]

LENGTH_BINS = 5
SMALLEST_BIN = 25  # examples; with fewer, a 95 % interval can be 0.37 wide and more, too wide to be useful

Integers = NDArray[np.integer[Any]]


def by_length(lengths: Integers) -> list[NDArray[np.int64]]:
    """Return the indices of the examples in about LENGTH_BINS bins of similar size, the shortest examples first.

    A length is never split over two bins. Each length goes to the fifth of the examples in which its middle lies; a bin
    of fewer than SMALLEST_BIN examples is then merged with the smaller of its neighbours.

    Args:
        lengths: lengths of the N examples, (N,).
    """
    _, ranks, counts = np.unique(lengths, return_inverse=True, return_counts=True)
    middles = (counts.cumsum() - counts / 2) / len(lengths)
    fifth = (middles * LENGTH_BINS).astype(np.int64)
    firsts = np.flatnonzero(np.diff(fifth, prepend=-1)).tolist()  # first of the distinct lengths in each bin
    sizes = np.add.reduceat(counts, firsts).tolist()
    while len(sizes) > 1 and min(sizes) < SMALLEST_BIN:
        small = sizes.index(min(sizes))
        neighbours = [other for other in (small - 1, small + 1) if 0 <= other < len(sizes)]
        left = min(small, min(neighbours, key=lambda other: sizes[other]))
        sizes[left : left + 2] = [sizes[left] + sizes[left + 1]]
        del firsts[left + 1]
    return np.split(np.argsort(ranks, kind="stable"), np.cumsum(sizes)[:-1])
