"""Files that strangers have: nothing that is read is dropped, merged or renamed without being counted and reported."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import numpy as np
import pandas
import pytest
from PIL import Image

import unrolled
from strangers.cases import FILES, case
from unrolled.cli.main import run
from unrolled.config import DataConfig
from unrolled.data.examples.texts import find_texts
from unrolled.errors import DataError

SMALL = ("--hidden-size", "4", "--embedding-size", "4", "--updates", "2", "--min-frequency", "1", "--threads", "1")
NO_SPACES = "\u00a0\u2007\u202f\u3000\u0085\u2028\u2029\u001c\u001f\u000b\u000c"  # that separate nothing in a file


class Outcome(NamedTuple):
    """Exit code and output of a command."""

    code: int
    out: str
    err: str


def command(*arguments: object) -> Outcome:
    """Run a command of unrolled in this process."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run([str(argument) for argument in arguments])
    texts = []
    for stream in (out, err):
        stream.flush()
        texts.append(stream.buffer.getvalue().decode())
    return Outcome(code, *texts)


def table(path: Path, rows: list[tuple[str, ...]], header: str | None = "text,label") -> Path:
    """Write a CSV file whose values hold no quotes."""
    lines = [",".join(f'"{value}"' if "," in value else value for value in row) for row in rows]
    path.write_text("\n".join([*([header] if header else []), *lines]) + "\n", encoding="utf-8")
    return path


def reviews(number: int = 40, labels: tuple[str, ...] = ("good", "bad")) -> list[tuple[str, ...]]:
    """Texts with labels in turn."""
    words = ("warm", "cold", "plain", "lively", "empty", "bright", "slow")
    return [
        (f"the {words[i % 7]} garden was {words[(3 * i) % 7]} number {i}", labels[i % len(labels)])
        for i in range(number)
    ]


def images(folder: Path, *classes: str, number: int = 20, shade: int = 0) -> Path:
    """Write different images into a folder for each class."""
    random = np.random.default_rng(shade)
    for name in classes:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for i in range(number):
            Image.fromarray(random.integers(0, 255, (5, 4), dtype=np.uint8)).save(folder / name / f"{i}.png")
    return folder


def conllu(path: Path, words: list[str], number: int = 30) -> Path:
    """Write sentences of these words with tags in turn, and a number in each."""
    blocks = []
    for i in range(number):
        lines = [
            f"{k}\t{word}\t_\t{('NOUN', 'VERB')[k % 2]}\t_\t_\t0\tdep\t_\t_"
            for k, word in enumerate([*words, f"no{i}"], start=1)
        ]
        blocks.append("\n".join(lines) + "\n\n")
    path.write_bytes("".join(blocks).encode())
    return path


@case("A")
def folders_of_splits_in_capitals(folder: Path) -> None:
    """Image folders Train, Validation and Test are splits"""
    outcome = command("data", FILES / "03-parts-capital")
    assert outcome.code == 0, outcome
    assert "the fixed splits of" in outcome.out, outcome.out
    assert '"Train"' not in outcome.out
    assert '"up"' in outcome.out


@case("A")
def other_names_of_splits(folder: Path) -> None:
    """Image folders training, dev, eval, testing, Val, TRAIN_SET are splits, alone or together"""
    for number, names in enumerate((("training", "dev", "testing"), ("TRAIN_SET", "Val"), ("Training", "eval"))):
        data = folder / str(number)
        for shade, name in enumerate(names):
            images(data / name, "up", "down", shade=shade)
        outcome = command("data", data)
        assert outcome.code == 0, outcome
        assert '"up"' in outcome.out, outcome
        assert not any(f'"{name}"' in outcome.out for name in names), outcome.out
    images(folder / "one" / "Train", "up", "down")
    assert '"up"' in command("data", folder / "one").out
    images(folder / "only" / "Testing", "up", "down")
    outcome = command("data", folder / "only")
    assert outcome.code == 2, outcome
    assert "has no training split" in outcome.err


