"""Tables that strangers have: other separators, parallel files, nested keys, JSON arrays, and what is no table."""

from __future__ import annotations

import csv
import gzip
import json
import os
import sys
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest

import unrolled
from strangers.cases import case
from strangers.commands import SMALL, Outcome, command, reviews
from unrolled.config import DataConfig
from unrolled.data.examples.labelled import load_examples
from unrolled.data.examples.pairs import load_pairs
from unrolled.errors import ConfigError, DataError

ROWS = [(f'{text}, "{i}"; or | so', label) for i, (text, label) in enumerate(reviews())]
SEPARATED = {"semi.csv": ";", "tab.csv": "\t", "bar.csv": "|", "semi.tsv": ";", "comma.tsv": ",", "bar.txt": "|"}


def separated(path: Path, separator: str, *, header: bool = True, before: str = "") -> Path:
    """Write ROWS as Python's csv does."""
    with path.open("w", newline="", encoding="utf-8") as file:
        file.write(before)
        writer = csv.writer(file, delimiter=separator)
        writer.writerows([("text", "label")] * header + ROWS)
    return path


def rows(path: Path, **settings: object) -> list[tuple[str, str | None]]:
    """Return the texts and labels that are read."""
    return [(item.text, item.label) for item in load_examples(path, DataConfig(**settings)).items]


def sides(folder: Path, split: str, languages: tuple[str, str] = ("de", "en"), number: int = 30) -> None:
    """Write parallel files."""
    for language, word in zip(languages, ("haus", "house"), strict=True):
        (folder / f"{split}.{language}").write_text("".join(f"{word} {split} {i}\n" for i in range(number)))


def piped(text: bytes, *arguments: object) -> Outcome:
    """Run a command of unrolled with this standard input."""
    read, write = os.pipe()
    os.write(write, text)
    os.close(write)
    with os.fdopen(read) as stream, patch.object(sys, "stdin", stream):
        return command(*arguments)


@case("C")
def separators_are_recognised(folder: Path) -> None:
    """Semicolons, tabs and bars in .csv, commas in .tsv, bars in .txt: read as written, and said"""
    for name, separator in SEPARATED.items():
        for header in (True, False):
            path = separated(folder / name, separator, header=header)
            columns = {} if header else {"header": False, "text": "1", "label": "2"}
            assert rows(path, **columns) == ROWS, (name, header)
    for name, said in (("semi.csv", "semicolons"), ("tab.csv", "tabs"), ("comma.tsv", "commas")):
        outcome = command("data", separated(folder / name, SEPARATED[name]))
        assert outcome.code == 0, outcome
        assert f"separated by {said}" in outcome.err, outcome.err
        assert f"separated by {said} with the columns" in outcome.out, outcome.out


@case("C")
def plain_tables_are_read_as_ever(folder: Path) -> None:
    """A table that fits its extension is read by it, whatever its texts hold"""
    for text in ("a;b", "a|b", "x\ty", "# no comment", "sep=;"):
        path = folder / "a.csv"
        path.write_text(f"text,label\n{text},pos\n{text},neg\n")
        assert rows(path) == [(text, "pos"), (text, "neg")], text
        path.write_text(f"{text},pos\n{text},neg\n")
        assert rows(path, header=False, text="1", label="2") == [(text, "pos"), (text, "neg")], text
    path.write_text("text\na;b\nc;d\n")
    assert [item.text for item in load_examples(path, DataConfig(), need_labels=False).items] == ["a;b", "c;d"]
    path.write_text("text;more,label\na,pos\nb,neg\n")
    assert rows(path, text="text;more") == [("a", "pos"), ("b", "neg")]
    path.write_text("hello; world\n")
    settings = DataConfig(header=False, text="1")
    assert load_examples(path, settings, need_labels=False).items[0].text == "hello; world"


