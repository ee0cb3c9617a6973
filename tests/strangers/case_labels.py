"""Labels and reports: spellings, numbers, missing values, and reports that go on to the end."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pandas
import pytest

import unrolled
from small import write_csv
from strangers.cases import FILES, case
from strangers.commands import SMALL, command, reviews, table
from unrolled.cli.main import run
from unrolled.errors import UnrolledError

SPELLINGS = ("billing", "BILLING", " billing", "Shipping", "shipping", "returns ")


@case("C")
def labels_in_one_form(folder: Path) -> None:
    """Labels " billing", "BILLING", "billing": data and train name --strip-labels --fold-labels, which work"""
    path = table(folder / "a.csv", reviews(90, SPELLINGS))
    outcome = command("data", path)
    assert "add --strip-labels --fold-labels, if they mean the same" in outcome.out, outcome
    outcome = command("train", path, "--out", folder / "plain", *SMALL)
    assert "issue: similar labels" in outcome.err, outcome
    assert "--strip-labels --fold-labels" in outcome.err
    assert sum("similar labels" in line for line in outcome.err.splitlines()) == 1
    flags = ("--strip-labels", "--fold-labels")
    outcome = command("data", path, *flags)
    assert "similar labels" not in outcome.out, outcome
    outcome = command("train", path, "--out", folder / "run", *flags, *SMALL)
    assert outcome.code == 0, outcome
    assert "issue: similar" not in outcome.err
    assert unrolled.load(folder / "run").labels == ("billing", "returns", "shipping")
    outcome = command("evaluate", folder / "run", path)
    assert "90 rows read = 90 used" in outcome.err, outcome
    assert command("evaluate", folder / "run").code == 0


@case("C")
def the_flag_that_is_enough(folder: Path) -> None:
    """The advice names the one flag that is enough, and no flag where none helps"""
    for labels, advice in (
        (("a", "a ", "b"), "add --strip-labels,"),
        (("a", "A", "b"), "add --fold-labels,"),
        (("1", "1.0", "b"), "write them the same way,"),
    ):
        outcome = command("data", table(folder / "a.csv", reviews(60, labels)))
        assert advice in outcome.out, outcome


@case("C")
def labels_that_are_numbers(folder: Path) -> None:
    """Real-valued labels are named, with the task that takes them, by data and train"""
    path = FILES / "11-real-labels.csv"
    outcome = command("data", path)
    assert outcome.code == 2, outcome
    assert "numbers as labels: the labels are " in outcome.out
    assert "predict numbers with --task regress" in outcome.out
    outcome = command("train", path, "--out", folder / "run", *SMALL)
    assert outcome.code == 2
    assert "different numbers" in outcome.err, outcome
    assert "--task regress" in outcome.err
    outcome = command("train", path, "--out", folder / "run", "--on-bad-row", "skip", "--test-fraction", "0", *SMALL)
    assert outcome.code == 2, outcome
    assert "predict numbers with --task regress" in outcome.err


@case("C")
def numbers_of_other_kinds(folder: Path) -> None:
    """Scores of two digits, prices, JSON numbers are numbers; grades, stars and ids of classes are labels"""
    random = np.random.default_rng(0)
    for values, numbers in (
        ([f"{value:.2f}" for value in random.normal(size=90)], True),
        ([f"{value:.1e}" for value in random.normal(size=90)], True),
        ([str(value) for value in random.integers(100, 9_999, 90)], True),
        ([str(value) for value in random.integers(1, 6, 90)], False),
        ([str(value / 2) for value in random.integers(2, 11, 90)], False),
        ([str(i % 15) for i in range(90)], False),
        ([f"v{value}" for value in random.integers(1, 9, 90)], False),
    ):
        rows = [(text, value) for (text, _), value in zip(reviews(90), values, strict=True)]
        outcome = command("data", table(folder / "a.csv", rows), "--on-bad-row", "skip")
        assert ("numbers as labels" in outcome.out) == numbers, (values[:3], outcome)
    with pytest.raises(UnrolledError, match="item 0: .*got the number 0.37: numbers are for --task regress"):
        unrolled.train([("a", 0.37)] * 9)


@case("C")
def texts_that_are_numbers(folder: Path) -> None:
    """A column of numbers as texts is said; a label for nearly every row, too"""
    rows = [(str(1_000 + i), "ab"[i % 2]) for i in range(60)]
    outcome = command("data", table(folder / "a.csv", rows), "--min-frequency", "1")
    assert re.search(r"numbers as texts: (\d+) of the \1 texts of train are numbers", outcome.out), outcome
    rows = [(text, f"name {i % 50}") for i, (text, _) in enumerate(reviews(90))]
    outcome = command("data", table(folder / "b.csv", rows), "--on-bad-row", "skip")
    assert "many classes" in outcome.out, outcome


@case("C")
def missing_labels_of_frames(folder: Path) -> None:
    """A data frame or list with one NaN, None or NA names it and its row, not item 0"""
    texts, labels = zip(*reviews(30), strict=True)
    numbers = [float(label == "good") for label in labels]
    for missing in (None, float("nan"), pandas.NA, np.nan, pandas.NaT):
        for values in (list(labels), numbers):
            values = [*values[:17], missing, *values[18:]]
            for data in (
                pandas.DataFrame({"text": texts, "label": values}),
                list(zip(texts, values, strict=True)),
                {"text": list(texts), "label": values},
            ):
                with pytest.raises(UnrolledError) as refused:
                    unrolled.train(data, updates=1)
                assert str(refused.value).startswith("item 17: a label is text"), refused.value
                assert re.search("NaN|NA|NaT|null", str(refused.value)), refused.value
    frame = pandas.DataFrame({"text": texts, "label": values}, index=[f"row{i}" for i in range(30)])
    with pytest.raises(UnrolledError, match="index row17"):
        unrolled.train(frame, updates=1)
    report = unrolled.inspect(frame, on_bad_row="skip")
    assert set(report.to_dict()["splits"]["train"]["labels"]) == {"0", "1"}
    frame["text"] = [None, *texts[1:]]
    with pytest.raises(UnrolledError, match="item 0: text is expected, got (null|NaN)"):
        unrolled.train(frame, updates=1)


@case("C")
def a_report_never_stops(folder: Path) -> None:
    """data lists all bad rows by reason, five of each, proposes the flag, and reports on the rest; exit code 2"""
    rows = "".join(f"{text},{label}\n" for text, label in reviews(60))
    path = folder / "a.csv"
    path.write_text("text,label\n" + "a,b,c\n" * 8 + rows + ",good\n" * 2 + "x,\n" + 'last "quote",bad\n')
    outcome = command("data", path)
    assert outcome.code == 2, outcome
    assert "8 skipped: too many fields" in outcome.out
    assert outcome.out.count("a,b,c") == 6  # five, and the message of the training
    assert "… and 3 more" in outcome.out
    assert "2 skipped: empty text" in outcome.out
    assert "1 skipped: empty label" in outcome.out
    assert "--on-bad-row skip" in outcome.out
    assert 'always "' in outcome.out, "statistics of the good rows"
    outcome = command("data", path, "--on-bad-row", "skip")
    assert outcome.code == 0, outcome
    path.write_text("text,label\n" + rows + '"never closed,good\n' + rows)
    outcome = command("data", path)
    assert outcome.code == 2, outcome
    assert "60 rows read = 60 used" in outcome.out
    assert "line 62: a quote opened" in outcome.out


@case("C")
def a_report_says_what_a_training_will_say(folder: Path) -> None:
    """A short text, one class, no validation rows, too few rows: data says what train will, and exits with 2"""
    text = folder / "short.txt"
    text.write_text("to be or not to be " * 3)
    cache = ("--task", "generate", "--cache", folder / "cache")
    for arguments in (
        (text, *cache),
        (table(folder / "one.csv", reviews(40, ("good",))),),
        (table(folder / "none.csv", reviews(40)), "--valid-fraction", "0"),
        (table(folder / "few.csv", reviews(2)), "--min-frequency", "1"),
    ):
        outcome = command("data", *arguments)
        assert outcome.code == 2, outcome
        refusal = outcome.out.partition("a training refuses these data:\n  ")[2].splitlines()[0]
        trained = command("train", *arguments, "--out", folder / "run", "--hidden-size", "4")
        assert trained.code == 2
        assert f"unrolled: {refusal}" in trained.err, (refusal, trained)
    assert "--chunk" in command("data", text, *cache).out


@case("C")
def lists_in_logs_are_short(folder: Path) -> None:
    """train lists five skipped rows, and counts the others"""
    path = folder / "a.csv"
    path.write_text(write_csv(folder / "b.csv").read_text() + "alone\n" * 30)
    outcome = command("train", path, "--on-bad-row", "skip", "--out", folder / "run", *SMALL)
    assert outcome.code == 0, outcome
    assert outcome.err.count("  skipped: line ") == 5, outcome.err
    assert "skipped: and 25 more" in outcome.err


@case("C")
def ruinous_issues_are_printed(folder: Path) -> None:
    """train says in one line each: unknown tokens only, texts of validation that are in training"""
    rows = [(f"name{i}", "ab"[i % 2]) for i in range(60)] + [("same", "a"), ("same", "b")] * 6
    outcome = command("train", table(folder / "a.csv", rows), "--out", folder / "a", "--tokenizer", "word", *SMALL[:6])
    assert re.search(r"issue: unknown tokens: \d+% of the tokens of train are unknown", outcome.err), outcome
    train, valid = table(folder / "t.csv", reviews(60)), table(folder / "v.csv", reviews(20))
    outcome = command("train", train, "--valid", valid, "--out", folder / "b", *SMALL)
    assert re.search(r"issue: leakage: \d+ rows of valid have a text that is also in train", outcome.err), outcome


@case("C")
def messages_of_unlucky_places(folder: Path) -> None:
    """A C locale, a folder of runs that cannot be made, an interruption: each says what to do, or what was kept"""
    outcome = command("decode", folder, os.fsdecode("café".encode()).encode().decode("ascii", "surrogateescape"))
    assert outcome.code == 2, outcome
    assert "locale" in outcome.err
    assert "LC_ALL=C.UTF-8" in outcome.err
    outcome = command("decode", folder, "caf\udce9")
    assert "is not UTF-8" in outcome.err, outcome
    before = Path.cwd()
    os.chdir(folder)
    try:
        (folder / "runs").write_text("a file")
        outcome = command("train", write_csv(folder / "a.csv"), *SMALL)
    finally:
        os.chdir(before)
    assert outcome.code == 2
    assert f"{folder / 'runs'} cannot be written" in outcome.err, outcome
    assert "--out" in outcome.err


@case("C")
def interrupted_before_anything(folder: Path) -> None:
    """Ctrl-C while data are read says that nothing was kept"""
    from unittest.mock import patch

    import unrolled.cli.data as verb

    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with patch("unrolled.api.inspect", stopped):
        assert verb
        outcome = command("data", write_csv(folder / "a.csv"))
    assert (outcome.code, outcome.err) == (130, "interrupted: nothing was kept\n"), outcome
    assert run(["data", str(folder / "a.csv"), "--json"]) == 0
