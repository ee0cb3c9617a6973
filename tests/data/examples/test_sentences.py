"""Sentences with tags: CoNLL-U, two columns, pairs; every fault has its line."""

import bz2
import gzip
import io
import lzma
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from small import FINE, WHOLE, bare, word, written
from unrolled.config import from_flat
from unrolled.data.examples.sentences import load_sentences, read_sentences
from unrolled.data.reading.stdin import standard_input
from unrolled.errors import DataError

CONFIG = from_flat({"task": "tag"}).data
SKIP = CONFIG.model_copy(update={"on_bad_row": "skip"})


@pytest.mark.parametrize("end", ["\n\n", "\n", ""], ids=["empty line", "line end", "nothing"])
def test_the_last_sentence_may_end_with_the_file(end: str, tmp_path: Path) -> None:
    path = written(tmp_path / "a.conllu", WHOLE.rstrip("\n") + end)
    assert load_sentences(path, CONFIG).items[1].words == ("_", "#")


@pytest.mark.parametrize("change", ["\r\n", "\n \n", "\n\n\n"])
def test_line_ends_and_more_empty_lines_change_nothing(change: str, tmp_path: Path) -> None:
    text = WHOLE.replace("\n", "\r\n") if change == "\r\n" else WHOLE.replace("\n\n", f"\n{change}")
    found = load_sentences(written(tmp_path / "b.conllu", text), CONFIG)
    whole = load_sentences(written(tmp_path / "a.conllu", WHOLE), CONFIG)
    assert found.fingerprint == whole.fingerprint


def test_packed_and_marked_files_are_the_same(tmp_path: Path) -> None:
    plain = load_sentences(written(tmp_path / "a.conllu", WHOLE), CONFIG)
    for name, data in (
        ("a.conllu.gz", gzip.compress(WHOLE.encode())),
        ("A.CONLLU.XZ", lzma.compress(WHOLE.encode())),
        ("b.conllu", b"\xef\xbb\xbf" + WHOLE.encode()),
        ("c.conllu.bz2", bz2.compress(WHOLE.encode("utf-16"))),
    ):
        assert load_sentences(written(tmp_path / name, data), CONFIG).fingerprint == plain.fingerprint


def test_words_without_tags_are_read_to_be_tagged(tmp_path: Path) -> None:
    path = written(tmp_path / "a.tsv", "one\ntwo\n\nthree\n")
    assert [item.words for item in read_sentences(path, CONFIG).items] == [("one", "two"), ("three",)]
    assert read_sentences(path, CONFIG).items[0].tags is None
    untagged = written(tmp_path / "a.conllu", word(1, "one", "_") + word(2, "two", "_"))
    assert read_sentences(untagged, CONFIG).items[0].words == ("one", "two")
    with pytest.raises(DataError, match=r'line 1, column 4 \("UPOS"\): the word "one" has no UPOS'):
        load_sentences(untagged, CONFIG)


def test_a_file_with_another_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r'a\.csv: cannot tell the format from "\.csv"\n  fix: .*\.conllu'):
        load_sentences(written(tmp_path / "a.csv", "word,tag\n"), CONFIG)
    written(tmp_path / "a.conllu", FINE)
    with pytest.raises(DataError, match=r'no such file \(did you mean "a.conllu"\?\)'):
        load_sentences(tmp_path / "b.conllu", CONFIG)


