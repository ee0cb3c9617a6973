"""The record of a folder of answers: what they are of, and which shards and portions are finished.

out/…                      the answers, one file for each shard
out/_unrolled/job.json     run, options and layout; answers of others never mix with these
out/_unrolled/journal.jsonl  one line for each finished portion or shard, appended as it happens
out/_unrolled/parts/       portions of shards that are not finished, and shards before they are renamed

Tools that read a folder as one table ignore names that begin with an underscore.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from unrolled import atomic
from unrolled.errors import ConfigError
from unrolled.runs.folder import refuse_newer, to_json
from unrolled.saved import Count, Strict, parse
from unrolled.scoring.rows import Counts
from unrolled.scoring.shards import Shard, State

__all__ = ["FOLDER", "Journal", "opened"]

FOLDER = "_unrolled"
FORMAT_VERSION = 1


class _Done(Strict):
    """A line of the journal.

    Args:
        shard: name of the shard.
        state: size and time of its file.
        portion: number of a finished portion; None: the whole shard is finished.
        size: bytes of the portion or of the output.
        counts: numbers of its rows.
        name: name of the output, relative to its folder.
    """

    shard: str
    state: tuple[Count, int]
    portion: Count | None
    size: Count
    counts: tuple[Count, Count, Count]
    name: str


class Journal:
    """The record of a folder of answers, locked by this process; made by `opened`."""

    def __init__(self, out: Path) -> None:
        self.out, self.folder = out, out / FOLDER
        self.path = self.folder / "journal.jsonl"
        self._shards: dict[str, _Done] = {}
        self._portions: dict[str, dict[int, _Done]] = {}

    def read(self) -> None:
        """Read the journal; a last line that a kill has cut is removed."""
        with atomic.read_errors(self.path):
            lines = self.path.read_bytes().splitlines() if self.path.exists() else []
        found = [done for line in lines if (done := _line(line))]
        for done in found:
            if done.portion is None:
                self._shards[done.shard] = done
            else:
                self._portions.setdefault(done.shard, {})[done.portion] = done
        atomic.write_file(self.path, b"".join(to_json(done.model_dump(), indent=None) for done in found))

    def finished(self, shard: Shard, state: State) -> Counts | None:
        """Return the counts of a shard whose output is complete, and whose file has not changed since; else None."""
        done = self._shards.get(shard.name)
        if done is None or done.state != tuple(state) or _size(self.out / done.name) != done.size:
            return None
        return Counts(*done.counts)

    def output(self, shard: Shard) -> str:
        """Return the name of the output of a finished shard."""
        return self._shards[shard.name].name

    def changed(self, shard: Shard, state: State) -> bool:
        """Return whether a shard was answered when its file was another."""
        known = [self._shards.get(shard.name), *self._portions.get(shard.name, {}).values()]
        return any(done is not None and done.state != tuple(state) for done in known)

    def portions(self, shard: Shard, state: State) -> dict[int, Counts]:
        """Return the finished portions of a shard, whose file has not changed since, with their counts."""
        return {
            number: Counts(*done.counts)
            for number, done in self._portions.get(shard.name, {}).items()
            if done.state == tuple(state) and _size(self.part(shard, number)) == done.size
        }

    def parts(self, shard: Shard) -> Path:
        """Return the folder of the portions of a shard."""
        return self.folder / "parts" / shard.name

    def part(self, shard: Shard, number: int) -> Path:
        """Return the file of a portion."""
        return self.parts(shard) / f"{number}.part"

    def add(self, shard: Shard, state: State, portion: int | None, size: int, counts: Counts, name: str) -> None:
        """Append a finished portion, or with None a shard, whose portions are then removed."""
        done = _Done(shard=shard.name, state=state, portion=portion, size=size, counts=counts, name=name)
        atomic.append(self.path, to_json(done.model_dump(), indent=None))
        if portion is None:
            shutil.rmtree(self.parts(shard), ignore_errors=True)

    def close(self) -> None:
        """Remove what only an unfinished work needs."""
        shutil.rmtree(self.folder / "parts", ignore_errors=True)


@contextmanager
def opened(out: Path, job: Mapping[str, Any]) -> Iterator[Journal]:
    """Make a folder of answers, or continue one, and lock it for this process.

    Args:
        out: the folder.
        job: what decides the answers, as JSON values.

    Raises:
        ConfigError: the folder holds something else, or answers of another job (the difference is named); another
            process is writing it.
        CheckpointError: it cannot be written, or its record is damaged.
    """
    journal = Journal(out)
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out} is a file: name a folder with --out")
    if out.is_dir() and any(out.iterdir()) and not journal.folder.is_dir():
        raise ConfigError(f"{out} is not empty, and not a folder of answers: choose another --out")
    with atomic.write_errors(out):
        journal.folder.mkdir(parents=True, exist_ok=True)
    with atomic.lock(journal.folder) as ours:
        if not ours:
            raise ConfigError(f"another process is writing {out}: wait for it, or choose another --out")
        path = journal.folder / "job.json"
        if path.exists():
            _refuse_other(out, path, job)
        else:
            atomic.write_file(path, to_json({"format_version": FORMAT_VERSION, **job}))
        journal.read()
        yield journal


def _refuse_other(out: Path, path: Path, job: Mapping[str, Any]) -> None:
    """Refuse a folder with the answers of another job.

    Raises:
        ConfigError: names the differences.
        CheckpointError: the record is damaged, or of a newer format.
    """
    with atomic.read_errors(path):
        data = path.read_bytes()
    refuse_newer(path, data, FORMAT_VERSION)
    before = parse(path, data)
    differing = [
        f"{name} was {json.dumps(before.get(name))}, is {json.dumps(job.get(name))}"
        for name in dict.fromkeys([*before, *job])
        if name != "format_version" and before.get(name) != job.get(name)
    ]
    if differing:
        raise ConfigError(
            f"{out} holds answers of other settings: {'; '.join(differing)}. Choose another --out, or remove {out}"
        )


def _line(line: bytes) -> _Done | None:
    """Return a line of the journal; None for one that a kill has cut, whose work is done again."""
    try:
        return _Done.model_validate_json(line)
    except ValueError:
        return None


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        return None
