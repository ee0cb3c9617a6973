"""Pretrained word vectors: their files, the tokens that they are for, and messages about bad files."""

import bz2
import gzip
import lzma
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from unrolled.data.encoding.tokenizers import SPECIAL, Tokenizer
from unrolled.data.encoding.vectors import Vectors, read_size, read_vectors
from unrolled.errors import DataError

WORDS = {"the": [1.0, -0.5, 0.25], "film": [0.5, 2.0, -1.5], "Paris": [3.0, 0.125, 1.0], "n't": [-1.0, 1e-3, 0.0]}
GLOVE = "".join(f"{word} {' '.join(map(str, values))}\n" for word, values in WORDS.items())
PACK: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.compress, ".xz": lzma.compress, ".bz2": bz2.compress}


def tokenizer(*words: str, lowercase: bool = False) -> Tokenizer:
    return Tokenizer("word", (*SPECIAL, *words), lowercase=lowercase)


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def by_word(vectors: Vectors, learned: Tokenizer) -> dict[str, list[float]]:
    return {word: vectors.values[token].tolist() for token, word in learned.words().items() if vectors.found[token]}


@pytest.mark.parametrize(
    "text",
    [
        GLOVE,
        f"4 3\n{GLOVE}",
        f"4 3\n{GLOVE}".replace("\n", " \n"),  # fastText ends lines with a space
        GLOVE.replace(" ", "\t"),
        GLOVE.replace("\n", "\r\n"),
        "\ufeff" + GLOVE,
        GLOVE.replace(" ", "  "),
        GLOVE.rstrip("\n"),
        f"\n{GLOVE}\n\n",
    ],
    ids=["GloVe", "word2vec", "fastText", "tabs", "Windows", "byte order mark", "two spaces", "no end", "blank lines"],
)
def test_every_format_gives_the_same_vectors(text: str, tmp_path: Path) -> None:
    learned = tokenizer("film", "n't", "the", "unheard")
    path = write(tmp_path / "vectors.txt", text)
    assert read_size(path) == 3
    vectors = read_vectors(path, learned)
    expected = {word: np.float32(WORDS[word]).tolist() for word in ("film", "n't", "the")}
    assert by_word(vectors, learned) == expected
    assert (vectors.words, vectors.by_case) == (4, 0)


@pytest.mark.parametrize("ending", PACK)
def test_compressed_files(ending: str, tmp_path: Path) -> None:
    learned = tokenizer("film")
    path = write(tmp_path / f"vectors.vec{ending}", PACK[ending](GLOVE.encode()))
    assert read_size(path) == 3
    assert by_word(read_vectors(path, learned), learned) == {"film": WORDS["film"]}


def test_utf_16_is_read_by_its_mark(tmp_path: Path) -> None:
    learned = tokenizer("film")
    path = write(tmp_path / "vectors.txt", GLOVE.encode("utf-16"))
    assert by_word(read_vectors(path, learned), learned) == {"film": WORDS["film"]}


def test_the_equal_word_comes_before_one_in_another_case_and_the_first_before_a_later_one(tmp_path: Path) -> None:
    text = "PARIS 1\nparis 2\nParis 3\nparis 4\nÉTÉ 5\nthe 6\n"
    learned = tokenizer("paris", "Paris", "été", "THE", "The")
    vectors = read_vectors(write(tmp_path / "v.txt", text), learned)
    assert by_word(vectors, learned) == {"paris": [2], "Paris": [3], "été": [5], "THE": [6], "The": [6]}
    assert vectors.by_case == 3
    assert vectors.coverage() == "vectors for 5 of 5 words (100.0 %), 3 of them from a word in another case"


def test_decomposed_words_are_found(tmp_path: Path) -> None:
    learned = tokenizer("été")
    vectors = read_vectors(write(tmp_path / "v.txt", "e\u0301te\u0301 5\n"), learned)
    assert by_word(vectors, learned) == {"été": [5]}


def test_words_with_spaces_and_lines_without_a_word_are_no_words_of_ours(tmp_path: Path) -> None:
    text = "the 1 2\n. . . 3 4\nat name@domain.com 5 6\n7 8\nfilm 9 10\n"
    learned = tokenizer("the", ".", "at", "film")
    vectors = read_vectors(write(tmp_path / "v.txt", text), learned)
    assert by_word(vectors, learned) == {"the": [1, 2], "film": [9, 10]}


