"""Files with a single fault each, by kind, with the line of the error: tests and benchmarks use them all."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow
import pyarrow.parquet

Make = Callable[[], bytes]


class Bad(NamedTuple):
    """A file that must be refused at `line` (None: as a whole) with `word` in the message."""

    task: str
    kind: str
    name: str
    data: bytes | Make
    line: int | None
    word: str

    def write(self, folder: Path) -> Path:
        """Write the file and return its path."""
        path = folder / self.name
        path.write_bytes(self.data if isinstance(self.data, bytes) else self.data())
        return path

    def check(self, folder: Path, ask: Callable[[list[str]], tuple[int, str]]) -> None:
        """Check that the file is refused with code 2, file, line and fault; `ask` runs a command -> code, stderr."""
        path = self.write(folder)
        code, stderr = ask(["train", str(path), "--task", self.task])
        where = "" if self.line is None else f", {'row' if path.suffix == '.parquet' else 'line'} {self.line}"
        assert code == 2, stderr
        assert re.match(re.escape(f"unrolled: {path}{where}") + "(, column [0-9]|: )", stderr), stderr
        assert self.word in stderr, stderr
        assert "\n  fix:  " in stderr, stderr
        assert all(line.isprintable() for line in stderr.splitlines()), stderr


HEADER = b"text,label\n"
GOOD = b"good,pos\n"
FINE = {"text": "good", "label": "pos"}
TSV = b"text\tlabel\n"
SURROGATE = "\ud83d"  # unpaired
LINES = HEADER + b"".join(b"text %d of many,pos\n" % i for i in range(1_000))
PACKINGS = {".gz": gzip.compress, ".xz": lzma.compress, ".bz2": bz2.compress}


def jsonl(*rows: Any) -> bytes:
    """Return rows as JSON lines; bytes as they are."""
    return b"".join(row if isinstance(row, bytes) else json.dumps(row).encode() + b"\n" for row in rows)


def marked(*lines: str, codec: str = "utf-16-le") -> bytes:
    """Return lines in UTF-16 or UTF-32 with a byte order mark; unpaired surrogates as they are."""
    return "".join(("\ufeff", *(line + "\n" for line in lines))).encode(codec, "surrogatepass")


def parquet(**columns: Any) -> bytes:
    """Return a Parquet file of lists or arrow arrays."""
    arrays = {name: pyarrow.array(values) if isinstance(values, list) else values for name, values in columns.items()}
    return _stored(pyarrow.table(arrays))


def doubled() -> bytes:
    """Return a Parquet file with two columns of one name."""
    return _stored(pyarrow.table([pyarrow.array(["a"])] * 3, names=["text", "label", "text"]))


def invalid(*texts: bytes) -> pyarrow.Array:
    """Return a column of text that is not UTF-8."""
    return pyarrow.array(texts, pyarrow.binary()).view(pyarrow.string())


def _stored(table: pyarrow.Table) -> bytes:
    file = io.BytesIO()
    pyarrow.parquet.write_table(table, file)
    return file.getvalue()


def flipped(data: bytes, at: int) -> bytes:
    """Return the data with one byte changed."""
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


def astray(suffix: str) -> Make:
    """Return a function that makes a Parquet file without its first, its last, or many bytes."""
    cuts = {"first": slice(300, None), "last": slice(0, -9), "many": slice(0, 50)}
    return lambda: parquet(text=["a", "b"], label=["x", "y"])[cuts[suffix]]


EMPTY = pyarrow.array([], "string")
Cases = dict[str, list[tuple[str, bytes | Make, int | None, str]]]  # kind -> name, data, line, word

ROWS: Cases = {
    # encodings
    "not UTF-8": [
        ("a.csv", HEADER + GOOD + "café,pos\n".encode("latin1"), 3, "0xe9 at offset 3"),
        ("a.tsv", TSV + b"caf\xe9\tpos\n", 2, "0xe9 at offset 3"),
        ("a.jsonl", jsonl(FINE, FINE, b'{"text": "caf\xe9"}\n'), 3, "0xe9 at offset 13"),
        ("a.csv", b"te\xe9xt,label\n" + GOOD, 1, "0xe9 at offset 2"),
        ("a.csv", HEADER + b'"two\nl\xefnes",pos\n', 3, "0xef at offset 1"),
    ],
    "cut character": [
        ("a.csv", HEADER + GOOD + "é,pos\n".encode()[1:], 3, "0xa9 at offset 0"),
        ("a.tsv", TSV + b"good\tp\xc3", 2, "unexpected end of data"),
        ("a.jsonl", jsonl(FINE, b'{"text": "\xe2\x82"}\n'), 2, "0xe2 at offset 10"),
    ],
    "no character": [
        ("a.csv", HEADER + b"\xc0\xaf,pos\n", 2, "0xc0"),
        ("a.csv", HEADER + b"\xed\xa0\x80,pos\n", 2, "0xed"),
        ("a.tsv", TSV + b"a\tb\n\xf4\x90\x80\x80\tpos\n", 3, "0xf4"),
    ],
    "UTF-16 without a mark": [
        ("a.csv", "text,label\ngood,pos\n".encode("utf-16-le"), 1, "NUL character at offset 1"),
        ("a.tsv", "text\tlabel\ngood\tpos\n".encode("utf-16-be"), 1, "NUL character at offset 0"),
        ("a.jsonl", json.dumps(FINE).encode("utf-16-le"), 1, "it seems to be UTF-16"),
    ],
    "mark inside": [
        ("a.csv", HEADER + GOOD + b"\xef\xbb\xbf" + HEADER, 3, "byte order mark"),
        ("a.tsv", TSV + b"\xef\xbb\xbfa\tb\n", 2, "byte order mark"),
        ("a.jsonl", jsonl(FINE, b"\xef\xbb\xbf" + jsonl(FINE)), 2, "byte order mark"),
    ],
    "NUL": [
        ("a.csv", HEADER + b"go\0od,pos\n", 2, "NUL character at offset 2"),
        ("a.tsv", TSV + b"good\tpos\n\0\n", 3, "NUL"),
        ("a.jsonl", jsonl(FINE, b'{"text": "\0"}\n'), 2, "NUL character at offset 10"),
    ],
    "unpaired surrogate in UTF-16": [
        ("a.csv", marked("text,label", "good,pos", f"ba{SURROGATE}d,neg"), 3, "not UTF-16"),
        ("a.tsv", marked("text\tlabel", f"{SURROGATE}\tneg", codec="utf-16-be"), 2, "not UTF-16"),
        ("a.jsonl.gz", gzip.compress(marked(json.dumps(FINE), SURROGATE)), 2, "not UTF-16"),
    ],
    "cut UTF-16 or UTF-32": [
        ("a.csv", marked("text,label", "good,pos", "bad,neg")[:-3], 3, "not UTF-16"),
        ("a.tsv", marked("text\tlabel", "a\tb", codec="utf-32-be")[:-6], 2, "not UTF-32"),
        ("a.jsonl", marked(json.dumps(FINE), json.dumps(FINE), codec="utf-16-be")[:-1], 2, "not UTF-16"),
    ],
    "no character of UTF-32": [
        ("a.csv", marked("text,label", codec="utf-32-le") + b"\xff\xff\xff\xff", 2, "not UTF-32"),
        ("a.tsv", marked("text\tlabel", "a\tb", codec="utf-32-be") + b"\0\x11\0\0", 3, "not UTF-32"),
        ("a.csv", marked("text,label", f"{SURROGATE},b", codec="utf-32-le"), 2, "not UTF-32"),
    ],
    "a fault in UTF-16 or UTF-32": [
        ("a.csv", marked("text,label", "good,pos", "alone"), 3, "got 1"),
        ("a.csv", marked("text,label", "a\0b,pos"), 2, "NUL"),
        ("a.tsv", marked("text;lable", codec="utf-32-be"), 1, 'did you mean "lable"'),
    ],
    # lines
    "bare carriage return": [
        ("a.csv", HEADER + GOOD + b"a\rb,pos\n", 3, "carriage return"),
        ("a.csv", b"text,label\rgood,pos\rbad,neg\r", 1, "carriage return"),
        ("a.tsv", TSV + b"good\tpos\nba\rd\tneg\n", 3, "carriage return"),
        ("a.jsonl", jsonl(FINE, b'{"text":\r"a"}\n'), 2, "carriage return"),
    ],
    "unclosed quote": [
        ("a.csv", HEADER + GOOD + b'"never closed,pos\nx,neg\ny,pos\n', 3, "never closed"),
        ("a.csv", HEADER + b'fine,pos\nx,"neg', 3, "never closed"),
        ("a.csv", b'"text,label\ngood,pos\n', 1, "never closed"),
        ("a.csv", HEADER + b'"a\nb\nc",pos\n"x\ny,neg\nz', 5, "never closed"),
    ],
    "broken quotes": [
        ("a.csv", HEADER + GOOD + b'"he said "no" twice",neg\n', 3, "written twice"),
        ("a.csv", HEADER + b'"a" ,pos\n', 2, "quotes"),
        ("a.csv", HEADER + b'"two\nlines"x,pos\n', 2, "quotes"),
    ],
    "too few fields": [
        ("a.csv", HEADER + GOOD + b"alone\n", 3, "2 fields are expected, as in the header; got 1"),
        ("a.tsv", TSV + b"good\tpos\nspaces pos\n", 3, "got 1"),
        ("a.csv", b"id,text,label\n1,good,pos\n2,bad\n", 3, "column 2: 3 fields are expected"),
    ],
    "too many fields": [
        ("a.csv", HEADER + b"good, but long,pos\n", 2, "got 3"),
        ("a.tsv", TSV + b"a\tb\tpos\n", 2, "got 3"),
        ("a.csv", HEADER + b'"a\nb",pos\n\nc,pos,\n', 5, "column 3"),
    ],
    "missing column": [
        ("a.csv", b"text,lable\ngood,pos\n", 1, 'did you mean "lable"'),
        ("a.csv", b"good,pos\nbad,neg\n", 1, 'the columns are "good", "pos"'),
        ("a.tsv", b"text^label\ngood^pos\n", 1, 'no column "text"'),
        ("a.csv", b"\n\r\nTEXT,label\na,b\n", 3, 'no column "text"'),
    ],
    "doubled column": [
        ("a.csv", b"text,label,text\na,b,c\n", 1, 'two columns are called "text"'),
        ("a.tsv", b"label\ttext\tlabel\na\tb\tc\n", 1, 'two columns are called "label"'),
        ("a.csv", b"\ntext,text,label\na,b,c\n", 2, 'two columns are called "text"'),
    ],
    "empty file": [
        ("a.csv", b"", 1, "the file is empty"),
        ("a.jsonl", b"", 1, "the file is empty"),
        ("a.tsv", b"\xef\xbb\xbf", 1, "the file is empty"),
        ("a.csv.xz", lzma.compress(b""), 1, "the file is empty"),
        ("a.csv", marked(), 1, "the file is empty"),
    ],
    "no rows": [
        ("a.csv", HEADER, None, "no rows"),
        ("a.tsv", TSV + b"\n \n", None, "2 blank line"),
        ("a.jsonl", b"\n\n", None, "2 blank line"),
        ("a.csv", b"\n \n", 1, "only blank lines"),
    ],
    "a row longer than 100 MB": [
        ("a.csv.gz", lambda: gzip.compress(HEADER + GOOD + b"x" * 100_000_001, 1), 3, "100,000,000"),
        ("a.tsv.gz", lambda: gzip.compress(TSV + b"a\tb\n" + b"x" * 100_000_001, 1), 3, "100,000,000"),
        ("a.jsonl.gz", lambda: gzip.compress(jsonl(FINE, b'{"text": "' + b"x" * 10**8), 1), 2, "longer"),
    ],
    # values
    "empty text": [
        ("a.csv", HEADER + GOOD + b",pos\n", 3, "text is empty"),
        ("a.tsv", TSV + "\u3000 \tpos\n".encode(), 2, "text is empty"),
        ("a.jsonl", jsonl(FINE, {"text": "\n", "label": "a"}), 2, "text is empty"),
    ],
    "empty label": [
        ("a.csv", HEADER + b"good,\n", 2, 'column 2 ("label"): the label is empty'),
        ("a.csv", HEADER + b'"a\n\nb",pos\nc,"  "\n', 5, "label is empty"),
        ("a.jsonl", jsonl(FINE, {"text": "a", "label": ""}), 2, "label is empty"),
    ],
    # JSON
    "not JSON": [
        ("a.jsonl", jsonl(FINE, b'{"text": "a", "label": b}\n'), 2, "column 24"),
        ("a.jsonl", jsonl(FINE, b'{"text": "a"\n'), 2, "not JSON"),
        ("a.jsonl", jsonl(b"[\n", FINE), 1, "jq"),
        ("a.jsonl", jsonl(jsonl(FINE)[:-1] + jsonl(FINE)), 1, "Extra data"),
        ("a.ndjson", jsonl(FINE, b'{"text": "a\tb"}\n'), 2, "control character"),
    ],
    "not an object": [
        ("a.jsonl", jsonl(FINE, ["good", "pos"]), 2, "got a list"),
        ("a.jsonl", jsonl(FINE, b"null\n"), 2, "got null"),
        ("a.jsonl", jsonl("good"), 1, "got a string"),
    ],
    "missing key": [
        ("a.jsonl", jsonl(FINE, {"text": "a", "lable": "b"}), 2, 'did you mean "lable"'),
        ("a.jsonl", jsonl({}), 1, "the keys are none"),
        ("a.jsonl", jsonl(b"\n", FINE, {"label": "b"}), 3, 'no key "text"'),
    ],
    "null": [
        ("a.jsonl", jsonl(FINE, {"text": None, "label": "a"}), 2, "text is expected, got null"),
        ("a.jsonl", jsonl({"text": "a", "label": None}), 1, "got null"),
        ("a.jsonl", jsonl(FINE, FINE, {"text": None, "label": None}), 3, "got null"),
    ],
    "nested value": [
        ("a.jsonl", jsonl({"text": ["a"], "label": "b"}), 1, "got a list"),
        ("a.jsonl", jsonl({"text": "a", "label": {"b": 1}}), 1, "got an object"),
        ("a.jsonl", jsonl(FINE, {"text": "a", "label": []}), 2, "got a list"),
    ],
    "text that is no text": [
        ("a.jsonl", jsonl({"text": 5, "label": "b"}), 1, "text is expected, got a number"),
        ("a.jsonl", jsonl(FINE, {"text": True, "label": "b"}), 2, "text is expected, got true"),
        ("a.jsonl", jsonl(FINE, {"text": -0.5, "label": "b"}), 2, "text is expected, got the number -0.5"),
    ],
    "fraction as label": [
        ("a.jsonl", jsonl(FINE, {"text": "a", "label": 0.5}), 2, "got the number 0.5"),
        ("a.jsonl", jsonl(FINE, {"text": "a", "label": -1.25e-3}), 2, "got the number -0.00125"),
        ("a.jsonl", jsonl(FINE, b'{"text": "a", "label": 1e400}\n'), 2, "got the number inf"),
    ],
    "deep nesting": [
        ("a.jsonl", jsonl(FINE, b"[" * 200_000 + b"]" * 200_000 + b"\n"), 2, "nested too deep"),
        ("a.jsonl", jsonl(FINE, b'{"a":' * 100_000 + b"1" + b"}" * 100_000), 2, "nested too deep"),
        ("a.jsonl", jsonl(b'{"text": ' + b"[" * 500 + b"]" * 500 + b', "label": 1}\n'), 1, "a list"),
    ],
    "huge number": [
        ("a.jsonl", jsonl(FINE, b'{"text": "a", "label": ' + b"1" * 5_000 + b"}\n"), 2, "too long"),
        ("a.jsonl", jsonl(b'{"text": "a", "label": -' + b"9" * 5_000 + b"}\n"), 1, "too long"),
        ("a.jsonl", jsonl(FINE, b'{"text": "a", "label": "b", "x": [' + b"7" * 9_999 + b"]}\n"), 2, "too long"),
    ],
    "NaN": [
        ("a.jsonl", jsonl(FINE, b'{"text": "a", "label": NaN}\n'), 2, "NaN is not JSON"),
        ("a.jsonl", jsonl(b'{"text": "a", "label": "b", "score": -Infinity}\n'), 1, "-Infinity is not JSON"),
        ("a.jsonl", jsonl(FINE, b"[Infinity]\n"), 2, "Infinity is not JSON"),
    ],
    "duplicate key": [
        ("a.jsonl", jsonl(FINE, b'{"text": "a", "label": "b", "text": "c"}\n'), 2, '"text" occurs'),
        ("a.jsonl", jsonl(b'{"text": "a", "label": "b", "x": {"y": 1, "y": 2}}\n'), 1, '"y" occurs'),
        ("a.jsonl", jsonl(FINE, b'{"text": "a", "label": "b", "l\\u0061bel": "b"}\n'), 2, '"label" occurs'),
    ],
    "unpaired surrogate": [
        ("a.jsonl", jsonl(FINE, {"text": "a\ud800", "label": "b"}), 2, "\\ud800"),
        ("a.jsonl", jsonl({"text": "a", "label": "\udfff"}), 1, "unpaired surrogate"),
        ("a.jsonl", jsonl(FINE, {"text": "\ude00\ud83d", "label": "b"}), 2, "\\ude00"),
    ],
    # packing and names
    "cut packing": [(f"a.csv{end}", pack(LINES)[:-20], None, "damaged or truncated") for end, pack in PACKINGS.items()],
    "packed nothing": [(f"a.csv{end}", b"", None, "damaged or truncated") for end in PACKINGS],
    "broken packing": [
        (f"a.csv{end}", flipped(pack(LINES), -12), None, "damaged or truncated") for end, pack in PACKINGS.items()
    ],
    "not packed": [(f"a.csv{end}", LINES, None, "damaged or truncated") for end in PACKINGS],
    "packed unsaid": [("a.csv", pack(LINES), 1, f"does not end in {end}") for end, pack in PACKINGS.items()],
    "spreadsheet": [(f"a.{form}", b"PK\x03\x04\x14\0", 1, "spreadsheet") for form in ("csv", "tsv", "jsonl")],
    "unknown name": [
        ("a.xlsx", b"", None, "is a spreadsheet"),
        ("a.jsn", b"[]", None, "files end in .csv, .tsv, .txt, .jsonl, .ndjson, .json, .parquet"),
        ("reviews", b"", None, "a name without an extension"),
    ],
    # Parquet
    "nested column": [
        ("a.parquet", lambda: parquet(text=[["a"], ["b"]], label=["x", "y"]), None, '"text" is nested'),
        ("a.parquet", lambda: parquet(text=["a"], label=[{"is": 1}]), None, '"label" is nested (struct'),
        ("a.parquet", lambda: parquet(label=["x"], text=[[[1]]]), None, "(list"),
    ],
    "cut Parquet": [
        ("a.parquet", astray(what), None, "is not Parquet, or is damaged") for what in ("first", "last", "many")
    ],
    "not Parquet": [
        ("a.parquet", data, None, "is not Parquet") for data in (HEADER + GOOD, b"", gzip.compress(b"PAR1"))
    ],
    "Parquet by another name": [
        ("a.csv", lambda: parquet(text=["a"], label=["x"]), 1, "does not end in .parquet"),
        ("a.jsonl", lambda: parquet(text=["a"], label=["x"]), 1, "does not end in .parquet"),
        ("a.parquet.gz", b"", None, "compressed internally"),
    ],
    "missing or doubled in Parquet": [
        ("a.parquet", lambda: parquet(id=[1]), None, 'no column "text"'),
        ("a.parquet", lambda: parquet(text=["a"], lable=["x"]), None, 'did you mean "lable"'),
        ("a.parquet", doubled, None, 'two columns are called "text"'),
    ],
    "null in Parquet": [
        ("a.parquet", lambda: parquet(text=["a", None], label=["x", "y"]), 2, "got null"),
        ("a.parquet", lambda: parquet(text=["a", "b"], label=[None, "y"]), 1, "got null"),
        ("a.parquet", lambda: parquet(text=["a"] * 5_000 + [None], label=["x"] * 5_001), 5_001, "got null"),
    ],
    "number in Parquet": [
        ("a.parquet", lambda: parquet(text=[1, 2], label=["x", "y"]), 1, "got a number"),
        ("a.parquet", lambda: parquet(text=["a", "b"], label=[0.5, 1.0]), 1, "got the number 0.5"),
        ("a.parquet", lambda: parquet(text=[True], label=["x"]), 1, "got true"),
    ],
    "bytes in Parquet": [
        ("a.parquet", lambda: parquet(text=invalid(b"good", b"fine", b"caf\xe9"), label=list("abc")), 3, "0xe9"),
        ("a.parquet", lambda: parquet(text=["a", "b"], label=invalid(b"x", b"\xff")), 2, "0xff"),
        ("a.parquet", lambda: parquet(text=[b"a"], label=["x"]), 1, "Python bytes"),
    ],
    "empty in Parquet": [
        ("a.parquet", lambda: parquet(text=EMPTY, label=EMPTY), None, "no rows"),
        ("a.parquet", lambda: parquet(text=["a", " "], label=["x", "y"]), 2, "text is empty"),
        ("a.parquet", lambda: parquet(text=["a"], label=[""]), 1, "label is empty"),
    ],
}

TEXTS: Cases = {
    "text that is not UTF-8": [
        ("a.txt", b"fine\nd\xfcll\n", 2, "0xfc at offset 1"),
        ("a.txt.xz", lzma.compress(b"a\n" * 600_000 + b"\xe9"), 600_001, "0xe9 at offset 0"),
        ("a.txt", marked("fine", f"d{SURROGATE}ll"), 2, "not UTF-16"),
    ],
    "text with NUL": [
        ("a.txt", b"one\ntwo\nth\0ree\n", 3, "NUL"),
        ("a.txt", "no mark".encode("utf-16-le"), 1, "NUL"),
        ("a.txt", marked("one", "\0", codec="utf-32-le"), 2, "NUL"),
    ],
    "cut text": [
        (f"a.txt{end}", pack(random.Random(0).randbytes(9_999).hex().encode())[:-30], None, "truncated")
        for end, pack in PACKINGS.items()
    ],
    "packed text unsaid": [("a.txt", pack(b"text"), 1, f"does not end in {end}") for end, pack in PACKINGS.items()],
    "empty text file": [
        ("a.txt", b"", 1, "the file is empty"),
        ("a.txt", b"\xef\xbb\xbf", 1, "the file is empty"),
        ("a.txt.gz", gzip.compress(b""), 1, "the file is empty"),
    ],
    "no text": [(name, b"text", None, "is not a text file by its name") for name in ("a.md", "a.csv", "text")],
}

BAD = [
    Bad(task, kind, *case)
    for task, cases in (("classify", ROWS), ("generate", TEXTS))
    for kind, some in cases.items()
    for case in some
]
SLOW = {"a row longer than 100 MB"}  # kinds that take long
