"""Answers on a local Spark: the same as those of `decode`. `make engines` runs it; it needs Java."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

import unrolled.spark
from scored import TEXTS, check
from small import tag_run, trained, translation_run, translations
from unrolled.errors import ConfigError

needs_spark = pytest.mark.skipif(importlib.util.find_spec("pyspark") is None, reason="needs PySpark: make engines")
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    from pyspark.sql import SparkSession

    patch = pytest.MonkeyPatch()
    patch.setenv("PYSPARK_PYTHON", sys.executable)
    session = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()
    patch.undo()


@needs_spark
def test_it_answers_as_decode(spark: Any, tmp_path: Path) -> None:
    run = trained().save(tmp_path / "run").path
    assert run is not None
    parquet.write_table(pa.table({"id": range(40), "text": TEXTS}), tmp_path / "in.parquet")
    frame = spark.read.parquet(str(tmp_path / "in.parquet")).repartition(2)
    decode = unrolled.spark.Decode(run)
    check([row.asDict() for row in frame.mapInPandas(decode, decode.schema(frame)).collect()])


@needs_spark
def test_nested_answers_have_their_types(spark: Any, tmp_path: Path) -> None:
    sources = [source for source, _ in translations(3)]
    for made, column, texts, options in (
        (translation_run(), "source", sources, {"beam": 2, "n_best": 2}),
        (tag_run(), "text", ["the fine film", "a plot"], {}),
    ):
        run = made.save(tmp_path / column).path
        assert run is not None
        frame = spark.createDataFrame([(text,) for text in texts], [column])
        decode = unrolled.spark.Decode(run, **options)
        rows = frame.mapInPandas(decode, decode.schema(frame)).collect()
        found = {row[column]: row.asDict(recursive=True) for row in rows}
        for text, answer in zip(texts, made.decode(texts, **options), strict=True):
            name, part = ("targets", "text") if column == "source" else ("words", "tag")
            assert [each[part] for each in found[text][name]] == [each[part] for each in answer.to_dict()[name]]


def test_without_an_engine_it_is_a_function_of_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = trained().save(tmp_path / "run").path
    assert run is not None
    decode = unrolled.spark.Decode(run, top=1)
    first, empty = decode(iter([pd.DataFrame({"text": TEXTS}), pd.DataFrame({"text": []})]))
    assert first["label"].tolist() == [answer.label for answer in trained().decode(TEXTS)]
    assert list(empty.columns) == ["text", "label", "probability", "probabilities", "error"]
    monkeypatch.setitem(sys.modules, "pyspark.sql.types", None)
    with pytest.raises(ConfigError, match=r"pip install 'unrolled\[spark\]'"):
        decode.schema(first[["text"]])
