import io
import sys

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from unrolled.config import DataConfig
from unrolled.data.examples.labelled import load_examples
from unrolled.data.reading import parquet
from unrolled.data.reading.formats import columns_of, read_rows
from unrolled.errors import DataError


@pytest.fixture
def write(tmp_path):
    def written(columns, **options):
        path = tmp_path / "a.parquet"
        pq.write_table(pa.table(columns), path, **options)
        return path

    return written


def test_rows_come_in_order_whatever_the_groups(write, monkeypatch):
    monkeypatch.setattr(parquet, "AT_ONCE", 7)
    texts, labels = [f"text {i}" for i in range(100)], [i % 3 for i in range(100)]
    path = write({"id": range(100), "label": labels, "text": texts, "more": [[1]] * 100}, row_group_size=30)
    rows = list(read_rows(path, ("text", "label")))
    assert [row.values for row in rows] == list(zip(texts, labels, strict=True))
    assert [row.line for row in rows] == list(range(1, 101))
    assert rows[0].location.numbers == (3, 2)
    assert columns_of(path) == ("id", "label", "text", "more")
    examples = load_examples(path, DataConfig())
    assert set(examples.labels()) == {"0", "1", "2"}
    assert examples.unit == "row"


def test_kinds_of_text(write):
    words = ["ä", "b", "ä"]
    for column in (
        pa.array(words, pa.large_string()),
        pa.array(words).dictionary_encode(),
        pa.array(words, pa.string_view()),
        pa.chunked_array([words[:1], words[1:]]),
    ):
        assert [row.values for row in read_rows(write({"a.b": column}), ("a.b",))] == [(word,) for word in words]


def test_what_pandas_wrote(tmp_path):
    path = tmp_path / "a.PARQUET"
    frame = pd.DataFrame({"text": ["a", "b"], "label": pd.Categorical(["x", "y"])}, index=[5, 3])
    frame.to_parquet(path)
    assert load_examples(path, DataConfig()).labels() == ["x", "y"]


def test_bad_rows_are_skipped_and_counted(write):
    texts = pa.array([b"good", b"caf\xe9", None, b"fine"], pa.binary()).view(pa.string())
    examples = load_examples(write({"text": texts, "label": list("abcd")}), DataConfig(on_bad_row="skip"))
    assert str(examples.counts) == "4 rows read = 2 used + 2 skipped (1 not UTF-8, 1 text is not text)"
    assert str(examples.skipped[0]).startswith("row 2: not UTF-8")


def test_only_what_is_asked_for_is_read(write, monkeypatch):
    path = write({"text": ["a"], "label": ["b"], "large": ["x" * 10_000_000]}, compression="none")
    read = 0

    class Counting(io.FileIO):
        def readinto(self, buffer):
            nonlocal read
            got = super().readinto(buffer)
            read += got
            return got

    from contextlib import contextmanager

    @contextmanager
    def opened(path, file):
        with Counting(path) as handle:
            yield handle

    monkeypatch.setattr(parquet, "open_bytes", opened)
    assert [row.values for row in read_rows(path, ("text",))] == [("a",)]
    assert read < 1_000_000


def test_without_pyarrow_it_says_what_to_install(write, monkeypatch):
    path = write({"text": ["a"]})
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(DataError, match=r"Parquet needs pyarrow, which is not installed\n.*unrolled\[parquet\]"):
        list(read_rows(path, ("text",)))
