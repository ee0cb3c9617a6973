import gzip
import logging

import pytest

from unrolled.data.reading import progress
from unrolled.data.reading.formats import read_rows
from unrolled.data.reading.rows import Location, Row

LOCATION = Location("f", ("text",), (1,), fraction_read=lambda: 0.25)


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch):
    monkeypatch.setattr(progress, "FIRST", 0.0)
    monkeypatch.setattr(progress, "EVERY", 10)


def test_it_says_how_far_it_is_and_what_may_come(caplog, monkeypatch):
    seconds = iter(range(0, 1000, 5))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(seconds))
    rows = [Row(LOCATION, i, ("x",), "") for i in range(25)]
    with caplog.at_level(logging.INFO, logger="unrolled"):
        assert list(progress.watched(iter(rows), "a.csv")) == rows
    assert caplog.messages == [
        "a.csv: 10 rows read in 5 s, 25% of all; about 40 in total, 15 s remaining",
        "a.csv: 20 rows read in 10 s, 25% of all; about 80 in total, 30 s remaining",
    ]


def test_where_nobody_knows_the_whole_it_counts(caplog):
    rows = [Row(LOCATION._replace(fraction_read=None), i, ("x",), "") for i in range(10)]
    with caplog.at_level(logging.INFO, logger="unrolled"):
        assert list(progress.watched(iter(rows), "python objects")) == rows
    assert caplog.messages == ["python objects: 10 rows read in 0 s"]


@pytest.mark.parametrize("codec", ["utf-8", "utf-16"])
@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.csv.gz"])
def test_the_share_grows_to_all(tmp_path, name, codec):
    path = tmp_path / name
    sign = "\t" if "tsv" in name else ","
    text = f"text{sign}label\n" + "".join(f"a text with {i * 7919 % 100_003} in it{sign}b\n" for i in range(100_000))
    path.write_bytes((gzip.compress if name.endswith("gz") else bytes)(text.encode(codec)))
    fractions = [row.location.fraction_read() for row in read_rows(path, ("text",)) if row.line % 1000 == 0]
    assert 0 < fractions[0] < 0.9
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1


def test_the_share_of_parquet(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"text": ["a"] * 8}), tmp_path / "a.parquet")
    assert [row.location.fraction_read() for row in read_rows(tmp_path / "a.parquet", ("text",))] == [
        i / 8 for i in range(1, 9)
    ]
