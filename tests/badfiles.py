"""Files that are wrong, one thing in each; good files that chance has changed; and good files that chance has made.

The tests take all of the first and some of the others; benchmarks/bad_files.py takes as many as are asked for.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import random
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow
import pyarrow.parquet

from unrolled.config import DataConfig
from unrolled.data.examples import Examples, load_examples
from unrolled.data.readers import read_rows
from unrolled.errors import DataError

HEADER = b"text,label\n"
GOOD = b"good,pos\n"
FINE = {"text": "good", "label": "pos"}


class Bad(NamedTuple):
    """A file that must be refused at `line` with `word` in the message."""

    kind: str
    name: str
    data: bytes | Callable[[], bytes]
    line: int | None
    word: str
    unit: str = "line"

    def write(self, folder: Path) -> Path:
        """Write the file and return its path."""
        path = folder / self.name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(self.data if isinstance(self.data, bytes) else self.data())
        return path

    def command(self, path: Path) -> list[str]:
        """What is asked of `unrolled`."""
        plain = path.name.startswith("a.txt") or self.kind == "no text"
        return ["train", str(path), *(["--task", "generate"] if plain else [])]

    def begins(self, path: Path) -> str:
        """How the message begins, without a place where there is none."""
        return f"unrolled: {path}" + (f", {self.unit} {self.line}" if self.line else "")


def jsonl(*rows: Any) -> bytes:
    """Rows as JSON lines; bytes as they are."""
    return b"".join(row if isinstance(row, bytes) else json.dumps(row).encode() + b"\n" for row in rows)


def parquet(columns: dict[str, Any], **options: Any) -> Callable[[], bytes]:
    """What makes a Parquet file of lists or arrow arrays."""

    def make() -> bytes:
        table = pyarrow.table({name: pyarrow.array(v) if isinstance(v, list) else v for name, v in columns.items()})
        file = io.BytesIO()
        pyarrow.parquet.write_table(table, file, **options)
        return file.getvalue()

    return make


def invalid_text() -> pyarrow.Array:
    """A column of text whose third value is not UTF-8."""
    texts = [b"good", b"fine", b"caf\xe9"]
    return pyarrow.array(texts, pyarrow.binary()).view(pyarrow.string())


COLUMNS = {"text": ["good", "bad"], "label": ["pos", "neg"]}
PACKED = gzip.compress(HEADER + GOOD * 1000)
HALF = "\ud83d"  # of a character


def utf16(*lines: str, codec: str = "utf-16-le") -> bytes:
    """Lines in UTF-16 (or UTF-32) with a byte order mark; halves of characters as they are."""
    return "".join(("\ufeff", *(line + "\n" for line in lines))).encode(codec, "surrogatepass")


BAD = [
    # encodings
    Bad("latin 1", "a.csv", HEADER + GOOD + "café,pos\n".encode("latin1"), 3, "0xe9 at offset 3"),
    Bad("latin 1", "a.tsv", b"text\tlabel\ncaf\xe9\tpos\n", 2, "0xe9 at offset 3"),
    Bad("latin 1", "a.jsonl", jsonl(FINE, FINE, b'{"text": "caf\xe9"}\n'), 3, "0xe9 at offset 13"),
    Bad("latin 1", "a.csv", b"te\xe9xt,label\n" + GOOD, 1, "0xe9 at offset 2"),
    Bad("latin 1", "a.csv", HEADER + b'"two\nl\xefnes",pos\n', 3, "0xef at offset 1"),
    Bad("cut character", "a.csv", HEADER + GOOD + "é,pos\n".encode()[1:], 3, "0xa9 at offset 0"),
    Bad("cut character", "a.tsv", b"text\tlabel\ngood\tp\xc3", 2, "unexpected end of data"),
    Bad("overlong", "a.csv", HEADER + b"\xc0\xaf,pos\n", 2, "0xc0"),
    Bad("surrogate in bytes", "a.csv", HEADER + b"\xed\xa0\x80,pos\n", 2, "0xed"),
    Bad("UTF-16 unmarked", "a.csv", "text,label\ngood,pos\n".encode("utf-16-le"), 1, "NUL"),
    Bad("mark inside", "a.csv", HEADER + GOOD + b"\xef\xbb\xbf" + HEADER, 3, "byte order mark"),
    Bad("mark inside", "a.jsonl", jsonl(FINE, b"\xef\xbb\xbf" + jsonl(FINE)), 2, "byte order mark"),
    Bad("NUL", "a.csv", HEADER + b"go\0od,pos\n", 2, "NUL character at offset 2"),
    Bad("NUL", "a.tsv", b"text\tlabel\ngood\tpos\n\0\n", 3, "NUL"),
    # line ends
    Bad("bare CR", "a.csv", HEADER + GOOD + b"a\rb,pos\n", 3, "carriage return"),
    Bad("bare CR", "a.csv", b"text,label\rgood,pos\rbad,neg\r", 1, "carriage return"),
    Bad("bare CR", "a.tsv", b"text\tlabel\ngood\tpos\nba\rd\tneg\n", 3, "carriage return"),
    Bad("bare CR", "a.jsonl", jsonl(FINE, b'{"text":\r"a"}\n'), 2, "carriage return"),
    # quotes
    Bad("unclosed quote", "a.csv", HEADER + GOOD + b'"never closed,pos\nx,neg\ny,pos\n', 3, "never closed"),
    Bad("unclosed quote", "a.csv", HEADER + b'fine,pos\nx,"neg', 3, "never closed"),
    Bad("unclosed quote", "a.csv", b'"text,label\ngood,pos\n', 1, "never closed"),
    Bad("unclosed quote", "a.csv", HEADER + b'"a\nb\nc",pos\n"x\ny,neg\nz', 5, "never closed"),
    Bad("broken quotes", "a.csv", HEADER + GOOD + b'"he said "no" twice",neg\n', 3, "written twice"),
    Bad("broken quotes", "a.csv", HEADER + b'"a" ,pos\n', 2, "quotes"),
    Bad("broken quotes", "a.csv", HEADER + b'"two\nlines"x,pos\n', 2, "quotes"),
    # shape
    Bad("too few fields", "a.csv", HEADER + GOOD + b"alone\n", 3, "2 fields are expected, as in the header; got 1"),
    Bad("too few fields", "a.tsv", b"text\tlabel\ngood\tpos\nspaces pos\n", 3, "got 1"),
    Bad("too many fields", "a.csv", HEADER + b"good, but long,pos\n", 2, "got 3"),
    Bad("too many fields", "a.tsv", b"text\tlabel\na\tb\tpos\n", 2, "got 3"),
    Bad("too many fields", "a.csv", HEADER + b'"a\nb",pos\n\nc,pos,\n', 5, "column 3"),
    Bad("missing column", "a.csv", b"text,lable\ngood,pos\n", 1, 'did you mean "lable"'),
    Bad("missing column", "a.csv", b"good,pos\nbad,neg\n", 1, 'the columns are "good", "pos"'),
    Bad("missing column", "a.tsv", b"text,label\ngood,pos\n", 1, 'no column "text"'),
    Bad("missing column", "a.csv", b"\n\r\nTEXT,label\na,b\n", 3, 'no column "text"'),
    Bad("doubled column", "a.csv", b"text,label,text\na,b,c\n", 1, 'two columns are called "text"'),
    Bad("doubled column", "a.tsv", b"label\ttext\tlabel\na\tb\tc\n", 1, 'two columns are called "label"'),
    Bad("empty file", "a.csv", b"", 1, "the file is empty"),
    Bad("empty file", "a.jsonl", b"", 1, "the file is empty"),
    Bad("empty file", "a.tsv", b"\xef\xbb\xbf", 1, "the file is empty"),
    Bad("empty file", "a.csv.xz", lzma.compress(b""), 1, "the file is empty"),
    Bad("no rows", "a.csv", HEADER, None, "no rows"),
    Bad("no rows", "a.tsv", b"text\tlabel\n\n \n", None, "2 blank line"),
    Bad("no rows", "a.jsonl", b"\n\n", None, "2 blank line"),
    # values
    Bad("empty text", "a.csv", HEADER + GOOD + b",pos\n", 3, "text is empty"),
    Bad("empty text", "a.tsv", "text\tlabel\n\u3000 \tpos\n".encode(), 2, "text is empty"),
    Bad("empty text", "a.jsonl", jsonl(FINE, {"text": "\n", "label": "a"}), 2, "text is empty"),
    Bad("empty label", "a.csv", HEADER + b"good,\n", 2, 'column 2 ("label"): the label is empty'),
    Bad("empty label", "a.csv", HEADER + b'"a\n\nb",pos\nc,"  "\n', 5, "label is empty"),
    # JSON
    Bad("not JSON", "a.jsonl", jsonl(FINE, b'{"text": "a", "label": b}\n'), 2, "column 24"),
    Bad("not JSON", "a.jsonl", jsonl(FINE, b'{"text": "a"\n'), 2, "not JSON"),
    Bad("not JSON", "a.jsonl", jsonl(b"[\n", FINE), 1, "jq"),
    Bad("not JSON", "a.jsonl", jsonl(jsonl(FINE)[:-1] + jsonl(FINE)), 1, "Extra data"),
    Bad("not JSON", "a.ndjson", jsonl(FINE, b'{"text": "a\tb"}\n'), 2, "control character"),
    Bad("not an object", "a.jsonl", jsonl(FINE, ["good", "pos"]), 2, "got a list"),
    Bad("not an object", "a.jsonl", jsonl(FINE, b"null\n"), 2, "got null"),
    Bad("missing key", "a.jsonl", jsonl(FINE, {"text": "a", "lable": "b"}), 2, 'did you mean "lable"'),
    Bad("missing key", "a.jsonl", jsonl({}), 1, "the keys are none"),
    Bad("null", "a.jsonl", jsonl(FINE, {"text": None, "label": "a"}), 2, "text is expected, got null"),
    Bad("null", "a.jsonl", jsonl({"text": "a", "label": None}), 1, "got null"),
    Bad("nested value", "a.jsonl", jsonl({"text": ["a"], "label": "b"}), 1, "got a list"),
    Bad("nested value", "a.jsonl", jsonl({"text": "a", "label": {"b": 1}}), 1, "got an object"),
    Bad("number as text", "a.jsonl", jsonl({"text": 5, "label": "b"}), 1, "text is expected, got a number"),
    Bad("float label", "a.jsonl", jsonl(FINE, {"text": "a", "label": 0.5}), 2, "got the number 0.5"),
    Bad("deep nesting", "a.jsonl", jsonl(FINE, b"[" * 200_000 + b"]" * 200_000 + b"\n"), 2, "nested too deep"),
    Bad("deep value", "a.jsonl", jsonl(b'{"text": ' + b"[" * 500 + b"]" * 500 + b', "label": 1}\n'), 1, "a list"),
    Bad("huge number", "a.jsonl", jsonl(FINE, b'{"text": "a", "label": ' + b"1" * 5000 + b"}\n"), 2, "too long"),
    Bad("NaN", "a.jsonl", jsonl(FINE, b'{"text": "a", "label": NaN}\n'), 2, "NaN is not JSON"),
    Bad("NaN", "a.jsonl", jsonl(b'{"text": "a", "label": "b", "score": -Infinity}\n'), 1, "-Infinity is not JSON"),
    Bad("duplicate key", "a.jsonl", jsonl(FINE, b'{"text": "a", "label": "b", "text": "c"}\n'), 2, '"text" stands'),
    Bad("duplicate key", "a.jsonl", jsonl(b'{"text": "a", "label": "b", "x": {"y": 1, "y": 2}}\n'), 1, '"y" stands'),
    Bad("lone surrogate", "a.jsonl", jsonl(FINE, {"text": "a\ud800", "label": "b"}), 2, "\\ud800"),
    Bad("lone surrogate", "a.jsonl", jsonl({"text": "a", "label": "\udfff"}), 1, "half a character"),
    # packing and names
    Bad("cut packing", "a.csv.gz", PACKED[:-20], None, "damaged or cut off"),
    Bad("cut packing", "a.csv.xz", lzma.compress(HEADER + GOOD)[:-30], None, "damaged or cut off"),
    Bad("broken packing", "a.csv.gz", PACKED[:-8] + b"\0\0\0\0" + PACKED[-4:], None, "damaged or cut off"),
    Bad("not packed", "a.csv.gz", HEADER + GOOD, None, "damaged or cut off"),
    Bad("not packed", "a.csv.xz", HEADER + GOOD, None, "damaged or cut off"),
    Bad("packed unsaid", "a.csv", gzip.compress(HEADER), 1, "does not end in .gz"),
    Bad("packed unsaid", "a.tsv", lzma.compress(HEADER), 1, "does not end in .xz"),
    Bad("spreadsheet", "a.csv", b"PK\x03\x04\x14\0", 1, "spreadsheet"),
    Bad("unknown name", "a.xlsx", b"", None, "files end in .csv, .tsv, .jsonl, .ndjson"),
    Bad("unknown name", "a.json", b"[]", None, 'format from ".json"'),
    Bad("unknown name", "reviews", b"", None, "a name without an extension"),
    # UTF-16 and UTF-32, by their marks
    Bad("half a character", "a.csv", utf16("text,label", "good,pos", f"ba{HALF}d,neg"), 3, "not UTF-16"),
    Bad("half a character", "a.tsv", utf16("text\tlabel", f"{HALF}\tneg", codec="utf-16-be"), 2, "not UTF-16"),
    Bad("half a character", "a.jsonl.gz", gzip.compress(utf16(json.dumps(FINE), HALF)), 2, "not UTF-16"),
    Bad("cut UTF-16", "a.csv", utf16("text,label", "good,pos", "bad,neg")[:-3], 3, "not UTF-16"),
    Bad("no character", "a.csv", utf16("text,label", codec="utf-32-le") + b"\xff\xff\xff\xff", 2, "not UTF-32"),
    Bad("cut UTF-32", "a.tsv", utf16("text\tlabel", "a\tb", codec="utf-32-be")[:-6], 2, "not UTF-32"),
    Bad("shape in UTF-16", "a.csv", utf16("text,label", "good,pos", "alone"), 3, "got 1"),
    Bad("shape in UTF-16", "a.csv", utf16("text,label", "a\0b,pos"), 2, "NUL"),
    Bad("empty UTF-16", "a.csv", utf16()[:2], 1, "the file is empty"),
    # bzip2
    Bad("cut packing", "a.csv.bz2", bz2.compress(HEADER + GOOD * 1000)[:-20], None, "damaged or cut off"),
    Bad("not packed", "a.jsonl.bz2", jsonl(FINE), None, "damaged or cut off"),
    Bad("packed unsaid", "a.csv", bz2.compress(HEADER + GOOD), 1, "does not end in .bz2"),
    # Parquet
    Bad("nested column", "a.parquet", parquet({"text": [["a"], ["b"]], "label": ["x", "y"]}), None, '"text" is nested'),
    Bad(
        "nested column", "a.parquet", parquet({"text": ["a"], "label": [{"is": 1}]}), None, '"label" is nested (struct'
    ),
    Bad("nested column", "a.parquet", parquet({"label": ["x"], "text": [[[1]]]}), None, "(list"),
    Bad("cut Parquet", "a.parquet", lambda: parquet(COLUMNS)()[:-9], None, "is not Parquet, or is damaged"),
    Bad("cut Parquet", "a.parquet", lambda: parquet(COLUMNS)()[:50], None, "is not Parquet, or is damaged"),
    Bad("cut Parquet", "a.parquet", lambda: b"\0" * 300 + parquet(COLUMNS)()[300:], None, "damaged"),
    Bad("not Parquet", "a.parquet", HEADER + GOOD, None, "is not Parquet"),
    Bad("not Parquet", "a.parquet", b"", None, "is not Parquet"),
    Bad("Parquet unsaid", "a.csv", parquet(COLUMNS), 1, "does not end in .parquet"),
    Bad("Parquet packed", "a.parquet.gz", b"", None, "packed inside"),
    Bad("missing in Parquet", "a.parquet", parquet({"id": [1]}), None, "no column"),
    Bad("null in Parquet", "a.parquet", parquet(COLUMNS | {"text": ["a", None]}), 2, "got null", "row"),
    Bad("null in Parquet", "a.parquet", parquet(COLUMNS | {"label": [None, "a"]}), 1, "got null", "row"),
    Bad("number in Parquet", "a.parquet", parquet(COLUMNS | {"text": [1, 2]}), 1, "got a number", "row"),
    Bad("number in Parquet", "a.parquet", parquet(COLUMNS | {"label": [0.5, 1.0]}), 1, "got the number 0.5", "row"),
    Bad("bytes in Parquet", "a.parquet", parquet({"text": invalid_text(), "label": list("abc")}), 3, "0xe9", "row"),
    Bad("bytes in Parquet", "a.parquet", parquet({"text": [b"a"], "label": ["x"]}), 1, "Python bytes", "row"),
    Bad(
        "empty Parquet",
        "a.parquet",
        parquet({"text": pyarrow.array([], "string"), "label": pyarrow.array([], "string")}),
        None,
        "no rows",
    ),
    # plain text
    Bad("text not UTF-8", "a.txt", b"fine\nd\xfcll\n", 2, "0xfc at offset 1"),
    Bad("text not UTF-8", "a.txt.xz", lzma.compress(b"a\n" * 600_000 + b"\xe9"), 600_001, "0xe9 at offset 0"),
    Bad("text not UTF-8", "a.txt", utf16("fine", f"d{HALF}ll"), 2, "not UTF-16"),
    Bad("text with NUL", "a.txt", b"one\ntwo\nth\0ree\n", 3, "NUL"),
    Bad("text with NUL", "a.txt", "no mark".encode("utf-16-le"), 1, "NUL"),
    Bad(
        "text cut", "a.txt.gz", gzip.compress(random.Random(0).randbytes(10_000).hex().encode())[:-30], None, "cut off"
    ),
    Bad("text packed unsaid", "a.txt", gzip.compress(b"text"), 1, "does not end in .gz"),
    Bad("no text", "a.md", b"text", None, "is not a text file by its name"),
    # size
    Bad(
        "absurdly long row", "a.csv.gz", lambda: gzip.compress(HEADER + GOOD + b"x" * 100_000_001, 1), 3, "100,000,000"
    ),
    Bad(
        "absurdly long row",
        "a.jsonl.gz",
        lambda: gzip.compress(jsonl(FINE, b'{"text": "' + b"x" * 10**8), 1),
        2,
        "longer",
    ),
]
LARGE = {"absurdly long row"}  # kinds that take their time


GOOD_FILES = {
    "csv": HEADER + b'good,pos\n"bad, sad",neg\r\n"two\nlines ""quoted""",pos\n\nfine,neg\n' * 3,
    "tsv": b"text\tlabel\n" + 'good\tpos\nbad "sad\tneg\r\n\nschön\tpos\n'.encode() * 3,
    "jsonl": jsonl(FINE, {"text": "sch\u00f6n", "label": 1}, b"\n", {"text": "a", "label": True, "x": [1, {}]}) * 3,
}
SPICES = (b'"', b"\n", b"\r", b",", b"\t", b"\0", b"\xff", b"\xef\xbb\xbf", b"{", b"}", b"[" * 2000, b"NaN", b"\\ud800")
PACKINGS = {"": bytes, ".gz": gzip.compress, ".xz": lzma.compress, ".bz2": bz2.compress}


