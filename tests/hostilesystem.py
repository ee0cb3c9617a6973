"""Hostile streams, limits, names and rights: commands that must end with a sentence, run in this process.

`CASES` is the list, `World` the folder in which they run. A command may succeed (exit code 0) or be refused (2) with
one sentence on standard error. It raises nothing, lets no control sequence from outside reach a terminal, leaves the
files that were there as they were, and writes nothing outside its folder.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import unrolled
from small import pairs, tag_run, text_run, trained, translation_run, write_csv, write_text
from unrolled.cli import progress
from unrolled.cli.console import Console
from unrolled.cli.main import run
from unrolled.config import fields
from unrolled.decoding import options

__all__ = ["CASES", "Case", "World"]

NOBODY = 65534
LONGEST = 60  # seconds that a case may take
PAYLOADS = (
    "\x1b[8mconceal",
    "\x1b]0;title\x07",
    "\x1b]8;;http://x\x1b\\link",
    "\x1b[2J\x1b[H",
    "\x1bc",
    "\x9b31m",
    "\x9d0;t\x9c",
    "back\b\b\bspace",
    "\x7f\x7f",
    "\u202etxt.exe",
    "\u2066isolate",
    "[/b]",
    "[link=http://x]l[/link]",
)
RAW = re.compile(
    "\x1b\\[8m|\x1b\\]|\x1bc|\x1b\\[2J\x1b\\[H|[\x07\x08\x7f-\x9f\u202a-\u202e\u2066-\u2069]|(?<!\r\n)\r(?!\n|\x1b|\\Z)"
)
"""Control sequences of the payloads, none of which we write ourselves."""


class Case(NamedTuple):
    """A command and its circumstances.

    Args:
        kind: streams, limits, names, rights or contents. arguments: of the command.
        stdin, stdout, stderr: their kinds, see `_stream`. user: whether it runs as a user without rights.
    """

    kind: str
    arguments: tuple[str, ...]
    stdin: str = "null"
    stdout: str = "file"
    stderr: str = "file"
    user: bool = False

    def __str__(self) -> str:
        streams = f"<{self.stdin} >{self.stdout} 2>{self.stderr}{' as nobody' if self.user else ''}"
        return f"{self.kind}: {' '.join(map(ascii, self.arguments))} {streams}"


TRAIN = ("train", "data.csv", "--updates", "2", "--hidden-size", "4", "--embedding-size", "4", "--quiet")
TEXT = ("train", "text.txt", "--task", "generate", "--updates", "2", "--hidden-size", "4", "--chunk", "8", "--quiet")
SAYING = (
    ("decode", "films", "a fine film", "a\tb\nc"),
    ("decode", "films", "a fine film", "--json"),
    ("decode", "films"),
    ("decode", "films", "--file", "-"),
    ("decode", "turner", "abc", "--beam", "2", "--n-best", "2"),
    ("decode", "tagger", "the film is fine"),
    ("decode", "writer", "--prompt", "the ", "--length", "20"),
    ("evaluate", "films", "data.csv"),
    ("evaluate", "films", "-"),
    ("explain", "films", "a fine film"),
    ("explain", "films", "a fine film", "--json"),
    ("explain", "films"),
    ("explain", "films", "a fine film", "--picture", "cell"),
    ("data", "data.csv"),
    ("data", "-"),
    ("config",),
    ("backends",),
    ("--help",),
    ("decode", "nothing"),
    TRAIN[:-1],
)
STREAMS = (
    ("null", "terminal", "terminal"),
    ("null", "full", "file"),
    ("null", "closed", "file"),
    ("null", "broken", "file"),
    ("null", "file", "closed"),
    ("null", "file", "full"),
    ("closed", "file", "file"),
    ("unreadable", "file", "file"),
)
NUMBERS = (str(10**30), str(-(10**30)), "1e308", "-1e308", "inf", "nan", "1e-320")
PLACES = (  # commands with a place for the name of a file or folder
    ("train", "@", "--quiet"),
    ("train", "@", "--task", "generate", "--quiet"),
    (*TRAIN, "--out", "@"),
    (*TRAIN, "--out", "@", "--overwrite"),
    (*TRAIN, "--from", "@"),
    (*TRAIN, "--config", "@"),
    (*TRAIN, "--valid", "@"),
    (*TEXT, "--cache", "@"),
    ("train", "--resume", "@"),
    ("decode", "@", "text"),
    ("decode", "films", "--file", "@"),
    ("evaluate", "films", "@"),
    ("explain", "@", "text"),
    ("explain", "films", "text", "--save", "@"),
    ("explain", "films", "text", "--export", "@"),
    ("explain", "films", "text", "--picture", "cell", "--out", "@"),
    ("export", "@"),
    ("export", "films", "--out", "@"),
    ("data", "@"),
    ("data", "data.csv", "--picture", "@"),
)
NAMES = (
    *(
        "/",
        ".",
        "..",
        "line\nend",
        "loop",
        "dangling",
        "loop.csv",
        "data.csv/x",
        "missing/x",
        "missing.csv",
        "empty.csv",
    ),
    *(
        "n" * 251,
        "n" * 247 + ".csv",
        "n" * 300,
        "caf\udce9.csv",
        "\x1b]0;owned\x07.csv",
        "\u202evsc.txt",
        "-",
        "films",
        "films/",
    ),
    *("binary.csv", "/dev/null", "/dev/full", "/dev/zero", "fifo", "fifo.csv"),
)
WRITTEN = {"--out", "--save", "--export", "--picture", "--cache"}
REFUSED = "a training refuses these data"  # the end of the report of `unrolled data`, in place of an error
LOCKED = ("locked", "locked.csv", "locked/x", "locked/x.csv", "readonly", "readonly/x", "classes", "locked_run")


def _limits() -> Iterator[Case]:
    numeric = [name for _, _, name, field in fields() if re.search(r"\b(int|float)\b", str(field.annotation))]
    for name, value in itertools.product(numeric, NUMBERS):
        yield Case("limits", ("train", "data.csv", f"--{name.replace('_', '-')}={value}"))
    drawn = [name for name in options.fields("decode") if name not in ("prefix", "stop", "truncate")]
    for name, value in itertools.product(drawn, NUMBERS):
        yield Case("limits", ("decode", "turner", "abc", f"--{name.replace('_', '-')}={value}"))
    for name, value in itertools.product(("max-length", "unit", "step", "head"), NUMBERS):
        picture = () if name == "max-length" else ("--picture", "cell")
        yield Case("limits", ("explain", "films", "a film", *picture, f"--{name}={value}"))


def _names() -> Iterator[Case]:
    for place, name in itertools.product(PLACES, NAMES):
        if "fifo" in name and {"--config", "--save", "--export", "--picture"} & {*place}:
            continue  # opening a pipe waits for its other end, as in every program
        if name == "/" and ("--file" in place or (place[-1] == "@" and "--out" not in place) or place[1] == "@"):
            continue  # all files of the machine would be read
        yield Case("names", tuple(name if each == "@" else each for each in place))


def _contents() -> Iterator[Case]:
    seen = {"stdout": "terminal", "stderr": "terminal"}
    for payload in PAYLOADS:
        for verb in (("decode", "hostile"), ("explain", "hostile"), ("decode", "turner"), ("explain", "turner")):
            yield Case("contents", (*verb, f"fine {payload} film"), **seen)
        yield Case("contents", ("decode", "writer", "--length", "9", "--prompt", f"the {payload}"), **seen)
        for command in (("decode", payload), ("train", payload), ("explain", "films", "x", "--picture", payload)):
            yield Case("contents", command, **seen)
        yield Case("contents", (f"--{payload}",), **seen)
    for command in (
        ("data", "hostile.csv"),
        ("evaluate", "hostile", "hostile.csv"),
        ("decode", "hostile", "--file", "hostile.csv"),
        ("decode", "hostile", "--file", "hostile.csv", "--json"),
        ("train", "hostile.csv", "--updates", "2", "--hidden-size", "4"),
    ):
        yield Case("contents", command, **seen)


CASES: tuple[Case, ...] = (
    *(Case("streams", command, *streams) for command, streams in itertools.product(SAYING, STREAMS)),
    *_limits(),
    *_names(),
    *(
        Case("rights", tuple(name if each == "@" else each for each in place), user=True)
        for place, name in itertools.product(PLACES, LOCKED)
    ),
    *_contents(),
)


class World:
    """A folder with runs and data, in which a command works, and another that it must not touch.

    Args:
        base: an empty folder.
    """

    def __init__(self, base: Path) -> None:
        self.folder, self.outside = base / "folder", base / "outside"
        self.outside.mkdir(parents=True)
        (self.outside / "canary").write_text("unchanged")
        self._fill()
        self.before = self._state()
        self.check(Case("names", ("explain", "films", "text", "--export", "page.html")))  # imports all that it needs

    def _fill(self) -> None:
        folder = self.folder
        folder.mkdir()
        for name, made in {"films": trained, "turner": translation_run, "writer": text_run, "tagger": tag_run}.items():
            made().save(folder / name)
        rows = [(f"{text} {PAYLOADS[i % len(PAYLOADS)]}", PAYLOADS[i % 3]) for i, (text, _) in enumerate(pairs())]
        write_csv(folder / "hostile.csv", rows)
        small = {"hidden_size": 4, "embedding_size": 4, "updates": 2, "min_frequency": 1}
        unrolled.train(rows, **small).save(folder / "hostile")
        write_csv(folder / "data.csv")
        write_text(folder / "text.txt")
        (folder / "empty.csv").touch()
        (folder / "binary.csv").write_bytes(bytes(range(256)))
        for name in ("loop", "loop.csv"):
            (folder / name).symlink_to(name)
        (folder / "dangling").symlink_to("nowhere/at/all")
        for name in ("fifo", "fifo.csv"):
            os.mkfifo(folder / name)
        write_csv(folder / "locked.csv").chmod(0)
        trained().save(folder / "locked_run")
        (folder / "locked_run" / "config.json").chmod(0)
        for name, mode in {"locked": 0, "readonly": 0o555, "classes/a": 0, "classes/b": 0o755}.items():
            (folder / name).mkdir(parents=True)
            (folder / name).chmod(mode)
        if os.geteuid() == 0:
            for path in (folder.parent, folder, *folder.rglob("*")):
                os.chown(path, NOBODY, NOBODY, follow_symlinks=False)

    def check(self, case: Case) -> int:
        """Run a case and return its exit code.

        Raises:
            AssertionError: a promise is broken. All that the command raises.
        """
        try:
            return self._checked(case)
        finally:
            self._check_files(case)

    def _checked(self, case: Case) -> int:
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(self.folder)
            patch.setenv("XDG_CACHE_HOME", str(self.folder / "cache"))
            patch.setenv("TERM", "xterm-256color")
            code, said = self._run(case)
        assert code in (0, 2), f"{case}: exit code {code}"
        out, err = said["stdout"], said["stderr"]
        assert "Traceback" not in out + err, f"{case}: {err}"
        if code == 2 and case.stderr in ("file", "terminal"):
            assert len(re.findall(r"^unrolled: .", err, re.MULTILINE)) == 1 or REFUSED in out, f"{case}: {err!r}"
        if case.stdout == "terminal":
            found = RAW.search(out + err)
            assert not found, f"{case}: {found and found[0]!r} in {out + err!r}"
        return code

    def _check_files(self, case: Case) -> None:
        """Check that a case has changed and written no other files than it was told to, and undo its changes."""
        after = self._state()
        changed = {path for path in self.before if after.get(path) != self.before[path]}
        named = {self.folder / case.arguments[i + 1] for i, each in enumerate(case.arguments) if each in WRITTEN}
        others = {path for path in changed if not any(path.is_relative_to(each) for each in named)}
        new = after.keys() - self.before.keys()
        for path in sorted(new):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        if changed:
            shutil.rmtree(self.folder)
            self._fill()
            self.before = self._state()
        assert not others, f"{case}: files have changed: {others}"
        assert not any(path.is_relative_to(self.outside) for path in new), f"{case}: writes outside: {new}"

    def _state(self) -> dict[Path, tuple[int, int]]:
        """Return the size and time of each file, and the kind of all else."""
        paths = [*self.outside.parent.rglob("*")]
        return {
            path: (stat.st_mode, stat.st_size * path.is_file() + stat.st_mtime_ns * path.is_file())
            for path in paths
            for stat in [path.lstat()]
        }

    def _run(self, case: Case) -> tuple[int, dict[str, str]]:
        said = {"stdout": "", "stderr": ""}
        with ExitStack() as stack:
            for name in ("stdin", "stdout", "stderr"):
                stack.enter_context(_stream(name, getattr(case, name), said))
            before, progress.console = progress.console, Console(stderr=True)
            stack.callback(setattr, progress, "console", before)
            stack.enter_context(_alarm())
            if case.user and os.geteuid() == 0:
                os.seteuid(NOBODY)
                stack.callback(os.seteuid, 0)
            return run(list(case.arguments)), said


@contextmanager
def _alarm() -> Iterator[None]:
    """Raise an error in a command that hangs."""

    def hang(*_: object) -> None:
        raise AssertionError(f"it takes more than {LONGEST} s")

    before = signal.signal(signal.SIGALRM, hang)
    signal.alarm(LONGEST)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def _stream(name: str, kind: str, said: dict[str, str]) -> Iterator[None]:
    """Replace a standard stream: file, terminal, full (a disk), broken (a pipe), closed, null, unreadable."""
    before = getattr(sys, name)
    reader, thread, stream = None, None, None
    text: dict[str, Any] = {"encoding": "utf-8", "errors": "backslashreplace"}
    if kind == "terminal":
        reader, writer = os.openpty()
    elif kind in ("file", "broken"):
        reader, writer = os.pipe()
    if kind in ("terminal", "file"):
        thread = threading.Thread(target=_read, args=(reader, name, said))
        thread.start()
        stream = os.fdopen(writer, "w", **text)
    elif kind == "broken":
        os.close(reader)
        stream = os.fdopen(writer, "w", **text)
    elif kind == "full":
        stream = Path("/dev/full").open("w", buffering=1, **text)  # noqa: SIM115
    elif kind == "null":
        stream = Path(os.devnull).open(**text)  # noqa: SIM115
    elif kind == "unreadable":
        stream = os.fdopen(os.open(os.devnull, os.O_WRONLY), **text)
    setattr(sys, name, stream)
    try:
        yield
    finally:
        setattr(sys, name, before)
        if stream is not None:
            stream.close()
        if thread is not None:
            thread.join()


def _read(descriptor: int, name: str, said: dict[str, str]) -> None:
    """Read a stream to its end."""
    data = b""
    while True:
        try:
            read = os.read(descriptor, 1 << 16)
        except OSError:  # the end of a terminal
            read = b""
        if not read:
            break
        data += read
    os.close(descriptor)
    said[name] = data.decode("utf-8", "surrogateescape")
