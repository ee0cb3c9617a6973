"""Plain text for the task *generate*: files and folders, read block by block, and cut into parts.

A text file ends in `.txt`, also packed as .gz, .xz or .bz2. It is strict UTF-8 (or UTF-16 or UTF-32 with its byte order
mark), and every character counts: line ends, capitals and spaces are what a language model learns.

Several files are split by file: SHA-256 of a file's bytes and the seed make a number that decides its part, as for the
rows of *classify*, so that equal files never stand in two parts. One file is cut into contiguous parts at line ends:
train, then valid, then test. Neighbouring lines resemble each other, so nothing is ever drawn at random.
"""

from __future__ import annotations

import codecs
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from unrolled.config import DataConfig
from unrolled.data.assign import assign, fractions
from unrolled.data.reading.files import (
    PACKINGS,
    UNREADABLE,
    UTF8,
    Encoding,
    encoding_of,
    open_bytes,
    transcoded,
    undecodable,
    unpacked_name,
    unreadable,
)
from unrolled.data.reading.samples import PREFIX, SPLITS, find, split_file
from unrolled.data.reading.stdin import STDIN, STDIN_NAME, standard_input
from unrolled.errors import DataError

__all__ = ["Text", "TextSplits", "Texts", "blocks", "find_texts", "split", "text_lines"]

EXTENSION = ".txt"
BLOCK = 1 << 20  # bytes that are read at once
TASK = "generate"


class Text(NamedTuple):
    """A text file, or its characters from `start` to before `end`."""

    path: Path
    source: str  # its name in messages
    start: int = 0
    end: int | None = None


@dataclass(frozen=True)
class Texts:
    """The files that were named, before they are split: `fixed` parts, and what is to be cut into the others."""

    name: str  # for run folders
    source: str  # the path as given, "standard input", or "sample:shakespeare"
    fixed: dict[str, tuple[Text, ...]]
    rest: tuple[Text, ...]

    def digests(self) -> dict[str, list[str]]:
        """Return the SHA-256 of every file's bytes, by part; under "" of those that are not split yet."""
        return {part: [_digest(text) for text in texts] for part, texts in {**self.fixed, "": self.rest}.items()}


@dataclass(frozen=True)
class TextSplits:
    """The three parts, and a sentence that says what they are and why."""

    splits: dict[str, tuple[Text, ...]]
    how: str


def find_texts(data: object, config: DataConfig) -> Texts:
    """Find the files that `data`, `config.valid` and `config.test` name.

    Args:
        data: a text file, a folder (all text files in it, and below), a list of these, "-" (standard input), or
            "sample:shakespeare".

    Raises:
        DataError: there is no such file or sample, no text file in a folder, or data of another kind.
    """
    given = {part: file for part, file in (("valid", config.valid), ("test", config.test)) if file is not None}
    fixed = {part: _files(file) for part, file in given.items()}
    if isinstance(data, str) and data.startswith(PREFIX):
        sample, part = find(data, TASK)
        if part is None:
            samples = {part: _files(f"{data}/{part}") for part in SPLITS}
            return Texts(sample.name, data, samples | fixed, ())
        return Texts(sample.name, data, fixed, _files(data))
    if data == STDIN:
        return Texts("text", STDIN_NAME, fixed, _files(data))
    if isinstance(data, (str, os.PathLike)):
        path = Path(data)
        return Texts(path.resolve().name.split(".")[0] or "text", str(data), fixed, _files(data))
    if isinstance(data, Iterable) and not isinstance(data, (bytes, bytearray)):
        named = list(data)
        if named and all(isinstance(file, (str, os.PathLike)) for file in named):
            return Texts(
                "texts", ", ".join(map(str, named)), fixed, tuple(text for file in named for text in _files(file))
            )
    raise DataError(
        f"plain text cannot be read from a Python {type(data).__name__}",
        fix="give a .txt file, a folder of them, a list of files, or sample:shakespeare",
    )


def split(texts: Texts, config: DataConfig) -> TextSplits:
    """Cut what is not fixed into the parts that are missing; reads a single file once or twice.

    Raises:
        DataError: too few files, or a text that cannot be read.
    """
    missing = {part: fraction for part, fraction in fractions(config).items() if part not in texts.fixed}
    own = {part: files for part, files in texts.fixed.items() if files[0].source != f"{texts.source}/{part}"}
    how = ", ".join(f"{part} is {_named(files)}" for part, files in own.items())
    if not texts.rest:
        said = "; ".join(filter(None, [f"the fixed splits of {texts.source}", how]))
        return TextSplits({part: texts.fixed[part] for part in SPLITS}, said)
    if not any(missing.values()):
        parts = dict.fromkeys(missing, ()) | texts.fixed | {"train": texts.rest}
        return TextSplits(parts, "; ".join(filter(None, ["train is all of the text", how])))
    cut, way = (_by_file, "split by file") if len(texts.rest) > 1 else (_contiguous, "one text, cut at line ends")
    parts = cut(texts.rest, missing, config) | texts.fixed
    percent = {"train": 1 - sum(missing.values()), **missing}
    said = ", ".join(f"{part} {100 * percent[part]:g} %" for part in SPLITS if percent.get(part))
    seed = f", seed {config.split_seed}" if cut is _by_file else ""
    return TextSplits(
        {part: parts.get(part, ()) for part in SPLITS},
        "; ".join(filter(None, [f"{way}: {said}{seed}", how])),
    )