class Mutation(NamedTuple):
    """A good file with a few random changes: its name, its bytes, and how many physical lines they have unpacked."""

    name: str
    data: bytes
    lines: int


def mutation(seed: int) -> Mutation:
    """One of them: a pure function of the seed."""
    chance = random.Random(seed)
    form = chance.choice(list(GOOD_FILES))
    data = bytearray(GOOD_FILES[form])
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(data) + 1)
        if chance.random() < 0.3:
            del data[at : at + chance.randrange(1, 12)]
        elif chance.random() < 0.5:
            data[at:at] = chance.choice(SPICES)
        else:
            data[at : at + 1] = bytes([chance.randrange(256)])
    packing = chance.choice(("", "", *PACKINGS))
    stored = PACKINGS[packing](bytes(data))
    if packing and chance.random() < 0.3:
        stored = stored[: chance.randrange(len(stored))]
    return Mutation(f"mutated.{form}{packing}", stored, data.count(b"\n") + (not data.endswith(b"\n")))


ALPHABET = "abc ÄÖß€日本😀\u2028\x85\x0b'’,;\t\"\\{}[]:0 \r\n\ufeff\u0301\x1b"


def text(chance: random.Random) -> str:
    """A random text, often with what files are made of in it."""
    return "".join(chance.choices(ALPHABET, k=chance.choice((0, 1, 3, 12))))


