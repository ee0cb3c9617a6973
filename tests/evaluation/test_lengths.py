"""Bins by length: every example in one, no length in two, none tiny."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unrolled.evaluation.lengths import SMALLEST_BIN, by_length


def spans(lengths: np.ndarray) -> list[tuple[int, int, int]]:
    """(shortest, longest, how many) of each bin."""
    return [(lengths[rows].min(), lengths[rows].max(), len(rows)) for rows in by_length(lengths)]


@pytest.mark.parametrize(
    ("counts", "found"),
    [
        ([100, 200, 700], [(1, 1, 100), (2, 2, 200), (3, 3, 700)]),  # their middles at 5, 20 and 65 %
        ([395, 20, 585], [(1, 2, 415), (3, 3, 585)]),  # 20 are too few, and join the smaller neighbour
        ([585, 20, 395], [(1, 1, 585), (2, 3, 415)]),
        ([390, 390, 15, 205], [(1, 1, 390), (2, 2, 390), (3, 4, 220)]),
        ([10, 10], [(1, 2, 20)]),
        ([25, 25, 25, 25], [(1, 1, 25), (2, 2, 25), (3, 3, 25), (4, 4, 25)]),  # 25 are enough
        ([25, 24, 26, 25], [(1, 2, 49), (3, 3, 26), (4, 4, 25)]),  # and 24 are not
    ],
)
def test_a_length_lies_where_its_middle_lies_and_a_tiny_bin_joins_the_smaller_neighbour(
    counts: list[int], found: list[tuple[int, int, int]]
) -> None:
    assert spans(np.repeat(np.arange(1, len(counts) + 1), counts)) == found


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 60)), min_size=1, max_size=30))
@settings(max_examples=60)
def test_bins_hold_every_example_once_and_none_is_tiny(runs: list[tuple[int, int]]) -> None:
    lengths = np.concatenate([np.full(count, length) for length, count in runs])
    bins = by_length(lengths)
    assert sorted(np.concatenate(bins).tolist()) == list(range(len(lengths)))
    assert 1 <= len(bins) <= 5
    assert all(len(rows) >= SMALLEST_BIN for rows in bins) or len(bins) == 1
    assert all(lengths[before[-1]] < lengths[after[0]] for before, after in pairwise(bins))
    for rows in bins:
        assert lengths[rows].tolist() == sorted(lengths[rows].tolist()), "the shortest first, and of equals the first"
