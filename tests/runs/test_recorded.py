"""Recorded data: read unasked only if they are samples, or files whose sums equal the record; all else is named."""

import hashlib
import json
import os
import shlex
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import pytest

from hostileruns import ask, sign
from small import SMALL, pairs, write_csv, write_images, write_text
from unrolled import api
from unrolled.config import DataConfig
from unrolled.data.reading import hub
from unrolled.errors import DataError
from unrolled.runs.recorded import sums_of

TEXT = {"embedding_size": 6, "hidden_size": 8, "updates": 2, "streams": 2, "chunk": 16}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    api.train(write_csv(tmp_path / "a.csv"), out=tmp_path / "run", **SMALL)
    return tmp_path / "run"


def change(path: Path, edit: Callable[[dict], object]) -> None:
    value = json.loads(path.read_text())
    edit(value)
    path.write_text(json.dumps(value))
    sign(path.parent)


def advised(error: str) -> list[str]:
    """The arguments of the command that a message advises."""
    program, *arguments = shlex.split(error.split("`")[1])
    assert program == "unrolled"
    return arguments


def refused(*arguments: object) -> str:
    with patch.dict(os.environ, {"COLUMNS": "100000"}):  # whole lines
        code, out, err = ask([str(each) for each in arguments])
    assert (code, out) == (2, ""), err
    return err


def test_a_training_records_number_size_and_sha256_of_its_files(folder: Path, tmp_path: Path) -> None:
    data = (tmp_path / "a.csv").read_bytes()
    (recorded,) = api.load(folder).record["data"]["sums"]
    sha256 = hashlib.sha256(data).hexdigest()
    assert recorded == {"source": str(tmp_path / "a.csv"), "files": 1, "bytes": len(data), "sha256": sha256}
    assert api.train(pairs(), **SMALL).record["data"]["sums"] == []


def test_the_sum_of_a_folder_is_that_of_a_list_of_its_data(tmp_path: Path) -> None:
    (tmp_path / "set" / ".hidden").mkdir(parents=True)
    for name, text in {"b.txt": "b", "a.txt": "a", "notes.md": "x", ".hidden/c.txt": "c"}.items():
        (tmp_path / "set" / name).write_text(text)
    (found,) = sums_of(tmp_path / "set", DataConfig())
    lines = "".join(f"{hashlib.sha256(name.encode()).hexdigest()}  {name}.txt\n" for name in "ab")
    assert found["sha256"] == hashlib.sha256(lines.encode()).hexdigest()
    assert (found["files"], found["bytes"]) == (2, 2)


def test_each_of_several_files_has_a_sum(tmp_path: Path) -> None:
    texts = tuple(write_text(tmp_path / f"{name}.txt", f"{name} line\n" * 60) for name in "abcdef")
    run = api.train(texts, task="generate", **TEXT)
    assert [each["source"] for each in run.record["data"]["sums"]] == [str(path) for path in texts]
    assert run.evaluate() == run.test


def test_the_sum_of_idx_images_includes_their_labels(tmp_path: Path) -> None:
    images = write_images(tmp_path / "set")
    (before,) = sums_of(images, DataConfig())
    assert before["files"] == 2
    labels = images.with_name("train-labels-idx1-ubyte")
    labels.write_bytes(labels.read_bytes()[:-1] + b"\0")
    (after,) = sums_of(images, DataConfig())
    assert before["sha256"] != after["sha256"]


def test_data_that_are_named_are_read_whether_or_not_they_are_recorded(folder: Path, tmp_path: Path) -> None:
    result = api.load(folder).evaluate()
    moved = (tmp_path / "a.csv").rename(tmp_path / "moved.csv")
    assert "no longer exist" in refused("evaluate", folder)
    assert api.load(folder).evaluate(moved, test_split=True) == result
    assert api.load(folder).evaluate(moved).n == 60
    assert ask(["evaluate", str(folder), str(moved), "--test-split"])[0] == 0
    assert "--test-split needs the data of the training" in refused("evaluate", folder, "--test-split")


def test_a_run_without_sums_reads_data_that_are_named_only(folder: Path) -> None:
    result = api.load(folder).evaluate()
    change(folder / "run.json", lambda record: record["data"].pop("sums"))
    message = refused("evaluate", folder)
    assert "the run has no SHA-256 of these data: an earlier unrolled trained it" in message
    assert ask(advised(message))[0] == 0
    assert api.load(folder).evaluate(api.load(folder).record["data"]["source"], test_split=True) == result


@pytest.mark.parametrize("source", ["hub:owner/name", "hub:owner/name:config:test"])
def test_the_hub_is_asked_only_if_the_user_names_it(source: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetched(*_: object) -> None:
        raise DataError("it was fetched")

    monkeypatch.setattr(hub, "_splits", fetched)
    change(folder / "run.json", lambda record: record["data"].update(source=source))
    message = refused("evaluate", folder)
    assert "are not local, and are not fetched unasked" in " ".join(message.split())
    assert "it was fetched" in refused(*advised(message))


@pytest.mark.parametrize("source", ["/", "/proc", "/proc/kmsg", "/dev/zero", "/dev/stdin", ".", "x" * 300, "\x1b[2J"])
@pytest.mark.parametrize("files", [1, 10**7])
def test_other_files_of_this_machine_are_not_read(source: str, files: int, folder: Path) -> None:
    recorded = {"source": source, "files": files, "bytes": 0, "sha256": hashlib.sha256().hexdigest()}
    if source == "/" and files > 1:
        return  # the walk is as long as the disk is large
    change(folder / "run.json", lambda record: record["data"].update(source=source, sums=[recorded]))
    began = time.perf_counter()
    assert "unrolled: " in refused("evaluate", folder)
    assert time.perf_counter() - began < 20


@pytest.mark.parametrize("role", ["valid", "test"])
def test_the_files_of_other_splits_are_checked_as_well(role: str, tmp_path: Path) -> None:
    other = write_csv(tmp_path / "b.csv", pairs(seed=1))
    api.train(write_csv(tmp_path / "a.csv"), out=tmp_path / "run", **SMALL, **{role: str(other)})
    assert ask(["evaluate", str(tmp_path / "run")])[0] == 0
    other.write_text(other.read_text().replace("no1", "no2"))
    message = refused("evaluate", tmp_path / "run")
    assert f"{other}: these are not the data of the training: their SHA-256 differs" in " ".join(message.split())
    assert advised(message)[:2] == ["evaluate", str(tmp_path / "run")]
    assert role == "valid" or ask(advised(message))[0] == 0


def test_nothing_is_written_into_the_cache_of_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "mine"))
    text = write_text(tmp_path / "a.txt")
    api.train(text, task="generate", out=tmp_path / "run", cache=str(tmp_path / "theirs"), **TEXT)
    shutil.rmtree(tmp_path / "theirs")
    assert json.loads((tmp_path / "run" / "run.json").read_text())["config"]["data"]["cache"] == str(
        tmp_path / "theirs"
    )
    assert ask(["evaluate", str(tmp_path / "run")])[0] == 0
    api.train(text, start=tmp_path / "run", updates=1)
    assert not (tmp_path / "theirs").exists()
    assert (tmp_path / "mine" / "unrolled" / "texts").is_dir()
    assert ask(["evaluate", str(tmp_path / "run"), "--cache", str(tmp_path / "named")])[0] == 0
    assert (tmp_path / "named" / "texts").is_dir()
