"""Cross-validation as strangers ask for it: with duplicates, with a test file, with too few rows."""

from __future__ import annotations

import json
from pathlib import Path

from strangers.cases import case
from strangers.commands import SMALL, command, reviews, table


@case("E")
def every_example_is_tested_once(folder: Path) -> None:
    """`--folds 3` tests every row exactly once, duplicates included, and says mean, deviation and the pooled figure"""
    rows = [*reviews(60), *reviews(60)[:10]]
    outcome = command("train", table(folder / "a.csv", rows), "--folds", 3, "--out", folder / "cv", *SMALL)
    assert outcome.code == 0, outcome.err
    assert "standard deviation" in outcome.out
    summary = json.loads((folder / "cv" / "summary.json").read_text(encoding="utf-8"))
    assert summary["examples"] == sum(fold["n"] for fold in summary["folds"]) == 70


@case("E")
def folds_of_a_sample_with_splits(folder: Path) -> None:
    """`--folds` on data with a test split of their own is refused with words, and leaves no folder"""
    outcome = command("train", "sample:films", "--folds", 3, "--out", folder / "cv", *SMALL)
    assert outcome.code == 2
    assert "sample:films is one already" in outcome.err
    assert not (folder / "cv").exists()


@case("E")
def more_folds_than_texts(folder: Path) -> None:
    """More folds than texts are refused with a remedy that works"""
    data = table(folder / "a.csv", reviews(12))
    outcome = command("train", data, "--folds", 40, "--out", folder / "cv", *SMALL)
    assert outcome.code == 2
    assert "or a smaller number with --folds" in outcome.err
    assert not (folder / "cv").exists()
