import numpy as np

from unrolled.data.report.tables import SplitTable, by_frequency, duplicates, spread


def test_the_spread_of_lengths() -> None:
    assert spread(np.arange(21)) == {"min": 0, "median": 10, "mean": 10, "95 %": 19, "max": 20}


def test_a_table_has_a_column_for_each_split() -> None:
    table = SplitTable({"train": 1000, "test": 20})
    table.add("rows", table.splits)
    table.add("rate", (0.5, 1), ".1%")
    assert list(table.lines()) == [
        "",
        " " * 41 + "train" + " " * 8 + "test",
        "rows" + " " * 37 + "1,000" + " " * 10 + "20",
        "rate" + " " * 37 + "50.0%" + " " * 6 + "100.0%",
        "",
    ]


def test_labels_are_shown_from_the_most_frequent_on() -> None:
    counts = [{"a": 1, "b": 3, "c": 2}, {"a": 9, "b": 0, "c": 0}]
    assert by_frequency(counts[0]) == ["b", "c", "a"]
    table = SplitTable({"train": 0, "test": 0})
    table.add_labels(counts, shown=2, units="tags")
    names = [line.split("  ")[1] for line in list(table.lines())[2:-1]]
    assert names == ['"b"', '"c"', "… and 1 more tags"]


def test_duplicates_in_words() -> None:
    assert (
        duplicates({"within train": 1200, "test in train": 0, "within test": 1}) == "1,200 within train, 1 within test"
    )
    assert duplicates({"within train": 0}) == "none"