@case("A")
def folders_that_are_splits_and_others(folder: Path) -> None:
    """Two folders for one split, folders next to splits, splits inside classes: a sentence each"""
    images(folder / "two" / "dev", "up", "down")
    images(folder / "two" / "Validation", "up", "down", shade=1)
    images(folder / "two" / "train", "up", "down", shade=2)
    outcome = command("data", folder / "two")
    assert outcome.code == 2, outcome
    assert "both mean the valid split" in outcome.err
    images(folder / "more" / "Train", "up", "down")
    images(folder / "more", "extra", shade=1)
    outcome = command("train", folder / "more", "--out", folder / "run")
    assert outcome.code == 2, outcome
    assert '"extra"' in outcome.err
    shutil.move(folder / "more" / "extra" / "0.png", folder / "more" / "loose.png")
    shutil.rmtree(folder / "more" / "extra")
    outcome = command("data", folder / "more")
    assert outcome.code == 2, outcome
    assert '"loose.png"' in outcome.err
    (folder / "more" / "loose.png").unlink()
    (folder / "more" / "Test").mkdir()
    outcome = command("data", folder / "more")
    assert outcome.code == 2, outcome
    assert '"Test"' in outcome.err
    for names in (("Train", "Test"), ("train",)):
        outcome = command("data", images(folder / "-".join(names), *names))
        assert outcome.code == 2, outcome
        assert "without folders of classes" in outcome.err
    for name in ("up", "down"):
        images(folder / "inside" / name, "train", "test", shade=len(name))
    outcome = command("data", folder / "inside")
    assert outcome.code == 2, outcome
    assert "within those of classes" in outcome.err
    images(folder / "vehicles", "train", "plane")
    outcome = command("data", folder / "vehicles")
    assert outcome.code == 0, outcome
    assert 'with the name of a split are classes: "train"' in outcome.out


@case("A")
def text_files_of_splits(folder: Path) -> None:
    """A folder with train.txt, Valid.txt and test.txt, or ptb.train.txt, has fixed splits of plain text"""
    for names in (
        ("train", "Valid", "test"),
        ("ptb.train", "ptb.valid", "ptb.test"),
        ("training/a", "dev/b", "eval2/c"),
    ):
        data = folder / names[0].replace("/", "-")
        for name in names:
            path = data / f"{name}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"a line of {name}\n" * 40)
        if names[2] == "eval2/c":
            outcome = command("data", data, "--task", "generate")
            assert outcome.code == 2, outcome
            assert "of none" in outcome.err
            continue
        texts = find_texts(data, DataConfig())
        assert {split: [text.path.name.lower() for text in files] for split, files in texts.fixed.items()} == {
            "valid": [f"{names[1]}.txt".lower()],
            "test": [f"{names[2]}.txt"],
        }
        assert [text.path.name for text in texts.rest] == [f"{names[0]}.txt"]


@case("A")
def hidden_image_folders(folder: Path) -> None:
    """Hidden files and folders among images are left out and counted"""
    outcome = command("data", FILES / "05-hidden-folders")
    assert outcome.code == 0, outcome
    assert ".ipynb_checkpoints" not in outcome.out
    assert "hidden)" in outcome.out, outcome.out
    data = images(folder / "data", "up", "down")
    images(data / "__MACOSX", "up")
    images(data / "up", ".ipynb_checkpoints", shade=1)
    (data / "up" / "._0.png").write_bytes(b"\0\5\x16\7")
    (data / "Thumbs.db").write_bytes(b"x")
    outcome = command("data", data)
    assert outcome.code == 0, outcome
    assert "82 images read = 40 used + 42 skipped (42 hidden)" in outcome.out, outcome.out


