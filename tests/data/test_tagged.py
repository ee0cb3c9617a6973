"""Sentences with tags: CoNLL-U as its documentation says, two columns, pairs; every fault with its line."""

import bz2
import gzip
import io
import lzma
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from small import sentences, write_conllu
from unrolled.config import from_flat
from unrolled.data.stdin import standard_input
from unrolled.data.tagged import load_sentences, read_sentences
from unrolled.data.tagged_splits import split_sentences
from unrolled.errors import DataError

CONFIG = from_flat({"task": "tag"}).data
SKIP = CONFIG.model_copy(update={"on_bad_row": "skip"})


def row(identity: object, form: str, upos: str = "NOUN", **more: str) -> str:
    """A line of CoNLL-U."""
    fields = {"lemma": "_", "upos": upos, "xpos": "_", "feats": "_", "head": "_", "deprel": "dep", "deps": "_"} | more
    return "\t".join([str(identity), form, *fields.values(), "_"]) + "\n"


def empty(identity: str, form: str) -> str:
    """A line of a multiword token or an empty node: nothing but its form."""
    return "\t".join([identity, form, *["_"] * 8]) + "\n"


WHOLE = (
    "# newdoc id = d\n# sent_id = s-1\n# text = vámonos al mar\n"
    + empty("1-2", "vámonos")
    + row(1, "vamos", "VERB")
    + row(2, "nos", "PRON")
    + empty("2.1", "elided")
    + empty("3-4", "al")
    + row(3, "a", "ADP")
    + row(4, "el", "DET")
    + row(5, "10 000", "NUM")
    + "\n# sent_id = s-2\n"
    + empty("0.1", "before")
    + empty("0.2", "all")
    + row(1, "_", "SYM")
    + row(2, "#", "SYM")
    + "\n"
)


