"""The budget of a training, as it is written and as updates."""

from __future__ import annotations

import pytest

from unrolled.comparison.budget import Budget, parse, spaced
from unrolled.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "amount", "unit"),
    [
        ("90s", 90, "seconds"),
        ("5m", 300, "seconds"),
        ("1.5h", 5_400, "seconds"),
        ("800updates", 800, "updates"),
        ("2M tokens", 2e6, "tokens"),
        ("2.5ktokens", 2_500, "tokens"),
        ("1e12operations", 1e12, "operations"),
        (" 3T operations ", 3e12, "operations"),
    ],
)
def test_a_budget_has_an_amount_and_a_unit(text: str, amount: float, unit: str) -> None:
    assert parse(text) == Budget(amount, unit)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["", "5", "5 m m", "0s", "0updates", "800 updats", "-3s", "1e400tokens", "5minutes"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="budget should be a time as 90s"):
        parse(text)


def test_tokens_and_operations_become_updates() -> None:
    assert parse("2Mtokens").updates(tokens=2_000, operations=1) == 1_000
    assert parse("1Toperations").updates(tokens=1, operations=3e9) == 333
    assert parse("70updates").updates(tokens=1, operations=1) == 70
    assert parse("1tokens").updates(tokens=1_000, operations=1) == 1  # at least one


@pytest.mark.parametrize(
    ("text", "said"),
    [("800updates", "800 updates"), ("2Mtokens", "2 Mtokens"), ("1e12 operations", "1e12 operations"), ("5m", "5m")],
)
def test_a_budget_is_written_with_a_space(text: str, said: str) -> None:
    assert spaced(text) == said
