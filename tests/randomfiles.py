"""Random changes of good files, and random valid files: each a pure function of its seed.

The tests use some hundred of them; benchmarks/bad_files.py uses as many as are requested.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import random
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any, NamedTuple

from badfiles import PACKINGS, flipped
from unrolled.config import DataConfig
from unrolled.data.examples.labelled import load_examples
from unrolled.data.examples.sentences import Sentences, load_sentences
from unrolled.data.examples.texts import blocks, find_texts
from unrolled.data.reading.formats import read_rows
from unrolled.errors import DataError

RANGE, ADP, DET = ("\t".join((*start, *"______")) for start in (("1-2", "au", "_", "_"), "1à_A", "2l_D"))
GOOD = {  # extension -> a good file
    ".csv": 'text,label\ngood,pos\n"bad, sad",neg\r\n"two\nlines ""quoted""",pos\n\nfine,neg\n' * 3,
    ".tsv": "text\tlabel\n" + 'good\tpos\nbad "sad\tneg\r\n\nschön\tpos\n' * 3,
    ".jsonl": '{"text": "good", "label": "pos"}\n\n{"text": "sch\u00f6n", "label": true, "x": [1, {}]}\r\n' * 4,
    ".txt": "To be, or not to be,\r\nthat is the question:\n\n— ’tis nobler\n" * 3,
    ".conllu": f"# sent_id = 1\n{RANGE}\n{ADP}\n{DET}\n\n" * 3,
    ".two.tsv": "ein\tDET\nLöwe\tNOUN\n\nbrüllt\tVERB\r\n \n" * 3,
}
SPICES = (b'"', b"\n", b"\r", b",", b"\t", b"\0", b"\xff", b"\xef\xbb\xbf", b"{", b"}", b"[" * 2000, b"NaN", b"\\ud800")
MARKS = {  # UTF-32 begins like UTF-16
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
    codecs.BOM_UTF8: "utf-8",
}


class Mutation(NamedTuple):
    """A good file with a few random changes: its format, its name, its bytes, and these decompressed."""

    form: str
    name: str
    stored: bytes
    data: bytes


def mutation(seed: int) -> Mutation:
    """Return the mutation of a seed."""
    chance = random.Random(seed)
    form = chance.choice(list(GOOD))
    data = bytearray(GOOD[form].encode(chance.choice(("utf-8", "utf-8", "utf-16", "utf-32"))))
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(data) + 1)
        if chance.random() < 0.3:
            del data[at : at + chance.randrange(1, 12)]
        elif chance.random() < 0.5:
            data[at:at] = chance.choice(SPICES)
        else:
            data[at : at + 1] = bytes([chance.randrange(256)])
    packing = chance.choice(("", "", *PACKINGS))
    stored = PACKINGS[packing](data) if packing else bytes(data)
    if packing and chance.random() < 0.3:
        at = chance.randrange(len(stored))
        stored = chance.choice((stored[:at], flipped(stored, at)))
    return Mutation(form, f"mutated{form}{packing}", stored, bytes(data))


def check_mutation(seed: int, folder: Path) -> str:
    """Check that nothing of a changed file is lost and only DataError is raised; return refused, skipped or whole."""
    changed = mutation(seed)
    path = folder / changed.name
    path.write_bytes(changed.stored)
    return _check_text(changed, path) if changed.form == ".txt" else _check_rows(changed, path)


def _check_text(changed: Mutation, path: Path) -> str:
    """Check that every character is read, or the line of the first bad one is named."""
    text, line = _decoded(changed.data)
    found = _attempt(changed.form, path, "stop")
    if isinstance(found, DataError):
        assert found.file == str(path)
        assert found.line == line or changed.stored != changed.data, (found, line)
        return "refused"
    assert (found, line) == (text, None)
    return "whole"


def _check_rows(changed: Mutation, path: Path) -> str:
    """Check that rows read = used + skipped, and that every row was read."""
    lenient, strict = (_attempt(changed.form, path, on_bad_row) for on_bad_row in ("skip", "stop"))
    if isinstance(lenient, DataError):
        assert lenient.file == str(path)
        assert isinstance(strict, DataError)
        return "refused"
    counts, lines = lenient.counts, _decoded(changed.data)[0].removesuffix("\n").split("\n")
    assert counts.read == len(lenient) + sum(counts.skipped.values())
    match changed.form:
        case ".csv":  # a row may have several lines
            assert counts.read < len(lines)
        case ".tsv":
            assert counts.read == len(lines) - 1
        case ".jsonl":
            assert counts.read == len(lines)
        case _:
            assert counts.read == sum(
                some for some, _ in groupby(lines, lambda line: bool(line.rstrip("\r").strip(" ")))
            )
    first = [item.lines[0] if isinstance(lenient, Sentences) else item.line for item in lenient.items]
    assert all(a < b for a, b in pairwise(first))
    if isinstance(strict, DataError):
        assert set(counts.skipped) - {"blank line"}
        return "skipped"
    assert list(strict.items) == list(lenient.items)
    return "whole"


