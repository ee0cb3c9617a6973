"""Plain text for the task *generate*: files and folders, read block by block, and their splits.

A text file ends in `.txt` and may be compressed (.gz, .xz, .bz2). It is strict UTF-8 (or UTF-16 or UTF-32 with its
byte order mark), and every character counts: a language model also learns line ends, capitals and spaces.

Several files are split by file: SHA-256 of a file's bytes and the seed decide its split, as in `data/splitting.py`, so
that equal files are always in the same split. A single file is split at line ends into contiguous ranges: train,
then valid, then test. Lines are never sampled at random, because neighbouring lines resemble each other.
"""

from __future__ import annotations

import codecs
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from unrolled.config import DataConfig
from unrolled.data.reading.addresses import STDIN, STDIN_NAME, is_sample
from unrolled.data.reading.files import (
    PACKINGS,
    UNREADABLE,
    UTF8,
    Encoding,
    encoding_of,
    holds_nul,
    open_bytes,
    transcoded,
    undecodable,
    unpacked_name,
    unreadable,
)
from unrolled.data.reading.folders import walk
from unrolled.data.reading.samples import SPLITS, find, split_files, splits_of
from unrolled.data.reading.split_names import split_named, split_within
from unrolled.data.reading.stdin import standard_input
from unrolled.data.splitting import HELD_OUT, assign, fractions
from unrolled.errors import DataError

__all__ = ["Text", "TextSplits", "Texts", "blocks", "find_texts", "split", "text_lines"]

EXTENSION = ".txt"
BLOCK = 1 << 20  # bytes read at a time
TASK = "generate"


class Text(NamedTuple):
    """A text file, or its characters [start, end)."""

    path: Path
    source: str  # its name in messages
    start: int = 0
    end: int | None = None


@dataclass(frozen=True)
class Texts:
    """The files of a data set before the split: those of the fixed splits, and the rest, which will be split."""

    name: str  # for run folders
    source: str  # the path, "standard input", or "sample:shakespeare"
    fixed: dict[str, tuple[Text, ...]]
    rest: tuple[Text, ...]
    left_out: str = ""  # a note on files of a folder that are not read, "" for none

    def digests(self) -> dict[str, list[str]]:
        """Return the SHA-256 of every file's bytes by split; those that are not split yet have the key ""."""
        return {name: [_digest(text) for text in texts] for name, texts in {**self.fixed, "": self.rest}.items()}


class TextSplits(NamedTuple):
    """The three splits, and a sentence on how they were made."""

    splits: dict[str, tuple[Text, ...]]
    how: str


def find_texts(data: object, config: DataConfig) -> Texts:
    """Find the files that `data`, `config.valid` and `config.test` name.

    Args:
        data: a text file, a folder (all text files in it, and below), a list of these, "-" (standard input), or
            "sample:shakespeare".

    Raises:
        DataError: an unknown file or sample, a folder without text files, or data of another kind.
    """
    held_out = {"valid": config.valid, "test": config.test}
    fixed = {name: _files(file) for name, file in held_out.items() if file is not None}
    if is_sample(data):
        sample, split_name = find(data, TASK)
        if split_name is None:
            samples = {name: _files(address) for name, address in splits_of(data).items()}
            return Texts(sample.name, data, samples | fixed, ())
        return Texts(sample.name, data, fixed, _files(data))
    if data == STDIN:
        return Texts("text", STDIN_NAME, fixed, _files(data))
    if isinstance(data, (str, os.PathLike)):
        path = Path(data)
        name = path.resolve().name.split(".")[0] or "text"
        if path.is_dir():
            texts, left_out = _in_folder(path)
            named = _named_splits(path, texts)
            return Texts(name, str(data), {**named, **fixed}, _without(texts, named), left_out)
        return Texts(name, str(data), fixed, _files(data))
    if isinstance(data, Iterable) and not isinstance(data, (bytes, bytearray)):
        files = list(data)
        if files and all(isinstance(file, (str, os.PathLike)) for file in files):
            texts = tuple(text for file in files for text in _files(file))
            return Texts("texts", ", ".join(map(str, files)), fixed, texts)
    raise DataError(
        f"plain text cannot be read from a Python {type(data).__name__}",
        fix="give a .txt file, a folder of them, a list of files, or sample:shakespeare",
    )