@case("C")
def lines_before_the_header(folder: Path) -> None:
    """`sep=;` of Excel and comments before the header are counted, not read; a row that begins with # is a row"""
    outcome = command("data", separated(folder / "a.csv", ";", before="sep=;\n"))
    assert "41 rows read = 40 used + 1 skipped (1 separator line)" in outcome.out, outcome
    assert rows(separated(folder / "a.csv", "^", before="sep=^\n")) == ROWS
    outcome = command("data", separated(folder / "a.csv", ",", before="# from a, b\n#\n\n"))
    assert "40 used + 3 skipped (2 comment line, 1 blank line)" in outcome.out, outcome
    (folder / "b.csv").write_text("#,text,label\n1,so,pos\n2,no,neg\n")
    assert rows(folder / "b.csv") == [("so", "pos"), ("no", "neg")]
    (folder / "b.csv").write_text("#fun day,pos\n#sad day,neg\nso,pos\n")
    assert len(rows(folder / "b.csv", header=False, text="1", label="2")) == 3
    (folder / "b.csv").write_text("# made, 2020\nreview;stars\n" + "so so;1\nno no;2\n" * 4)
    assert '--text "review" --label "stars"' in command("data", folder / "b.csv").out


@case("C")
def a_separator_is_named_and_recorded(folder: Path) -> None:
    """--separator takes a name or a character, is recorded, and holds for evaluate and decode"""
    path = separated(folder / "a.dat", "^", header=False)
    columns = ("--no-header", "--text", "1", "--label", "2")
    outcome = command("train", path, "--separator", "^", *columns, "--out", folder / "run", *SMALL)
    assert outcome.code == 0, outcome
    assert command("evaluate", folder / "run", path).code == 0
    outcome = command("decode", folder / "run", "--file", path)
    assert outcome.out.count("\n") == len(ROWS), outcome
    outcome = command("evaluate", folder / "run", separated(folder / "b.csv", ";", header=False))
    assert outcome.code == 2, outcome
    outcome = command("evaluate", folder / "run", folder / "b.csv", "--separator", "semicolon")
    assert outcome.code == 0, outcome
    assert DataConfig(separator="\t").separator == DataConfig(separator="tab").separator == "tab"
    for wrong in ("ab", "", "x", '"'):
        outcome = command("data", path, "--separator", wrong)
        assert outcome.code == 2, wrong
        assert "separator must be one of comma, semicolon, tab, bar, space or auto" in outcome.err, outcome
    (folder / "c.jsonl").write_text('{"text": "a", "label": "b"}\n')
    outcome = command("data", folder / "c.jsonl", "--separator", "tab")
    assert "jsonl has none" in outcome.err, outcome
    assert "remove --separator" in outcome.err, outcome


@case("C")
def a_separator_that_is_not_recognised(folder: Path) -> None:
    """A header of one column names --separator; a .txt of prose is said to be no table"""
    path = separated(folder / "a.csv", "^")
    for outcome in (command("data", path), command("train", path, "--out", folder / "run")):
        assert "--separator semicolon" in outcome.out + outcome.err, outcome
    assert command("data", path, "--separator", "^").code == 0
    (folder / "prose.txt").write_text("Call me Ishmael, some years ago.\nNever mind, how long.\n")
    outcome = command("data", folder / "prose.txt")
    assert "is plain text, not a table" in outcome.err, outcome
    assert "--task generate" in outcome.err, outcome


@case("C")
def parallel_files(folder: Path) -> None:
    """--source-file and --target-file, with --valid and --test by name: trained, recorded, evaluated, decoded"""
    for split in ("train", "valid", "test"):
        sides(folder, split)
    named = ("--task", "translate", "--source-file", folder / "train.de", "--target-file", folder / "train.en")
    splits = ("--valid", folder / "valid.de", "--test", folder / "test.de")
    outcome = command("train", *named, *splits, "--out", folder / "run", *SMALL)
    assert outcome.code == 0, outcome
    record = json.loads((folder / "run" / "run.json").read_text())
    assert len(record["data"]["sums"]) == 6, record["data"]["sums"]
    assert [Path(source).name for source in record["data"]["source"]] == ["train.de", "train.en"]
    for arguments in ((), (folder / "test.de",), ("--source-file", folder / "test.de", *named[4:])):
        outcome = command("evaluate", folder / "run", *arguments)
        assert outcome.code == 0, (arguments, outcome)
    (folder / "new.de").write_text("haus 3\n\nhaus 5\n")
    outcome = command("decode", folder / "run", "--file", folder / "new.de", "--json")
    assert [json.loads(line)["source"] for line in outcome.out.splitlines()] == ["haus 3", "", "haus 5"], outcome
    (folder / "test.en").write_text("changed\n" * 30)
    outcome = command("evaluate", folder / "run")
    assert outcome.code == 2, outcome
    assert "test.en: these are not the data of the training" in outcome.err, outcome


