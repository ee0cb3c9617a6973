"""Texts that engines answer, and the check of their answers."""

from typing import Any

import pytest

from small import pairs, trained

TEXTS = [text for text, _ in pairs(40)]


def check(rows: list[dict[str, Any]]) -> None:
    rows.sort(key=lambda row: row["id"])
    assert [row["id"] for row in rows] == list(range(40)), "each row once"
    for row, answer in zip(rows, trained().decode(TEXTS), strict=True):
        assert (row["label"], row["error"]) == (answer.label, None)
        assert row["probability"] == pytest.approx(answer.probability)
        assert dict(row["probabilities"]) == pytest.approx(answer.probabilities)
