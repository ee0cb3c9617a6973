import bz2
import gzip
import io
import json
import lzma
import subprocess
import sys
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from unrolled.config import DataConfig
from unrolled.data.examples.texts import blocks, find_texts, split
from unrolled.data.reading.sources import open_source
from unrolled.data.reading.stdin import standard_input
from unrolled.data.splits.labelled import load_splits
from unrolled.errors import DataError

ROWS = [("good, or so", "pos"), ("bad", "neg")]


@pytest.fixture
def feed(monkeypatch):
    def use(data, *, terminal=False):
        standard_input.cache_clear()
        buffer = io.BytesIO(data)
        stream = SimpleNamespace(buffer=buffer, fileno=buffer.fileno, isatty=lambda: terminal)
        monkeypatch.setattr(sys, "stdin", stream)

    yield use
    standard_input.cache_clear()


def table() -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table(dict(zip(("text", "label"), zip(*ROWS, strict=True), strict=True))), file)
    return file.getvalue()


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress, bz2.compress])
@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("csv", '\ntext,label\n"good, or so",pos\nbad,neg\n'),
        ("tsv", "text\tlabel\ngood, or so\tpos\nbad\tneg\n"),
        ("jsonl", "".join(json.dumps(dict(zip(("text", "label"), row, strict=True))) + "\n" for row in ROWS)),
    ],
)
def test_what_comes_in_is_told_by_its_beginning(feed, form, text, pack):
    for codec in ("utf-8", "utf-16"):
        feed(pack(text.encode(codec)))
        data_source = open_source("-", "classify")
        assert (data_source.name, data_source.source, data_source.form) == ("input", "standard input", form)
        for _ in range(2):  # it can be read again
            assert [row.values for row in data_source.rows(("text", "label")) if hasattr(row, "values")] == ROWS
        assert data_source.columns() == ("text", "label")


def test_parquet_comes_in_too(feed):
    feed(table())
    data_source = open_source("-", "classify")
    assert (data_source.form, [row.values for row in data_source.rows(("text", "label"))]) == ("parquet", ROWS)


def test_an_error_names_standard_input_and_the_line(feed):
    feed(b"text,label\ngood,pos\nalone\n")
    with pytest.raises(DataError, match="^standard input, line 3, column 1: 2 fields are expected"):
        load_splits("-", DataConfig())
    feed(b"")
    with pytest.raises(DataError, match="^standard input, line 1: the file is empty"):
        load_splits("-", DataConfig())
    feed(b"", terminal=True)
    with pytest.raises(DataError, match="^standard input: no data arrives\n"):
        load_splits("-", DataConfig())


def test_it_may_be_one_split(feed, tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("text,label\n" + "".join(f"text {i},{'ab'[i % 2]}\n" for i in range(50)))
    feed(b"text,label\nmore,a\n")
    splits = load_splits(path, DataConfig(valid="-"))
    assert len(splits.valid) == 1
    assert splits.how.endswith("valid is standard input")


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_plain_text_comes_in(feed, pack):
    feed(pack("ein Löwe\n".encode() * 20))
    texts = find_texts("-", DataConfig())
    assert (texts.name, texts.source) == ("text", "standard input")
    splits = split(texts, DataConfig()).splits
    assert (
        "".join("".join(blocks(text)) for split in ("train", "valid", "test") for text in splits[split])
        == "ein Löwe\n" * 20
    )
    feed(b"a\n\xff\n")
    with pytest.raises(DataError, match="^standard input, line 2: byte 0xff at offset 0"):
        split(find_texts("-", DataConfig()), DataConfig())


def test_a_pipe(tmp_path):
    program = "from unrolled.cli.main import main; main(['data', '-', '--json'])"
    data = "text,label\n" + "".join(f"text {i},{'ab'[i % 2]}\n" for i in range(50))
    done = subprocess.run([sys.executable, "-c", program], input=data.encode(), capture_output=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["loaded"] == {
        "standard input": {"read": 50, "used": 50, "skipped": {}, "units": "rows"}
    }
    assert not list(tmp_path.iterdir())
