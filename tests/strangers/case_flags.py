"""Labels as flags: a column of 0 and 1 for each label (Kaggle), or an object of them (spaCy, prodigy)."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pandas

import unrolled
from strangers.cases import case
from strangers.commands import SMALL, command, reviews
from unrolled.config import DataConfig
from unrolled.data.examples.label_sets import load_label_sets

NAMES = ("toxic", "severe_toxic", "obscene")
FORMS = (("0", "1"), ("False", "True"), ("no", "Yes"), ("0.0", "1.0"))


def jigsaw(path: Path, flags: tuple[str, str] = ("0", "1"), separator: str = ",") -> Path:
    """Write a table in the form of Kaggle's: an id, a text, a flag for each label."""
    lines = [separator.join(("id", "comment_text", *NAMES))]
    for i, (text, _) in enumerate(reviews(60)):
        lines.append(separator.join((f"{i:04x}", text, *(flags[i >> k & 1] for k in range(3)))))
    path.write_text("\n".join(lines) + "\n")
    return path


@case("C")
def columns_of_flags(folder: Path) -> None:
    """id,comment_text,toxic,…: data and train give the flags that read it; a run evaluates and decodes such files"""
    path = jigsaw(folder / "train.csv")
    outcome = command("data", path)
    likely = re.search("likely: (.*)", outcome.out)
    assert likely, outcome
    flags = shlex.split(likely[1])
    assert flags == ["--text", "comment_text", "--label", ",".join(NAMES), "--multi-label"]
    assert command("data", path, *flags).code == 0
    trained = command("train", path, "--text", "comment_text", "--out", folder / "run", *SMALL)
    assert '--label "toxic,severe_toxic,obscene" --multi-label' in trained.err, trained
    outcome = command("train", path, *flags, "--out", folder / "run", *SMALL)
    assert outcome.code == 0, outcome
    assert set(unrolled.load(folder / "run").labels) == set(NAMES)
    assert command("evaluate", folder / "run", path).code == 0
    assert command("evaluate", folder / "run").code == 0
    assert len(command("decode", folder / "run", "--file", path).out.splitlines()) == 60


@case("C")
def spellings_of_flags(folder: Path) -> None:
    """0/1, True/False, no/Yes, 0.0/1.0 and other separators are one set of labels; -1 is refused with its column"""
    expected = [json.dumps(sorted(name for k, name in enumerate(NAMES) if i >> k & 1)) for i in range(60)]
    config = DataConfig(text="comment_text", label="toxic, severe_toxic,obscene", multi_label=True)
    for separator in ",;":
        for flags in FORMS:
            path = jigsaw(folder / "a.csv", flags, separator)
            assert list(load_label_sets(path, config).labels()) == expected, (flags, separator)
    frame = pandas.read_csv(jigsaw(folder / "a.csv"))
    assert list(load_label_sets(frame, config).labels()) == expected
    assert list(load_label_sets(frame.to_dict("records"), config).labels()) == expected
    path = jigsaw(folder / "a.csv", ("-1", "1"))
    outcome = command("data", path, "--text", "comment_text", "--label", ",".join(NAMES), "--multi-label")
    assert outcome.code == 2, outcome
    assert 'column 3 ("toxic")' in outcome.out, outcome
    assert 'the flag of label "toxic" should be 0 or 1' in outcome.out


@case("C")
def a_column_whose_name_has_commas(folder: Path) -> None:
    """A column with the whole name, commas and all, is that column; without --multi-label no name is divided"""
    path = folder / "a.csv"
    path.write_text('text,"a,b",a,b\n' + "".join(f"{text},x;y,1,0\n" for text, _ in reviews(9)))
    sets = load_label_sets(path, DataConfig(label="a,b", multi_label=True))
    assert set(sets.labels()) == {'["x", "y"]'}
    outcome = command("data", jigsaw(folder / "b.csv"), "--text", "comment_text", "--label", "toxic,obscene")
    assert 'no column "toxic,obscene"' in outcome.out, outcome
    assert "--multi-label" in outcome.out


@case("C")
def objects_of_flags(folder: Path) -> None:
    """{"cats": {"A": 1, "B": 0}}: data gives --label cats --multi-label, and train names --multi-label"""
    path = folder / "a.jsonl"
    items = [{"text": text, "cats": {"A": i % 2, "B": i % 3 == 0, "C": 1.0}} for i, (text, _) in enumerate(reviews(60))]
    path.write_text("".join(json.dumps(item) + "\n" for item in items))
    likely = re.search("likely: (.*)", command("data", path).out)
    assert likely
    assert shlex.split(likely[1]) == ["--text", "text", "--label", "cats", "--multi-label"]
    assert command("data", path, *shlex.split(likely[1])).code == 0
    sets = load_label_sets(path, DataConfig(label="cats", multi_label=True))
    assert list(sets.labels())[:2] == ['["B", "C"]', '["A", "C"]']
    outcome = command("train", path, "--label", "cats", "--out", folder / "run", *SMALL)
    assert "any number of labels for a text is for --multi-label" in outcome.err, outcome
