"""Sealed folders: whole or not there, whatever fails; and one process at a time."""

import errno
import multiprocessing
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from unrolled import atomic
from unrolled.errors import CheckpointError

FILES = {"a.bin": b"a" * 5000, "b.json": b"{}"}
OTHER = {"a.bin": b"other", "b.json": b"[]"}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    atomic.write(tmp_path / "x", FILES)
    assert atomic.read(tmp_path / "x", FILES) == FILES
    assert sorted(path.name for path in (tmp_path / "x").iterdir()) == ["SHA256SUMS", "a.bin", "b.json"]
    done = subprocess.run(["sha256sum", "--check", "SHA256SUMS"], cwd=tmp_path / "x", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    atomic.write(tmp_path / "x", OTHER)
    assert atomic.read(tmp_path / "x", FILES) == OTHER
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


@pytest.mark.parametrize("name", [*FILES, "SHA256SUMS"])
def test_every_flipped_bit_is_noticed(name: str, tmp_path: Path) -> None:
    atomic.write(tmp_path / "x", {"a.bin": b"abc", "b.json": b"{}"})
    path = tmp_path / "x" / name
    whole = path.read_bytes()
    for bit in range(8 * len(whole)):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=r"a\.bin|b\.json|SHA256SUMS"):
            atomic.read(tmp_path / "x", FILES)


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO, errno.EROFS])
@pytest.mark.parametrize("what", ["fsync", "rename", "open"])
def test_an_error_at_any_write_leaves_what_was_there(
    what: str, error: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every call of the system that writes fails once, in turn."""
    home = {"fsync": os, "rename": Path, "open": Path}[what]
    as_ever = getattr(home, what)
    atomic.write(tmp_path / "x", FILES)

    def write(failing: int) -> bool:
        """Write, with the n-th call failing; False if there are fewer."""
        calls = iter(range(100))

        def call(*arguments: object, **options: object) -> object:
            if next(calls) == failing:
                raise OSError(error, os.strerror(error))
            return as_ever(*arguments, **options)

        with monkeypatch.context() as patch:
            patch.setattr(home, what, call)
            atomic.write(tmp_path / "x", OTHER)
        return next(calls) <= failing

    refused = f"{tmp_path / 'x'} cannot be written: {os.strerror(error)}; earlier files are unchanged"
    most = {"fsync": 5, "rename": 2, "open": 3}[what]
    for failing in range(most):
        with pytest.raises(CheckpointError, match=re.escape(refused)):
            write(failing)
        last = what == "fsync" and failing == most - 1  # of the parent, after the rename
        assert atomic.read(tmp_path / "x", FILES) == (OTHER if last else FILES)
    assert write(most), "there are no more calls"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def killed_at(folder: Path, call: int) -> None:
    """Write in a process that is killed at its n-th call of the system that writes; leave with 0 if it has fewer."""
    calls = iter(range(1000))

    def counted(as_ever):
        def counting(*arguments: object, **options: object) -> object:
            if next(calls) == call:
                os.kill(os.getpid(), signal.SIGKILL)
            return as_ever(*arguments, **options)

        return counting

    for home, name in [(os, "fsync"), (os, "mkdir"), (os, "rename"), (os, "unlink"), (os, "rmdir"), (Path, "open")]:
        setattr(home, name, counted(getattr(home, name)))
    atomic.write(folder, OTHER)
    atomic.write(folder, FILES)


def test_a_kill_at_any_call_leaves_a_folder_that_is_whole_or_can_be_found(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    for call in range(0, 40, 3):
        folder = tmp_path / str(call) / "x"
        atomic.write(folder, FILES)
        process = context.Process(target=killed_at, args=(folder, call))
        process.start()
        process.join()
        old = folder.with_name(".x.old")
        assert atomic.read(folder if folder.exists() else old, FILES) in (FILES, OTHER)
        atomic.write(folder, OTHER)
        assert atomic.read(folder, FILES) == OTHER
        assert [path.name for path in folder.parent.iterdir()] == ["x"], "what a kill left is cleared away"
    assert process.exitcode == 0


def test_one_process_at_a_time(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib\nfrom unrolled import atomic\n"
        "with atomic.lock(pathlib.Path(sys.argv[1])) as ours:\n    print(ours, flush=True)\n    sys.stdin.read()\n"
    )

    def other() -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    with other() as holder:
        assert holder.stdout.readline() == "True\n"
        with atomic.lock(tmp_path) as ours:
            assert not ours
        holder.kill()
    with atomic.lock(tmp_path) as ours:
        assert ours, "a kill leaves no lock behind"
        tmp_path.rename(tmp_path.with_name("renamed"))
        with atomic.lock(tmp_path.with_name("renamed")) as again:
            assert not again, "a rename keeps the lock"
    with atomic.lock(tmp_path.with_name("renamed")) as ours:
        assert ours
