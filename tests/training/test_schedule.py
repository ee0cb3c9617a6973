"""The learning rate against its formula."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unrolled.training.schedule import Schedule, learning_rate


def rates(updates: int, warmup: float) -> list[float]:
    return [learning_rate(u, updates, peak=2.0, warmup=warmup) for u in range(updates)]


def test_it_climbs_to_the_peak_and_falls_along_a_cosine() -> None:
    assert rates(8, 0.25) == pytest.approx(
        [1.0, 2.0, 2.0, *(1 + math.cos(math.pi * k / 6) for k in range(1, 6))], rel=1e-15
    )


def test_without_warmup_it_begins_at_the_peak() -> None:
    assert rates(5, 0.0) == pytest.approx([1 + math.cos(math.pi * k / 5) for k in range(5)], rel=1e-15)


def test_all_warmup_ends_at_the_peak() -> None:
    assert rates(4, 1.0) == [0.5, 1.0, 1.5, 2.0]


def test_constant_and_plateau_stay_at_the_peak_but_for_what_was_reduced() -> None:
    for schedule in ("constant", "plateau"):
        found = [learning_rate(u, 8, peak=2.0, warmup=0.25, schedule=schedule, reduced=0.25) for u in range(8)]
        assert found == [0.25, *[0.5] * 7]


def test_inverse_sqrt_is_the_formula_of_vaswani_et_al() -> None:
    D, W, U = 512, 40, 400
    peak = (D * W) ** -0.5
    for u in range(U):
        wanted = D**-0.5 * min((u + 1) ** -0.5, (u + 1) * W**-1.5)
        found = learning_rate(u, U, peak=peak, warmup=W / U, schedule="inverse_sqrt")
        assert found == pytest.approx(wanted, rel=1e-12)
    assert learning_rate(3, 9, peak=2.0, warmup=0, schedule="inverse_sqrt") == 1.0, "without warm-up from the first on"


@pytest.mark.parametrize("schedule", ["cosine", "inverse_sqrt"])
@given(updates=st.integers(1, 400), warmup=st.floats(0, 1))
def test_it_rises_then_falls_and_stays_above_zero(schedule: Schedule, updates: int, warmup: float) -> None:
    found = [learning_rate(u, updates, peak=2.0, warmup=warmup, schedule=schedule) for u in range(updates)]
    top = found.index(max(found))
    assert found[: top + 1] == sorted(found[: top + 1])
    assert found[top:] == sorted(found[top:], reverse=True)
    assert min(found) > 0
    assert max(found) == 2.0
    assert top <= math.ceil(warmup * updates)