@case("A")
def hidden_text_files(folder: Path) -> None:
    """Hidden copies among text files are left out and counted"""
    for name in ("a", "b", "c", "d"):
        (folder / f"{name}.txt").write_text(f"text {name} and more of it\n" * 30)
    (folder / ".ipynb_checkpoints").mkdir()
    (folder / ".ipynb_checkpoints" / "a-checkpoint.txt").write_text("stale\n" * 100)
    (folder / "._b.txt").write_bytes(b"\0\5\x16\7")
    (folder / "notes.md").write_text("no text")
    outcome = command("data", folder, "--task", "generate")
    assert outcome.code == 0, outcome
    assert "left out: 2 files hidden, 1 file not text by their names" in outcome.out, outcome.out


@case("A")
def empty_class_folder(folder: Path) -> None:
    """A folder of a class without images is named by data and by train"""
    shutil.copytree(FILES / "21-empty-class", folder / "data")
    (folder / "data" / "sideways").mkdir()
    outcome = command("data", folder / "data")
    assert outcome.code == 0, outcome
    assert 'without an image, which are no class: "sideways"' in outcome.out
    outcome = command("train", folder / "data", "--out", folder / "run", "--updates", "2", "--hidden-size", "4")
    assert outcome.code == 0, outcome
    assert 'without an image, which are no class: "sideways"' in outcome.err


@case("A")
def links_and_nested_folders(folder: Path) -> None:
    """Linked folders are read once, links to nothing are named, inner folders are said"""
    images(folder / "elsewhere", "right", number=9)
    data = images(folder / "data", "up", "down")
    (data / "right").symlink_to(folder / "elsewhere" / "right")
    (data / "up" / "loop").symlink_to(data)
    (data / "up" / "gone.png").symlink_to(folder / "nothing.png")
    images(data / "up", "steep", number=3, shade=9)
    outcome = command("data", data, "--on-bad-row", "skip")
    assert outcome.code == 0, outcome
    assert "54 images read = 52 used + 2 skipped" in outcome.out, outcome.out
    assert "1 linked twice" in outcome.out
    assert "1 broken link" in outcome.out
    assert "3 images of" in outcome.out
    assert '"up/steep"' in outcome.out


@case("A")
def names_of_classes_with_a_byte_order_mark(folder: Path) -> None:
    """labels.txt with a byte order mark, or not UTF-8: no mark in a label, no traceback"""
    from small import write_images

    path = write_images(folder)
    (folder / "labels.txt").write_bytes("\ufeffbelow\r\nabove\r\n".encode())
    outcome = command("data", path)
    assert outcome.code == 0, outcome
    assert '  "below"' in outcome.out
    (folder / "labels.txt").write_bytes(b"bel\xf6w\nabove\n")
    outcome = command("data", path)
    assert outcome.code == 2, outcome
    assert "labels.txt, line 1" in outcome.err


@case("A")
def no_header_is_recognised(folder: Path) -> None:
    """A file without a header is said to have none, by data, train and evaluate, with a remedy that works"""
    path = FILES / "06-no-header.csv"
    rows = len(path.read_text().splitlines())
    outcome = command("data", path)
    assert outcome.code == 2
    assert "seems to have no header" in outcome.out
    assert 'likely: --no-header --text "1" --label "2"' in outcome.out, outcome.out
    outcome = command("data", path, "--text", path.read_text().split('"')[1], "--label", "poor")
    assert "no header" in outcome.out, outcome.out
    outcome = command(
        "train", path, "--text", path.read_text().split('"')[1], "--label", "poor", "--out", folder / "lost", *SMALL
    )
    assert "seems to have no header" in outcome.err, outcome
    outcome = command("train", path, "--out", folder / "run", *SMALL)
    assert outcome.code == 2
    assert "seems to have no header" in outcome.err
    assert "--no-header" in outcome.err
    outcome = command("data", path, "--no-header", "--text", "1", "--label", "2")
    assert f"{rows} rows read = {rows} used" in outcome.out, outcome.out
    assert "seems to have no header" not in outcome.out


