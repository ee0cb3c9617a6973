"""Names of files and folders: splits, classes, hidden and linked ones."""

from __future__ import annotations

import shutil
from pathlib import Path

from strangers.cases import FILES, case
from strangers.commands import command, images, reviews, table
from unrolled.config import DataConfig
from unrolled.data.examples.texts import find_texts


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
