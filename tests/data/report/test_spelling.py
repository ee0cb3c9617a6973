"""Labels that mean the same or are several, and texts that look alike or like nothing."""

import pytest

from unrolled.config import DataConfig
from unrolled.data.examples.labelled import Examples, load_examples
from unrolled.data.report.checks import issue_example
from unrolled.data.report.spelling import label_spelling_issues, quoted, similar, text_spelling_issues


@pytest.mark.parametrize(
    ("labels", "groups"),
    [
        (("1", "1.0", "01", "+1", "1.5", "-1"), (("1", "1.0", "01", "+1"),)),
        (("A", "a ", "\u00a0a", "b"), (("A", "a ", "\u00a0a"),)),
        (("caf\u00e9", "cafe\u0301", "cafe"), (("caf\u00e9", "cafe\u0301"),)),
        (("nan", "inf", "1e5", "100000", "1_0", "10"), ()),
        (("9" * 40, "9" * 39 + "8"), ()),
        (("x", "x\u200b"), (("x", "x\u200b"),)),
        ((".", "", "-"), ()),
    ],
)
def test_labels_that_mean_the_same(labels: tuple[str, ...], groups: tuple[tuple[str, ...], ...]) -> None:
    assert similar(labels) == groups


@pytest.mark.parametrize(
    ("labels", "joint"),
    [
        (("a", "b", "a;b"), ["a;b"]),
        (("a|b", "b|c", "a|c"), ["a|b", "b|c", "a|c"]),
        (("sad, glad", "sad", "glad"), ["sad, glad"]),
        (("['a', 'b']", "['a']", "['b']"), ["['a', 'b']"]),
        (("a;", "a", ";"), []),
        (("New York, NY", "Buffalo, NY"), []),
        (("and/or", "C++", "AT&T", "either"), []),
    ],
)
def test_labels_that_are_several(labels: tuple[str, ...], joint: list[str]) -> None:
    issues = [issue for issue in label_spelling_issues(labels) if issue.kind == "joint labels"]
    assert [issue.count for issue in issues] == [len(joint)] * bool(joint)
    assert all(f'"{label}"' in issues[0].sentence for label in joint)


def test_spaces_around_labels() -> None:
    (issue,) = label_spelling_issues(["a", " b", "c"])
    assert (issue.kind, issue.count) == ("spaces around labels", 1)
    assert issue.line() == 'spaces around labels: labels that begin or end with a space: " b"; ' + issue.advice


def test_texts() -> None:
    rows = [("fine", "x"), ("\u200b", "x"), ("cafe\u0301", "y"), ("caf\u00e9", "y")]
    splits = {"train": load_examples(rows, DataConfig()), "valid": load_examples(rows[1:3], DataConfig())}
    issues = text_spelling_issues(splits, Examples.texts, issue_example, units="texts", normalize="none")
    blank, forms = issues
    assert (blank.kind, blank.count, forms.kind, forms.count) == ("invisible texts", 2, "Unicode forms", 2)
    assert [example.where for example in blank.examples] == ["item 1", "item 0"]
    assert [example.where for example in forms.examples] == ["item 2", "item 1"]
    (blank,) = text_spelling_issues(splits, Examples.texts, issue_example, units="texts", normalize="nfc")
    assert blank.kind == "invisible texts"


def test_many_names() -> None:
    assert quoted(["a", "b"]) == '"a", "b"'
    assert quoted([str(i) for i in range(20)]).endswith('"7" and 12 more')