@case("A")
def no_header_is_recorded(folder: Path) -> None:
    """A run that was trained without a header is evaluated, and decodes files, without one"""
    path = table(folder / "a.csv", reviews(60), header=None)
    outcome = command("train", path, "--no-header", "--text", "1", "--label", "2", "--out", folder / "run", *SMALL)
    assert outcome.code == 0, outcome
    assert command("evaluate", folder / "run").code == 0
    outcome = command("evaluate", folder / "run", path)
    assert outcome.code == 0, outcome
    assert "60 rows read = 60 used" in outcome.err
    outcome = command("decode", folder / "run", "--file", path)
    assert len(outcome.out.splitlines()) == 60, outcome
    headed = table(folder / "b.csv", reviews(10))
    outcome = command("evaluate", folder / "run", headed, "--header", "--text", "text", "--label", "label")
    assert "10 rows read = 10 used" in outcome.err, outcome


@case("A")
def no_header_of_other_kinds(folder: Path) -> None:
    """Numbers in the first row, pairs of sentences, a label first, tabs: each is recognised; good headers are not"""
    lines = {
        "label-first.csv": "good,the garden was warm\nbad,the garden was cold\n" * 9,
        "numbers.tsv": "3\ta warm plain garden\n1\ta cold one\n2\tsome words\n5\tmore words here\n",
    }
    for name, text in lines.items():
        (folder / name).write_text(text)
        outcome = command("data", folder / name)
        assert "seems to have no header" in outcome.out, (name, outcome)
    (folder / "pairs.tsv").write_text("Go on.\tVas-y.\nI see him.\tJe le vois.\nWe won.\tOn a gagné.\n")
    outcome = command("data", folder / "pairs.tsv", "--task", "translate")
    assert "seems to have no header" in outcome.out, outcome
    for header in ("review,stars", "0,1", "1,2", "What do you think of it?,answer"):
        table(folder / "fine.csv", reviews(), header=header)
        assert "seems to have no header" not in command("data", folder / "fine.csv").out, header


@case("A")
def joined_files_repeat_the_header(folder: Path) -> None:
    """The header of a second file within a joined one is a bad row, not an example"""
    path = table(folder / "a.csv", [*reviews(20), ("text", "label"), *reviews(40)[20:]])
    outcome = command("data", path)
    assert outcome.code == 2
    assert "line 22: the row repeats the header" in outcome.out, outcome
    assert "1 repeated header" in command("data", path, "--on-bad-row", "skip").out


@case("A")
def labels_that_mean_the_same(folder: Path) -> None:
    """Labels 1 and 1.0, case, spaces, NFC and NFD are named by data and by train"""
    outcome = command("data", FILES / "12-one-and-1.0.csv")
    assert "similar labels" in outcome.out, outcome
    assert '"1", "1.0"' in outcome.out or '"1.0", "1"' in outcome.out, outcome.out
    for number, labels in enumerate((("2", "02", "x"), ("Good", "good ", "bad"), ("caf\u00e9", "cafe\u0301", "bar"))):
        path = table(folder / f"{number}.csv", reviews(90, labels))
        assert "similar labels" in command("data", path).out, labels
        outcome = command("train", path, "--out", folder / f"run{number}", *SMALL)
        assert outcome.code == 0, outcome
        assert "similar labels" in outcome.err, labels
    different = table(folder / "fine.csv", reviews(90, ("12345678901234567890", "12345678901234567891", "1e5")))
    assert "similar labels" not in command("data", different).out


