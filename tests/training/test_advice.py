"""The sentences that a training ends with."""

from types import SimpleNamespace
from typing import Any

from unrolled.training.advice import advice


def said(*, best: int = 50, updates: int = 100, planned: int = 100, **result: Any) -> list[str]:
    training = {"least_loss_update": best, "updates": updates, "planned": planned}
    return [*advice(SimpleNamespace(record={"training": training, "result": result or None}))]  # type: ignore[arg-type]


def test_no_better_than_the_most_frequent_label() -> None:
    figures = {"accuracy_interval": (0.5, 0.7), "majority_label": "x", "majority_accuracy": 0.55}
    assert said(**figures) == ["It is not shown to be better than always answering x (55.0%)."]
    assert said(**figures | {"majority_accuracy": 0.49}) == []


def test_the_loss_was_least_at_the_end() -> None:
    (sentence,) = said(best=100)
    assert sentence.endswith("was still falling, so more updates may help: --updates 200.")
    assert said(best=80, updates=80) == [], "it was interrupted, or stopped early"
    assert said() == []
