"""Tagged words in columns, as in CoNLL-2000 and CoNLL-2003: separators, documents, comments, the column of the tag."""

import gzip
from pathlib import Path

import pytest

from small import word, written
from unrolled.config import from_flat
from unrolled.data.examples.sentences import load_sentences, read_sentences
from unrolled.data.splits.sentences import split_sentences
from unrolled.errors import ConfigError, DataError

CONFIG = from_flat({"task": "tag"}).data
SKIP = CONFIG.model_copy(update={"on_bad_row": "skip"})
C2003 = (
    "-DOCSTART- -X- -X- O\n\nEU NNP I-NP I-ORG\nrejects VBZ I-VP O\n\t\n"
    "Peter NNP I-NP I-PER\n  \n10\u00a0000 CD I-NP O\n"
)
TABS = "-DOCSTART-\tO\nEU\tB-ORG\nrejects\tO\n\nPeter\tB-PER\n-DOCSTART-\tO\nNew York\tB-LOC\n"


@pytest.mark.parametrize("end", [".conll", ".bio", ".iob", ".iob2", ".bioes", ".bilou", ".bmes", ".txt", ".tsv"])
def test_spaces_documents_and_separators(end: str, tmp_path: Path) -> None:
    found = load_sentences(written(tmp_path / f"a{end}", C2003), CONFIG)
    assert [item.words for item in found.items] == [("EU", "rejects"), ("Peter",), ("10\u00a0000",)]
    assert [*found.tags()] == ["I-ORG", "O", "I-PER", "O"]
    assert [list(item.lines) for item in found.items] == [[3, 4], [6], [8]]
    assert str(found.counts) == "4 sentences read = 3 used + 1 skipped (1 -DOCSTART- line)"
    packed = load_sentences(written(tmp_path / f"b{end}.gz", gzip.compress(C2003.encode())), CONFIG)
    assert packed.fingerprint == found.fingerprint


def test_a_document_line_ends_a_sentence_and_a_tab_keeps_spaces(tmp_path: Path) -> None:
    found = load_sentences(written(tmp_path / "a.bio", TABS), CONFIG)
    assert [item.words for item in found.items] == [("EU", "rejects"), ("Peter",), ("New York",)]
    assert found.counts.skipped == {"-DOCSTART- line": 2}


@pytest.mark.parametrize(
    ("column", "tags"),
    [(-1, ["I-ORG", "O", "I-PER", "O"]), (2, ["NNP", "VBZ", "NNP", "CD"]), (4, ["I-ORG", "O", "I-PER", "O"])],
)
def test_the_column_of_the_tag(column: int, tags: list[str], tmp_path: Path) -> None:
    config = from_flat({"task": "tag", "column": column}).data
    assert [*load_sentences(written(tmp_path / "a.conll", C2003), config).tags()] == tags


def test_a_column_that_is_not_there(tmp_path: Path) -> None:
    path = written(tmp_path / "a.conll", C2003)
    with pytest.raises(DataError, match=r"a\.conll: has no column 5: its lines have 4 columns(.|\n)*columns 2 to 4"):
        load_sentences(path, from_flat({"task": "tag", "column": 5}).data)
    for column in (0, 1, -2):
        with pytest.raises(ConfigError, match="column"):
            from_flat({"task": "tag", "column": column})
    with pytest.raises(DataError, match="its lines have one column"):
        load_sentences(written(tmp_path / "b.conll", "a\nb\n\nc\n"), CONFIG)


def test_names_are_for_conllu_and_numbers_for_columns(tmp_path: Path) -> None:
    path = written(tmp_path / "a.conll", C2003)
    with pytest.raises(ConfigError, match=r"a\.conll has columns without names.* --column, not --label XPOS"):
        split_sentences(path, from_flat({"task": "tag", "label": "XPOS"}).data)
    path = written(tmp_path / "a.conllu", word(1, "a", "X"))
    with pytest.raises(ConfigError, match=r"a\.conllu is CoNLL-U, .* not --column"):
        split_sentences(path, from_flat({"task": "tag", "column": 3}).data)


def test_another_number_of_columns_is_named_with_its_line(tmp_path: Path) -> None:
    path = written(tmp_path / "a.conll", C2003 + "\na b c\nd NN I-NP O\n\ne NN I-NP O extra\n")
    with pytest.raises(DataError, match=r"line 10, column 4: 4 columns with a space .* got 3 fields\n  row:  a b c"):
        load_sentences(path, CONFIG)
    found = load_sentences(path, SKIP)
    assert found.counts.skipped == {"-DOCSTART- line": 1, "too few fields": 1, "too many fields": 1}
    assert [row.line for row in found.skipped] == [10, 13]


def test_comments_come_before_a_sentence(tmp_path: Path) -> None:
    text = "# id 5239\tdomain=en\n# more\nwas _ _ O\n# _ _ B-X\n\n# id 5240\tdomain=en\n# _ _ B-X\n\n# only\n"
    found = load_sentences(written(tmp_path / "a.conll", text), SKIP)
    assert [item.words for item in found.items] == [("was", "#"), ("#",)]
    assert found.counts.skipped == {"no words": 1}


def test_conllu_by_another_name(tmp_path: Path) -> None:
    path = written(tmp_path / "a.conll", word(1, "a", "DET") + word(2, "b", "NOUN"))
    assert [*load_sentences(path, CONFIG).tags()] == ["DET", "NOUN"]


def test_words_alone_are_read_to_be_tagged(tmp_path: Path) -> None:
    path = written(tmp_path / "a.conll", "EU\nrejects\n\nNew York\nit\n")
    assert read_sentences(path, CONFIG).words() == [("EU", "rejects"), ("New York", "it")]
    assert read_sentences(written(tmp_path / "b.conll", C2003), CONFIG).words()[0] == ("EU", "rejects")


def test_a_folder_names_its_files(tmp_path: Path) -> None:
    for name in ("train", "test"):
        written(tmp_path / f"{name}.txt", C2003)
    with pytest.raises(DataError, match=r"train\.txt as the data, with --test .*test\.txt"):
        load_sentences(tmp_path, CONFIG)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="is a folder, not a file with tagged sentences"):
        load_sentences(tmp_path / "empty", CONFIG)
