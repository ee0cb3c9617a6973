"""CoNLL-U and two columns; every fault has its line."""

import gzip
from pathlib import Path
from typing import NamedTuple

import pytest

from small import FINE, WHOLE, bare, word, written
from unrolled.config import from_flat
from unrolled.data.examples.sentences import load_sentences
from unrolled.errors import DataError

CONFIG = from_flat({"task": "tag"}).data
SKIP = CONFIG.model_copy(update={"on_bad_row": "skip"})


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
    assert (found.name, len([*found.tags()])) == ("a", 7)


def test_the_label_is_a_setting(tmp_path: Path) -> None:
    text = word(1, "a", "ADP", xpos="IN", feats="_") + word(2, "b", "NOUN", xpos="_", feats="Case=Nom")
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


class Bad(NamedTuple):
    """A file that must be refused at `line` with `word` in the message."""

    kind: str
    name: str
    data: str | bytes
    line: int
    word: str


BAD = [
    Bad("too few columns", "a.conllu", FINE + "1\tb\n", 3, "10 columns with tabs between them are expected: got 2"),
    Bad("spaces", "a.conllu", FINE + word(1, "b").replace("\t", " "), 3, "got 1 field"),
    Bad("too many columns", "a.conllu", FINE + word(1, "b").replace("\n", "\t_\n"), 3, "got 11 fields"),
    Bad("empty column", "a.conllu", FINE + word(1, "b", xpos=""), 3, 'column 5 ("XPOS"): the column is empty'),
    Bad("empty form", "a.conllu", FINE + word(1, " "), 3, 'column 2 ("FORM"): the column is empty'),
    Bad("no tag", "a.conllu", FINE + word(1, "b", "_"), 3, 'column 4 ("UPOS"): the word "b" has no UPOS'),
    Bad("begins at 2", "a.conllu", FINE + word(2, "b"), 3, 'the ID "2" is out of order: the next word is 1'),
    Bad(
        "twice",
        "a.conllu",
        FINE + word(1, "b") + word(1, "c"),
        4,
        'the ID "1" is out of order: the next word is 2',
    ),
    Bad("gap", "a.conllu", FINE + word(1, "b") + word(3, "c"), 4, "the next word is 2"),
    Bad("no number", "a.conllu", FINE + word("x", "b"), 3, 'the ID "x"'),
    Bad("leading zero", "a.conllu", FINE + word("01", "b"), 3, 'the ID "01"'),
    Bad("other digits", "a.conllu", FINE + word("١", "b"), 3, 'the ID "١"'),
    Bad(
        "range behind",
        "a.conllu",
        FINE + word(1, "b") + bare("1-2", "bc") + word(2, "c"),
        4,
        'the ID "1-2"',
    ),
    Bad("range backwards", "a.conllu", FINE + bare("1-0", "b") + word(1, "b"), 3, 'the ID "1-0"'),
    Bad(
        "ranges overlap",
        "a.conllu",
        FINE + bare("1-2", "b") + word(1, "b") + bare("2-3", "c"),
        5,
        'the ID "2-3"',
    ),
    Bad(
        "range too far",
        "a.conllu",
        FINE + bare("1-3", "b") + word(1, "b"),
        4,
        "reaches to word 3, and the sentence has",
    ),
    Bad("empty node astray", "a.conllu", FINE + bare("1.1", "b") + word(1, "b"), 3, 'the ID "1.1"'),
    Bad("empty nodes gap", "a.conllu", FINE + word(1, "b") + bare("1.2", "c"), 4, 'the ID "1.2"'),
    Bad(
        "comment inside",
        "a.conllu",
        FINE + word(1, "b") + "# sent_id = 3\n" + word(1, "c"),
        4,
        "between the words",
    ),
    Bad("no words", "a.conllu", FINE + "# a\n# b\n", 4, "the sentence has no words"),
    Bad("only empty nodes", "a.conllu", FINE + bare("0.1", "b"), 3, "the sentence has no words"),
    Bad("not UTF-8", "a.conllu", FINE.encode() + b"1\tcaf\xe9\n", 3, "0xe9 at offset 5"),
    Bad("not UTF-8", "a.tsv", b"a\tX\nb\tX\n\xff\tX\n", 3, "0xff at offset 0"),
    Bad("NUL", "a.tsv", "a\tX\nb\0\tX\n", 2, "NUL character"),
    Bad("carriage return", "a.tsv", "a\tX\rb\tX\rc\tX", 1, "carriage return"),
    Bad("mark inside", "a.tsv", "a\tX\n\n\ufeffb\tX\n", 3, "byte order mark"),
    Bad(
        "no tag",
        "a.tsv",
        "a\tX\nb\n",
        2,
        "2 columns with a tab between them are expected, as in most lines: got 1 field",
    ),
    Bad("three columns", "a.tsv", "a\tX\nb\tX\n\na\tX\tY\n", 4, "got 3 fields"),
    Bad("empty tag", "a.tsv", "a\tX\nb\t \n", 2, "column 2: the tag is empty"),
    Bad("empty word", "a.tsv", "a\tX\n\tX\n", 2, "column 1: the word is empty"),
    Bad("empty file", "a.conllu", "", 1, "the file is empty"),
    Bad("gzip by another name", "a.conllu", gzip.compress(FINE.encode()), 1, "/a.conllu.gz"),
]


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: f"{bad.kind} {bad.name}")
def test_what_is_wrong_is_named_with_its_line(bad: Bad, tmp_path: Path) -> None:
    path = written(tmp_path / bad.name, bad.data)
    with pytest.raises(DataError) as refused:
        load_sentences(path, CONFIG)
    assert f"{path}, line {bad.line}" in str(refused.value)
    assert bad.word in str(refused.value)
    assert refused.value.fix


def test_a_tag_that_is_not_known_is_named_where_it_stands(tmp_path: Path) -> None:
    path = written(tmp_path / "a.conllu", FINE + word(1, "b", "ADJ") + bare("2-2", "c") + word(2, "c", "ODD"))
    with pytest.raises(DataError, match=r'line 5, column 4 \("UPOS"\): "ODD" is not one of the 2 labels'):
        load_sentences(path, CONFIG, labels=["ADJ", "NOUN"])
    assert load_sentences(path, SKIP, labels=["ADJ", "NOUN"]).counts.skipped == {"unknown label": 1}
