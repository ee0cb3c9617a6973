import random

import pytest

from unrolled.data.examples import columns as module
from unrolled.data.examples.columns import Example, Items, Pair, PairItems
from unrolled.errors import DataError

ROWS = [(f"text {i} " + "ä€😀" * (i % 5), ("a", "b", "c")[i % 3], 2 * i) for i in range(200)]


@pytest.fixture(params=[(10, 64), (1 << 20, 1 << 18)], ids=["in a file", "in memory"])
def items(request, monkeypatch):
    monkeypatch.setattr(module, "IN_MEMORY", request.param[0])
    monkeypatch.setattr(module, "BLOCK", request.param[1])
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
    assert items[-1] == ("more", "d", 9)
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
    assert items == [("text", None, 1)]
    assert list(items.labels) == []


def test_more_texts_than_four_bytes_can_count(monkeypatch):
    monkeypatch.setattr(module, "SPAN", 7)
    items = Items()
    texts = ["", "ab", "c" * 30, "", "dä" * 4, "e" * 7, "f", ""] * 3
    for i, text in enumerate(texts):
        items.append(text, None, i)
    assert list(items.texts) == texts
    assert [items[i].text for i in reversed(range(len(texts)))] == texts[::-1]


def test_a_full_disk_is_said(monkeypatch):
    monkeypatch.setattr(module, "IN_MEMORY", 10)
    items = Items()
    items.append("text " * 10, "a", 1)
    items.texts[0]
    items.append("more", "a", 2)

    def full(data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(items._columns.texts[0]._file, "write", full)
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
    monkeypatch.setattr(module, "IN_MEMORY", 10)
    monkeypatch.setattr(module, "BLOCK", block)
    rows = [(f"source {i}", "ü" * (i % 9), i) for i in range(50)]
    items = PairItems()
    for row in rows:
        items.append(*row)
    assert items == [Pair(*row) for row in rows]
    some = items.select([7, 3, 40])
    assert (some.sources, some.targets) == (["source 7", "source 3", "source 40"], ["ü" * 7, "ü" * 3, "ü" * 4])
    assert some[1] == Pair("source 3", "üüü", 3)
