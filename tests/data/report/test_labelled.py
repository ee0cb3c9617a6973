import json

import pytest

from unrolled.config import DataConfig
from unrolled.data.report.labelled import inspect

CONFIG = DataConfig()


def test_a_sample():
    report = inspect("sample:products", CONFIG)
    assert json.loads(json.dumps(report.to_dict()))["splits"]["train"]["rows"] == 2553
    assert report.splits["test"].labels == {"negative": 48, "positive": 105}
    assert report.majority == "positive"
    assert report.splits["test"].majority_rate == 105 / 153
    assert report.splits["train"].unknown_rate < report.splits["valid"].unknown_rate < 0.2
    assert report.duplicates["within train"] == 7
    tokens = report.splits["valid"].tokens
    assert tokens["min"] <= tokens["median"] <= tokens["95 %"] <= tokens["max"]
    text = report.text()
    for split in (
        "sample:products/train: 2,553 rows read = 2,553 used + 0 skipped",
        "the fixed splits of sample:products",
        '"positive"                             1,535          85         105',
        'always "positive"                        60.1%       35.9%       68.6%',
        "7 within train",
        f"vocabulary: {report.vocabulary_size:,} tokens (word)",
    ):
        assert split in text


def test_the_examples_show_what_a_model_sees():
    pairs = [(f"Good {i}", "pos") for i in range(20)] + [(f"Bad {i}", "neg ") for i in range(20)]
    report = inspect(
        [*pairs, ("good", "Neg")] * 2, DataConfig(valid_fraction=0.05, test_fraction=0.0, tokenizer="word")
    )
    assert report.examples[0]["text"].startswith("Good")
    assert report.examples[0]["decoded"].startswith("good")
    assert len(report.examples) == 3
    assert report.similar_labels == (("Neg", "neg "),)
    assert (
        'labels that differ only in case, spaces, Unicode form or the digits of a number: "Neg", "neg "'
        in report.text()
    )
    assert list(report.splits) == ["train", "valid"]
    assert report.source == "python objects"


def test_skipped_rows_are_counted_and_listed(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("text\tlabel\n" + "".join(f"text {i}\t{'ab'[i % 2]}\n" for i in range(50)) + "\nodd\n")
    report = inspect(path, DataConfig(on_bad_row="skip"))
    assert f"{path}: 52 rows read = 50 used + 2 skipped (1 blank line, 1 too few fields)" in report.text()
    assert "  1 skipped: too few fields\n    line 53: odd\n" in report.text()
    assert report.refusals == ()


def test_rows_that_a_split_leaves_out_are_counted_too(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("text,label\n" + "".join(f"text {i},{'xy'[i % 2] if i % 9 else i}\n" for i in range(200)))
    report = inspect(path, DataConfig(on_bad_row="skip"))
    left = {name: counts for name, counts in report.loaded.items() if name != str(path)}
    assert list(left) == [f"the valid split of {path}", f"the test split of {path}"]
    assert all(set(counts.skipped) == {"unknown label"} for counts in left.values())
    used = sum(split.rows for split in report.splits.values())
    assert used + sum(sum(counts.skipped.values()) for counts in left.values()) == 200
    assert "skipped: unknown label\n    line " in report.text()


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_before_the_columns_are_named_it_says_which_are_likely(tmp_path, form):
    path = tmp_path / f"a.{form}"
    rows = [{"id": f"{i}", "stars": f"{i % 5}", "review": f"a longer text, {i}", "shop": "one"} for i in range(40)]
    if form == "csv":
        path.write_text(
            "id,stars,review,shop\n" + "".join('{id},{stars},"{review}",{shop}\n'.format(**r) for r in rows)
        )
    else:
        path.write_text("".join(json.dumps(row | {"more": None, "stars": int(row["stars"])}) + "\n" for row in rows))
    report = inspect(path, CONFIG)
    assert report.columns[:4] == ("id", "stars", "review", "shop")
    assert report.likely == {"text": "review", "label": "stars"}
    assert 'no column "text" and no column "label"' in report.text()
    assert 'likely: --text "review" --label "stars"' in report.text()
    assert json.dumps(report.to_dict())
    named = inspect(path, DataConfig(text="review", label="stars"))
    assert named.problem is None
    assert set(named.splits["train"].labels) == set("01234")


def test_where_nothing_is_likely_it_says_so(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("a,a\nb,b\n")
    report = inspect(path, CONFIG)
    assert report.likely == {}
    assert "name the columns" in report.text()
    path.write_text("a,b\nx,only\ny\n")
    assert inspect(path, CONFIG).likely == {"text": "b"}
    path.write_text('a,b\nx,only\n"y\n')
    assert inspect(path, CONFIG).likely == {}


def test_issues_are_told_with_rows_and_advice(tmp_path):
    path = tmp_path / "a.csv"
    rows = [*((f"text {i}", "ab"[i % 2]) for i in range(100)), ("text 0", "b"), ("long " * 30, "a")]
    path.write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in rows))
    config = DataConfig(tokenizer="byte")
    report = inspect(path, config, longest=20)
    assert [issue.kind for issue in report.issues] == ["conflicting labels", "long sequences"]
    text = report.text()
    for split in (
        "issues:\n  conflicting labels: one text in 2 rows has more than one label\n",
        f'    {path}, line 2: "a": text 0\n    {path}, line 102: "b": text 0\n    do: choose one label',
        f"the longest has 150\n    {path}, line 103: long long",
    ):
        assert split in text
    assert json.loads(json.dumps(report.to_dict()))["issues"][0]["count"] == 2
    assert sum(map(sum, report.lengths.counts.values())) == 102
    assert report.picture() == inspect(path, config, longest=20).picture()
    assert ">rows of each label</text>" in report.picture()


def test_many_labels_are_cut():
    pairs = [(f"text {i}", f"label {i % 30:02}") for i in range(3000)]
    assert "… and 10 more labels" in inspect(pairs, CONFIG).text()


def test_nothing_in_the_data_reaches_the_terminal_raw():
    pairs = [(f"\x1b[31mred {i}", f"\x1b[3{i % 2}m") for i in range(50)]
    assert "\x1b" not in inspect(pairs, CONFIG).text()


def test_other_columns_that_may_hold_the_label_are_named(tmp_path):
    path = tmp_path / "tickets.csv"
    rows = [f"{i},ticket {i} is open,{('low', 'high')[i % 2]},{'abc'[i % 3]}" for i in range(12)]
    path.write_text("\n".join(["id,description,priority,category", *rows]))
    report = inspect(path, CONFIG)
    assert 'likely: --text "description" --label "priority" (or "category")' in report.text()


def test_a_column_with_readings_is_named(tmp_path):
    path = tmp_path / "sensors.csv"
    path.write_text("text,label\n" + "".join(f"{i}.5 {i} 2.25,{'ab'[i % 2]}\n" for i in range(40)))
    assert "numbers as texts" in [issue.kind for issue in inspect(path, CONFIG).issues]


def test_tagged_words_in_a_file_of_columns_lead_to_their_task(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("this\tDET\nfilm\tNOUN\n\n" + "the\tDET\nend\tNOUN\n\n" * 20)
    assert "if they are words with a tag each, add --task tag" in inspect(path, CONFIG).text()
