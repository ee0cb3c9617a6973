"""Files below a folder, and names of splits."""

from pathlib import Path

import pytest

from small import trained
from unrolled import api
from unrolled.data.reading.folders import folders_in, is_hidden, walk
from unrolled.data.reading.split_names import split_named, split_within, splits_among
from unrolled.errors import DataError


def write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_hidden_files_and_all_in_hidden_folders(tmp_path: Path) -> None:
    write(tmp_path, "b/c", "a", ".x/d/e", "__MACOSX/f", "b/._c", "b/Thumbs.DB", "b/.y/z", "notes.")
    found = [(path.relative_to(tmp_path).as_posix(), hidden) for path, hidden in walk(tmp_path)]
    assert found == [
        (".x/d/e", True),
        ("__MACOSX/f", True),
        ("a", False),
        ("b/._c", True),
        ("b/.y/z", True),
        ("b/Thumbs.DB", True),
        ("b/c", False),
        ("notes.", False),
    ]
    assert [path.name for path in folders_in(tmp_path)] == ["b"]
    assert not is_hidden("macosx")


def test_links_are_followed_once(tmp_path: Path) -> None:
    write(tmp_path, "data/a/one", "other/two")
    (tmp_path / "data" / "b").symlink_to(tmp_path / "other")
    (tmp_path / "data" / "c").symlink_to(tmp_path / "other")
    (tmp_path / "data" / "up").symlink_to(tmp_path / "data")
    (tmp_path / "data" / "itself").symlink_to(tmp_path / "data" / "itself")
    names = [path.relative_to(tmp_path / "data").as_posix() for path, _ in walk(tmp_path / "data")]
    assert names == ["a/one", "b/two", "c", "itself", "up"]


def test_a_folder_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="gone: the folder cannot be read: No such file"):
        list(walk(tmp_path / "gone"))
    with pytest.raises(DataError, match="the folder cannot be read"):
        folders_in(tmp_path / "gone")


@pytest.mark.parametrize(
    ("names", "split"),
    [
        (("train", "Training", "TRAIN", "train_set", "Train data", "trainset"), "train"),
        (("valid", "validation", "VAL", "dev", "Eval", "val-images", "development"), "valid"),
        (("test", "Testing", "t10k", "TestSet", "test_split"), "test"),
        (("trains", "tests", "contest", "valley", "device", "set", "", "training1", "plane"), None),
    ],
)
def test_names_of_splits(names: tuple[str, ...], split: str | None) -> None:
    assert {split_named(name) for name in names} == {split}


def test_parts_of_names() -> None:
    assert [split_within(name) for name in ("ptb.train", "test-00001", "wiki.Valid.tokens", "train-test", "novel")] == [
        "train",
        "test",
        "valid",
        None,
        None,
    ]


def test_splits_among_names() -> None:
    assert splits_among(["Test", "more", "TRAIN"], "f") == {"train": "TRAIN", "test": "Test"}
    with pytest.raises(DataError, match='f: "dev" and "Val" both mean the valid split'):
        splits_among(["train", "dev", "Val"], "f")


def test_a_run_is_no_data(tmp_path: Path) -> None:
    """Its sums are text by their name, and were read as one class of texts."""
    trained().save(tmp_path / "run")
    with pytest.raises(DataError, match="(?s)is a trained run, not data.*unrolled evaluate"):
        api.train(tmp_path / "run")