def blocks(text: Text) -> Iterator[str]:
    """Yield the characters of a text, in blocks of about 1 MB.

    Raises:
        DataError: it cannot be read, or is not UTF-8: the message names the line and the byte.
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
    """Yield the lines of texts, one text after the other: source, physical line from 1, the line without its end.

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
    lines, since, first = 0, 0, True  # lines that have ended, bytes since the last one did
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
                    "NUL character: no text has one",
                    file=text.source,
                    line=line,
                    fix="look whether the file is UTF-16 or damaged",
                )
            if ended:
                return
            end = data.rfind(b"\n")
            lines, since = lines + data.count(b"\n"), since + len(data) if end < 0 else len(data) - end - 1
            yield block


def _not_utf8(file: str, error: UnicodeDecodeError, lines: int, since: int, encoding: Encoding) -> DataError:
    """Say which byte: `lines` ended, and `since` bytes of the next one stood, before the bytes that were decoded."""
    before = error.object[: error.start]
    end = before.rfind(b"\n")
    offset = since + len(before) if end < 0 else len(before) - end - 1
    problem, fix = undecodable(error, offset, encoding)
    return DataError(problem, file=file, line=lines + before.count(b"\n") + 1, fix=fix)


def _files(named: object) -> tuple[Text, ...]:
    """The text files that a path or a sample's part names, in the order of their names."""
    if isinstance(named, str) and named.startswith(PREFIX):
        sample, part = find(named, TASK)
        wanted = [part] if part else SPLITS
        return tuple(Text(split_file(sample.name, p, ".txt"), f"{PREFIX}{sample.name}/{p}") for p in wanted)
    if named == STDIN:
        return (Text(standard_input(plain=True), STDIN_NAME),)
    path = Path(str(named))
    if path.is_dir():
        found = sorted(file for file in path.rglob("*") if _is_text(file) and file.is_file())
        if not found:
            raise DataError("no text file is in this folder", file=str(path), fix=f"text files end in {_LIST}")
        return tuple(Text(file, str(file)) for file in found)
    if not _is_text(path):
        raise DataError(
            "is not a text file by its name", file=str(path), fix=f"text files end in {_LIST}: rename it, if it is one"
        )
    with open_bytes(path, str(path)):  # a file that is missing is named at once
        return (Text(path, str(path)),)


_LIST = ", ".join((EXTENSION, *(EXTENSION + packing for packing in PACKINGS)))


def _is_text(path: Path) -> bool:
    """Whether a file's name says that it is plain text."""
    return unpacked_name(path.name).endswith(EXTENSION)


def _named(files: Sequence[Text]) -> str:
    return files[0].source if len(files) == 1 else f"{len(files)} files"


def _digest(text: Text) -> str:
    try:
        with text.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise unreadable(error, text.source, 0) from None


Cut = Callable[[tuple[Text, ...], dict[str, float], DataConfig], dict[str, tuple[Text, ...]]]


def _by_file(files: tuple[Text, ...], missing: dict[str, float], config: DataConfig) -> dict[str, tuple[Text, ...]]:
    digests = {text: _digest(text) for text in files}
    part_of = assign(set(digests.values()), missing, config.split_seed)
    if part_of is None:
        raise DataError(
            f"{len(files)} files are too few to split by file",
            file=files[0].source,
            fix="join them into one, or name the other splits with --valid and --test",
        )
    return {
        part: tuple(text for text in files if part_of.get(digests[text], "train") == part)
        for part in ("train", *missing)
    }


def _contiguous(files: tuple[Text, ...], missing: dict[str, float], config: DataConfig) -> dict[str, tuple[Text, ...]]:
    (text,) = files
    total = sum(map(len, blocks(text)))
    if not total:
        raise DataError("the file is empty", file=text.source, line=1, fix="check that the right file was named")
    order = ["train", *(part for part in SPLITS if part in missing)]
    sizes = [1 - sum(missing.values()), *(missing[part] for part in order[1:])]
    starts = [round(total * sum(sizes[:i])) for i in range(1, len(sizes))]
    most = round(total * min(filter(None, sizes)) / 2)  # a line that would take more of a part is cut
    borders = [0, *(_line_end(text, start, most) for start in starts), total]
    return {part: (text._replace(start=borders[i], end=borders[i + 1]),) for i, part in enumerate(order)}


def _line_end(text: Text, position: int, most: int) -> int:
    """The first end of a line at or after the character `position`; `position`, if it is more than `most` away."""
    seen = 0
    for block in blocks(text):
        if seen + len(block) >= position:
            end = block.find("\n", max(0, position - 1 - seen))
            if end >= 0:
                return seen + end + 1 if seen + end + 1 <= position + most else position
        seen += len(block)
    return position
