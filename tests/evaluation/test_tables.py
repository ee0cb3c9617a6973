from __future__ import annotations

import numpy as np
import pytest

from unrolled.evaluation import evaluate_classification
from unrolled.evaluation.tables import WIDTH, shorten, table, width


def result(labels, n=600):
    generator = np.random.default_rng(0)
    truth = generator.integers(len(labels), size=n)
    answer = np.where(generator.random(n) < 0.7, truth, generator.integers(len(labels), size=n))
    return evaluate_classification(
        labels, truth, np.eye(len(labels))[answer], generator.integers(1, 40, size=n), majority=0
    )


@pytest.mark.parametrize(
    "labels",
    [
        ["negative", "positive"],
        ["a"],
        [f"class {k}" for k in range(9)],
        [f"class {k}" for k in range(30)],
        [f"class {k}" for k in range(60)],
        ["long " * 40, "longer " * 40],
        ["長い名前" * 20, "短い"],
        ["two\nlines", "\x1b[31mred", "tab\tbed"],
        ["e\u0301" * 100, ""],
    ],
    ids=["two", "one", "nine", "thirty", "sixty", "long", "wide", "control", "combining"],
)
def test_no_line_is_wider_than_a_terminal_whatever_the_labels(labels):
    text = result(labels).text()
    assert max(map(width, text.split("\n"))) <= WIDTH
    assert all(line.isprintable() for line in text.split("\n"))
    assert all(line == line.rstrip() for line in text.split("\n"))
    for part in ("accuracy ", "macro-F1 ", "majority ", "loss ", "precision", "tokens"):
        assert part in text


def test_two_classes_in_full():
    truth = [0] * 30 + [1] * 30
    answer = np.array([0] * 27 + [1] * 33)
    shown = evaluate_classification(["bad", "good"], truth, np.eye(2)[answer], [5, 6] * 30, majority=1)
    lines = shown.text().splitlines()
    assert lines[0] == "60 examples, 2 classes"
    assert lines[2].startswith("accuracy   95.0 %  (")
    assert lines[4] == "majority   50.0 %  most frequent in training: good"
    assert "bad        100.0    90.0  94.7        30" in lines
    start = lines.index("Confusion matrix: rows are the truth, columns the answer")
    assert lines[start + 1 : start + 4] == [
        "      bad  good",
        "bad    27     3",
        "good    0    30",
    ]
    assert lines[-2] == "5             30      96.7  (83.3 to 99.4)"
    alike = evaluate_classification(["bad", "good"], truth, np.eye(2)[answer], [5] * 60, majority=1)
    assert "by length" not in alike.text()


def test_the_matrix_takes_labels_then_numbers_then_a_list():
    assert "\n         class 0  class 1" in result(["class 0", "class 1"]).text()
    numbered = [line.split() for line in result([f"class {k}" for k in range(9)]).text().splitlines()]
    head = numbered.index([str(k) for k in range(9)])
    assert [line[:3] for line in numbered[head + 1 : head + 10]] == [[str(k), "class", str(k)] for k in range(9)]
    many = result([f"class {k}" for k in range(30)])
    assert "Confusion matrix" not in many.text()
    wrong = [
        (count, f"class {i} → class {j}")
        for i, row in enumerate(many.confusion)
        for j, count in enumerate(row)
        if count and i != j
    ]
    assert f"The most frequent of {len(wrong)} confusions" in many.text()
    most = max(wrong)[0]
    line = next(line for line in many.text().splitlines() if "→ class" in line)
    assert any(line.startswith(pair) and count == most for count, pair in wrong)


def test_the_classes_left_out_are_counted():
    shown = result([f"class {k}" for k in range(60)], n=5000).text()
    assert "… and 20 classes with fewer examples" in shown


def test_an_absent_class_is_pointed_out():
    absent = evaluate_classification(["a", "b"], [0], np.array([[1.0, 0.0]]), [1], majority=0).text()
    assert "1 example, 2 classes" in absent
    assert "1 class has no example here: undefined values are shown as 0.0" in absent


def test_table_aligns_left_then_right():
    assert table([["", "n"], ["one", "1"], ["three", "3,000"]]) == ["           n", "one        1", "three  3,000"]


def test_cut_counts_columns_not_characters():
    assert shorten("abcdef", 6) == "abcdef"
    assert shorten("abcdef", 5) == "abcd…"
    assert shorten("長い名前", 6) == "長い…"
    assert width("e\u0301") == 1