def _attempt(form: str, path: Path, on_bad_row: str) -> Any:
    """Return the examples of a file, or the DataError of reading it."""
    try:
        if form == ".txt":
            return "".join(blocks(find_texts(path, DataConfig()).rest[0]))
        if form in (".conllu", ".two.tsv"):
            return load_sentences(path, DataConfig(label="UPOS", on_bad_row=on_bad_row))
        return load_examples(path, DataConfig(on_bad_row=on_bad_row))
    except DataError as error:
        return error


def _decoded(data: bytes) -> tuple[str, int | None]:
    """Return the text of bytes by Python's decoders, and the line of the first undecodable byte, or else of a NUL."""
    mark, codec = next(((mark, codec) for mark, codec in MARKS.items() if data.startswith(mark)), (b"", "utf-8"))
    data = data.removeprefix(mark)
    text = data.decode(codec, "replace")
    try:
        data.decode(codec)
    except UnicodeDecodeError as error:
        return text, data[: error.start].decode(codec).count("\n") + 1
    return text, text[: text.index("\0")].count("\n") + 1 if "\0" in text else None


ALPHABET = "abc ÄÖß€日本😀\u2028\x85\x0b'’,;\t\"\\{}[]:0 \r\n\ufeff\u0301\x1b"


def text(chance: random.Random) -> str:
    """Return a random text, often with separators, quotes and line ends."""
    return "".join(chance.choices(ALPHABET, k=chance.choice((0, 1, 3, 12))))


def valid_csv(seed: int) -> tuple[bytes, list[tuple[str, ...]]]:
    """Return a valid CSV file with the columns a, b, c, and its rows as Python's `csv` reads them."""
    chance = random.Random(seed)
    quoting = chance.choice((csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC))
    file = io.StringIO(newline="")
    # csv.writer does not quote a lone carriage return at the end of its line, where "\n" ends lines
    writer = csv.writer(
        file, quoting=quoting, lineterminator="\r\n" if quoting == csv.QUOTE_MINIMAL else chance.choice(("\r\n", "\n"))
    )
    writer.writerow("abc")
    for _ in range(chance.randrange(20)):
        writer.writerow(["x" + text(chance), text(chance), text(chance)])
    written = file.getvalue()
    read = [tuple(row) for row in csv.reader(io.StringIO(written, newline=""), strict=True)][1:]
    codec = chance.choice(("utf-8", "utf-8-sig", "utf-16", "utf-32"))
    return written.encode(codec), read


def value(chance: random.Random, depth: int = 2) -> Any:
    """Return a random JSON value."""
    kinds = ("text", "text", "number", "float", "constant", *(("list", "object") if depth else ()))
    match chance.choice(kinds):
        case "text":
            return text(chance)
        case "number":
            return chance.randint(-(10**20), 10**20)
        case "float":
            return chance.uniform(-1e9, 1e9)
        case "constant":
            return chance.choice((None, True, False))
        case "list":
            return [value(chance, depth - 1) for _ in range(chance.randrange(4))]
        case _:
            return {text(chance): value(chance, depth - 1) for _ in range(chance.randrange(4))}


def valid_jsonl(seed: int) -> tuple[bytes, list[tuple[Any, ...]]]:
    """Return a valid file of JSON lines with the keys a and b, and its values as Python's `json` reads them."""
    chance = random.Random(seed)
    rows = [{"a": value(chance), "x": value(chance), "b": value(chance)} for _ in range(chance.randint(1, 12))]
    lines = [json.dumps(row, ensure_ascii=chance.random() < 0.5) for row in rows]
    end = chance.choice(("\n", "\r\n"))
    codec = chance.choice(("utf-8", "utf-8-sig", "utf-16", "utf-32"))
    read = [json.loads(line) for line in lines]
    return "".join(line + end for line in lines).encode(codec), [(row["a"], row["b"]) for row in read]


def check_valid(form: str, seed: int, folder: Path) -> None:
    """Check that our reader and Python's own module read the same of a valid file."""
    (data, expected), columns = {"csv": (valid_csv(seed), "abc"), "jsonl": (valid_jsonl(seed), "ab")}[form]
    path = folder / f"valid.{form}"
    path.write_bytes(data)
    assert [row.values for row in read_rows(path, tuple(columns))] == expected
