import numpy as np

from unrolled.config import DataConfig
from unrolled.data.examples.labelled import load_examples
from unrolled.data.report.checks import (
    TextRepeats,
    _repeated,
    issue_example,
    label_issues,
    length_issues,
    unknown_issues,
)
from unrolled.data.splits.labelled import load_splits

CONFIG = DataConfig()


def splits(**rows):
    return {name: load_examples(some, CONFIG) for name, some in rows.items()}


def found(issues):
    return [(issue.kind, issue.count) for issue in issues]


def test_repeats_are_counted_by_split():
    data = splits(
        train=[("A b", "x"), ("a  B", "x"), ("c", "y"), ("a b", "x")],
        valid=[("c", "y"), ("d", "x"), ("C ", "y")],
        test=[("d", "x"), ("e", "y")],
    )
    repeats = TextRepeats(data, ("x", "y"))
    assert repeats.counts() == {
        "within train": 2, "within valid": 1, "within test": 0,
        "valid in train": 2, "test in train": 0, "test in valid": 1,
    }  # fmt: skip
    first, second = repeats.issues()
    assert first.sentence == "2 rows of valid have a text that is also in train"
    assert [(w.where, w.row) for w in first.examples] == [
        ("item 2", '"y": c'), ("item 0", '"y": c'), ("item 2", '"y": c'), ("item 2", '"y": C ')
    ]  # fmt: skip
    assert second.sentence == "1 row of test has a text that is also in valid"


def test_it_counts_what_a_plain_loop_counts():
    chance = np.random.default_rng(0)
    rows = {
        name: [(f"t{chance.integers(40)}", "xy"[chance.integers(2)]) for _ in range(60)]
        for name in ("train", "valid", "test")
    }
    repeats = TextRepeats(splits(**rows), ("x", "y"))
    texts = {name: [text for text, _ in some] for name, some in rows.items()}
    for name, some in texts.items():
        assert repeats.counts()[f"within {name}"] == len(some) - len(set(some))
    for earlier, later in (("train", "valid"), ("train", "test"), ("valid", "test")):
        assert repeats.counts()[f"{later} in {earlier}"] == sum(text in texts[earlier] for text in texts[later])
    every = [row for some in rows.values() for row in some]
    torn = {text for text, _ in every if len({label for other, label in every if other == text}) == 2}
    issue = next(issue for issue in repeats.issues() if issue.kind == "conflicting labels")
    assert issue.count == sum(text in torn for text, _ in every)
    assert issue.sentence.startswith(f"{len(torn)} texts in {issue.count} rows have more than one label")


def test_conflicting_labels_name_both_rows(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("text,label\n" + "".join(f"text {i},{'ab'[i % 2]}\n" for i in range(40)) + "TEXT  3,a\n")
    splits = load_splits(path, CONFIG)
    (issue,) = TextRepeats(splits.named(), splits.labels).issues()
    assert issue.sentence == "one text in 2 rows has more than one label"
    assert [w.where for w in issue.examples] == [f"{path}, line 5", f"{path}, line 42"]
    assert [w.row for w in issue.examples] == ['"b": text 3', '"a": TEXT  3']
    assert "choose" in issue.advice


def test_nothing_repeated_nothing_found():
    repeats = TextRepeats(splits(train=[("a", "x"), ("b", "y")], valid=[("c", "x")]), ("x", "y"))
    assert not list(repeats.issues())
    assert not any(repeats.counts().values())


def test_labels():
    fine = {"train": {"a": 50, "b": 60}, "valid": {"a": 5, "b": 6}}
    assert not list(label_issues(fine))
    counts = {"train": {"a": 950, "b": 9, "A": 30}, "valid": {"a": 9, "b": 0, "A": 1}}
    issues = list(label_issues(counts))
    assert found(issues) == [
        ("rare classes", 1),
        ("absent classes", 1),
        ("one class for nearly all", 950),
    ]
    assert [issue.sentence for issue in issues] == [
        '1 of 3 classes has fewer than 10 rows to learn from: "b" 9',
        '1 of 3 classes has no row in valid: "b"',
        '950 of the 989 rows of train are "a"',
    ]
    many = {"train": {f"label {i}": 1 for i in range(20)}}
    assert next(label_issues(many)).sentence.endswith('"label 7" 1 and 12 more')


def test_lengths():
    data = splits(train=[("a", "x"), ("b", "y")], valid=[("c", "x")])
    lengths = {"train": np.array([5, 11]), "valid": np.array([12])}
    assert not list(length_issues(data, lengths, 12, issue_example))
    (issue,) = length_issues(data, lengths, 10, issue_example)
    assert issue.sentence == "2 rows have more tokens than a batch (10); the longest has 12"
    assert [(w.where, w.row) for w in issue.examples] == [("item 1", "b"), ("item 0", "c")]


def test_unknown_tokens():
    assert found(unknown_issues({"train": 0.02, "valid": 0.1, "test": 0.25})) == [("unknown tokens", 25)]


def test_keys_that_agree_in_half_are_not_equal():
    keys = np.array([5, 1 << 32 | 5, 7 << 32 | 1, 7 << 32 | 2, 9 << 32 | 4, 3, 9 << 32 | 4], np.uint64)
    assert _repeated(keys).tolist() == [4, 6]
