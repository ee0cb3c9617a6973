"""The report on pairs, as text, JSON and chart."""

import json
from pathlib import Path

import pytest

from small import written
from unrolled.config import DataConfig
from unrolled.data.report.pairs import inspect_pairs
from unrolled.data.splits.pairs import split_pairs
from unrolled.errors import DataError

CONFIG = DataConfig(tokenizer="character", min_frequency=1, lowercase=False)
PAIRS = [(f"source {i}", f"a target {i}") for i in range(60)]


def test_it_counts_what_there_is() -> None:
    report = inspect_pairs([*PAIRS, ("source 1", "another")], CONFIG)
    splits = report.splits.values()
    assert sum(split.pairs for split in splits) == 61
    assert sum(split.sources for split in splits) == 60
    assert sum(split.several for split in splits) == 1
    tokens = report.splits["train"].tokens
    assert tokens["source"]["max"] == len("source 59")
    assert tokens["target"]["max"] == len("a target 59")
    assert report.splits["train"].unknown_rate == {"source": 0, "target": 0}
    assert (report.tokenizers, report.shared_vocabulary) == ({"source": "character", "target": "character"}, False)
    assert json.loads(json.dumps(report.to_dict()))["problem"] is None
    text = report.text()
    assert "python objects: 61 pairs read = 61 used + 0 skipped" in text
    assert "split by source: train 80 %" in text
    assert f"{report.vocabulary_sizes['source']} tokens (character) to" in text
    assert "issues: none" in text
    assert report.picture().count("length of the") == 2
    shared = inspect_pairs(PAIRS, CONFIG.model_copy(update={"shared_vocabulary": True}))
    assert "tokens (character) of both sides" in shared.text()


def test_it_says_what_a_training_would_suffer_from(tmp_path: Path) -> None:
    valid = written(tmp_path / "v.csv", "source,target\nSource 3,x\n?!?,y\nsource zzzz,z\n")
    data = [*PAIRS, PAIRS[0], PAIRS[0], ("same", "same"), ("b", "b" * 40), ("s" * 51, "target")]
    config = CONFIG.model_copy(update={"valid": str(valid), "test_fraction": 0.0, "max_length": 50})
    report = inspect_pairs(data, config)
    found = {issue.kind: issue for issue in report.issues}
    unknown = [issue.sentence for issue in report.issues if issue.kind == "unknown tokens"]
    assert [sentence.partition(" of the tokens of ")[2].split(" are")[0] for sentence in unknown] == [
        "the sources of valid",
        "the targets of valid",
    ]
    del found["unknown tokens"]
    assert {kind: issue.count for kind, issue in found.items()} == {
        "leakage": 1,
        "repeated pairs": 2,
        "identical sides": 1,
        "unlike lengths": 1,
        "long sequences": 1,
        "unknown sources": 1,
    }
    assert found["leakage"].examples[1].where == f"{valid}, line 2"
    assert found["repeated pairs"].examples[0].where == "item 60"
    assert found["identical sides"].sentence == "1 pair has a target that equals the source"
    assert found["repeated pairs"].sentence == "2 pairs occur more than once in a split"
    assert "more than 50 tokens" in found["long sequences"].sentence
    assert found["unknown sources"].examples[0].row == "?!? | y"
    assert all(issue.advice in report.text() for issue in report.issues)


def test_before_the_columns_are_named_it_says_which_are_likely(tmp_path: Path) -> None:
    rows = "".join(f"{i},a longer text {i},ein laengerer Text\n" for i in range(30))
    path = written(tmp_path / "a.csv", f"id,English,German\n{rows}")
    report = inspect_pairs(path, CONFIG)
    assert report.problem == 'no column "source" and no column "target"'
    assert 'likely: --source "English" --target "German"' in report.text()
    assert report.panels() == []
    named = CONFIG.model_copy(update={"source": "English", "target": "German"})
    assert inspect_pairs(path, named).problem is None
    alone = written(tmp_path / "b.csv", "id\n1\n")
    assert "name it, as in --separator semicolon" in inspect_pairs(alone, CONFIG).text()


def test_skipped_rows_are_counted_and_listed(tmp_path: Path) -> None:
    path = written(tmp_path / "a.tsv", "source\ttarget\n" + "".join(f"{s}\t{t}\n" for s, t in PAIRS) + "x\t\n")
    report = inspect_pairs(path, CONFIG.model_copy(update={"on_bad_row": "skip"}))
    assert f"{path}: 61 pairs read = 60 used + 1 skipped (1 empty target)" in report.text()
    assert "  1 skipped: empty target\n    line 62: x" in report.text()
    assert report.refusals == ()
    (refusal,) = inspect_pairs(path, CONFIG).refusals
    assert "line 62" in refusal
    with pytest.raises(DataError) as refused:
        split_pairs(path, CONFIG)
    assert str(refused.value) == refusal