@pytest.mark.parametrize("text", [WHOLE, "#\tSYM\none\tNUM\n"], ids=["conllu", "two columns"])
def test_standard_input_is_told_by_its_columns(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    standard_input.cache_clear()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    found = load_sentences("-", CONFIG)
    assert len(found) == text.count("\n\n") + (not text.endswith("\n\n"))
    assert (found.name, found.source) == ("input", "standard input")
    standard_input.cache_clear()


def test_bad_sentences_are_skipped_whole_and_counted(tmp_path: Path) -> None:
    text = FINE + word(1, "b") + word(3, "c") + "\n" + "1\tx\n\n" + "# only\n\n" + FINE
    found = load_sentences(written(tmp_path / "a.conllu", text), SKIP)
    assert [item.words for item in found.items] == [("fine",), ("fine",)]
    reasons = "(1 wrong ID, 1 too few fields, 1 no words)"
    assert str(found.counts) == f"5 sentences read = 2 used + 3 skipped {reasons}"
    assert [(row.line, row.reason) for row in found.skipped] == [
        (4, "wrong ID"),
        (6, "too few fields"),
        (8, "no words"),
    ]
    with pytest.raises(DataError, match=r"none of its sentences can be used: 1 sentences read"):
        load_sentences(written(tmp_path / "b.conllu", "1\tx\n"), SKIP)
    with pytest.raises(DataError, match="there are no sentences"):
        load_sentences(written(tmp_path / "c.conllu", "\n\n"), SKIP)


PAIR = (["a", "b"], ["X", "Y"])


@pytest.mark.parametrize(
    ("item", "problem"),
    [
        ((["a", "b"], ["X"]), "item 1: 2 words and 1 tag: give one tag a word"),
        (([], []), "item 1: the sentence has no words"),
        (("a b", "X Y"), r"item 1: a pair \(words, tags\) of two lists of strings is expected"),
        (["a"], "item 1: a pair"),
        (3, "item 1: a pair"),
        ((["a", 3], ["X", "Y"]), "item 1: word 1 is a number, not a string"),
        ((["a", "b"], ["X", None]), "item 1: tag 1 is null, not a string"),
        ((["a", "b"], ["X", float("nan")]), "item 1: tag 1 is NaN, a missing value, not a string"),
        ((["a", " "], ["X", "Y"]), "item 1: word 1 is empty"),
        ((["a\tb", "b"], ["X", "Y"]), "item 1: word 0 holds a tab or a line end"),
        ((["a", "b"], ["X", "\ud800"]), "item 1: tag 1 holds an unpaired surrogate"),
    ],
)
def test_pairs_from_python(item: object, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        load_sentences([PAIR, item], CONFIG)
    found = load_sentences([PAIR, item, tuple(PAIR)], SKIP)
    assert [sentence.words for sentence in found.items] == [("a", "b"), ("a", "b")]
    assert found.counts.read == 3


def test_only_some_objects_are_sentences() -> None:
    assert len(load_sentences((pair for pair in [PAIR]), CONFIG)) == 1
    with pytest.raises(DataError, match="sentences cannot be read from a Python int"):
        load_sentences(3, CONFIG)
    with pytest.raises(DataError, match="cannot be read from a Python bytes"):
        load_sentences(b"a", CONFIG)


def test_the_usual_tag_is_the_most_frequent_and_of_equals_the_first() -> None:
    made = [(["a", "a", "b"], ["X", "Y", "Z"]), (["a", "b"], ["Y", "W"])]
    assert load_sentences(made, CONFIG).usual_tags() == {"a": "Y", "b": "Z"}


def test_no_two_data_sets_have_the_same_fingerprint() -> None:
    one = [(["a", "b"], ["X", "Y"])]
    others = [[(["a"], ["X"]), (["b"], ["Y"])], [(["ab"], ["XY"])], [(["a", "b"], ["Y", "X"])]]
    prints = {load_sentences(made, CONFIG).fingerprint for made in [one, *others]}
    assert len(prints) == 4


LINES = st.sampled_from(
    [
        word(1, "a"),
        word(2, "b"),
        bare("1-2", "ab"),
        bare("1.1", "e"),
        "# c\n",
        "\n",
        "x\ty\n",
        "\0\n",
    ]
)


@given(st.lists(LINES, max_size=12))
def test_every_sentence_is_counted(tmp_path_factory: pytest.TempPathFactory, lines: list[str]) -> None:
    """For any lines, a block between empty lines is used or skipped, and each word has a tag."""
    path = written(tmp_path_factory.mktemp("c") / "a.conllu", FINE + "".join(lines))
    found = load_sentences(path, SKIP)
    assert found.counts.read == len([block for block in (FINE + "".join(lines)).split("\n\n") if block.strip("\n")])
    assert all(len(item.words) == len(item.tags) == len(item.lines) for item in found.items)
