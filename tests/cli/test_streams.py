"""Hostile streams, limits, names and rights; `benchmarks/hostile_system.py` runs all of them."""

import errno
import io
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from hostilesystem import CASES, Case, World
from unrolled import api
from unrolled.cli.console import Console
from unrolled.cli.main import run
from unrolled.cli.streams import Stream, escaped, guarded
from unrolled.errors import ConfigError, of_system
from unrolled.kernels import native

MAIN = "from unrolled.cli.main import main; main()"
SLICE = 60


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with tempfile.TemporaryDirectory(prefix="unrolled-") as folder:  # that of pytest may be entered by its owner only
        Path(folder).chmod(0o755)
        yield World(Path(folder))


@pytest.mark.parametrize("case", random.Random(0).sample(CASES, SLICE), ids=str)
def test_an_unlucky_command_ends_with_a_sentence(case: Case, world: World) -> None:
    world.check(case)


def test_the_cases_are_many_and_differ() -> None:
    assert len(CASES) == len(set(CASES)) > 500
    assert {case.kind for case in CASES} == {"streams", "limits", "names", "rights", "contents"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\tb\nc", "a\tb\nc"),
        ("\x1b[2J\r\x00", r"\u001b[2J\u000d\u0000"),
        ("\x7f\x9b", r"\u007f\u009b"),
        ("\u202e\u2066\u2028", r"\u202e\u2066\u2028"),
        ("\udcff", r"\udcff"),
        ("\xa0\u202f\u200c\u200d\u3000\u200f é 漢 👩‍👩‍👧", "\xa0\u202f\u200c\u200d\u3000\u200f é 漢 👩‍👩‍👧"),
    ],
)
def test_control_characters_are_escaped_and_no_others(text: str, shown: str) -> None:
    assert escaped(text) == escaped(shown) == shown


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_only_a_terminal_is_protected(monkeypatch: pytest.MonkeyPatch) -> None:
    for stream, shown in ((io.StringIO(), "\x1b[31m\n"), (Terminal(), "\\u001b[31m\n")):
        monkeypatch.setattr(sys, "stdout", stream)
        with guarded():
            sys.stdout.write("\x1b[31m\n")
        assert stream.getvalue() == shown
        assert sys.stdout is stream


def test_the_console_writes_its_own_styling_only(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    with guarded():
        assert isinstance(sys.stdout, Stream)
        Console(force_terminal=True, color_system="truecolor").print("[/b] :smile: \x1b[8mx", style="bold")
    assert terminal.getvalue() == "\x1b[1m[/b] :smile: \\u001b[8mx\x1b[0m\n"


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (MemoryError(), "there is not enough memory"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), "there is not enough"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate"), "there is not enough memory"),
        (ImportError("libtorch.so: failed to map segment from shared object"), "there is not enough memory"),
        (OSError(errno.ENOSPC, "No space left on device", "x\x1b"), r"x\x1b: No space left on device; free some space"),
        (PermissionError(errno.EACCES, "Permission denied", b"x"), "x: Permission denied; check its permissions"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory"), "the working folder was removed"),
        (OSError(errno.EMFILE, "Too many open files"), "the system failed: Too many open files; allow more"),
        (RuntimeError("Symlink loop from 'x'"), "the system failed: Symlink loop"),
        (RuntimeError("can't start new thread"), "the system failed: can't start new thread"),
        (UnicodeEncodeError("utf-8", "caf\udce9", 3, 4, "surrogates not allowed"), "a name is not UTF-8"),
    ],
)
def test_an_error_of_the_system_is_a_sentence(
    error: Exception, sentence: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(api, "backends", raising(error))
    assert run(["backends"]) == 2
    assert capsys.readouterr().err.startswith(f"unrolled: {sentence}")


@pytest.mark.parametrize(
    "error",
    [ValueError("x"), RuntimeError("shape"), OSError("x"), KeyError("x"), UnicodeEncodeError("a", "é", 0, 1, "")],
)
def test_a_bug_of_ours_is_not_hidden(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "backends", raising(error))
    assert of_system(error) is None
    with pytest.raises(type(error)):
        run(["backends"])


def raising(error: Exception) -> Callable[..., None]:
    def load(*_: object, **__: object) -> None:
        raise error

    return load


def test_an_install_without_kernels_says_so_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data.csv").write_text("text,label\n")
    monkeypatch.setattr(native, "kernels", None)
    monkeypatch.setattr(api, "train", raising(ConfigError("enough")))
    (tmp_path / "data.csv").touch()
    assert run(["train", "data.csv"]) == 2
    assert capsys.readouterr().err == f"{native.NO_KERNELS}\nunrolled: enough\n"
    assert run(["train", "data.csv", "--quiet"]) == 2
    assert native.NO_KERNELS not in capsys.readouterr().err
    assert run(["backends"]) == 0
    assert native.NO_KERNELS in capsys.readouterr().out


def test_closed_streams_of_a_process(tmp_path: Path) -> None:
    """One process each: only the interpreter closes streams at its start."""
    python = f'{sys.executable} -c "{MAIN}"'

    def shell(command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, timeout=60)

    said = shell(f"{python} config >&-")
    assert (said.returncode, said.stdout) == (2, "")
    assert said.stderr == "unrolled: standard output is closed: redirect it, for example with > /dev/null\n"
    said = shell(f"{python} config --typo 2>&-")
    assert (said.returncode, said.stdout, said.stderr) == (2, "", "")
    said = shell(f"{python} config > /dev/full")
    assert (said.returncode, said.stderr.count("\n")) == (2, 1)
    assert said.stderr.startswith("unrolled: standard output: No space left on device")
    said = shell(f"mkdir gone && cd gone && rmdir ../gone && {python} train x.csv --out run")
    assert (said.returncode, "Traceback" in said.stderr) == (2, False)


def test_a_command_that_is_told_to_end_removes_its_temporary_files(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", MAIN, "data", "-"],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin
        process.stdin.write(b"text,label\n" * 20_000)
        process.stdin.flush()
        while not [*tmp_path.iterdir()]:
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 128 + signal.SIGTERM
    assert [*tmp_path.iterdir()] == []