def split(texts: Texts, config: DataConfig) -> TextSplits:
    """Make the missing splits of the files that have no fixed split; a single file is read once or twice.

    Raises:
        DataError: too few files, or a text that cannot be read.
        ConfigError: as `fractions`.
    """
    missing = {name: fraction for name, fraction in fractions(config).items() if name not in texts.fixed}
    if not texts.rest:
        splits, how = texts.fixed, f"the fixed splits of {texts.source}"
    elif not any(missing.values()):
        splits, how = {"train": texts.rest, **texts.fixed}, "train is all of the text"
    else:
        sizes = {"train": 1 - sum(missing.values()), **missing}
        percent = ", ".join(f"{name} {100 * sizes[name]:g} %" for name in SPLITS if sizes.get(name))
        if len(texts.rest) > 1:
            splits = _by_file(texts.rest, missing, config.split_seed)
            how = f"split by file: {percent}, seed {config.split_seed}"
        else:
            splits = _contiguous(texts.rest[0], missing)
            how = f"one text, split at line ends: {percent}"
        splits |= texts.fixed
    own = {name: files for name, files in texts.fixed.items() if files[0].source != f"{texts.source}/{name}"}
    if own:
        how += "; " + ", ".join(f"{name} is {_named(files)}" for name, files in own.items())
    return TextSplits({name: splits.get(name, ()) for name in SPLITS}, how)


def blocks(text: Text) -> Iterator[str]:
    """Yield the characters of a text, in blocks of about 1 MB.

    Raises:
        DataError: the file cannot be read, or is not UTF-8; the message names the line and the byte.
    """
    position = 0
    for block in _whole(text):
        start, position = position, position + len(block)
        end = position if text.end is None else min(position, text.end)
        if end > max(start, text.start):
            yield block[max(0, text.start - start) : end - start]
        if text.end is not None and position >= text.end:
            return


def text_lines(texts: Iterable[Text]) -> Iterator[tuple[str, int, str]]:
    """Yield the lines of texts, one text after the other: source, number from 1, line without its end.

    Raises:
        DataError: as `blocks`.
    """
    for text in texts:
        number, rest = 1, ""
        if text.start:
            number += sum(block.count("\n") for block in blocks(text._replace(start=0, end=text.start)))
        for block in blocks(text):
            *whole, rest = (rest + block).split("\n")
            for line in whole:
                yield text.source, number, line.removesuffix("\r")
                number += 1
        if rest:
            yield text.source, number, rest


def _whole(text: Text) -> Iterator[str]:
    decoder, encoding = codecs.getincrementaldecoder("utf-8")("strict"), UTF8
    lines, since, first = 0, 0, True  # complete lines, bytes after the last of them
    with open_bytes(text.path, text.source) as handle:
        while True:
            try:
                data = handle.read(BLOCK)
                if first and (encoding := encoding_of(data, text.source)) != UTF8:
                    handle = transcoded(data, handle, encoding)
                    data = handle.read(BLOCK)
            except UNREADABLE as error:
                raise unreadable(error, text.source, lines) from None
            ended = not data
            if first:
                data, first = data.removeprefix(UTF8.mark), False
            pending = decoder.getstate()[0]
            try:
                block = decoder.decode(data, final=ended)
            except UnicodeDecodeError as error:
                raise _not_utf8(text.source, error, lines, since - len(pending), encoding) from None
            if "\0" in block:
                line = lines + block[: block.index("\0")].count("\n") + 1
                raise DataError(
                    "NUL character, which text cannot hold",
                    file=text.source,
                    line=line,
                    fix=holds_nul(block.encode(), text.source),
                )
            if ended:
                return
            end = data.rfind(b"\n")
            lines, since = lines + data.count(b"\n"), since + len(data) if end < 0 else len(data) - end - 1
            yield block


def _not_utf8(file: str, error: UnicodeDecodeError, lines: int, since: int, encoding: Encoding) -> DataError:
    """Return the error with line and byte; `lines` lines and `since` bytes precede the decoded bytes."""
    before = error.object[: error.start]
    end = before.rfind(b"\n")
    offset = since + len(before) if end < 0 else len(before) - end - 1
    problem, fix = undecodable(error, offset, encoding, file)
    return DataError(problem, file=file, line=lines + before.count(b"\n") + 1, fix=fix)


def _files(source: object) -> tuple[Text, ...]:
    """Return the text files of a path or a sample's split, sorted by name."""
    if is_sample(source):
        return tuple(Text(file, address) for address, file in split_files(source, ".txt").items())
    if source == STDIN:
        return (Text(standard_input(plain=True), STDIN_NAME),)
    path = Path(str(source))
    if path.is_dir():
        return _in_folder(path)[0]
    if not _is_text(path):
        raise DataError(
            "is not a text file by its name",
            file=str(path),
            fix=f"text files end in {_LIST}: rename it, if it is one, or read it from standard input: - < {path.name}",
        )
    with open_bytes(path, str(path)):  # a missing file is an error at once
        return (Text(path, str(path)),)


