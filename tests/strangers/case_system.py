"""Unlucky machines and hostile strings: a sentence and exit code 2, nothing lost, nothing written over."""

import contextlib
import io
import os
import resource
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from small import image_run, tag_run, trained, translation_run, write_csv
from strangers.cases import case
from unrolled import api
from unrolled.cli.console import Console
from unrolled.cli.main import run
from unrolled.data.reading.stdin import standard_input

INVISIBLE = "a\xa0b\u202fc\u200cd\u200de\u3000f"
TINY = ("--updates", "3", "--hidden-size", "4", "--embedding-size", "4", "--quiet")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@contextlib.contextmanager
def inside(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def told(folder: Path, *arguments: object, **streams: Any) -> tuple[int, str, str]:
    """Run a command in a folder; return its exit code, standard output and standard error."""
    streams = {"stdout": io.StringIO(), "stderr": io.StringIO(), **streams}
    with inside(folder), contextlib.ExitStack() as stack:
        for name, stream in streams.items():
            stack.enter_context(mock.patch.object(sys, name, stream))
        code = run([str(argument) for argument in arguments])
    out, err = (getattr(streams[name], "getvalue", str)() for name in ("stdout", "stderr"))
    return code, out, err


def refused(folder: Path, *arguments: object, words: str, **streams: Any) -> None:
    """Assert that a command is refused with one sentence that holds these words, and that no file has changed."""
    before = {path: path.lstat().st_mtime_ns for path in folder.rglob("*") if not path.is_dir()}
    code, out, err = told(folder, *arguments, **streams)
    assert (code, out) == (2, ""), (code, out, err)
    assert err.startswith("unrolled: "), err
    assert words in err, err
    assert {path: path.lstat().st_mtime_ns for path in folder.rglob("*") if not path.is_dir()} == before


@case("A")
def translations_keep_their_characters(folder: Path) -> None:
    """Plain decode of translate writes no-break spaces and joiners as they are, in files and on terminals."""
    translation_run().save(folder / "run")
    for stream in (io.StringIO(), Terminal()):
        code, out, _ = told(folder, "decode", "run", INVISIBLE, stdout=stream)
        assert (code, out.rstrip("\n").split("\t")[2]) == (0, INVISIBLE), out


@case("A")
def tags_keep_their_characters(folder: Path) -> None:
    """Plain decode of tag writes the characters of words as they are."""
    tag_run().save(folder / "run")
    word = "fi\u200cl\u200dm"
    code, out, _ = told(folder, "decode", "run", f"the {word}")
    assert code == 0
    assert word in [line.split("\t")[0] for line in out.splitlines()]


@case("A")
def labels_keep_their_characters(folder: Path) -> None:
    """Plain decode of classify writes a label with a no-break space as it is; a text of two lines stays one line."""
    rows = [(f"a fine film {i}", INVISIBLE) if i % 2 else (f"a dull film {i}", "no") for i in range(40)]
    api.train(rows, hidden_size=4, embedding_size=4, updates=2).save(folder / "run")
    labels = api.load(folder / "run").labels
    code, out, _ = told(folder, "decode", "run", "a\tfine\nfilm\r", *["x"] * 3)
    assert code == 0
    assert INVISIBLE in labels
    lines = out.split("\n")
    assert len(lines) == 5
    assert lines[0].split("\t")[2] == r"a\tfine\nfilm\r"
    assert all(line.split("\t")[0] in labels for line in lines[:-1])


@case("F")
def a_terminal_obeys_nobody_else(folder: Path) -> None:
    """Control sequences in labels, texts, names and flags reach a terminal as escapes, also in tables of rich."""
    evil = "\x1b]0;owned\x07\x9b8m\x7f\u202e"
    rows = [(f"{evil} film {i}", evil) if i % 2 else (f"a dull film {i}", "no") for i in range(40)]
    api.train(rows, hidden_size=4, embedding_size=4, updates=2).save(folder / "run")
    write_csv(folder / "data.csv", rows)
    for arguments in (
        ("decode", "run", f"a {evil} film"),
        ("decode", "run", f"a {evil} film", "--json"),
        ("explain", "run", f"a {evil} [/b] film"),
        ("evaluate", "run", "data.csv"),
        ("data", "data.csv"),
        ("decode", evil),
        (f"--{evil}",),
    ):
        code, out, err = told(folder, *arguments, stdout=Terminal(), stderr=Terminal())
        assert code in (0, 2), (arguments, err)
        assert not {*"\x07\x7f\x9b\u202e"} & {*(out + err)}, (arguments, out, err)
        assert "\x1b]" not in out + err


@case("F")
def rich_styles_are_ours_only(folder: Path) -> None:
    """The console of tables passes its own styling, and no markup or sequence of the text."""
    terminal = Terminal()
    with mock.patch.object(sys, "stdout", terminal):
        from unrolled.cli.streams import guarded

        with guarded():
            Console(force_terminal=True, color_system="standard").print("[red]x[/red] \x1b[8my", style="bold")
    assert terminal.getvalue() == "\x1b[1m[red]x[/red] \\u001b[8my\x1b[0m\n"


@case("F")
def a_full_standard_output(folder: Path) -> None:
    """A full disk behind standard output is a sentence: /dev/full."""
    with Path("/dev/full").open("w") as full:
        refused(folder, "config", words="standard output: No space left on device; free some space", stdout=full)


@case("F")
def closed_streams(folder: Path) -> None:
    """Closed streams (>&-, <&-, 2>&-) are sentences, and no message goes to standard output."""
    trained().save(folder / "run")
    standard_input.cache_clear()  # an earlier command of this process may have read it
    refused(folder, "config", words="standard output is closed", stdout=None)
    refused(folder, "decode", "run", words="standard input: it is closed", stdin=None)
    refused(folder, "data", "-", words="standard input: it is closed", stdin=None)
    refused(folder, "explain", "run", words="standard input: it is closed", stdin=None)
    assert told(folder, "decode", "nothing", "text", stderr=None) == (2, "", "")


@case("F")
def a_deleted_working_folder(folder: Path) -> None:
    """A working folder that is gone is a sentence."""
    (folder / "gone").mkdir()
    with inside(folder / "gone"), contextlib.redirect_stderr(io.StringIO()) as err:
        (folder / "gone").rmdir()
        assert run(["train", str(write_csv(folder / "data.csv")), "--out", "run", *TINY]) == 2
    assert err.getvalue().startswith("unrolled: ")


@case("F")
def places_that_no_run_can_take(folder: Path) -> None:
    """Roots, the working folder, links to themselves or to nothing are refused as --out before any data is read."""
    (folder / "loop").symlink_to("loop")
    (folder / "nowhere").symlink_to("not/there")
    for name, words in {
        "/": "root of the file system",
        ".": "is the working folder, or holds it",
        "..": "is the working folder, or holds it",
        "loop": "is a link to itself, or to nothing",
        "nowhere": "is a link to itself, or to nothing",
        "n" * 300: "File name too long",
        "n" * 250: "File name too long",
    }.items():
        for more in ((), ("--overwrite",)):
            refused(folder, "train", "no-such-data.csv", "--out", name, *more, *TINY, words=words)
    for verb in ("decode", "explain"):
        for name in ("/", ".", "..", "loop", "n" * 300):
            refused(folder, verb, name, "text", words="")


@case("F")
def a_run_behind_a_link_is_replaced(folder: Path) -> None:
    """--out through a link writes next to the run that it leads to, so that nothing is renamed across file systems."""
    trained().save(folder / "far" / "run")
    (folder / "link").symlink_to("far/run")
    data = write_csv(folder / "data.csv")
    assert told(folder, "train", data, "--out", "link", "--overwrite", *TINY)[0] == 0
    assert (folder / "link").is_symlink()
    assert sorted(path.name for path in (folder / "far").iterdir()) == ["run"]


@case("F")
def names_that_are_not_utf8(folder: Path) -> None:
    """Names that are not UTF-8 are sentences, as arguments and in folders of images."""
    bad = "caf\udce9"
    for arguments in (("data", f"{bad}.csv"), ("train", "data.csv", "--out", bad), ("decode", bad, "text")):
        refused(folder, *arguments, words=r"caf\udce9")
    for label in (bad, "tea"):
        (folder / "photos" / label).mkdir(parents=True)
        (folder / "photos" / label / "x.png").touch()
    refused(folder, "train", "photos", "--quiet", words="its name is not UTF-8")


@case("F")
def an_old_checkpoint_that_stays(folder: Path) -> None:
    """An old checkpoint that cannot be removed ends the training with a sentence; it can be resumed."""
    write_csv(folder / "data.csv")
    remove = shutil.rmtree

    def rmtree(path: Path, **options: Any) -> None:
        if Path(path).name == "update-1":
            raise PermissionError(13, "Permission denied", str(path))
        remove(path, **options)

    command = ("train", "data.csv", "--out", "run", "--checkpoint-every", "1", *TINY)
    with mock.patch.object(shutil, "rmtree", rmtree):
        code, _, err = told(folder, *command)
    assert code == 2
    assert "update-1 cannot be removed: Permission denied; check its permissions" in err
    assert told(folder, "train", "--resume", "run")[0] == 0


@case("F")
def numbers_out_of_all_bounds(folder: Path) -> None:
    """Numbers of 10^30 and 1e308 are refused with the bound and its reason, as flags and in TOML."""
    for setting, words in {
        "threads=100000": "1024 (no processor has more cores)",
        f"accumulate={10**30}": "(all its batches are held in memory)",
        f"vocabulary-size={10**30}": "(more fits into no memory)",
        f"chunk={10**30}": "(more fits into no memory)",
        f"seed={10**30}": "(a seed has 63 bits)",
        "forget-bias=1e308": "(the gate is saturated long before)",
        "learning-rate=1e308": "(beyond, float32 overflows)",
        "clip=inf": "finite",
        f"time-limit={10**30}h": "at most 10 years",
    }.items():
        refused(folder, "train", "no-such-data.csv", f"--{setting}", words=words)
    (folder / "x.toml").write_text(f"[training]\naccumulate = {10**30}\n[model]\nforget_bias = 1e308\n")
    refused(folder, "config", "--config", "x.toml", words="x.toml, line 2: accumulate")


@case("F")
def little_memory(folder: Path) -> None:
    """An allocation that fails is a sentence with the sizes to change."""
    write_csv(folder / "data.csv")
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    told(folder, "train", "data.csv", "--out", "warm", *TINY)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 29), hard))
    try:
        arguments = ("--model", "lstm", "--hidden-size", "30000", "--quiet", "--out", "big")
        refused(folder, "train", "data.csv", *arguments, words="there is not enough memory")
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    assert not (folder / "big").exists()


