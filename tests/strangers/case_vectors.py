"""Word vectors as strangers fetch them: GloVe, word2vec and fastText, whole, packed, cut off, or the wrong file."""

from __future__ import annotations

import gzip
from pathlib import Path

import unrolled
from strangers.cases import case
from strangers.commands import command, reviews, table

TRAIN = ("--hidden-size", "4", "--updates", "2", "--min-frequency", "1", "--threads", "1")
VECTORS = "the 0.1 -0.2 0.3\nGarden 0.5 0.25 0.125\nwarm -1 0 1\n. . . 0.1 0.2 0.3\n"


def trained(folder: Path, vectors: str | bytes, name: str = "glove.txt", *flags: str) -> tuple[int, str]:
    """Train on reviews with these vectors; return the exit code and what was said."""
    data = vectors if isinstance(vectors, bytes) else vectors.encode()
    (folder / name).write_bytes(data)
    arguments = [
        table(folder / "a.csv", reviews()),
        "--vectors",
        folder / name,
        "--out",
        folder / "run",
        *TRAIN,
        *flags,
    ]
    outcome = command("train", *arguments)
    return outcome.code, outcome.err


@case("E")
def glove_says_its_coverage_and_sets_the_size(folder: Path) -> None:
    """GloVe: the embedding size follows from the file, and the coverage and other cases are said"""
    code, said = trained(folder, VECTORS)
    assert code == 0, said
    assert "vectors for 3 of" in said
    assert "1 of them from a word in another case" in said
    run = unrolled.load(folder / "run")
    assert run.config.model.embedding_size == 3
    assert run.record["data"]["vectors"]["words_found"] == 3


@case("E")
def fasttext_with_its_first_line_packed(folder: Path) -> None:
    """fastText's .vec.gz with its line of sizes, and a space at the end of each line"""
    text = f"4 3\n{VECTORS}".replace("\n", " \n")
    code, said = trained(folder, gzip.compress(text.encode()), "wiki.vec.gz")
    assert code == 0, said
    assert "vectors for 3 of" in said


@case("E")
def a_download_that_ended_early(folder: Path) -> None:
    """word2vec's text, cut off: the message has the line and both numbers of words"""
    code, said = trained(folder, f"9 3\n{VECTORS}")
    assert code == 2
    assert "line 5: the file ends after 4 of the 9 words that its first line announces" in said
    assert not (folder / "run").exists()


@case("E")
def the_binary_format(folder: Path) -> None:
    """word2vec's binary format is refused as binary, with its line and the formats that are read"""
    code, said = trained(folder, b"3 3\nthe \x00\x00\x80?\x00\x00\x00@", "GoogleNews.bin")
    assert code == 2
    assert "line 2: this is not a line of text, but binary data" in said
    assert "GloVe, word2vec or fastText" in said


@case("E")
def another_embedding_size(folder: Path) -> None:
    """`--embedding-size` that differs from the vectors is refused with the remedy, which works"""
    code, said = trained(folder, VECTORS, "glove.txt", "--embedding-size", "100")
    assert code == 2
    assert "have 3 values: remove embedding_size" in said
    assert trained(folder, VECTORS)[0] == 0


@case("E")
def vectors_where_tokens_are_no_words(folder: Path) -> None:
    """`--vectors` with byte pairs is refused with the remedy, which works"""
    code, said = trained(folder, VECTORS, "glove.txt", "--tokenizer", "bpe")
    assert code == 2
    assert "add --tokenizer word" in said
    assert trained(folder, VECTORS, "glove.txt", "--tokenizer", "word")[0] == 0