@case("A")
def labels_in_one_cell(folder: Path) -> None:
    """Several labels in a cell, as a;b or a|b or a,b or ['a', 'b'], are named by data and by train"""
    for number, between in enumerate((";", "|", ",", " / ", "; ")):
        path = table(folder / f"{number}.csv", reviews(90, ("sad", "glad", f"sad{between}glad")))
        assert f'"sad{between}glad"' in command("data", path).out.partition("joint labels")[2], between
    outcome = command("train", folder / "0.csv", "--out", folder / "run", *SMALL)
    assert outcome.code == 0, outcome
    assert "joint labels" in outcome.err
    lists = table(folder / "list.csv", reviews(90, ("['sad']", "['glad']", "['sad', 'glad']")))
    assert "joint labels" in command("data", lists).out
    places = table(folder / "fine.csv", reviews(90, ("New York, NY", "Buffalo, NY", "Boston")))
    assert "joint labels" not in command("data", places).out


@case("A")
def spellings_of_unicode(folder: Path) -> None:
    """NFC and NFD spellings of a text are a conflict and a leak, and one text with --normalize nfc"""
    rows = reviews(60)
    rows = [(f"caf\u00e9 {text}", label) for text, label in rows]
    twice = [*rows, *((text.replace("\u00e9", "e\u0301"), "other") for text, _ in rows)]
    path = table(folder / "a.csv", twice)
    out = command("data", path).out
    assert "conflicting labels: 60 texts" in out, out
    assert "leakage" in out
    assert "Unicode forms" in out
    out = command("data", path, "--normalize", "nfc").out
    assert "leakage" not in out, out
    assert "conflicting labels: 60 texts" in out
    assert "Unicode forms" not in out


@case("A")
def normalisation_is_recorded(folder: Path) -> None:
    """With --normalize, decode, evaluate and explain read both spellings as one"""
    rows = [(f"caf\u00e9 {text}", label) for text, label in reviews(60)]
    path = table(folder / "a.csv", rows)
    out = folder / "run"
    outcome = command("train", path, "--normalize", "nfkc", "--tokenizer", "character", "--out", out, *SMALL)
    assert outcome.code == 0, outcome
    loaded = unrolled.load(out)
    composed, decomposed, wide = (
        unrolled.decode(loaded, text)[0].probabilities for text in ("caf\u00e9 a", "cafe\u0301 a", "caf\u00e9 \uff41")
    )
    assert composed == decomposed == wide
    traces = [unrolled.explain(loaded, text) for text in ("caf\u00e9 a", "cafe\u0301 a")]
    assert np.array_equal(*(trace["logits"].numpy() for trace in traces))
    other = table(folder / "b.csv", [(text.replace("\u00e9", "e\u0301"), label) for text, label in rows])
    assert command("evaluate", out, path).out.replace("a.csv", "") == command("evaluate", out, other).out.replace(
        "b.csv", ""
    )
    plain = folder / "plain"
    command("train", path, "--tokenizer", "character", "--out", plain, *SMALL)
    first, second = (unrolled.decode(plain, text)[0].probabilities for text in ("caf\u00e9 a", "cafe\u0301 a"))
    assert first != second


@case("A")
def invisible_texts(folder: Path) -> None:
    """Texts of U+200B and the like only are named by data and by train; U+00A0 is an empty text"""
    for number, text in enumerate(("\u200b", "\u2060\ufeff", "\u00ad\u200d", "\u3164", "\u2800 \u200e")):
        path = table(folder / f"{number}.csv", [*reviews(60), (text, "good")])
        assert "invisible texts: 1 text of" in command("data", path).out, repr(text)
    outcome = command("train", folder / "0.csv", "--out", folder / "run", *SMALL)
    assert outcome.code == 0, outcome
    assert "invisible texts" in outcome.err
    path = table(folder / "a.csv", [*reviews(60), ("\u00a0", "good")])
    outcome = command("data", path)
    assert outcome.code == 2
    assert 'line 62, column 1 ("text"): the text is empty' in outcome.out, outcome
    outcome = command("data", FILES / "01b-only-invisible.tsv", "--task", "translate")
    assert "invisible texts" in outcome.out, outcome