def test_special_tokens_have_no_vector(tmp_path: Path) -> None:
    learned = tokenizer("the")
    vectors = read_vectors(write(tmp_path / "v.txt", "<unk> 1\n<pad> 2\nthe 3\n"), learned)
    assert by_word(vectors, learned) == {"the": [3]}
    assert not vectors.found[: len(SPECIAL)].any()


def test_whole_words_of_subwords_have_vectors_and_subwords_none(tmp_path: Path) -> None:
    learned = Tokenizer.train([" the", " film"] * 3, kind="bpe", vocabulary_size=300, whole_words=10)
    vectors = read_vectors(write(tmp_path / "v.txt", GLOVE), learned)
    assert vectors.words == learned.num_whole_words == 2
    assert by_word(vectors, learned) == {"the": WORDS["the"], "film": WORDS["film"]}


def test_other_embeddings_get_the_standard_deviation_of_the_vectors() -> None:
    generator = torch.Generator().manual_seed(0)
    values = 0.4 * torch.randn(4_000, 50, generator=generator)
    found = torch.arange(4_000) % 2 == 1
    vectors = Vectors(values * found[:, None], found, 0, 4_000)
    embedding = 0.1 * torch.randn(4_000, 50, generator=generator)
    embedding[0] = 0
    before = embedding.clone()
    vectors.fill_(embedding)
    assert torch.equal(embedding[found], values[found])
    assert float(embedding[~found].std()) == pytest.approx(float(values[found].std()), rel=1e-3)
    assert torch.equal(embedding[0], torch.zeros(50))
    ratio = (embedding / before)[~found][1:]
    assert torch.allclose(ratio, ratio[0, 0])


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("", 1, "the file is empty"),
        ("\n\n", 1, "the file is empty"),
        ("text,label\n", 1, "the first line has no values"),
        ("the film is fine\n", 1, 'the value "film" is no number from −10,000 to 10,000'),
        ("the 1 2\nfilm 1\n", 2, "the line has 1 values, and the vectors have 2"),
        ("the 1 2\nfilm 1 2 3\n", 2, "the line has 3 values, and the vectors have 2"),
        ("the 1 2\nfilm 1 x\n", 2, 'the value "x" is no number from −10,000 to 10,000'),
        ("the 1 2\nfilm nan 1\n", 2, 'the value "nan" is no number from −10,000 to 10,000'),
        ("the 1 2\nfilm 1e400 1\n", 2, 'the value "1e400" is no number from −10,000 to 10,000'),
        ("3 2\nthe 1 2\nfilm 1 2\n", 3, "the file ends after 2 of the 3 words that its first line announces"),
        ("2 2\nthe 1 2\nfilm 1\n", 3, "the line has 1 values, and the vectors have 2"),
        (b"2 2\nthe \x00\x01\x02\x03\n", 2, "this is not a line of text, but binary data"),
        (b"\xba\x16\x4f\x2f\x0c\x00\x00\x00", 1, "this is not a line of text, but binary data"),
        (b"PK\x03\x04glove", 1, "the file is a zip archive or a spreadsheet, not text"),
        (b"x" * 3_000_000, 1, "this is not a line of text, but binary data"),
    ],
)
def test_a_bad_file_is_refused_with_its_line(text: str | bytes, line: int, problem: str, tmp_path: Path) -> None:
    path = write(tmp_path / "v.txt", text)
    with pytest.raises(DataError) as refused:
        read_vectors(path, tokenizer("the", "film"))
    assert refused.value.problem == problem
    assert refused.value.line == line
    assert refused.value.file == str(path)
    assert refused.value.fix


def test_a_truncated_archive_is_refused(tmp_path: Path) -> None:
    data = gzip.compress(GLOVE.encode() * 500)
    with pytest.raises(DataError, match="damaged or truncated"):
        read_vectors(write(tmp_path / "v.txt.gz", data[: len(data) // 2]), tokenizer("unheard"))


def test_vectors_without_a_word_of_the_vocabulary_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "v.txt", GLOVE)
    with pytest.raises(DataError, match=r'a vector for none of the 2 words of the vocabulary \("le", "chat", …\)'):
        read_vectors(path, tokenizer("le", "chat"))


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    write(tmp_path / "glove.txt", GLOVE)
    with pytest.raises(DataError, match=r"there is no such file \(did you mean \"glove.txt\"\?\)"):
        read_size(tmp_path / "glov.txt")
    with pytest.raises(DataError, match="is a folder"):
        read_size(tmp_path)
