"""The report on tagged sentences, as text and JSON."""

import json
from pathlib import Path

import pytest

from small import sentences, write_conllu
from unrolled.config import from_flat
from unrolled.data.report.sentences import inspect_sentences

CONFIG = from_flat({"task": "tag", "vocabulary_size": 300}).data


def test_it_counts_what_there_is(tmp_path: Path) -> None:
    made = sentences(40)
    path = write_conllu(tmp_path / "a.conllu", made)
    report = inspect_sentences(path, CONFIG)
    splits = report.splits.values()
    assert sum(split.sentences for split in splits) == 40
    assert sum(split.words for split in splits) == sum(len(words) for words, _ in made)
    assert sum(split.tags["DET"] for split in splits) == sum(tags.count("DET") for _, tags in made)
    assert report.splits["train"].unseen_rate == 0 < report.splits["test"].unseen_rate
    assert report.splits["train"].baseline_rate > 0.9
    assert report.different_words > report.ambiguous_words > 0
    first = report.examples[0]
    assert len(first["words"]) == len(first["tags"]) == len(first["subwords"])
    assert ["".join(subwords[:-1]) for subwords in first["subwords"]] == [f" {word}" for word in first["words"]]
    assert {subwords[-1] for subwords in first["subwords"]} >= {"<unk>", " the"}, "the whole word, or that it is rare"
    assert {split.unknown_rate for split in splits} == {0}, "a rare whole word is no unknown subword"
    assert not any(issue.kind == "unknown tokens" for issue in report.issues)
    subwords = sum(len(ids) - 1 for example in report.examples for ids in example["subwords"])
    assert report.splits["train"].subwords > subwords > len(report.examples)
    assert json.loads(json.dumps(report.to_dict()))["problem"] is None
    text = report.text()
    assert "as subwords, each word whole after them:" in text
    assert "40 sentences read = 40 used + 0 skipped" in text
    assert max(len(line) for line in text.splitlines() if str(path) not in line) <= 100
    assert "multiword" not in text


def test_it_counts_what_is_no_word(tmp_path: Path) -> None:
    path = write_conllu(tmp_path / "a.conllu")
    path.write_text(path.read_text().replace("\n1\t", "\n1-2\tx" + "\t_" * 8 + "\n1\t"))
    text = inspect_sentences(path, CONFIG).text()
    assert "multiword tokens, left out" in text
    assert "empty nodes" not in text


@pytest.mark.parametrize("fraction", [0.0, 0.2])
def test_a_split_that_is_empty_is_not_shown(fraction: float) -> None:
    report = inspect_sentences(sentences(), CONFIG.model_copy(update={"test_fraction": fraction}))
    assert ("test" in report.splits) == (fraction > 0)


def test_it_says_what_a_training_would_suffer_from() -> None:
    made = [*sentences(60), (["the", "film"], ["DET", "NOUN"]), (["The", "film"], ["DET", "ODD"])]
    report = inspect_sentences(made, CONFIG, longest=10)
    kinds = {issue.kind: issue for issue in report.issues}
    assert kinds["conflicting labels"].sentence == "one sentence in 2 rows has more than one label"
    assert [(example.where, example.row) for example in kinds["conflicting labels"].examples] == [
        ("item 60", "the/DET film/NOUN"),
        ("item 61", "The/DET film/ODD"),
    ]
    assert kinds["long sequences"].count > 30
    assert "ODD" in kinds["rare classes"].sentence
    assert report.picture().startswith("<svg")
    assert "issues:" in report.text()