@case("A")
def words_with_other_spaces(folder: Path) -> None:
    """A word with a no-break or any other space is one word in training, in decode and in explain"""
    words = [f"a{space}b" for space in NO_SPACES]
    path = conllu(folder / "a.conllu", words)
    outcome = command("train", path, "--task", "tag", "--out", folder / "run", *SMALL)
    assert outcome.code == 0, outcome
    loaded = unrolled.load(folder / "run")
    (whole,) = loaded.decode([words])
    (text,) = loaded.decode(" ".join(words))
    assert [word.word for word in text.words] == words
    assert text == whole
    assert len(unrolled.explain(loaded, " ".join(words))["steps"]) == len(words)
    outcome = command("decode", folder / "run", "--file", path, "--json")
    assert [word["word"] for word in json.loads(outcome.out.split("\n")[0])["words"]] == [*words, "no0"]


@case("A")
def labels_unseen_by_spelling(folder: Path) -> None:
    """A test label that differs from a known one only in spelling is refused with a hint at it"""
    path = table(folder / "a.csv", reviews(60))
    test = table(folder / "test.csv", reviews(9, ("Good", "bad")))
    outcome = command("data", path, "--test", test)
    assert outcome.code == 2, outcome
    assert 'differs from "good" only in spelling' in outcome.out, outcome


@case("A")
def labels_of_two_types(folder: Path) -> None:
    """JSON labels 1 and "1", or true and "true", become one class, and that is said"""
    for number, (first, second) in enumerate((("1", '"1"'), ("true", '"true"'))):
        path = folder / f"{number}.jsonl"
        rows = [f'{{"text": "{text}", "label": {label}}}' for text, label in reviews(60, (first, second, '"other"'))]
        path.write_text("\n".join(rows) + "\n")
        assert "labels of several types" in command("data", path).out, first
        outcome = command("train", path, "--out", folder / f"run{number}", *SMALL)
        assert "labels of several types" in outcome.err, outcome


@case("A")
def columns_of_splits(folder: Path) -> None:
    """A column that names the split of each row is said to be unused"""
    rows = [(text, label, ("train", "Test", "dev")[i % 3]) for i, (text, label) in enumerate(reviews(60))]
    path = table(folder / "a.csv", rows, header="text,label,split")
    outcome = command("data", path)
    assert 'split column: column "split"' in outcome.out, outcome


@case("A")
def files_of_splits(folder: Path) -> None:
    """A folder of Train.CSV and test.csv is answered with the flags; test.csv next to train.csv is said to be unused"""
    table(folder / "Train.CSV", reviews(60))
    table(folder / "test.csv", reviews(9))
    (folder / "testing.jsonl").touch()  # a second file of the test split
    for arguments in (("data", folder), ("train", folder), ("data", folder, "--task", "translate")):
        outcome = command(*arguments)
        assert outcome.code == 2, outcome
        assert f"name {folder / 'Train.CSV'} as the data, with --test {folder / 'test.csv'}" in outcome.err
    outcome = command("data", folder / "Train.CSV")
    assert "which are not used: test.csv, testing.jsonl" in outcome.out, outcome
    outcome = command("data", folder / "Train.CSV", "--test", folder / "test.csv")
    assert outcome.code == 0, outcome
    assert "unused files" not in outcome.out


@case("A")
def quotes_that_are_kept(folder: Path) -> None:
    """Quotes that are read as characters, in TSV or after a space in CSV, are said"""
    (folder / "a.tsv").write_text("text\tlabel\n" + "".join(f'"{text}"\t{label}\n' for text, label in reviews()))
    assert '40 of the first 40 values in column "text"' in command("data", folder / "a.tsv").out
    (folder / "b.csv").write_text("text,label\n" + "".join(f'{text}, "{label}"\n' for text, label in reviews()))
    assert '40 of the first 40 values in column "label"' in command("data", folder / "b.csv").out
    (folder / "c.tsv").write_text("text\tlabel\n" + "".join(f'"{t}" he said\t{label}\n' for t, label in reviews()))
    assert "are in quotes" not in command("data", folder / "c.tsv").out


