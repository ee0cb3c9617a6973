import json
import random
from xml.etree import ElementTree

from unrolled.config import from_flat
from unrolled.data.report.texts import inspect_text

CHANCE = random.Random(0)
LINES = [
    " ".join(CHANCE.choices(["the", "a", "of", "and", "to", "in", "that", "it", "was", "his"], k=20))
    for _ in range(300)
]


def report_of(path, lines, **settings):
    path.write_text("\n".join(lines) + "\n")
    return inspect_text(path, from_flat({"task": "generate", **settings}).data)


def test_a_text_without_repeats(tmp_path):
    report = report_of(tmp_path / "a.txt", LINES)
    assert report.issues == ()
    assert report.text().endswith("issues: none")
    assert sum(map(sum, report.lengths.counts.values())) == len(LINES)
    assert json.dumps(report.to_dict())
    titles = [text.text for text in ElementTree.fromstring(report.picture()).iter() if text.get("font-weight")]
    assert len(titles) == 2
    assert titles[1] == "the most frequent tokens, in a million"


def test_long_lines_that_stand_in_two_splits_are_named_with_their_line(tmp_path):
    path = tmp_path / "a.txt"
    report = report_of(path, [*LINES, *LINES[:2], "short"])
    (issue,) = report.issues
    assert (issue.kind, issue.count) == ("leakage", 2)
    assert issue.sentence.endswith("lines of test with at least 40 characters are also in train")
    assert [w.where for w in issue.examples] == [f"{path}, line 301", f"{path}, line 302"]
    assert path.read_text().splitlines()[300].startswith(issue.examples[0].row[:30])


def test_characters_that_training_never_saw(tmp_path):
    report = report_of(tmp_path / "a.txt", [*LINES, *["Ω" * 60 + str(i) for i in range(60)]])
    assert {issue.kind for issue in report.issues} == {"unknown tokens"}
