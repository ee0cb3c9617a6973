import json
import random

import pytest

from unrolled.data.examples import columns
from unrolled.data.examples.columns import Columns, Example, Items, Pair, PairItems
from unrolled.data.reading import arrays
from unrolled.errors import DataError

LIMITS = ("IN_MEMORY", "BLOCK", "AT_ONCE", "MOST_NAMES")
ROWS = [(f"text {i} " + "ä€😀" * (i % 5), ("a", "b", "c")[i % 3], 2 * i) for i in range(200)]


@pytest.fixture(params=[(10, 64, 7, 2), (1 << 20, 1 << 18, 1 << 12, 1 << 16)], ids=["in a file", "in memory"])
def items(request, monkeypatch):
    for module, name, value in zip((arrays, arrays, columns, columns), LIMITS, request.param, strict=True):
        monkeypatch.setattr(module, name, value)
    made = Items()
    for row in ROWS:
        made.append(*row)
    return made


def test_what_went_in_comes_out(items):
    assert items == [Example(*row) for row in ROWS]
    assert items.texts == [text for text, _, _ in ROWS]
    assert items.labels == [label for _, label, _ in ROWS]
    assert list(items)[7] == items[7] == Example(*ROWS[7])
    assert items[-1] == Example(*ROWS[-1])
    assert items[3:9:2] == [Example(*row) for row in ROWS[3:9:2]]
    assert items != [Example(*row) for row in ROWS[:-1]]
    assert items != [Example(*row) for row in reversed(ROWS)]
    with pytest.raises(IndexError):
        items[200]


def test_it_may_grow_after_it_was_read(items):
    assert items.texts[0] == ROWS[0][0]
    items.append("more", "d", 9)
    assert items[-1] == ("more", "d", 9, "")
    assert items.labels[-1] == "d"


def test_a_selection_of_a_selection(items):
    chosen = random.Random(0).sample(range(200), 50)
    some = items.select(chosen)
    assert some == [Example(*ROWS[i]) for i in chosen]
    few = some.select([3, 4, 49])
    assert few.texts == [ROWS[chosen[i]][0] for i in (3, 4, 49)]
    assert len(items.select(())) == 0
    assert list(items.select(()).labels) == []


def test_two_readers_do_not_disturb_each_other(items):
    for (a, b), row in zip(zip(items.texts, items.select(range(200)), strict=True), ROWS, strict=True):
        assert a == b.text == row[0]


def test_without_labels():
    items = Items()
    items.append("text", None, 1)
    assert items == [("text", None, 1, "")]
    assert list(items.labels) == []


def test_columns_are_their_arrays_and_facts(items):
    some = items.select([9, 3, 150])
    again = Items(Columns.of(items.columns.arrays(), json.loads(json.dumps(items.columns.facts()))), some.rows)
    assert again == some == [Example(*ROWS[i]) for i in (9, 3, 150)]
    assert list(again.labels) == [ROWS[i][1] for i in (9, 3, 150)]


def test_rows_know_their_file(items):
    made = Items()
    for i in range(30):
        made.append("text", "a", i % 10, f"part-{i // 10}")
    assert [made[i].file for i in (0, 9, 10, 29)] == ["part-0", "part-0", "part-1", "part-2"]
    assert made.select([25, 3])[:] == [("text", "a", 5, "part-2"), ("text", "a", 3, "part-0")]
    assert items[0].file == ""


def test_a_full_disk_is_said(monkeypatch):
    monkeypatch.setattr(arrays, "IN_MEMORY", 10)
    items = Items()
    items.append("text " * 10, "a", 1)

    def full(data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(items.columns.texts[0]._bytes._file, "write", full)
    items.append("more", "a", 2)
    with pytest.raises(DataError, match=r"cannot be written to a temporary file: No space left on device\n.*TMPDIR"):
        items.texts[1]


def test_many_rows_take_little_memory():
    import tracemalloc

    tracemalloc.start()
    items = Items()
    for i in range(50_000):
        items.append(f"a text of some length, number {i}", "ab"[i % 2], i)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held / 50_000 < 80  # bytes; of which 36 are text


@pytest.mark.parametrize("block", [16, 1 << 18])
def test_pairs_have_two_texts(monkeypatch, block):
    monkeypatch.setattr(arrays, "IN_MEMORY", 10)
    monkeypatch.setattr(arrays, "BLOCK", block)
    rows = [(f"source {i}", "ü" * (i % 9), i) for i in range(50)]
    items = PairItems()
    for row in rows:
        items.append(*row)
    assert items == [Pair(*row) for row in rows]
    some = items.select([7, 3, 40])
    assert (some.sources, some.targets) == (["source 7", "source 3", "source 40"], ["ü" * 7, "ü" * 3, "ü" * 4])
    assert some[1] == Pair("source 3", "üüü", 3)
