import csv
import gzip
import io
import json
import lzma
import random
from itertools import pairwise
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unrolled.config import DataConfig
from unrolled.data import lines as lines_module
from unrolled.data.examples import load_examples
from unrolled.data.lines import BLANK, BadRow, Lines
from unrolled.data.readers import FORMATS, Row, columns_of, format_of, read_rows
from unrolled.errors import DataError

CONFIG = DataConfig()
SKIP = DataConfig(on_bad_row="skip")
HEADER = b"text,label\n"
GOOD = b"good,pos\n"


class Bad(NamedTuple):
    """A file that must be refused at `line` with `word` in the message."""

    kind: str
    name: str
    data: bytes
    line: int | None
    word: str


def jsonl(*rows):
    return b"".join(row if isinstance(row, bytes) else json.dumps(row).encode() + b"\n" for row in rows)


FINE = {"text": "good", "label": "pos"}
PACKED = gzip.compress(HEADER + GOOD * 1000)

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
    Bad("UTF-16", "a.csv", "text,label\ngood,pos\n".encode("utf-16"), 1, "UTF-16"),
    Bad("UTF-16", "a.tsv", "\ufefftext\tlabel\n".encode("utf-16-be"), 1, "iconv -f UTF-16"),
    Bad("UTF-16", "a.csv.gz", gzip.compress("text,label\ngood,pos\n".encode("utf-16")), 1, "UTF-16"),
    Bad("UTF-16 unmarked", "a.csv", "text,label\ngood,pos\n".encode("utf-16-le"), 1, "NUL"),
    Bad("UTF-32", "a.jsonl", "{}".encode("utf-32"), 1, "UTF-32"),
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
    Bad("empty file", "a.tsv", b"\xef\xbb\xbf", 1, "blank lines"),
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
]


def test_the_table_is_large():
    assert len(BAD) >= 80
    assert len({bad.kind for bad in BAD}) >= 35


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: f"{bad.kind}, {bad.name}")
def test_a_bad_file_is_refused_with_its_line_and_reason(tmp_path, bad):
    path = tmp_path / bad.name
    path.write_bytes(bad.data)
    with pytest.raises(DataError) as caught:
        load_examples(path, CONFIG)
    error = caught.value
    assert (error.file, error.line) == (str(path), bad.line)
    assert bad.word in str(error)
    assert error.fix
    assert str(error).isprintable() or "\n  " in str(error)


def test_an_error_looks_as_promised(tmp_path):
    path = tmp_path / "reviews.csv"
    path.write_bytes(HEADER + GOOD + b'"the food was fine, but\xe2\x80\xa6","neutrl"\n')
    with pytest.raises(DataError) as caught:
        load_examples(str(path), CONFIG, labels=["negative", "neutral", "pos"])
    assert str(caught.value) == (
        f'{path}, line 3, column 2 ("label"): "neutrl" is not one of the 3 labels seen in training '
        "(negative, neutral, pos)\n"
        '  row:  "the food was fine, but…","neutrl"\n'
        "  fix:  correct the row, or skip bad rows with --on-bad-row skip (they are counted and listed)"
    )


def test_paths_that_are_no_files(tmp_path):
    (tmp_path / "reviews.csv").touch()
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(DataError, match=r'there is no such file \(did you mean "reviews.csv"\?\)'):
        load_examples(tmp_path / "revews.csv", CONFIG)
    with pytest.raises(DataError, match="there is no such file"):
        load_examples(tmp_path / "nowhere" / "reviews.csv", CONFIG)
    with pytest.raises(DataError, match="is a folder"):
        load_examples(tmp_path / "folder.csv", CONFIG)


def rows_of(form, data, columns=("text", "label")):
    return list(FORMATS[form](Lines(io.BytesIO(data), "f"), columns))


def values_of(form, data, columns=("text", "label")):
    return [row.values for row in rows_of(form, data, columns)]


