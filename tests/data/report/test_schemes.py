"""Tags that break their scheme, word by word."""

import pytest

from unrolled.config import from_flat
from unrolled.data.examples.sentences import load_sentences
from unrolled.data.examples.spans import Scheme, scheme_of
from unrolled.data.report.schemes import scheme_issues

CONFIG = from_flat({"task": "tag"}).data


@pytest.mark.parametrize(
    ("scheme", "tags", "broken"),
    [
        ("IOB2", "B-X I-X O B-Y B-Y I-Y", []),
        ("IOB2", "B-X I-X O I-X B-Y I-X", [3, 5]),
        ("IOB1", "I-X I-X B-X O I-Y I-X", []),
        ("IOB1", "I-X O B-X I-Y B-X", [2, 4]),
        ("IOBES", "B-X I-X E-X S-Y O S-X B-Y E-Y", []),
        ("IOBES", "B-X O I-X E-X S-Y E-Y B-X E-Y", [0, 2, 5, 6, 7]),
        ("BILOU", "B-X L-X U-X B-X I-X", [4]),
        ("BMES", "B-X M-X E-X S-X M-X B-X", [4, 5]),
    ],
)
def test_words_that_break_a_scheme(scheme: Scheme, tags: str, broken: list[int]) -> None:
    whole = {"IOB1": ["I-X B-X I-X"], "IOB2": ["B-X I-X"], "IOBES": ["B-Y I-Y E-Y S-Y"]}.get(scheme, [])
    whole += {"BILOU": ["B-X I-X L-X U-X"], "BMES": ["B-X M-X E-X S-X"]}.get(scheme, [])
    sentences = [(line.split(), line.split()) for line in [*whole * 9, tags]]
    split = load_sentences(sentences, CONFIG)
    assert scheme_of(split.tags()) in (scheme, "IOB1" if scheme == "IOB2" else scheme)
    issues = list(scheme_issues({"train": split}, scheme))
    assert sum(issue.count for issue in issues) == len(broken)
    for issue in issues:
        assert scheme in issue.sentence
        assert issue.examples[0].where == "item 9"


def test_other_tags_have_no_issue() -> None:
    split = load_sentences([(["a", "b"], ["NOUN", "X"]), (["c"], ["B"])], CONFIG)
    assert list(scheme_issues({"train": split}, scheme_of(split.tags()))) == []
    split = load_sentences([(["a", "b", "c"], ["B-X", "E-X", "I-Y"]), (["d"], ["PER"])], CONFIG)
    (issue,) = scheme_issues({"train": split}, scheme_of(split.tags()))
    assert '"PER"' in issue.sentence
