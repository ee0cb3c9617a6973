"""Cutting examples into bins by their length, so that a figure can be shown as a curve."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["SMALLEST_BIN", "by_length"]

LENGTH_BINS = 5
SMALLEST_BIN = 25  # examples; with fewer, a 95 % interval can be 0.37 wide and more, and says little

Integers = NDArray[np.integer[Any]]


def by_length(lengths: Integers) -> list[NDArray[np.int64]]:
    """Cut N examples of lengths (N,) into about LENGTH_BINS bins of like size, the shortest first; return their places.

    A length is never split over two bins. Each length goes to the fifth of the examples in which its middle lies; a bin
    of fewer than SMALLEST_BIN examples then joins the smaller of its neighbours.
    """
    _, which, counts = np.unique(lengths, return_inverse=True, return_counts=True)
    middles = (counts.cumsum() - counts / 2) / len(lengths)
    fifth = (middles * LENGTH_BINS).astype(np.int64)
    firsts = np.flatnonzero(np.diff(fifth, prepend=-1)).tolist()  # where a bin begins, as index into values
    sizes = np.add.reduceat(counts, firsts).tolist()
    while len(sizes) > 1 and min(sizes) < SMALLEST_BIN:
        small = sizes.index(min(sizes))
        neighbours = [other for other in (small - 1, small + 1) if 0 <= other < len(sizes)]
        left = min(small, min(neighbours, key=lambda other: sizes[other]))
        sizes[left : left + 2] = [sizes[left] + sizes[left + 1]]
        del firsts[left + 1]
    return np.split(np.argsort(which, kind="stable"), np.cumsum(sizes)[:-1])
