"""Answers that users expect of a tool for texts: a number a text, and several labels a text."""

from __future__ import annotations

import csv
import json
import math
import random
from pathlib import Path

import numpy as np
import pandas
import pytest
from scipy import stats
from sklearn import metrics

import unrolled
from strangers.cases import case
from strangers.commands import SMALL, command
from unrolled.errors import DataError

GOOD, BAD = ("fine", "warm", "superb"), ("dull", "thin", "flat")
LABELS = {"joy": ("fine", "warm"), "anger": ("dull", "flat"), "fear": ("dark", "cold")}


def ratings(number: int = 80, form: str = "{:.1f}") -> list[tuple[str, str]]:
    """Texts with the number of stars that their words earn."""
    draw = random.Random(0)
    rows = []
    for i in range(number):
        words = draw.choices(GOOD + BAD, k=4)
        rows.append((" ".join([*words, f"no{i}"]), form.format(1 + sum(word in GOOD for word in words))))
    return rows


def emotions(number: int = 80, separator: str = ";") -> list[tuple[str, str]]:
    """Texts with a word for each of their labels."""
    draw = random.Random(0)
    rows = []
    for i in range(number):
        labels = [label for label in LABELS if draw.random() < 0.45]
        words = [draw.choice(LABELS[label]) for label in labels]
        rows.append((" ".join(["the", *words, f"no{i}"]), separator.join(labels)))
    return rows


def write(path: Path, rows: list[tuple[str, str]], header: tuple[str, str] = ("text", "label")) -> Path:
    """Write rows as CSV."""
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


@case("E")
def numbers_are_learned_and_answered(folder: Path) -> None:
    """Task regress: data, train, decode, evaluate, explain in the unit of the file; figures equal scikit-learn's"""
    rows = ratings()
    path, run = write(folder / "snippets.tsv.csv", rows, ("snippet", "rating")), folder / "run"
    flags = ("--task", "regress", "--text", "snippet", "--label", "rating")
    outcome = command("data", path, *flags, "--picture", folder / "a.svg")
    assert "number, median" in outcome.out, outcome
    assert (folder / "a.svg").read_text().startswith("<svg")
    outcome = command("train", path, *flags, "--out", run, *SMALL)
    assert outcome.code == 0, outcome
    assert "R²" in outcome.err
    assert "mean absolute error" in outcome.out
    answers = [json.loads(line) for line in command("decode", run, "--file", path, "--json").out.splitlines()]
    predicted, truth = np.array([answer["value"] for answer in answers]), np.array([float(value) for _, value in rows])
    assert command("decode", run, rows[0][0]).out == f"{predicted[0]:.6g}\t{rows[0][0]}\n"
    found = json.loads(command("evaluate", run, path, "--json").out)
    expected = {
        "mae": metrics.mean_absolute_error(truth, predicted),
        "rmse": math.sqrt(metrics.mean_squared_error(truth, predicted)),
        "r2": metrics.r2_score(truth, predicted),
        "spearman": stats.spearmanr(truth, predicted).statistic,
    }
    for name, value in expected.items():
        assert math.isclose(found[name], value, rel_tol=1e-4, abs_tol=1e-5), name
        assert found[f"{name}_interval"][0] <= found[name] <= found[f"{name}_interval"][1] or name == "r2"
    outcome = command("explain", run, rows[0][0])
    assert "the number up (blue) or down (orange)" in outcome.out, outcome


@case("E")
def numbers_that_are_none(folder: Path) -> None:
    """A label that is no number names line, column and remedy: decimal comma, thousands, words, NaN, infinity"""
    remedies = {
        "1,5": "add --decimal ,",
        "1.234,5": "write 1234.5",
        "12,345.6": "write 12345.6",
        "\u22123": 'write the sign as "-": -3',
        "good": "--task classify",
        "nan": "only finite numbers",
        "inf": "only finite numbers",
        "1e999": "beyond 1e100",
        "": "the label is empty",
    }
    for number, (label, remedy) in enumerate(remedies.items()):
        path = write(folder / f"{number}.csv", [*ratings(), ("a text", label)])
        outcome = command("train", path, "--task", "regress", "--out", folder / "run", *SMALL)
        assert outcome.code == 2, label
        assert f'{path}, line 82, column 2 ("label"): ' in outcome.err, outcome
        assert remedy in outcome.err, outcome
        outcome = command("data", path, "--task", "regress")
        assert outcome.code == 2
        assert f'{path}, line 82, column 2 ("label"): ' in outcome.out, outcome
        assert command("data", path, "--task", "regress", "--on-bad-row", "skip").code == 0
    assert not (folder / "run").exists()
    frame = pandas.DataFrame(ratings(), columns=["text", "label"]).astype({"label": float})
    frame.loc[5, "label"] = math.nan
    with pytest.raises(DataError, match="item 5: the label is NaN"):
        unrolled.train(frame, task="regress")