@case("F")
def pipes_and_devices_as_data(folder: Path) -> None:
    """Pipes and devices as data, images and settings are refused instead of read without end."""
    write_csv(folder / "data.csv")
    image_run().save(folder / "run")
    for name in ("fifo.csv", "fifo.png", "fifo.toml"):
        os.mkfifo(folder / name)
    refused(folder, "train", "fifo.csv", *TINY, words="pipe or a device")
    refused(folder, "train", "/dev/zero", *TINY, words="/dev/zero: ")
    for name in ("fifo.toml", "/dev/zero"):
        refused(folder, "train", "data.csv", "--config", name, words="pipe or a device")
    refused(folder, "decode", "run", "fifo.png", words="pipe or a device")


@case("F")
def outputs_that_cannot_be_written(folder: Path) -> None:
    """A full disk, a folder and a missing folder as output files are sentences; an earlier file is unchanged."""
    trained().save(folder / "run")
    (folder / "folder").mkdir()
    for flag in (("--export",), ("--save",), ("--picture", "cell", "--out")):
        for name in ("/dev/full", "folder", "missing/x", "n" * 300):
            refused(folder, "explain", "run", "a film", *flag, name, words="cannot be written")


@case("F")
def leftovers_of_a_kill(folder: Path) -> None:
    """plan/, checkpoints/ and .NAME.old of a training that was killed at its end are removed by the next command."""
    trained().save(folder / "run")
    shutil.copytree(folder / "run", folder / ".run.old")
    (folder / "run" / "checkpoints" / "update-1").mkdir(parents=True)
    (folder / "run" / "plan").mkdir()
    (folder / "run" / "plan" / "SHA256SUMS").touch()
    (folder / "run" / "mine").mkdir()
    assert told(folder, "decode", "run", "a film")[0] == 0
    assert sorted(path.name for path in folder.iterdir()) == ["run"]
    assert not (folder / "run" / "plan").exists()
    assert not (folder / "run" / "checkpoints").exists()
    assert (folder / "run" / "mine").exists()