def _in_folder(folder: Path) -> tuple[tuple[Text, ...], str]:
    """Return the text files in a folder and below, and a note on the files that are left out.

    Raises:
        DataError: there are no text files, or a folder cannot be read.
    """
    hidden, others, files = 0, 0, []
    for path, out_of_sight in walk(folder):
        if out_of_sight:
            hidden += 1
        elif _is_text(path) and path.is_file():
            files.append(Text(path, str(path)))
        else:
            others += 1
    if not files:
        raise DataError("the folder has no text files", file=str(folder), fix=f"text files end in {_LIST}")
    counts = ((hidden, "hidden"), (others, "not text by their names"))
    return tuple(files), ", ".join(f"{n:,} file{'s'[: n != 1]} {reason}" for n, reason in counts if n)


def _named_splits(folder: Path, files: Sequence[Text]) -> dict[str, tuple[Text, ...]]:
    """Return the files of the validation and test split in a folder; empty unless names tell them from training.

    A name tells the split if it is that of a split (train.txt, Test/a.txt), or if each file has one in its name
    (ptb.train.txt, ptb.test.txt).

    Raises:
        DataError: there are files of the training split, of another, and of none.
    """
    exact = {text: split_named(_stem(folder, text)) for text in files}
    within = {text: split_within(_stem(folder, text)) for text in files}
    splits = within if all(within.values()) else exact
    if "train" not in splits.values() or len({*splits.values()} - {None}) < 2:
        return {}
    if others := [text for text, split in splits.items() if split is None]:
        raise DataError(
            f"has files of splits by their names, and {len(others):,} of none, as {others[0].path.name}",
            file=str(folder),
            fix="move these out of the folder, or rename the files",
        )
    found = {name: tuple(text for text in files if splits[text] == name) for name in HELD_OUT}
    return {name: texts for name, texts in found.items() if texts}


def _stem(folder: Path, text: Text) -> str:
    """Return the name of a file's first folder below `folder`, or of the file without its extension."""
    first, *rest = text.path.relative_to(folder).parts
    return first if rest else unpacked_name(first).removesuffix(EXTENSION)


def _without(files: Iterable[Text], named: Mapping[str, Sequence[Text]]) -> tuple[Text, ...]:
    held_out = {text for texts in named.values() for text in texts}
    return tuple(text for text in files if text not in held_out)


_LIST = ", ".join((EXTENSION, *(EXTENSION + packing for packing in PACKINGS)))


def _is_text(path: Path) -> bool:
    """Return whether a file is plain text by its extension."""
    return unpacked_name(path.name).endswith(EXTENSION)


def _named(files: Sequence[Text]) -> str:
    return files[0].source if len(files) == 1 else f"{len(files)} files"


def _digest(text: Text) -> str:
    try:
        with text.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise unreadable(error, text.source, 0) from None


def _by_file(files: tuple[Text, ...], missing: dict[str, float], seed: int) -> dict[str, tuple[Text, ...]]:
    """Assign each file to a split by the hash of its bytes."""
    digests = {text: _digest(text) for text in files}
    split_of = assign(set(digests.values()), missing, seed)
    if split_of is None:
        raise DataError(
            f"{len(files)} files are too few to split by file",
            file=files[0].source,
            fix="join them into one, or name the other splits with --valid and --test",
        )
    return {
        name: tuple(text for text in files if split_of.get(digests[text], "train") == name)
        for name in ("train", *missing)
    }


def _contiguous(text: Text, missing: dict[str, float]) -> dict[str, tuple[Text, ...]]:
    """Split a text at line ends into contiguous ranges."""
    total = sum(map(len, blocks(text)))
    if not total:
        raise DataError("the file is empty", file=text.source, line=1, fix="check that the right file was named")
    order = ["train", *(name for name in SPLITS if name in missing)]
    sizes = [1 - sum(missing.values()), *(missing[name] for name in order[1:])]
    starts = [round(total * sum(sizes[:i])) for i in range(1, len(sizes))]
    most = round(total * min(filter(None, sizes)) / 2)  # a longer rest of a line is split within the line
    borders = [0, *(_line_end(text, start, most) for start in starts), total]
    return {name: (text._replace(start=borders[i], end=borders[i + 1]),) for i, name in enumerate(order)}


def _line_end(text: Text, position: int, most: int) -> int:
    """Return the first line end at or after the character `position`, or `position` if that is over `most` away."""
    seen = 0
    for block in blocks(text):
        if seen + len(block) >= position:
            end = block.find("\n", max(0, position - 1 - seen))
            if end >= 0:
                return seen + end + 1 if seen + end + 1 <= position + most else position
        seen += len(block)
    return position
