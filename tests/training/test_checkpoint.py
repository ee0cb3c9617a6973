"""Checkpoints: the same tensors back, the newest two saved, every damage named and the one before used."""

import json
import logging
import random
import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
import torch

from unrolled.errors import CheckpointError
from unrolled.training import checkpoint
from unrolled.training.checkpoint import FILES, Checkpoint
from unrolled.training.progress import Progress, Since

BUILD = {"torch": "2.13.0", "threads": "2"}


def made(update: int) -> Checkpoint:
    torch.manual_seed(update)
    progress = Progress(
        *(100, update, 3, 7, 5, 0.1 + 0.2, 1.5, 5),
        since=Since(1 / 3, 4, 5, 6.5),
        resumed=[{"update": 1, "changed": []}],
    )
    tensors = {"model/w": torch.randn(3, 4), "exp_avg/w": torch.randn(3, 4).T, "step/w": torch.tensor(5.0)}
    return Checkpoint(progress, tensors, b'{"update": 1}\n', BUILD)


def sign(folder: Path) -> None:
    """Write the sums anew, as somebody would who means harm."""
    lines = [f"{sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in FILES]
    (folder / "SHA256SUMS").write_text("".join(lines))


@pytest.fixture
def parent(tmp_path: Path) -> Path:
    for update in (10, 20):
        checkpoint.write(tmp_path, made(update))
    return tmp_path


def test_what_is_written_is_read(parent: Path) -> None:
    found, wanted = checkpoint.latest(parent), made(20)
    assert found is not None
    assert found.progress == wanted.progress
    assert (found.metrics, found.build) == (wanted.metrics, wanted.build)
    assert all(torch.equal(found.tensors[name], value) for name, value in wanted.tensors.items())


def test_the_newest_two_are_kept(parent: Path) -> None:
    for update in (9, 30, 100):
        checkpoint.write(parent, made(update))
    assert checkpoint.updates(parent) == [100, 30]
    assert checkpoint.latest(parent / "nothing") is None


def test_one_that_cannot_be_verified_removes_none(parent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged(*_: object) -> None:
        raise CheckpointError("not what was written")

    monkeypatch.setattr(checkpoint.atomic, "read", damaged)
    with pytest.raises(CheckpointError, match="not what was written"):
        checkpoint.write(parent, made(30))
    assert checkpoint.updates(parent) == [30, 20, 10]


def damage(folder: Path, other: Path, draw: random.Random) -> str:
    """Damage one file in one of eight ways, and say which and how."""
    path = folder / draw.choice([*FILES, "SHA256SUMS"])
    data = bytearray(path.read_bytes())
    how = draw.choice(["flip", "truncate", "swap", "delete", "empty", "foreign", "insert", "folder"])
    if how == "flip":
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    elif how == "truncate":
        del data[draw.randrange(len(data)) :]
    elif how == "swap":
        second = folder / draw.choice([name for name in FILES if name != path.name])
        data = bytearray(second.read_bytes())
        second.write_bytes(path.read_bytes())
    elif how == "empty":
        data.clear()
    elif how == "foreign":
        data = bytearray((other / path.name).read_bytes())
    elif how == "insert":
        data[draw.randrange(len(data)) : 0] = draw.randbytes(3)
    path.write_bytes(data)
    if how in ("delete", "folder"):
        path.unlink()
    if how == "folder":
        path.mkdir()
    return how


def test_of_200_damaged_ones_none_is_used_and_the_one_before_is(
    parent: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    draw, kinds = random.Random(0), set()
    for _ in range(200):
        copy = Path(shutil.copytree(parent, tmp_path / "copy"))
        newest = copy / "update-20"
        before = {path.name: path.read_bytes() for path in newest.iterdir()}
        while {path.name: path.is_file() and path.read_bytes() for path in newest.iterdir()} == before:
            kinds.add(damage(newest, copy / "update-10", draw))
        caplog.clear()
        with caplog.at_level(logging.WARNING, "unrolled"):
            found = checkpoint.latest(copy)
        assert found is not None
        assert found.progress.update == 10
        assert "checkpoint update-20 is not used: " in caplog.text
        assert any(name in caplog.text for name in [*FILES, "SHA256SUMS"])
        assert "update-10, the one before, is used instead" in caplog.text
        assert checkpoint.updates(copy) == [10]
        shutil.rmtree(copy)
    assert len(kinds) == 8


def test_a_checkpoint_that_is_damaged_again_is_moved_aside_again(parent: Path) -> None:
    whole = {path.name: path.read_bytes() for path in (parent / "update-20").iterdir()}
    for _ in range(2):
        (parent / "update-20").mkdir(exist_ok=True)
        for name, content in whole.items():
            (parent / "update-20" / name).write_bytes(content[:-1])
        assert checkpoint.latest(parent).progress.update == 10
    assert (parent / "update-20.damaged").is_dir()


def test_where_all_are_damaged_nothing_is_used(parent: Path) -> None:
    for update in (10, 20):
        (parent / f"update-{update}" / "tensors.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"no checkpoint is complete: .*update-20.*; .*update-10.* Train again"):
        checkpoint.latest(parent)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda p: p.update(format_version=2), "format_version 2, and this unrolled reads up to 1: install a newer"),
        (lambda p: p.pop("format_version"), "has no format_version"),
        (lambda p: p["progress"].update(update="../../x"), "update should be a valid integer"),
        (lambda p: p["progress"].update(least_loss_nats="NaN"), "least_loss_nats should be a valid number"),
        (lambda p: p["progress"].update(more=1), "more"),
        (lambda p: p["progress"].pop("updates"), "updates"),
        (lambda p: p.update(progress=[]), "progress"),
        (lambda p: p.clear(), "has no format_version"),
    ],
)
def test_a_hostile_progress_is_refused(edit: Callable[[dict], object], message: str, parent: Path) -> None:
    path = parent / "update-20" / "progress.json"
    value = json.loads(path.read_text())
    edit(value)
    path.write_text(json.dumps(value))
    sign(path.parent)
    with pytest.raises(CheckpointError, match=message) as refused:
        checkpoint.read(path.parent)
    assert "progress.json" in str(refused.value)


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"\xff" * 8,
        (10**15).to_bytes(8, "little") + b"{}",
        (2).to_bytes(8, "little") + b"{]",
        (64).to_bytes(8, "little") + b'{"w":{"dtype":"F32","shape":[99999999999],"data_offsets":[0,4]}}',
        b"\x80\x04cos\nmkdir\n",
    ],
)
def test_hostile_tensors_are_refused(header: bytes, parent: Path) -> None:
    path = parent / "update-20" / "tensors.safetensors"
    path.write_bytes(header)
    sign(path.parent)
    with pytest.raises(CheckpointError, match=r"tensors.safetensors is not a safetensors file"):
        checkpoint.read(path.parent)