def test_good_files_of_every_format(tmp_path):
    rows = [("good, or so", "pos"), ("he said “no”", "NA")]
    files = {
        "a.csv": 'text,label\n"good, or so",pos\nhe said “no”,NA\n',
        "b.TSV": "label\tid\ttext\npos\t1\tgood, or so\r\nNA\t2\the said “no”",
        "c.jsonl": '{"text": "good, or so", "label": "pos"}\n{"label": "NA", "text": "he said \\u201cno”", "x": null}',
        "d.ndjson": '\ufeff{"text": "good, or so", "label": "pos"}\r\n{"label": "NA", "text": "he said “no”"}\r\n',
    }
    for name, text in files.items():
        for pack, suffix in ((bytes, ""), (gzip.compress, ".gz"), (lzma.compress, ".xz")):
            path = tmp_path / (name + suffix)
            path.write_bytes(pack(text.encode()))
            assert [row.values for row in read_rows(path, ("text", "label"))] == rows
    assert format_of(path) == "jsonl"
    assert columns_of(tmp_path / "b.TSV.gz") == ("label", "id", "text")
    assert columns_of(path) == ("text", "label")


def test_quotes_in_tsv_are_characters():
    assert values_of("tsv", b'text\tlabel\n"a""\t"b\n') == [('"a""', '"b')]


def test_lines_are_physical_ones():
    data = b'text,label\n"a\nb\r\n\n",pos\n\nc,neg\n"d\n",pos'
    assert [row.line for row in rows_of("csv", data) if isinstance(row, Row)] == [2, 7, 8]


def test_blank_lines_before_the_header_count_too():
    for form, sign in (("csv", b","), ("tsv", b"\t")):
        rows = rows_of(form, b"\n\r\ntext" + sign + b"label\na" + sign + b"b\n\n")
        assert [row if isinstance(row, BadRow) else row.line for row in rows] == [BLANK, BLANK, 4, BLANK]


def test_carriage_returns_at_the_end_of_a_line_are_its_end():
    assert values_of("csv", b"text,label\r\na,b\nc,d\r\r\n") == [("a", "b"), ("c", "d")]
    assert values_of("tsv", b"text\tlabel\r\na\tb\nc\td\r\r\n") == [("a", "b"), ("c", "d")]


def test_a_field_may_be_longer_than_the_csv_module_likes():
    long = "x" * 300_000
    assert values_of("csv", f"text,label\n{long},pos\n".encode()) == [(long, "pos")]


@pytest.mark.parametrize("form", ["csv", "tsv", "jsonl"])
def test_a_row_of_absurd_length_is_refused_where_it_began(monkeypatch, form):
    monkeypatch.setattr(lines_module, "MOST_BYTES", 10_000)
    good = {"csv": HEADER + GOOD, "tsv": b"text\tlabel\ngood\tpos\n", "jsonl": jsonl(FINE, FINE)}[form]
    with pytest.raises(DataError, match=r"line 3: the row that starts here is longer than 10,000 bytes"):
        rows_of(form, good + b"x" * 20_000)


def test_an_unclosed_quote_does_not_swallow_a_file_larger_than_memory(monkeypatch):
    monkeypatch.setattr(lines_module, "MOST_BYTES", 10_000)
    with pytest.raises(DataError, match="line 3: the row that starts here is longer"):
        rows_of("csv", HEADER + GOOD + b'"oh' + GOOD * 5_000)


def test_after_a_bad_row_reading_goes_on():
    data = HEADER + b'"a" b,pos\nc\xe9,pos\nd,pos\ne\rf,pos\n"g\n\xff\n",pos\nh,neg\n'
    rows = rows_of("csv", data)
    assert [row.reason if isinstance(row, BadRow) else row.values for row in rows] == [
        "broken quotes",
        "not UTF-8",
        ("d", "pos"),
        "bare carriage return",
        "not UTF-8",
        ("h", "neg"),
    ]