@case("C")
def parallel_files_of_other_names(folder: Path) -> None:
    """src-train.txt and tgt-train.txt, folders de and en, one side compressed, a folder of splits, a pair in Python"""
    for language in ("src", "tgt", "de", "en"):
        (folder / language).mkdir()
    for split in ("train", "val"):
        sides(folder, split)
        for language, name in (("de", "src"), ("en", "tgt")):
            text = (folder / f"{split}.{language}").read_bytes()
            (folder / f"{name}-{split}.txt").write_bytes(text)
            (folder / language / f"{split}.txt").write_bytes(text)
    first, *_ = expected = [(f"haus train {i}", f"house train {i}") for i in range(30)]
    for names in (("src-train.txt", "tgt-train.txt"), ("de/train.txt", "en/train.txt"), ("train.de", "train.en")):
        source, target = (folder / name for name in names)
        assert [pair[:2] for pair in load_pairs((source, target), DataConfig()).items] == expected
        valid = str(source).replace("train.", "val.")
        named = ("--source-file", source, "--target-file", target, "--valid", valid)
        outcome = command("data", "--task", "translate", *named)
        assert outcome.code == 0, outcome
        assert f"valid is {valid}" in outcome.out, outcome
    (folder / "train.de.gz").write_bytes(gzip.compress((folder / "train.de").read_bytes()))
    (folder / "train.de").unlink()
    config = DataConfig(source="de", target="en")
    assert load_pairs(folder / "train.en", config).items[0][:2] == first
    outcome = command("data", folder, "--task", "translate", "--source", "src", "--target", "tgt")
    assert f"valid is {folder / 'src-val.txt'}" in outcome.out, outcome
    outcome = command("data", folder, "--task", "translate")
    assert "--source de --target en" in outcome.err, outcome


@case("C")
def parallel_files_that_are_not(folder: Path) -> None:
    """Unequal numbers of lines with both counts, a blank line on one side, a missing side, one flag: a sentence each"""
    sides(folder, "train")
    sides(folder, "more", number=31)
    (folder / "blank.de").write_text("eins\n\n\nvier\n")
    (folder / "blank.en").write_text("one\n\nthree\nfour\n")

    def refused(*arguments: object) -> str:
        outcome = command("data", "--task", "translate", *arguments)
        assert outcome.code == 2, outcome
        return outcome.out + outcome.err

    def both(source: str, target: str) -> tuple[object, ...]:
        return ("--source-file", folder / source, "--target-file", folder / target)

    assert f"{folder / 'more.de'}: has 31 lines, and {folder / 'train.en'} 30" in refused(*both("more.de", "train.en"))
    assert f"{folder / 'blank.de'}, line 3: the source is empty" in refused(*both("blank.de", "blank.en"))
    assert f"{folder / 'blank.de'}, line 3: the target is empty" in refused(*both("blank.en", "blank.de"))
    skip = DataConfig(on_bad_row="skip")
    counts = load_pairs((folder / "blank.de", folder / "blank.en"), skip).counts
    assert (counts.used, counts.skipped) == (2, {"blank line": 1, "empty source": 1})
    assert f"--source-file {folder / 'train.de'} --target-file {folder / 'train.en'}" in refused(folder / "train.de")
    assert "belong together" in refused("--source-file", folder / "train.de")
    assert "are the data: remove them" in refused(folder / "a.csv", *both("train.de", "train.en"))
    (folder / "only.de").write_text("eins\n")
    error = refused(*both("train.de", "train.en"), "--valid", folder / "only.de")
    assert f"there is no {folder / 'only.en'}" in error, error
    outcome = command("data", *both("train.de", "train.en"))
    assert "add --task translate" in outcome.err, outcome


