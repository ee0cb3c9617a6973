"""Pairs of texts of every source; errors name their location."""

from pathlib import Path

import pandas as pd
import pytest

from small import written
from unrolled.config import DataConfig
from unrolled.data.examples.pairs import Pair, load_pairs, read_sources
from unrolled.data.reading.counts import Counts
from unrolled.errors import DataError

CONFIG = DataConfig()
SKIP = DataConfig(on_bad_row="skip")
PAIRS = [("one two", "un deux"), ("three", "trois")]
RECORDS = [{"source": source, "target": target} for source, target in PAIRS]
SOURCES, TARGETS = zip(*PAIRS, strict=True)
EXPECTED = [Pair("one two", "un deux", 0), Pair("three", "trois", 1)]


@pytest.mark.parametrize(
    "data",
    [
        PAIRS,
        iter(PAIRS),
        RECORDS,
        {"source": [s for s, _ in PAIRS], "target": [t for _, t in PAIRS]},
        pd.DataFrame(RECORDS),
    ],
    ids=["pairs", "iterator", "dictionaries", "two lists", "pandas"],
)
def test_python_objects(data: object) -> None:
    split = load_pairs(data, CONFIG)
    assert split.items == EXPECTED
    assert (split.sources(), split.targets()) == (["one two", "three"], ["un deux", "trois"])
    assert (split.name, split.source, split.unit) == ("data", "python objects", "item")
    assert split.counts == Counts(2, 2, {}, "pairs")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", 'more,en,fr\n1,one two,un deux\n2,"three",trois\n'),
        ("a.tsv", "en\tfr\none two\tun deux\nthree\ttrois\n"),
        ("a.jsonl", '{"en": "one two", "fr": "un deux"}\n{"en": "three", "fr": "trois"}\n'),
    ],
)
def test_files(tmp_path: Path, name: str, text: str) -> None:
    path = written(tmp_path / name, text)
    config = DataConfig(source="en", target="fr")
    split = load_pairs(path, config)
    assert [pair[:2] for pair in split.items] == PAIRS
    assert (split.name, split.source) == ("a", str(path))
    assert load_pairs(path, DataConfig(source="fr", target="en")).items[0][:2] == ("un deux", "one two")
    alone = read_sources(path, config)
    assert [pair[:2] for pair in alone.items] == [("one two", ""), ("three", "")]
    with pytest.raises(DataError, match=r'no (column|key) "source"'):
        load_pairs(path, CONFIG)


@pytest.mark.parametrize(
    ("row", "reason", "problem", "column"),
    [
        (",trois", "empty source", "the source is empty", 1),
        ("three, ", "empty target", "the target is empty", 2),
        ("three", "too few fields", "2 fields are expected", 1),
    ],
)
def test_a_bad_row_is_named_by_file_line_and_column(
    tmp_path: Path, row: str, reason: str, problem: str, column: int
) -> None:
    path = written(tmp_path / "a.csv", f"source,target\none,un\n{row}\ntwo,deux\n")
    with pytest.raises(DataError, match=rf"a\.csv, line 3, column {column}.*{problem}") as no:
        load_pairs(path, CONFIG)
    assert "--on-bad-row skip" in str(no.value)
    split = load_pairs(path, SKIP)
    assert split.counts == Counts(3, 2, {reason: 1}, "pairs")
    assert [(row.line, row.reason) for row in split.skipped] == [(3, reason)]


@pytest.mark.parametrize(
    ("item", "problem"),
    [
        (("one", None), "text is expected, got null"),
        ((3, "trois"), "text is expected, got a number"),
        (("half \ud83d", "x"), r"the source holds an unpaired surrogate"),
        (("x", "half \ud83d"), r"the target holds an unpaired surrogate"),
        (("one", "two", "three"), r"a pair \(source, target\) or a dictionary is expected"),
        ({"source": "x"}, 'no key "target"'),
    ],
)
def test_a_bad_object_is_named_by_its_number(item: object, problem: str) -> None:
    with pytest.raises(DataError, match=f"^item 2: .*{problem}"):
        load_pairs([*PAIRS, item], CONFIG)
    assert len(load_pairs([*PAIRS, item], SKIP)) == 2


@pytest.mark.parametrize(
    ("data", "config", "problem"),
    [
        ([], CONFIG, "there are no pairs"),
        ([("", "x")], SKIP, r"none of its pairs can be used: 1 pairs read = 0 used \+ 1 skipped \(1 empty source\)"),
        (PAIRS, DataConfig(source="x", target="x"), 'source and target are both read from "x"'),
        ("sample:films", CONFIG, "sample:films is a sample for task classify, not translate"),
        ({"source": ["a"], "target": []}, CONFIG, '"source" has 1 values and "target" 0'),
        (17, CONFIG, "cannot be read from a Python int"),
    ],
)
def test_data_that_is_none(data: object, config: DataConfig, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        load_pairs(data, config)


def test_a_sample_knows_its_columns() -> None:
    split = load_pairs("sample:letters/test", CONFIG)
    assert len(split) == 6_762
    assert split.items[0][:2] == ("'bout", "B AW T")
    assert load_pairs("sample:verses/valid", CONFIG).counts.used == 1_799


def test_references_are_the_different_targets_of_a_source() -> None:
    split = load_pairs([("a", "x"), ("b", "y"), ("a", "z"), ("a", "x")], CONFIG)
    assert split.references() == {"a": ["x", "z"], "b": ["y"]}


def test_what_is_left_out_later_is_counted_too() -> None:
    split = load_pairs([("", "x"), *PAIRS, ("four", "quatre")], SKIP)
    left = split.without({1: "odd"})
    assert [pair.source for pair in left.items] == ["one two", "four"]
    assert left.counts == Counts(4, 2, {"empty source": 1, "odd": 1}, "pairs")
    assert [(row.line, row.reason, row.unit) for row in left.skipped] == [
        (0, "empty source", "item"),
        (2, "odd", "item"),
    ]
    error = split.error(1, "target", "is odd", "mend it")
    assert str(error) == "item 2: is odd\n  row:  trois\n  fix:  mend it"


def test_the_fingerprint_is_of_all_that_is_there_in_order() -> None:
    prints = {
        load_pairs(data, CONFIG).fingerprint
        for data in (PAIRS, PAIRS[::-1], [("one", "two un deux"), PAIRS[1]], [("one two", "un deux"), ("three", "3")])
    }
    assert len(prints) == 4
    assert load_pairs(iter(RECORDS), CONFIG).fingerprint in prints
