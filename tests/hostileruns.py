"""Changed run folders with right sums: each is a pure function of its number.

A stranger's run is a folder whose sums hold, since whoever changes a file also writes SHA256SUMS. `Surroundings` makes
small runs of every task and of every format, and a training that can be resumed; `Surroundings.check` changes one entry
of one file in a copy, and runs the commands that read it. The tests use some hundred of them;
benchmarks/hostile_runs.py uses as many as are requested.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import re
import shutil
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import unrolled
from small import (
    SMALL,
    pairs,
    rated,
    sentences,
    translations,
    write_conllu,
    write_csv,
    write_idx,
    write_images,
    write_pairs,
    write_text,
)
from unrolled.cli.main import run
from unrolled.errors import UnrolledError
from unrolled.inside import Trace
from unrolled.training.loop import Trainer

FORMATS = Path(__file__).parent / "format_2"
RAW = ("NaN", "Infinity", "-Infinity", "1e999", "1" * 5000, "[" * 5000, '"\\ud800"', "{]")  # no JSON, or beyond it
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
ESCAPES = "\x1b]0;owned\x07\x1b[2J\u202e\u2028\x9b1m"
VALUES: tuple[Any, ...] = (
    *(None, True, False, -1, 0, 1, 3, 2**31, 2**63, 10**30, 0.5, 1e308, -1e308, 1e-320),
    *("", "x", "x" * 100_000, ESCAPES, "../x", "../../etc/passwd", "/etc/passwd", "/", "/proc/self/mem", "a\0b", "5"),
    *("hub:nobody/nothing", "sample:films", "sample:nothing", "-", "python objects", "standard input", "{0}", "%s"),
    *([], [[]], {}, {"a": None}, [1, "x", None], [0.5] * 3, {"__class__": "os.system"}),
    *(("raw", text) for text in RAW),
)
RESUMED = "resumed"
UNREAD = ("README.md", "SHA256SUMS")
JSON = "config.json"


class Terminal(io.StringIO):
    """A terminal that keeps what is written."""

    encoding = "utf-8"  # type: ignore[assignment]

    def isatty(self) -> bool:
        """Return True."""
        return True


class Case(NamedTuple):
    """A change: the number of the case, the base that is changed, the file, and what is changed in it."""

    number: int
    base: str
    file: str
    change: str

    def __str__(self) -> str:
        return f"case {self.number}: {self.base}/{self.file}: {self.change}"


class Fault(NamedTuple):
    """What a case must not do: its kind, "traceback", "escape" or "write"; and a description."""

    kind: str
    text: str


class Surroundings:
    """A folder with data, runs and traces, in which every case is run.

    Args:
        root: an empty folder. The environment must have its cache, home and temporary folder in it.
    """

    def __init__(self, root: Path) -> None:
        self.root, self.bases = root, root / "bases"
        for name in ("data", "bases", "case", "cwd", "outside"):
            (root / name).mkdir(parents=True)
        (root / "outside" / "secret.csv").write_text("text,label\nsecret,pos\nhidden,neg\n")
        self._train()
        pixels = json.loads((FORMATS / "images-elman" / "pixels.json").read_text())
        shape = 3, pixels["height"], pixels["width"]
        write_idx(root / "data" / "old" / "test-images-idx3-ubyte", np.full(shape, 9, np.uint8))
        for folder in sorted(FORMATS.iterdir()):
            if folder.is_dir():
                shutil.copytree(folder, self.bases / f"2-{folder.name}")
                first = shutil.copytree(folder, self.bases / f"1-{folder.name}")
                config = json.loads((first / JSON).read_text())
                (first / JSON).write_text(json.dumps(config | {"format_version": 1}))
                sign(first)
        self.names = sorted(path.name for path in self.bases.iterdir())

    def _train(self) -> None:
        """Train the small runs of the present format, on files, and interrupt one."""
        data, small = self.root / "data", SMALL | {"updates": 2, "evaluate_every": 1}
        char = small | {"tokenizer": "character", "dropout": 0.0}
        write_csv(data / "a.csv", pairs())
        unrolled.train(data / "a.csv", out=self.bases / "classify", model="gru", keep="snapshots", **small)
        write_csv(data / "b.csv", pairs(seed=1))
        unrolled.train(data / "a.csv", out=self.bases / "files", test=str(data / "b.csv"), tokenizer="bpe", **small)
        write_csv(data / "numbers.csv", rated())
        unrolled.train(data / "numbers.csv", out=self.bases / "regress", task="regress", **small)
        write_csv(data / "labels.csv", [(text, f"{label};{'xy'[i % 2]}") for i, (text, label) in enumerate(pairs())])
        unrolled.train(data / "labels.csv", out=self.bases / "labels", multi_label=True, **small)
        write_images(data / "set")
        image = {"hidden_size": 5, "updates": 2, "batch_images": 16}
        unrolled.train(data / "set", out=self.bases / "images", model="elman", **image)
        write_conllu(data / "a.conllu", sentences())
        unrolled.train(data / "a.conllu", out=self.bases / "tag", task="tag", model="lstm", **char)
        write_pairs(data / "pairs.csv", translations())
        unrolled.train(data / "pairs.csv", out=self.bases / "translate", task="translate", batch_tokens=400, **char)
        write_text(data / "a.txt")
        text = {"embedding_size": 6, "hidden_size": 8, "updates": 4, "streams": 2, "chunk": 16, "checkpoint_every": 1}
        unrolled.train(data / "a.txt", out=self.bases / "generate", task="generate", model="gru", **text)
        with stopped_at(3), contextlib.suppress(StopError):
            unrolled.train(data / "a.txt", out=self.bases / RESUMED, task="generate", model="gru", **text)
        with stopped_at(3), contextlib.suppress(StopError):
            unrolled.train(
                data / "a.csv", out=self.bases / f"{RESUMED}-texts", **small | {"updates": 9, "checkpoint_every": 1}
            )
        (self.bases / "trace").mkdir()
        unrolled.load(self.bases / "translate").explain("abc").save(self.bases / "trace" / "trace")

    def check(self, number: int) -> tuple[Case, list[Fault], list[int]]:
        """Run the case of a number; return it, its faults, and the exit code of each command."""
        draw = random.Random(number)
        base = draw.choice(self.names)
        copy = Path(shutil.copytree(self.bases / base, self.root / "case" / base))
        file, change = change_one(copy, draw)
        before = listing(self.root)
        case, faults, codes = Case(number, base, file, change), [], []
        for arguments in self.commands(copy):
            try:
                code, out, err = ask(arguments)
            except Exception as error:  # noqa: BLE001  (any exception is a traceback at the user's)
                faults.append(Fault("traceback", f"{arguments[0]}: {type(error).__name__}: {error}"[:300]))
                continue
            codes.append(code)
            if code not in (0, 2) or (code == 2) != any(line.startswith("unrolled: ") for line in err.splitlines()):
                faults.append(Fault("traceback", f"{arguments[0]}: exit code {code}: {err[:300]}"))
            if found := CONTROL.search(out + err):
                faults.append(Fault("escape", f"{arguments[0]}: {found[0]!r} in {(out + err)[:200]!r}"))
        for path in before.items() ^ listing(self.root).items():
            if not base.startswith(RESUMED) or f"case/{base.removesuffix('.partial')}" not in path[0]:
                faults.append(Fault("write", f"{path[0]} was written"))
        for path in (self.root / "case").iterdir():
            shutil.rmtree(path)
        return case, faults, codes

    def commands(self, folder: Path) -> Iterator[list[str]]:
        """Yield the commands that read a folder."""
        if folder.name.startswith(RESUMED):
            yield ["train", "--resume", str(folder), "--finish"]
        elif folder.name == "trace":
            yield ["trace", str(folder / "trace")]
        else:
            task, text = folder.name.split("-")[-2:][0], _text(folder.name)
            images = self.root / "data" / ("old/test" if "-" in folder.name else "set/train")
            inputs = {"generate": ["--prompt", text], "images": ["--file", f"{images}-images-idx3-ubyte"]}
            yield ["decode", str(folder), *inputs.get(task, [text])]
            yield ["evaluate", str(folder), "--json"]
            if task != "images":
                yield ["explain", str(folder), text, "--fast"]
            if folder.name == "classify":
                yield ["explain", str(folder), "the film", "--snapshots", "--fast", "--json"]


def _text(base: str) -> str:
    """Return a text that the run of a base knows."""
    if "-" not in base:
        return "abc" if base == "translate" else "the film"
    asked = json.loads((FORMATS / "expected.json").read_text())[base[2:]]["asked"]
    return str(asked[0])


class StopError(Exception):
    """A training that ends as if it were killed."""


@contextlib.contextmanager
def stopped_at(update: int) -> Iterator[None]:
    """Kill trainings in the block after so many updates."""
    original = Trainer.update

    def stopping(trainer: Trainer) -> None:
        if trainer.progress.update == update:
            raise StopError
        original(trainer)

    Trainer.update = stopping  # type: ignore[method-assign]
    try:
        yield
    finally:
        Trainer.update = original  # type: ignore[method-assign]


def ask(arguments: list[str]) -> tuple[int, str, str]:
    """Run a command in this process, on a terminal; return its exit code, standard output and standard error."""
    out, err = Terminal(), Terminal()
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = out, err
    try:
        if arguments[0] != "trace":
            return run(arguments), out.getvalue(), err.getvalue()
        try:
            return 0, Trace.load(arguments[1]).summary() and "", ""
        except UnrolledError as error:
            return 2, "", f"unrolled: {type(error).__name__}"
    finally:
        sys.stdout, sys.stderr = before


def listing(root: Path) -> dict[str, tuple[int, int]]:
    """Return size and time of every file and folder below a root, except in the cache."""
    found = {}
    for folder, folders, names in os.walk(root):
        if Path(folder) == root:
            folders.remove("cache") if "cache" in folders else None
        for name in (*folders, *names):
            status = Path(folder, name).lstat()
            found[os.path.relpath(Path(folder, name), root)] = (0, 0)
            if name in names:
                found[os.path.relpath(Path(folder, name), root)] = (status.st_size, status.st_mtime_ns)
    return found


def sign(folder: Path) -> None:
    """Write the sums of a folder and those below it, as somebody would who means harm."""
    for sums in folder.rglob("SHA256SUMS"):
        names = [path for path in sums.parent.rglob("*") if path.is_file() and path.name != sums.name]
        lines = [
            f"{sha256(path.read_bytes()).hexdigest()}  {path.relative_to(sums.parent).as_posix()}\n" for path in names
        ]
        sums.write_text("".join(sorted(lines)), encoding="utf-8", errors="surrogateescape")


def change_one(folder: Path, draw: random.Random) -> tuple[str, str]:
    """Change one file of a folder, and sign it; return the file and the change."""
    files = sorted(
        path for path in folder.rglob("*") if path.is_file() and path.name not in ("README.md", "SHA256SUMS")
    )
    files += [path for path in files if path.suffix == ".json"] * 3
    path = draw.choice(files)
    if draw.random() < 0.06:
        change = _bytes(path, draw)
    elif path.suffix == ".json":
        text, change = _changed(json.loads(path.read_text()), draw)
        path.write_text(text, encoding="utf-8")
    elif path.suffix == ".jsonl":
        lines = path.read_text().splitlines() or ["{}"]
        index = draw.randrange(len(lines))
        lines[index], change = _changed(json.loads(lines[index]), draw)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    else:
        change = _tensors(path, draw)
    sign(folder)
    return path.relative_to(folder).as_posix(), change


def _bytes(path: Path, draw: random.Random) -> str:
    """Flip a bit, cut the file, or put bytes into it that are not UTF-8."""
    data = bytearray(path.read_bytes() or b" ")
    at, how = draw.randrange(len(data)), draw.choice(("flip", "cut", "insert", "empty"))
    if how == "flip":
        data[at] ^= 1 << draw.randrange(8)
    elif how == "insert":
        data[at:at] = b"\xff\xfe\x1b["
    else:
        del data[at if how == "cut" else 0 :]
    path.write_bytes(data)
    return f"{how} at byte {at}"


def _tensors(path: Path, draw: random.Random) -> str:
    """Change the header of a safetensors file, or numbers of its tensors."""
    data = path.read_bytes()
    end = 8 + int.from_bytes(data[:8], "little")
    if draw.random() < 0.3:
        numbers, value = bytearray(data), draw.choice((b"\0\0\xc0\x7f", b"\0\0\x80\xff", b"\xff\xff\x7f\x7f"))
        at = end + 4 * draw.randrange(max(1, (len(data) - end) // 4))
        numbers[at : at + 4] = value
        path.write_bytes(numbers)
        return f"number at byte {at} is {value!r}"
    text, change = _changed(json.loads(data[8:end]), draw)
    header = text.encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + data[end:])
    return f"header: {change}"


def _changed(value: Any, draw: random.Random) -> tuple[str, str]:
    """Return JSON with one change, and its description."""
    root = [value]
    holder, key, way = _entry(root, draw)
    how = draw.choice(("put",) * 8 + ("delete", "rename", "repeat", "swap"))
    if how == "delete" and holder is not root:
        del holder[key]
        change = f"{way} deleted"
    elif how == "rename" and isinstance(holder, dict):
        new = draw.choice(("", ESCAPES, "more", "__proto__"))
        holder[new] = holder.pop(key)
        change = f"{way} renamed {new!r}"
    elif how == "repeat" and isinstance(holder, list) and holder is not root:
        holder.insert(key, holder[key])
        change = f"{way} repeated"
    elif how == "swap":
        other, place, where = _entry(root, draw)
        holder[key] = json.loads(json.dumps(other[place]))
        change = f"{way} = {where}"
    else:
        holder[key] = draw.choice(VALUES)
        change = f"{way} = {holder[key]!r:.60}"
    text = json.dumps(root[0])
    for raw in RAW:
        text = text.replace(json.dumps(["raw", raw]), raw)
    return text, change


def _entry(root: list[Any], draw: random.Random) -> tuple[Any, Any, str]:
    """Return a random entry of a JSON value: its holder, its key or index there, and its way from the root."""
    holder, key, way = root, 0, ""
    while isinstance(holder[key], dict | list) and holder[key] and draw.random() < 0.9:
        holder = holder[key]
        key = draw.choice(list(holder)) if isinstance(holder, dict) else draw.randrange(len(holder))
        way += f".{key!s:.20}"
    return holder, key, way or "all"
