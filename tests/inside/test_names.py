"""The table of names finds each of its own patterns, and no two say what a tensor is."""

import pytest

from unrolled.inside import NAMES, find
from unrolled.inside.names import Name


@pytest.mark.parametrize("name", NAMES, ids=lambda name: name.pattern)
def test_a_pattern_is_found_under_every_name_it_stands_for(name: Name) -> None:
    for prefix in ("", "encoder.", "decoder."):
        for layer in ("l0", "l12", "l1.reverse"):
            assert find(prefix + name.pattern.replace("l{i}", layer)) is name
    assert name.meaning
    assert name.axes
    assert len({other.pattern for other in NAMES}) == len(NAMES)


@pytest.mark.parametrize("name", ["lstm.l.f", "lstm.l0.ff", "lstm.l0", "mine.l0.h", ""])
def test_what_is_not_in_it(name: str) -> None:
    assert find(name) is None
