"""Folders of labelled texts that strangers have: a file for each class, or a folder for each class."""

from __future__ import annotations

import gzip
import re
import subprocess
from pathlib import Path

from PIL import Image

from strangers.cases import case
from strangers.commands import SMALL, command
from unrolled.config import DataConfig
from unrolled.data.splits.labelled import load_splits


def documents(folder: Path, label: str, number: int = 20, extension: str = ".txt") -> None:
    """Write a file for each text of a class."""
    (folder / label).mkdir(parents=True)
    for i in range(number):
        (folder / label / f"{i}_7{extension}").write_text(f"{folder.name} {label} number {i},\nand a second line\n")


@case("C")
def a_text_file_for_each_class(folder: Path) -> None:
    """pos.txt and neg.txt.gz: each line is a text, the file's name is the label; README.txt is none"""
    data = folder / "reviews"
    data.mkdir()
    (data / "pos.txt").write_text("".join(f"good {i}\n" for i in range(30)) + "\n")
    (data / "neg.txt.gz").write_bytes(gzip.compress(b"".join(b"bad %d\n" % i for i in range(30))))
    (data / "README.txt").write_text("two classes\n")
    (data / "none.txt").touch()
    outcome = command("data", data)
    assert outcome.code == 0, outcome
    assert "62 rows read = 60 used + 2 skipped (1 not text by its name, 1 blank line)" in outcome.out, outcome.out
    assert "empty classes" in outcome.out
    assert '"none.txt"' in outcome.out, outcome.out
    examples = load_splits(str(data), DataConfig()).loaded[0]
    assert set(examples.labels()) == {"pos", "neg"}
    assert sorted(item.text for item in examples.items if item.label == "neg")[0] == "bad 0"
    (data / "pos.txt").write_bytes(b"good\nso \xff\n")
    outcome = command("data", data)
    assert f"{data / 'pos.txt'}, line 2: byte 0xff" in outcome.out, outcome


@case("C")
def a_folder_for_each_class(folder: Path) -> None:
    """train/pos/0_7.txt, as in aclImdb: splits by name, hidden files and unsup counted, an empty class named"""
    data = folder / "aclImdb"
    for split in ("train", "test"):
        for label in ("pos", "neg"):
            documents(data / split, label)
        (data / split / f"urls_{split}.txt").write_text("http://\n")
        (data / split / "labeledBow.feat").write_text("9 0:9\n")
    documents(data / "train", "unsup", 5)
    (data / "train" / "mixed").mkdir()
    (data / "train" / "pos" / ".DS_Store").touch()
    (data / "imdb.vocab").touch()
    outcome = command("train", data, "--out", folder / "run", *SMALL)
    assert outcome.code == 0, outcome
    skipped = "(1 not text by its name, 1 hidden, 5 without a label by its folder, 1 outside the folders of classes"
    assert f"48 rows read = 40 used + 8 skipped {skipped}" in outcome.err, outcome.err
    assert f"test is {data / 'test'}" in outcome.err
    assert "issue: empty classes: folders or files of" in outcome.err
    assert '"mixed"' in outcome.err
    splits = load_splits(str(data), DataConfig())
    assert splits.labels == ("neg", "pos")
    assert splits.test.items[0].text == "test neg number 0,\nand a second line"
    for arguments in ((), (data / "test",)):
        assert command("evaluate", folder / "run", *arguments).code == 0
    assert "name one of their folders" in command("evaluate", folder / "run", data).err
    outcome = command("decode", folder / "run", "--file", data / "test" / "pos")
    assert outcome.out.count("\n") == 20, outcome


@case("C")
def names_of_newsgroups(folder: Path) -> None:
    """20news-bydate-train/alt.atheism/49960: splits within names, texts without an extension"""
    for split in ("train", "test"):
        for label in ("alt.atheism", "sci.space"):
            documents(folder / f"20news-bydate-{split}", label, extension="")
    outcome = command("data", folder)
    assert outcome.code == 0, outcome
    assert '"alt.atheism"' in outcome.out, outcome.out
    assert f"test is {folder / '20news-bydate-test'}" in outcome.out