def valid_csv(seed: int) -> tuple[bytes, list[tuple[str, ...]]]:
    """A valid CSV file of the columns a, b, c, and what Python's `csv` reads of it."""
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
    """A random JSON value."""
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
    """A valid file of JSON lines with the keys a and b, and what Python's `json` reads of it."""
    chance = random.Random(seed)
    rows = [{"a": value(chance), "x": value(chance), "b": value(chance)} for _ in range(chance.randint(1, 12))]
    lines = [json.dumps(row, ensure_ascii=chance.random() < 0.5) for row in rows]
    end = chance.choice(("\n", "\r\n"))
    codec = chance.choice(("utf-8", "utf-8-sig", "utf-16", "utf-32"))
    read = [json.loads(line) for line in lines]
    return "".join(line + end for line in lines).encode(codec), [(row["a"], row["b"]) for row in read]


def check_bad(bad: Bad, folder: Path, ask: Callable[[list[str]], tuple[int, str]]) -> None:
    """Refused with exit code 2, naming the file, the line and what is wrong; `ask` runs a command -> code, stderr."""
    path = bad.write(folder)
    code, said = ask(bad.command(path))
    assert code == 2, said
    assert said.startswith(bad.begins(path)), said
    assert bad.line or f"{path}, line" not in said, said
    assert bad.word in said, said
    assert "\n  fix:  " in said, said
    assert all(line.isprintable() for line in said.splitlines()), said