def written(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_the_words_of_conllu_are_its_whole_numbers(tmp_path: Path) -> None:
    found = load_sentences(written(tmp_path / "a.conllu", WHOLE), CONFIG)
    first, second = found.items
    assert first.words == ("vamos", "nos", "a", "el", "10 000")
    assert first.tags == ("VERB", "PRON", "ADP", "DET", "NUM")
    assert list(first.lines) == [5, 6, 9, 10, 11]
    assert second.words == ("_", "#")
    assert second.lines == range(16, 18)
    assert (first.ranges, first.empty, second.ranges, second.empty) == (2, 1, 0, 2)
    assert found.left_out() == {"multiword tokens": 2, "empty nodes": 3}
    assert str(found.counts) == "2 sentences read = 2 used + 0 skipped"
    assert (found.name, len(found.tags())) == ("a", 7)


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


def test_the_label_is_a_setting(tmp_path: Path) -> None:
    text = row(1, "a", "ADP", xpos="IN", feats="_") + row(2, "b", "NOUN", xpos="_", feats="Case=Nom")
    path = written(tmp_path / "a.conllu", text)
    for label, tags in {"XPOS": ("IN", "_"), "FEATS": ("_", "Case=Nom"), "DEPREL": ("dep", "dep")}.items():
        config = from_flat({"task": "tag", "label": label}).data
        assert load_sentences(path, config).items[0].tags == tags
    with pytest.raises(DataError, match=r'CoNLL-U has no tags in a column "UPO" \(did you mean "UPOS"\?\)'):
        load_sentences(path, from_flat({"task": "tag", "label": "UPO"}).data)
    with pytest.raises(DataError, match='no tags in a column "FORM"'):
        load_sentences(path, from_flat({"task": "tag", "label": "FORM"}).data)


def test_two_columns(tmp_path: Path) -> None:
    text = "#\tSYM\nNew York\tNOUN\n\n\n1\tNUM\n"
    for name in ("a.tsv", "a.txt", "a.tsv.gz"):
        data = gzip.compress(text.encode()) if name.endswith("gz") else text
        first, second = load_sentences(written(tmp_path / name, data), CONFIG).items
        assert (first.words, first.tags) == (("#", "New York"), ("SYM", "NOUN"))
        assert list(second.lines) == [5]


def test_words_without_tags_are_read_to_be_tagged(tmp_path: Path) -> None:
    path = written(tmp_path / "a.tsv", "one\ntwo\n\nthree\n")
    assert [item.words for item in read_sentences(path, CONFIG).items] == [("one", "two"), ("three",)]
    assert read_sentences(path, CONFIG).items[0].tags is None
    untagged = written(tmp_path / "a.conllu", row(1, "one", "_") + row(2, "two", "_"))
    assert read_sentences(untagged, CONFIG).items[0].words == ("one", "two")
    with pytest.raises(DataError, match=r'line 1, column 4 \("UPOS"\): the word "one" has no UPOS'):
        load_sentences(untagged, CONFIG)


class Bad(NamedTuple):
    """A file that must be refused at `line` with `word` in the message."""

    kind: str
    name: str
    data: str | bytes
    line: int
    word: str


FINE = row(1, "fine", "ADJ") + "\n"  # lines 1 and 2
BAD = [
    Bad("too few columns", "a.conllu", FINE + "1\tb\n", 3, "10 columns with tabs between them are expected: got 2"),
    Bad("spaces", "a.conllu", FINE + row(1, "b").replace("\t", " "), 3, "got 1 field"),
    Bad("too many columns", "a.conllu", FINE + row(1, "b").replace("\n", "\t_\n"), 3, "got 11 fields"),
    Bad("empty column", "a.conllu", FINE + row(1, "b", xpos=""), 3, 'column 5 ("XPOS"): the column is empty'),
    Bad("empty form", "a.conllu", FINE + row(1, " "), 3, 'column 2 ("FORM"): the column is empty'),
    Bad("no tag", "a.conllu", FINE + row(1, "b", "_"), 3, 'column 4 ("UPOS"): the word "b" has no UPOS'),
    Bad("begins at 2", "a.conllu", FINE + row(2, "b"), 3, 'the ID "2" cannot stand here: the next word is 1'),
    Bad("twice", "a.conllu", FINE + row(1, "b") + row(1, "c"), 4, 'the ID "1" cannot stand here: the next word is 2'),
    Bad("gap", "a.conllu", FINE + row(1, "b") + row(3, "c"), 4, "the next word is 2"),
    Bad("no number", "a.conllu", FINE + row("x", "b"), 3, 'the ID "x"'),
    Bad("leading zero", "a.conllu", FINE + row("01", "b"), 3, 'the ID "01"'),
    Bad("other digits", "a.conllu", FINE + row("١", "b"), 3, 'the ID "١"'),
    Bad("range behind", "a.conllu", FINE + row(1, "b") + empty("1-2", "bc") + row(2, "c"), 4, 'the ID "1-2"'),
    Bad("range backwards", "a.conllu", FINE + empty("1-0", "b") + row(1, "b"), 3, 'the ID "1-0"'),
    Bad("ranges overlap", "a.conllu", FINE + empty("1-2", "b") + row(1, "b") + empty("2-3", "c"), 5, 'the ID "2-3"'),
    Bad(
        "range too far",
        "a.conllu",
        FINE + empty("1-3", "b") + row(1, "b"),
        4,
        "reaches to word 3, and the sentence has",
    ),
    Bad("empty node astray", "a.conllu", FINE + empty("1.1", "b") + row(1, "b"), 3, 'the ID "1.1"'),
    Bad("empty nodes gap", "a.conllu", FINE + row(1, "b") + empty("1.2", "c"), 4, 'the ID "1.2"'),
    Bad("comment inside", "a.conllu", FINE + row(1, "b") + "# sent_id = 3\n" + row(1, "c"), 4, "between the words"),
    Bad("no words", "a.conllu", FINE + "# a\n# b\n", 4, "the sentence has no words"),
    Bad("only empty nodes", "a.conllu", FINE + empty("0.1", "b"), 3, "the sentence has no words"),
    Bad("not UTF-8", "a.conllu", FINE.encode() + b"1\tcaf\xe9\n", 3, "0xe9 at offset 5"),
    Bad("not UTF-8", "a.tsv", b"a\tX\nb\tX\n\xff\tX\n", 3, "0xff at offset 0"),
    Bad("NUL", "a.tsv", "a\tX\nb\0\tX\n", 2, "NUL character"),
    Bad("carriage return", "a.tsv", "a\tX\rb\tX\rc\tX", 1, "carriage return"),
    Bad("mark inside", "a.tsv", "a\tX\n\n\ufeffb\tX\n", 3, "byte order mark"),
    Bad("no tag", "a.tsv", "a\tX\nb\n", 2, "a word, a tab and its tag are expected: got 1 field"),
    Bad("three columns", "a.tsv", "a\tX\tY\n", 1, "got 3 fields"),
    Bad("empty tag", "a.tsv", "a\tX\nb\t \n", 2, "column 2: the tag is empty"),
    Bad("empty word", "a.tsv", "a\tX\n\tX\n", 2, "column 1: the word is empty"),
    Bad("empty file", "a.conllu", "", 1, "the file is empty"),
    Bad("gzip by another name", "a.conllu", gzip.compress(FINE.encode()), 1, "rename it, so that it ends in .gz"),
]


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: f"{bad.kind} {bad.name}")
def test_what_is_wrong_is_named_with_its_line(bad: Bad, tmp_path: Path) -> None:
    path = written(tmp_path / bad.name, bad.data)
    with pytest.raises(DataError) as refused:
        load_sentences(path, CONFIG)
    assert f"{path}, line {bad.line}" in str(refused.value)
    assert bad.word in str(refused.value)
    assert refused.value.fix