@case("E")
def numbers_worth_a_word(folder: Path) -> None:
    """Constants are refused; two values, one value for nearly all and outliers are said by data and by train"""
    texts = [text for text, _ in ratings()]
    outcome = command("train", write(folder / "a.csv", [(text, "3") for text in texts]), "--task", "regress")
    assert outcome.code == 2, outcome
    assert 'one number only: "3"' in outcome.err
    cases = {
        "few numbers": [(text, str(i % 2)) for i, text in enumerate(texts)],
        "one number for nearly all": [(text, str(max(0, i - 77))) for i, text in enumerate(texts)],
        "outliers": [*ratings(79), ("far away", "9000")],
    }
    for number, (kind, rows) in enumerate(cases.items()):
        path = write(folder / f"{number}.csv", rows)
        assert f"{kind}: " in command("data", path, "--task", "regress", "--test-fraction", "0").out, kind
        outcome = command(
            "train", path, "--task", "regress", "--test-fraction", "0", "--out", folder / f"run{number}", *SMALL
        )
        assert outcome.code == 0, outcome
        assert f"issue: {kind}: " in outcome.err, outcome
    assert "few numbers" not in command("data", write(folder / "b.csv", ratings()), "--task", "regress").out


@case("E")
def columns_of_numbers_are_guessed(folder: Path) -> None:
    """Where no column is named, data proposes the text and the column of numbers; the proposal works"""
    path = folder / "a.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("who", "says", "stars"), *(("ann", text, stars) for text, stars in ratings())])
    outcome = command("data", path, "--task", "regress")
    assert 'likely: --text "says" --label "stars"' in outcome.out, outcome
    assert command("data", path, "--task", "regress", "--text", "says", "--label", "stars").code == 0


@case("E")
def several_labels_are_learned_and_answered(folder: Path) -> None:
    """--multi-label: data, train, decode, evaluate, explain; labels in any form; figures equal scikit-learn's"""
    rows = emotions()
    path, run = write(folder / "a.csv", rows), folder / "run"
    outcome = command("data", path, "--multi-label")
    assert "labels of a row, mean" in outcome.out, outcome
    outcome = command("train", path, "--multi-label", "--out", run, *SMALL)
    assert outcome.code == 0, outcome
    assert "micro-F1" in outcome.err
    threshold = ("--threshold", "0.45")
    answers = [
        json.loads(line) for line in command("decode", run, "--file", path, "--json", *threshold).out.splitlines()
    ]
    names = sorted(LABELS)
    truth = np.array([[name in labels.split(";") for name in names] for _, labels in rows])
    answered = np.array([[name in answer["labels"] for name in names] for answer in answers])
    assert answers[0]["labels"] == [
        name for name, p in sorted(answers[0]["probabilities"].items(), key=lambda item: -item[1]) if p >= 0.45
    ]
    found = json.loads(command("evaluate", run, path, "--json", *threshold).out)
    for average in ("micro", "macro", "samples"):
        expected = metrics.f1_score(truth, answered, average=average, zero_division=0)
        assert math.isclose(found[f"{average}_f1"], expected, abs_tol=1e-9), average
    assert math.isclose(found["hamming_loss"], metrics.hamming_loss(truth, answered))
    (folder / "a.jsonl").write_text(
        "".join(
            json.dumps({"text": text, "label": [x for x in labels.split(";") if x]}) + "\n" for text, labels in rows
        )
    )
    pandas.DataFrame({"text": [t for t, _ in rows], "label": [[x for x in y.split(";") if x] for _, y in rows]}).to_csv(
        folder / "b.csv", index=False
    )
    for other in ("a.jsonl", "b.csv"):
        assert json.loads(command("evaluate", run, folder / other, "--json", *threshold).out) == found, other
    outcome = command("explain", run, rows[0][0])
    assert outcome.code == 0, outcome


@case("E")
def several_labels_are_proposed(folder: Path) -> None:
    """Joint labels are answered with the flags that read them, which work; a wrong separator is said"""
    for number, separator in enumerate((";", "|", ", ", "/", "\t")):
        rows = [(text, labels) for text, labels in emotions(160, separator) if labels]
        path = write(folder / f"{number}.csv", rows)
        sign = separator.strip(" ").replace("\t", "\\t")
        flags = ["--multi-label", *([] if separator == ";" else ["--label-separator", sign])]
        shown = " ".join(flags[:2] + [f'"{flag}"' for flag in flags[2:]])
        assert f"add {shown}," in command("data", path).out, separator
        outcome = command("data", path, *flags)
        assert outcome.code == 0, outcome
        assert "joint labels" not in outcome.out
        assert '"fear"' in outcome.out
    outcome = command("data", folder / "1.csv", "--multi-label")
    assert "single labels: no row of train has more than one label" in outcome.out
    assert 'add --multi-label --label-separator "|"' in outcome.out
    outcome = command("train", folder / "1.csv", "--label-separator", "|")
    assert outcome.code == 2
    assert "set multi_label" in outcome.err


@case("E")
def no_label_is_an_answer(folder: Path) -> None:
    """With --multi-label empty cells are texts without a label; without it they stay bad rows"""
    path = write(folder / "a.csv", emotions())
    outcome = command("data", path)
    assert outcome.code == 2, outcome
    assert "the label is empty" in outcome.out, outcome
    outcome = command("data", path, "--multi-label")
    assert "80 rows read = 80 used + 0 skipped" in outcome.out, outcome
    without = sum(not labels for _, labels in emotions())
    counts = next(line for line in outcome.out.splitlines() if line.startswith("rows without a label"))
    assert sum(int(word) for word in counts.split()[4:]) == without