def test_reading_takes_one_row_at_a_time():
    class Endless(io.RawIOBase):
        def readline(self, size=-1):
            return b"text,label\n"

    rows = FORMATS["csv"](Lines(Endless(), "f"), ("text", "label"))
    assert [next(rows).line for _ in range(3)] == [2, 3, 4]


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@given(
    st.lists(st.tuples(TEXTS, TEXTS, TEXTS), max_size=8),
    st.sampled_from([(csv.QUOTE_MINIMAL, "\r\n"), (csv.QUOTE_ALL, "\r\n"), (csv.QUOTE_ALL, "\n")]),
)
@settings(max_examples=200, deadline=None)
def test_csv_reads_what_pythons_csv_wrote(rows, dialect):
    quoting, end = dialect
    file = io.StringIO(newline="")
    writer = csv.writer(file, quoting=quoting, lineterminator=end)
    writer.writerow(["a", "b", "c"])
    writer.writerows(row for row in rows if not row[0].startswith("\ufeff"))
    text = file.getvalue()
    expected = [tuple(row) for row in csv.reader(io.StringIO(text, newline=""), strict=True)][1:]
    assert values_of("csv", text.encode(), ("a", "b", "c")) == expected


@given(st.lists(st.lists(TEXTS.filter(lambda t: not set(t) & set("\t\r\n\ufeff")), min_size=2, max_size=2), max_size=8))
@settings(max_examples=100, deadline=None)
def test_tsv_is_nothing_but_tabs(rows):
    data = "".join(f"{a}\t{b}\n" for a, b in [["text", "label"], *rows]).encode()
    assert values_of("tsv", data) == [tuple(row) for row in rows]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


@given(st.lists(st.fixed_dictionaries({"text": JSON, "label": JSON}, optional={"x": JSON}), max_size=6), st.booleans())
@settings(max_examples=100, deadline=None)
def test_jsonl_reads_what_pythons_json_wrote(rows, escaped):
    data = "".join(json.dumps(row, ensure_ascii=escaped) + "\n" for row in rows).encode()
    if rows:
        assert values_of("jsonl", data) == [(row["text"], row["label"]) for row in rows]


GOOD_FILES = {
    "csv": HEADER + b'good,pos\n"bad, sad",neg\r\n"two\nlines ""quoted""",pos\n\nfine,neg\n' * 3,
    "tsv": b"text\tlabel\n" + 'good\tpos\nbad "sad\tneg\r\n\nschön\tpos\n'.encode() * 3,
    "jsonl": jsonl(FINE, {"text": "sch\u00f6n", "label": 1}, b"\n", {"text": "a", "label": True, "x": [1, {}]}) * 3,
}
SPICES = [b'"', b"\n", b"\r", b",", b"\t", b"\0", b"\xff", b"\xef\xbb\xbf", b"{", b"}", b"[" * 2000, b"NaN", b"\\ud800"]


@given(st.sampled_from(list(GOOD_FILES)), st.integers(0, 2**32), st.integers(1, 6), st.sampled_from(["", ".gz", ".xz"]))
@settings(max_examples=400, deadline=None)
def test_mutated_files_lose_no_row_and_raise_nothing_else(tmp_path_factory, form, seed, changes, packing):
    chance = random.Random(seed)
    data = bytearray(GOOD_FILES[form])
    for _ in range(changes):
        at = chance.randrange(len(data) + 1)
        if chance.random() < 0.3:
            del data[at : at + chance.randrange(1, 12)]
        elif chance.random() < 0.5:
            data[at:at] = chance.choice(SPICES)
        else:
            data[at : at + 1] = bytes([chance.randrange(256)])
    stored = {"": bytes, ".gz": gzip.compress, ".xz": lzma.compress}[packing](bytes(data))
    if packing and chance.random() < 0.3:
        stored = stored[: chance.randrange(len(stored))]
    path = tmp_path_factory.getbasetemp() / f"mutated.{form}{packing}"
    path.write_bytes(stored)
    examples = attempt(path, SKIP)
    if isinstance(examples, DataError):
        assert examples.file == str(path)
        return
    counts = examples.counts
    assert counts.read == len(examples) + sum(counts.skipped.values())
    physical = bytes(data).count(b"\n") + (not data.endswith(b"\n"))
    assert counts.read < physical if form == "csv" else counts.read == physical - (form == "tsv")
    assert all(a.line < b.line for a, b in pairwise(examples.items))
    strict = attempt(path, CONFIG)
    if isinstance(strict, DataError):
        assert set(counts.skipped) - {"blank line"}
    else:
        assert strict.items == examples.items


def attempt(path, config):
    try:
        return load_examples(path, config)
    except DataError as error:
        return error