def test_a_file_with_another_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r'a\.csv: cannot tell the format from "\.csv"\n  fix: .*\.conllu'):
        load_sentences(tmp_path / "a.csv", CONFIG)
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
    text = FINE + row(1, "b") + row(3, "c") + "\n" + "1\tx\n\n" + "# only\n\n" + FINE
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


def test_a_tag_that_is_not_known_is_named_where_it_stands(tmp_path: Path) -> None:
    path = written(tmp_path / "a.conllu", FINE + row(1, "b", "ADJ") + empty("2-2", "c") + row(2, "c", "ODD"))
    with pytest.raises(DataError, match=r'line 5, column 4 \("UPOS"\): "ODD" is not one of the 2 labels'):
        load_sentences(path, CONFIG, labels=["ADJ", "NOUN"])
    assert load_sentences(path, SKIP, labels=["ADJ", "NOUN"]).counts.skipped == {"unknown label": 1}


PAIR = (["a", "b"], ["X", "Y"])


@pytest.mark.parametrize(
    ("item", "problem"),
    [
        ((["a", "b"], ["X"]), "item 1: 2 words and 1 tag: give one tag a word"),
        (([], []), "item 1: the sentence has no words"),
        (("a b", "X Y"), r"item 1: a pair \(words, tags\) of two lists of strings is expected"),
        (["a"], "item 1: a pair"),
        (3, "item 1: a pair"),
        ((["a", 3], ["X", "Y"]), "item 1: word 1 is a int, not a string"),
        ((["a", "b"], ["X", None]), "item 1: tag 1 is a NoneType, not a string"),
        ((["a", " "], ["X", "Y"]), "item 1: word 1 is empty"),
        ((["a\tb", "b"], ["X", "Y"]), "item 1: word 0 holds a tab or a line end"),
        ((["a", "b"], ["X", "\ud800"]), "item 1: tag 1 holds half a character"),
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


def test_a_split_keeps_equal_sentences_together_and_knows_its_tags(tmp_path: Path) -> None:
    path = write_conllu(tmp_path / "a.conllu", sentences(40) + sentences(40))
    splits = split_sentences(path, CONFIG)
    assert sum(len(part) for part in splits.parts().values()) == 80
    assert splits.labels == ("ADJ", "DET", "NOUN", "VERB")
    texts = {name: set(part.words()) for name, part in splits.parts().items()}
    assert not texts["train"] & (texts["valid"] | texts["test"])
    odd = [*sentences(20), *((["x", f"odd{i}"], ["ADJ", f"T{i}"]) for i in range(20))]
    path = write_conllu(tmp_path / "b.conllu", odd)
    with pytest.raises(DataError, match=r'line \d+: "T\d+" is not one of the .* is in the (valid|test) part') as no:
        split_sentences(path, CONFIG)
    assert path.read_text().splitlines()[no.value.line - 1].split("\t")[1].startswith("odd")
    counts = split_sentences(path, SKIP)
    assert {"unknown label"} == {reason for part in counts.parts().values() for reason in part.counts.skipped}


def test_parts_of_their_own(tmp_path: Path) -> None:
    train, valid = write_conllu(tmp_path / "a.conllu"), write_conllu(tmp_path / "v.conllu", sentences(5, seed=1))
    splits = split_sentences(train, CONFIG.model_copy(update={"valid": str(valid), "test_share": 0.0}))
    assert {name: len(part) for name, part in splits.parts().items()} == {"train": 40, "valid": 5, "test": 0}


def test_the_usual_tag_is_the_most_frequent_and_of_equals_the_first() -> None:
    made = [(["a", "a", "b"], ["X", "Y", "Z"]), (["a", "b"], ["Y", "W"])]
    assert load_sentences(made, CONFIG).usual_tags() == {"a": "Y", "b": "Z"}


def test_no_two_data_sets_have_the_same_fingerprint() -> None:
    one = [(["a", "b"], ["X", "Y"])]
    others = [[(["a"], ["X"]), (["b"], ["Y"])], [(["ab"], ["XY"])], [(["a", "b"], ["Y", "X"])]]
    prints = {load_sentences(made, CONFIG).fingerprint for made in [one, *others]}
    assert len(prints) == 4


LINES = st.sampled_from(
    [row(1, "a"), row(2, "b"), empty("1-2", "ab"), empty("1.1", "e"), "# c\n", "\n", "x\ty\n", "\0\n"]
)


@given(st.lists(LINES, max_size=12))
def test_every_sentence_is_counted(tmp_path_factory: pytest.TempPathFactory, lines: list[str]) -> None:
    """Whatever the lines are, what stands between empty lines is used or skipped, and each word has a tag."""
    path = written(tmp_path_factory.mktemp("c") / "a.conllu", FINE + "".join(lines))
    found = load_sentences(path, SKIP)
    assert found.counts.read == len([block for block in (FINE + "".join(lines)).split("\n\n") if block.strip("\n")])
    assert all(len(item.words) == len(item.tags) == len(item.lines) for item in found.items)