@case("C")
def pairs_between_tabs(folder: Path) -> None:
    """A .txt of source, tab, target has no header: read, said, and decoded; further columns are left aside"""
    lines = [f"haus {i}\thouse {i}\tCC-BY {i}" for i in range(30)]
    path = folder / "deu.txt"
    path.write_text("\n".join(lines))
    assert load_pairs(path, DataConfig()).items[0][:2] == ("haus 0", "house 0")
    outcome = command("data", path, "--task", "translate")
    assert "without a header" in outcome.out, outcome
    assert "30 used" in outcome.out, outcome
    path.write_text("\n".join(["target\tsource", *lines[1:]]).replace("\tCC-BY", " CC-BY"))
    assert load_pairs(path, DataConfig()).items[0].target == "haus 1"
    assert load_pairs(path, DataConfig(), need_targets=False).items[0].source.startswith("house 1")


@case("C")
def nested_keys(folder: Path) -> None:
    """{"translation": {"en": …, "fr": …}} in JSON lines, JSON, Parquet and Python: dotted keys, proposed by data"""
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    objects = [{"id": i, "translation": {"en": f"house {i}", "fr": f"maison {i}"}} for i in range(30)]
    (folder / "a.jsonl").write_text("\n".join(map(json.dumps, objects)))
    (folder / "a.json").write_text(json.dumps(objects, indent=2))
    parquet.write_table(pyarrow.Table.from_pylist(objects), folder / "a.parquet")
    flags = ("--source", "translation.en", "--target", "translation.fr")
    config = DataConfig(source="translation.en", target="translation.fr")
    for name in ("a.jsonl", "a.json", "a.parquet"):
        outcome = command("data", folder / name, "--task", "translate")
        assert '--source "translation.en" --target "translation.fr"' in outcome.out, outcome
        assert command("data", folder / name, "--task", "translate", *flags).code == 0
        assert load_pairs(folder / name, config).items[7][:2] == ("house 7", "maison 7")
    assert load_pairs(objects, config).items[7][:2] == ("house 7", "maison 7")
    (folder / "b.jsonl").write_text('{"a": {"text": "x"}, "a.text": "y", "b": {"c": {"label": 1}}}\n')
    assert rows(folder / "b.jsonl", text="a.text", label="b.c.label") == [("y", "1")]
    outcome = command("data", folder / "b.jsonl", "--text", "a.text", "--label", "b.label")
    assert 'no column "b.label"' in outcome.out, outcome
    with pytest.raises(DataError, match=r'no key "b.label".*"b.c.label"'):
        rows(folder / "b.jsonl", text="a.text", label="b.label")


@case("C")
def json_files(folder: Path) -> None:
    """A .json of an array, of columns as pandas writes them, or of lines is read; another has jq's command"""
    objects = [{"text": text, "label": label} for text, label in ROWS]
    columns = {name: {str(i): row[name] for i, row in enumerate(objects)} for name in ("text", "label")}
    lists = {name: [row[name] for row in objects] for name in ("text", "label")}
    for value in (json.dumps(objects), json.dumps(objects, indent=1), json.dumps(columns), json.dumps(lists)):
        (folder / "a.json").write_text(value)
        assert rows(folder / "a.json") == ROWS
    (folder / "a.json").write_text("\n".join(map(json.dumps, objects)))
    assert rows(folder / "a.json") == ROWS
    (folder / "a.json").write_text(json.dumps({"version": 1, "data": objects}))
    outcome = command("data", folder / "a.json")
    assert f"jq -c '.[\"data\"][]' {folder / 'a.json'} > {folder / 'a.jsonl'}" in outcome.err, outcome
    (folder / "a.json").write_text(json.dumps([*objects, 7], indent=1))
    outcome = command("data", folder / "a.json")
    assert "row 41: an object {…} is expected, got a number" in outcome.out, outcome
    assert "    row 41: 7\n" in outcome.out
    (folder / "a.json").write_text('[\n{"text": "a",\n"label" "b"}]')
    outcome = command("data", folder / "a.json")
    assert "line 3, column 9: not JSON" in outcome.err, outcome