@case("C")
def folders_of_both_or_neither(folder: Path) -> None:
    """Images and texts in one folder, neither, splits without classes, splits next to classes: a sentence each"""
    documents(folder / "both", "pos")
    documents(folder / "both", "neg")
    Image.new("L", (4, 4)).save(folder / "both" / "neg" / "a.png")
    outcome = command("data", folder / "both")
    assert outcome.code == 2, outcome
    assert "is not an image by its name, and there are images in this folder" in outcome.out
    assert "a folder is read as images or texts of classes" in outcome.out
    (folder / "logs").mkdir()
    (folder / "logs" / "a.log").write_text("x\n")
    for verb in ("data", "train"):
        outcome = command(verb, folder / "logs")
        assert "holds no images and no texts by their names (1 .log)" in outcome.err, outcome
        assert "a folder is read as images or texts of classes" in outcome.err
    for split in ("dev", "test"):
        documents(folder / "flat", split)
    assert "holds texts of splits without classes" in command("data", folder / "flat").err
    for name in ("train", "Training"):
        documents(folder / "two" / name, "pos")
    assert "both mean the train split" in command("data", folder / "two").err
    documents(folder / "next" / "train", "pos")
    documents(folder / "next", "extra")
    assert "other folders of texts: extra" in command("data", folder / "next").err


@case("C")
def an_empty_text_in_a_folder(folder: Path) -> None:
    """An empty file is a bad row, named by its path; skipped and counted on demand"""
    for label in ("pos", "neg"):
        documents(folder, label)
    (folder / "neg" / "5_7.txt").write_text(" \n")
    outcome = command("data", folder)
    assert f"{folder / 'neg' / '5_7.txt'}, file " in outcome.out, outcome
    assert "the text is empty" in outcome.out
    outcome = command("data", folder, "--on-bad-row", "skip")
    assert "39 used + 1 skipped (1 empty text)" in outcome.out, outcome


def follow_conversion(message: str) -> str:
    """Run the command for a folder that is not UTF-8, and return the folder that is to be named instead."""
    found = re.search(r"and name (.*) in place of .*: (python -c .*), or skip", message)
    assert found, message
    subprocess.run(found[2], shell=True, check=True)
    return found[1]


@case("C")
def folders_in_windows_1252(folder: Path) -> None:
    """20news: some files are Windows-1252, others UTF-8: one command converts all, also of folders of splits"""
    data = folder / "news's"
    for split in ("train", "test"):
        for label in ("space", "med"):
            documents(data / split, label, extension="")
        (data / split / "med" / "0_7").write_bytes("na\u00efve \u201ccaf\u00e9\u201d".encode("cp1252"))
        (data / split / "med" / "1_7").write_bytes("na\u00efve UTF-8".encode())
    outcome = command("data", data)
    assert outcome.code == 2, outcome
    new = follow_conversion(outcome.out)
    assert Path(new) == folder / "news's-utf8"
    assert command("data", new).code == 0
    assert (Path(new) / "test" / "med" / "0_7").read_text() == "na\u00efve \u201ccaf\u00e9\u201d"
    assert (Path(new) / "train" / "med" / "1_7").read_text() == "na\u00efve UTF-8"
    lines = folder / "reviews"
    lines.mkdir()
    for label in ("pos", "neg"):
        (lines / f"{label}.txt").write_bytes("".join(f"{label} caf\u00e9 {i}\n" for i in range(30)).encode("cp1252"))
    outcome = command("train", lines, "--out", folder / "run", *SMALL)
    assert outcome.code == 2, outcome
    assert command("train", follow_conversion(outcome.err), "--out", folder / "run", *SMALL).code == 0
