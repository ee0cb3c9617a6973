"""Reports on data that a training refuses: they say what the training would, and go on with the rest."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import unrolled
from small import word, written
from unrolled.cli.main import run
from unrolled.data.report.refused import EmptyReport
from unrolled.errors import UnrolledError

ROWS = "".join(f"text number {i},{'ab'[i % 2]}\n" for i in range(40))
CSV = "text,label\n" + ROWS
PAIRS = "source,target\n" + "".join(f"source {i},target {i}\n" for i in range(40))
WORDS = "".join(f"the{i}\tDET\nend\tNOUN\n\n" for i in range(40))


def table(text: str, **settings: Any) -> Callable[[Path], dict[str, Any]]:
    """Return a maker of a CSV file."""
    return lambda folder: {"data": written(folder / "a.csv", text)} | settings


def pairs(text: str, **settings: Any) -> Callable[[Path], dict[str, Any]]:
    """Return a maker of a CSV file for the task translate."""
    return lambda folder: {"data": written(folder / "a.csv", text), "task": "translate"} | settings


def tags(text: str) -> Callable[[Path], dict[str, Any]]:
    """Return a maker of a file of tagged words."""
    return lambda folder: {"data": written(folder / "a.tsv", text), "task": "tag"}


def plain(characters: int, **settings: Any) -> Callable[[Path], dict[str, Any]]:
    """Return a maker of a text."""

    def make(folder: Path) -> dict[str, Any]:
        path = written(folder / "a.txt", ("ab" * characters)[:characters])
        return {"data": path, "task": "generate", "cache": str(folder / "cache")} | settings

    return make


def images(*, bad: bool, classes: tuple[str, ...] = ("up", "down")) -> Callable[[Path], dict[str, Any]]:
    """Return a maker of a folder of images."""

    def make(folder: Path) -> dict[str, Any]:
        random = np.random.default_rng(0)
        for name in classes:
            (folder / "i" / name).mkdir(parents=True)
            for i in range(20):
                Image.fromarray(random.integers(0, 255, (5, 4), dtype=np.uint8)).save(folder / "i" / name / f"{i}.png")
        if bad:
            (folder / "i" / classes[0] / "bad.png").write_bytes(b"no image")
        return {"data": folder / "i"}

    return make


def held_out(name: str, text: str) -> Callable[[Path], dict[str, Any]]:
    """Return a maker of a CSV file with a file of another split."""

    def make(folder: Path) -> dict[str, Any]:
        return {"data": written(folder / "a.csv", CSV), name: str(written(folder / "b.csv", text))}

    return make


CASES: dict[str, tuple[Callable[[Path], dict[str, Any]], int]] = {
    "a bad row": (table(CSV + "alone\n" * 9), 1),
    "an open quote": (table(CSV + '"open,a\n'), 1),
    "a bad row and an open quote": (table(CSV + "alone\n" * 9 + '"open,a\n'), 2),
    "one class": (table("text,label\n" + ROWS.replace(",b", ",a")), 1),
    "too few rows": (table("text,label\na a,x\nb b,y\n"), 2),
    "no row": (table("text,label\na,\nb,\n"), 1),
    "no token": (
        table("text,label\n" + "".join(f"word{i},{'ab'[i % 2]}\n" for i in range(40)), tokenizer="word"),
        1,
    ),
    "labels that valid alone has": (table(CSV + "".join(f"other {i},z{i}\n" for i in range(30))), 2),
    "no validation split": (lambda folder: table(CSV)(folder) | {"valid_fraction": 0.0}, 1),
    "a validation file without the columns": (held_out("valid", "a,b\nc,d\n"), 2),
    "a bad row of the test file": (held_out("test", CSV + "alone\n"), 1),
    "pairs: a bad row": (pairs(PAIRS + "alone,\n"), 1),
    "pairs: too long": (
        pairs(PAIRS + "xyzw" * 50 + ",b\n", max_length=30, tokenizer="character", test_fraction=0.0),
        1,
    ),
    "pairs: no row": (pairs("source,target\na,\n"), 1),
    "tags: a bad sentence": (tags(WORDS + "one\n\n"), 1),
    "tags: one tag": (tags(WORDS.replace("DET", "NOUN")), 1),
    "tags: no word": (tags("\t\tX\n\n\t\tY\n"), 1),
    "text: a short one": (plain(60), 1),
    "text: no validation split": (plain(2_000, valid_fraction=0.0), 1),
    "images: a damaged one": (images(bad=True), 1),
    "images: one class": (images(bad=False, classes=("up",)), 1),
}


@pytest.mark.parametrize("name", CASES)
def test_a_report_says_what_a_training_will_say(name: str, tmp_path: Path) -> None:
    make, number = CASES[name]
    settings = make(tmp_path)
    data = settings.pop("data")
    report = unrolled.inspect(data, **settings)
    with pytest.raises(UnrolledError) as refused:
        unrolled.train(data, updates=1, hidden_size=4, **settings)
    assert report.refusals[0] == str(refused.value)
    assert len(report.refusals) == number
    assert all(line in report.text() for refusal in report.refusals for line in refusal.split("\n"))
    assert list(report.to_dict()["refusals"]) == list(report.refusals)
    json.dumps(report.to_dict())
    if not isinstance(report, EmptyReport):
        assert "train" in report.to_dict()["splits"]


@pytest.mark.parametrize(
    "make",
    [table(CSV), pairs(PAIRS), tags(WORDS), plain(9_000), images(bad=False)],
    ids=["table", "pairs", "tags", "text", "images"],
)
def test_what_a_training_takes_is_not_refused(make: Callable[[Path], dict[str, Any]], tmp_path: Path) -> None:
    settings = make(tmp_path)
    report = unrolled.inspect(settings.pop("data"), **settings)
    assert report.refusals == ()
    assert "refuses" not in report.text()


def test_the_remedy_of_a_short_text_works(tmp_path: Path) -> None:
    settings = plain(60)(tmp_path)
    data = settings.pop("data")
    (refusal,) = unrolled.inspect(data, **settings).refusals
    chunk = int(refusal.rpartition("--chunk ")[2])
    assert unrolled.inspect(data, chunk=chunk, **settings).refusals == ()
    unrolled.train(data, chunk=chunk, updates=1, hidden_size=4, **settings)


def test_all_bad_rows_are_listed_by_reason_and_five_of_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path / "a.csv", CSV + "a,b,c\n" * 12 + "alone\n" + "text,\n" * 2)
    assert run(["data", str(path)]) == 2
    out = capsys.readouterr().out
    assert "55 rows read = 40 used + 15 skipped (12 too many fields, 1 too few fields, 2 empty label)" in out
    assert out.count("    line ") == 8
    assert "  12 skipped: too many fields\n    line 42: a,b,c\n" in out
    assert "    … and 7 more\n" in out
    assert "skip bad rows with --on-bad-row skip" in out
    assert run(["data", str(path), "--on-bad-row", "skip"]) == 0
    assert run(["data", str(tmp_path / "none.csv")]) == 2


def test_tagged_words_of_conllu_are_listed_too(tmp_path: Path) -> None:
    sentence = word(1, "a", "DET") + word(2, "b", "NOUN") + "\n"
    path = written(tmp_path / "a.conllu", "".join(sentence.replace("b", f"b{i}") for i in range(30)) + "1\tx\n\n" * 9)
    report = unrolled.inspect(path, task="tag")
    assert "  9 skipped: too few fields\n" in report.text()
    assert "… and 4 more" in report.text()
    assert "line 91, column 3" in report.refusals[0]
