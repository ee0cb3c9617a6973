import bz2
import gzip
import io
import lzma
from collections import Counter
from itertools import chain, repeat

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from badfiles import BAD, FINE, GOOD, HEADER, SLOW, jsonl
from randomfiles import check_mutation, check_valid
from unrolled.cli.main import run
from unrolled.config import DataConfig
from unrolled.data.examples.labelled import load_examples
from unrolled.data.reading import lines as lines_module
from unrolled.data.reading.csv_tsv import read_table
from unrolled.data.reading.formats import columns_of, format_of, read_rows
from unrolled.data.reading.json_lines import read_json_lines
from unrolled.data.reading.lines import BLANK, Lines
from unrolled.data.reading.rows import BadRow, Row
from unrolled.data.reading.separators import CSV, TSV
from unrolled.errors import DataError

CONFIG = DataConfig()
SKIP = DataConfig(on_bad_row="skip")


def test_the_table_is_large():
    kinds = Counter(bad.kind for bad in BAD)
    assert len(BAD) >= 120
    assert len(kinds) >= 40
    assert min(kinds.values()) >= 3


@pytest.mark.parametrize("bad", [bad for bad in BAD if bad.kind not in SLOW], ids=lambda bad: f"{bad.kind}, {bad.name}")
def test_a_bad_file_is_refused_with_its_line_and_reason(tmp_path, monkeypatch, capsys, bad):
    def ask(arguments):
        code = run(arguments)
        return code, capsys.readouterr().err

    monkeypatch.chdir(tmp_path)
    bad.check(tmp_path, ask)
    assert not (tmp_path / "runs").exists()


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
    with pytest.raises(DataError, match="holds no images and no texts"):
        load_examples(tmp_path / "folder.csv", CONFIG)


def rows_of(form, data, columns=("text", "label")):
    lines = Lines(io.BytesIO(data), "f")
    if form == "jsonl":
        return list(read_json_lines(lines, columns))
    return list(read_table(lines, columns, CSV if form == "csv" else TSV))


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
        for pack, suffix in ((bytes, ""), (gzip.compress, ".gz"), (lzma.compress, ".xz"), (bz2.compress, ".bz2")):
            path = tmp_path / (name + suffix)
            for codec in ("utf-8", "utf-16", "utf-32"):
                path.write_bytes(pack((text if codec == "utf-8" else text.removeprefix("\ufeff")).encode(codec)))
                assert [row.values for row in read_rows(path, ("text", "label")) if isinstance(row, Row)] == rows
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
        lines = chain([b"text,label\n"], repeat(b"fine,pos\n"))

        def readline(self, size=-1):
            return next(self.lines)

    rows = read_table(Lines(Endless(), "f"), ("text", "label"), CSV)
    assert [next(rows).line for _ in range(3)] == [2, 3, 4]


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@given(st.lists(st.lists(TEXTS.filter(lambda t: not set(t) & set("\t\r\n\ufeff")), min_size=2, max_size=2), max_size=8))
@settings(max_examples=100)
def test_tsv_is_nothing_but_tabs(rows):
    data = "".join(f"{a}\t{b}\n" for a, b in [["text", "label"], *rows]).encode()
    assert values_of("tsv", data) == [tuple(row) for row in rows]


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_valid_files_read_as_with_pythons_own_modules(tmp_path, form):
    for seed in range(150):
        check_valid(form, seed, tmp_path)


def test_mutated_files_lose_no_row_and_raise_nothing_else(tmp_path):
    ends = {check_mutation(seed, tmp_path) for seed in range(400)}
    assert ends == {"refused", "skipped", "whole"}


def test_tables_without_a_header(tmp_path):
    (tmp_path / "a.csv").write_text('\n"a, b",pos\nc,neg\nd\ne,pos,more\n')
    assert columns_of(tmp_path / "a.csv", header=False) == ("1", "2")
    rows = list(read_rows(tmp_path / "a.csv", ("2", "1"), header=False))
    good = [(row.line, row.values) for row in rows if isinstance(row, Row)]
    assert good == [(2, ("pos", "a, b")), (3, ("neg", "c"))]
    assert [row.reason for row in rows if isinstance(row, BadRow)] == [
        "blank line",
        "too few fields",
        "too many fields",
    ]
    assert "2 fields are expected, as in the first row; got 1" in str(rows[3].error)
    (tmp_path / "a.tsv").write_text("a\tpos\n")
    assert [row.values for row in read_rows(tmp_path / "a.tsv", ("1",), header=False)] == [("a",)]
    (tmp_path / "a.jsonl").write_text('{"1": "a"}\n')
    with pytest.raises(DataError, match="read without a header, and jsonl names its columns itself"):
        list(read_rows(tmp_path / "a.jsonl", ("1",), header=False))
    with pytest.raises(DataError, match='no column "text"; the columns are "1", "2"'):
        list(read_rows(tmp_path / "a.csv", ("text",), header=False))


def test_a_header_that_is_repeated_is_a_bad_row(tmp_path):
    (tmp_path / "a.csv").write_text("text,label\na,pos\ntext,label\ntext,pos\n")
    rows = list(read_rows(tmp_path / "a.csv", ("label",)))
    assert [row.reason if isinstance(row, BadRow) else row.values[0] for row in rows] == [
        "pos",
        "repeated header",
        "pos",
    ]
    (tmp_path / "one.csv").write_text("word\na\nword\n")
    assert [row.values for row in read_rows(tmp_path / "one.csv", ("word",))] == [("a",), ("word",)]