@case("C")
def things_that_are_no_texts(folder: Path) -> None:
    """.xlsx, .mat, .npz, .zip, columns of numbers, arrays of numbers: named, with what could take them"""
    for name, said in (
        ("a.xlsx", f"pandas.read_excel(sys.argv[1]).to_csv(sys.argv[2], index=False)' {folder / 'a.xlsx'}"),
        ("a.mat", "series of numbers are not data of a task yet"),
        ("a.npz", "unrolled.train((images, labels))"),
        ("a.zip", f"unzip {folder / 'a.zip'}"),
        ("a.pdf", "is a document"),
        ("a.conllu", "add --task tag"),
    ):
        (folder / name).write_bytes(b"PK\x03\x04")
        outcome = command("data", folder / name)
        assert outcome.code == 2, outcome
        assert said in outcome.err, outcome
    (folder / "series.csv").write_text("time,value\n" + "".join(f"{i},{i / 7}\n" for i in range(40)))
    for outcome in (command("data", folder / "series.csv"), command("train", folder / "series.csv")):
        assert "series of numbers are not data of a task yet" in outcome.out + outcome.err, outcome
        assert "likely" not in outcome.out
    (folder / "mixed.csv").write_text("text,label\n" + "".join(f"{i / 7},{'ab'[i % 2]}\n" for i in range(40)))
    assert "numbers as texts" in command("data", folder / "mixed.csv").out
    for shape in ((40, 9), (40,)):
        with pytest.raises((DataError, ConfigError), match="eries of numbers are not data of a task yet"):
            unrolled.train((np.zeros(shape, np.float32), ["a", "b"] * 20), updates=1)


@case("C")
def series_as_arrays_are_said(folder: Path) -> None:
    """An array (N, T, D) of numbers that are no pixels is read as images with a word; pixels are without one"""
    random = np.random.default_rng(0)
    labels = ["up", "down"] * 30
    with patch("unrolled.data.examples.images.log") as log:
        unrolled.inspect((random.normal(size=(60, 8, 3)).astype(np.float32), labels))
        assert "eries of numbers" in str(log.warning.call_args), log.mock_calls
        log.reset_mock()
        unrolled.inspect((random.uniform(size=(60, 8, 8)).astype(np.float32), labels))
        unrolled.inspect((random.integers(0, 255, size=(60, 8, 8), dtype=np.uint8), labels))
        assert not log.warning.called


@case("C")
def blank_lines_to_decode(folder: Path) -> None:
    """A blank line on standard input has an empty line of output, or an empty object, and is counted: exit 0"""
    data = separated(folder / "a.csv", ",")
    assert command("train", data, "--out", folder / "run", *SMALL).code == 0
    outcome = piped(b"so fine\n\n \t\nso dull\n", "decode", folder / "run")
    assert outcome.code == 0, outcome
    first, *blank, last = outcome.out.splitlines()
    assert (first.split("\t")[2], blank, last.split("\t")[2]) == ("so fine", ["", ""], "so dull")
    assert "2 blank lines" in outcome.err, outcome
    outcome = piped(b"\nso fine\n", "decode", folder / "run", "--json")
    assert [json.loads(line)["text"] for line in outcome.out.splitlines()] == ["", "so fine"]
    assert json.loads(outcome.out.splitlines()[0])["label"] is None
    for task, content in (("tag", "word\tN\nmore\tV\n\n" * 40), ("generate", "to be or not to be\n" * 40)):
        (folder / "b.txt").write_text("".join(f"{i}{line}\n" for i, line in enumerate(content.split("\n"))))
        if task == "tag":
            (folder / "b.txt").write_text("".join(f"no{i}\tN\nmore\tV\n\n" for i in range(40)))
        length = ("--chunk", "8", "--streams", "2") if task == "generate" else ()
        outcome = command("train", folder / "b.txt", "--task", task, "--out", folder / task, *SMALL, *length)
        assert outcome.code == 0, outcome
        outcome = piped(b"\n", "decode", folder / task)
        assert (outcome.code, outcome.out) == (0, "\n"), outcome
