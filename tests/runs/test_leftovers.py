"""Leftovers of a kill at the very end: cleaned by the next command, and nothing else with them."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from small import pairs, trained
from unrolled import api, atomic
from unrolled.errors import CheckpointError, ConfigError
from unrolled.runs import leftovers
from unrolled.training import partial_run

SMALL = {"hidden_size": 4, "embedding_size": 4, "updates": 4, "checkpoint_every": 1}


class Kill(BaseException):
    """A kill, as far as one process can show it."""


def killed(monkeypatch: pytest.MonkeyPatch, home: object, name: str, train: Callable[[], object]) -> None:
    """Train, and die at the first call of a function."""

    def die(*_: object) -> None:
        raise Kill

    with monkeypatch.context() as patch:
        patch.setattr(home, name, die)
        with pytest.raises(Kill):
            train()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_training_of_a_finished_run_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tmp_path / "run"
    killed(monkeypatch, partial_run.atomic, "discard", lambda: api.train(pairs(), out=run, **SMALL))
    assert {"plan", "checkpoints"} <= {*names(run)}
    api.load(run)
    assert not {"plan", "checkpoints"} & {*names(run)}
    assert names(tmp_path) == ["run"]


def test_an_earlier_run_is_removed_once_the_new_one_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = trained().save(tmp_path / "run").path
    assert run
    killed(monkeypatch, atomic, "sync", lambda: atomic.replace(shutil.copytree(run, tmp_path / "new"), run))
    assert names(tmp_path) == [".run.old", "run"]
    api.load(run)
    assert names(tmp_path) == ["run"]


@pytest.mark.parametrize("command", ["load", "train"])
def test_an_earlier_run_is_put_back(command: str, tmp_path: Path) -> None:
    run = trained().save(tmp_path / "run").path
    assert run
    run.rename(tmp_path / ".run.old")
    if command == "load":
        api.load(run)
    else:
        with pytest.raises(ConfigError, match="run exists already"):
            api.train(pairs(), out=run)
    assert names(tmp_path) == ["run"]


def test_an_earlier_run_is_left_while_another_process_writes(tmp_path: Path) -> None:
    run = trained().save(tmp_path / "run").path
    assert run
    shutil.copytree(run, tmp_path / ".run.partial")
    run.rename(tmp_path / ".run.old")
    with atomic.lock(tmp_path / ".run.partial"), pytest.raises(CheckpointError, match="does not exist"):
        api.load(run)
    assert names(tmp_path) == [".run.old", ".run.partial"]
    api.load(run)
    assert names(tmp_path) == ["run"]


def test_a_run_that_is_being_saved_is_left(tmp_path: Path) -> None:
    run = trained().save(tmp_path / "run").path
    assert run
    shutil.copytree(run, tmp_path / ".run.partial")
    with atomic.lock(tmp_path / ".run.partial"):
        api.load(run)
        assert names(tmp_path) == [".run.partial", "run"]
    (tmp_path / ".run.partial" / atomic.SUMS).unlink()
    api.load(run)
    assert names(tmp_path) == ["run"]


@pytest.mark.parametrize("name", ["plan", "checkpoints", "../.run.old", "../.run.partial"])
@pytest.mark.parametrize("kind", ["folder", "file", "link", "more"])
def test_a_folder_of_somebody_else_is_left(name: str, kind: str, tmp_path: Path) -> None:
    run = trained().save(tmp_path / "run").path
    assert run
    theirs, mine = run / name, tmp_path / "mine"
    if kind == "folder":
        theirs.mkdir()
        (theirs / "notes.txt").write_text("mine")
    elif kind == "file":
        theirs.write_text("mine")
    elif kind == "link":
        mine.mkdir()
        theirs.symlink_to(mine)
    else:
        shutil.copytree(run, tmp_path / "copy")
        (tmp_path / "copy" / "notes.txt").write_text("mine")
        (tmp_path / "copy").rename(theirs)
    leftovers.clean(run)
    api.load(run)
    assert theirs.exists()
    assert kind == "link" or theirs.is_file() or (theirs / "notes.txt").read_text() == "mine"


def test_a_folder_of_somebody_else_is_found_before_the_training(tmp_path: Path) -> None:
    run = trained().save(tmp_path / "run").path
    (tmp_path / ".run.old").mkdir()
    with pytest.raises(ConfigError, match=r"\.run\.old is in the way of --overwrite: move it"):
        api.train(iter([]), out=run, overwrite=True, **SMALL)


def test_half_written_checkpoints_are_removed_at_a_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tmp_path / "run"
    training = lambda: api.train(pairs(), out=run, **SMALL)  # noqa: E731
    killed(monkeypatch, partial_run.PartialRun, "publish", training)
    checkpoints = tmp_path / "run.partial" / "checkpoints"
    shutil.copytree(checkpoints / "update-4", checkpoints / ".update-7.partial")
    (checkpoints / "update-4").rename(checkpoints / ".update-4.old")
    shutil.copytree(checkpoints / "update-3", checkpoints / ".update-3.old")
    with partial_run.resume_partial(run) as partial:
        assert names(partial.checkpoints) == ["update-3", "update-4"]
    assert api.resume(run, pairs()).record["training"]["updates"] == 4
    assert names(tmp_path) == ["run"]