def check_mutation(seed: int, folder: Path) -> str:
    """No row of a changed file is lost, and nothing but DataError is raised; return what became of it."""
    changed = mutation(seed)
    path = folder / changed.name
    path.write_bytes(changed.data)
    lenient, strict = attempt(path, "skip"), attempt(path, "stop")
    if isinstance(lenient, DataError):
        assert lenient.file == str(path)
        assert isinstance(strict, DataError)
        return "refused"
    counts = lenient.counts
    assert counts.read == len(lenient) + sum(counts.skipped.values())
    if ".csv" in path.name:  # a row may have several lines
        assert counts.read < changed.lines
    else:
        assert counts.read == changed.lines - (".tsv" in path.name)
    assert all(a.line < b.line for a, b in pairwise(lenient.items))
    if isinstance(strict, DataError):
        assert set(counts.skipped) - {"blank line"}
        return "skipped"
    assert strict.items == lenient.items
    return "whole"


def attempt(path: Path, on_bad_row: str) -> Examples | DataError:
    """What is read of a file, or why it is not."""
    try:
        return load_examples(path, DataConfig(on_bad_row=on_bad_row))
    except DataError as error:
        return error


def check_valid(form: str, seed: int, folder: Path) -> None:
    """Ours reads of a valid file what Python's own module reads."""
    (data, expected), columns = {"csv": (valid_csv(seed), "abc"), "jsonl": (valid_jsonl(seed), "ab")}[form]
    path = folder / f"valid.{form}"
    path.write_bytes(data)
    assert [row.values for row in read_rows(path, tuple(columns))] == expected