@case("A")
def tags_that_are_none(folder: Path) -> None:
    """The tag _ of CoNLL-U, a header over two columns, and words with a space are said"""
    path = conllu(folder / "a.conllu", ["10 000", "b", "c"])
    path.write_text(path.read_text().replace("\tVERB\t_\t", "\tVERB\tx\t"))
    outcome = command("data", path, "--task", "tag", "--label", "XPOS")
    assert "missing tags: 60 words" in outcome.out, outcome
    assert "30 words of" in outcome.out
    lines = "".join(f"a\tDET\ncat\tNOUN\nno{i}\tNUM\n\n" for i in range(40))
    (folder / "b.tsv").write_text(f"token\tlabel\n{lines}")
    outcome = command("data", folder / "b.tsv", "--task", "tag", "--on-bad-row", "skip")
    assert "seems to be a header" in outcome.out, outcome


@case("A")
def columns_that_are_no_lists(folder: Path) -> None:
    """A text or a set in place of a list of values is refused; columns of a data frame may be numbers"""
    numbered = pandas.DataFrame(reviews(), columns=[0, 1])
    assert unrolled.inspect(numbered, text="0", label="1").splits["train"].rows > 20
    with pytest.raises(DataError, match='the columns are "0", "1"'):
        unrolled.inspect(numbered)
    for values in ("abc", {"a", "b", "c"}, {"a": 1, "b": 2, "c": 3}):
        with pytest.raises(DataError, match="give a list"):
            unrolled.inspect({"text": values, "label": ["x", "y", "z"]})


@case("A")
def texts_of_decomposed_characters(folder: Path) -> None:
    """Plain text with decomposed characters, or a byte order mark within, is said; --normalize reads them as one"""
    path = folder / "a.txt"
    path.write_text("a caf\u00e9 and a cafe\u0301 in the street\n" * 200 + "\ufeffjoined\n", encoding="utf-8")
    outcome = command("data", path, "--task", "generate", "--cache", folder / "cache")
    assert "Unicode forms: 200 lines" in outcome.out, outcome
    assert "byte order marks: 1 line with" in outcome.out
    outcome = command("data", path, "--task", "generate", "--cache", folder / "cache", "--normalize", "nfc")
    assert "Unicode forms" not in outcome.out
    assert '"\\u0301"' not in outcome.out


@case("A")
def normal_forms_of_pairs_and_tags(folder: Path) -> None:
    """With --normalize, references of translations and words seen in training are compared in the normal form"""
    pairs = [(f"w{i} caf\u00e9", f"w{i} cafe\u0301") for i in range(40)]
    settings = {
        "hidden_size": 4,
        "embedding_size": 4,
        "updates": 1,
        "min_frequency": 1,
        "threads": 1,
        "normalize": "nfc",
    }
    made = unrolled.train(pairs, task="translate", tokenizer="character", **settings)
    changed = [tuple(text.replace("e\u0301", "\u00e9") for text in pair) for pair in pairs]
    with patch("unrolled.runs.translation.evaluate_translation") as compared:
        made.evaluate(pairs)
        made.evaluate(changed)
    first, second = (call.args[:2] for call in compared.call_args_list)
    assert first == second
    sentences = [(["caf\u00e9", f"no{i}"], ["NOUN", "NUM"]) for i in range(40)]
    tagger = unrolled.train(sentences, task="tag", tokenizer="character", **settings)
    decomposed = [(["cafe\u0301", words[1]], tags) for words, tags in sentences]
    assert tagger.evaluate(decomposed).to_dict() == tagger.evaluate(sentences).to_dict()
    assert tagger.evaluate([(["cafe\u0301"], ["NOUN"])]).unseen == 0
