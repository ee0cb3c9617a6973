"""Texts as tokens with their characters: what stands at a token's span is what it says."""

import pytest

from unrolled.data.encoding.tokenizers import BOS, UNK, Tokenizer
from unrolled.errors import DataError
from unrolled.inside.tokens import read, read_words, truncate, written

TEXTS = ["The film's fine, the plot is not.", "the fine plot", "film fine the plot is, not the 's"]


def tokenizer(kind: str, **options: object) -> Tokenizer:
    return Tokenizer.train(TEXTS * 3, kind=kind, vocabulary_size=300, min_frequency=1, **options)


@pytest.mark.parametrize("kind", ["word", "character", "bpe", "byte"])
def test_each_token_says_what_stands_there(kind: str) -> None:
    found = read(tokenizer(kind), TEXTS[0])
    assert found.ids == tokenizer(kind).encode([TEXTS[0]])[0]
    assert [TEXTS[0][a:b] for a, b in found.spans] == list(found.tokens)
    if kind != "word":
        assert "".join(found.tokens) == TEXTS[0]


def test_an_unknown_word_is_shown_as_it_stands_there() -> None:
    found = read(tokenizer("word"), "The zebra")
    assert found.ids[1] == UNK
    assert found.tokens == ("The", "zebra")


def test_a_list_of_tokens_is_cut_by_nobody_else() -> None:
    found = read(tokenizer("word"), ["fine film", "plot"])
    assert found.text == "fine film plot"
    assert found.tokens == ("fine", "film", "plot")
    assert found.spans == ((0, 4), (5, 9), (10, 14))
    assert read(tokenizer("character"), ["fi", "m"]).spans == ((0, 1), (1, 2), (3, 4))


@pytest.mark.parametrize("given", [7, ["a", 7], {"a": 1}, None])
def test_what_is_no_text(given: object) -> None:
    with pytest.raises(DataError, match="a text, or a list of its tokens, is expected"):
        read(tokenizer("word"), given)


def test_nothing_has_no_tokens() -> None:
    assert read(tokenizer("character"), "") == ("", [], (), ())


@pytest.mark.parametrize("kind", ["word", "character", "bpe"])
def test_words_end_where_they_end(kind: str) -> None:
    kept = Tokenizer.train([f" {word}" for text in TEXTS for word in text.split()] * 2, kind=kind, min_frequency=1)
    found, ends = read_words(kept, ["the", "film", "is"])
    assert [found.text[: found.spans[end][1]] for end in ends] == ["the", "the film", "the film is"]
    assert found.ids == [i for ids in kept.encode_words(["the", "film", "is"]) for i in ids]


def test_a_whole_word_stands_for_all_of_it() -> None:
    words = [f" {word}" for text in TEXTS for word in text.split()]
    kept = Tokenizer.train(words * 3, kind="character", min_frequency=1, whole_words=5)
    found, ends = read_words(kept, ["the", "film"])
    assert [found.text[slice(*found.spans[end])] for end in ends] == ["the", "film"]
    assert len(found.ids) == len(found.spans) == len(found.tokens)


@pytest.mark.parametrize("kind", ["word", "character", "bpe"])
def test_what_is_written_stands_where_it_says(kind: str) -> None:
    made = tokenizer(kind)
    ids = made.encode(["the fine plot"])[0]
    found = written(made, ids)
    assert found.text == made.decode(ids)
    assert [found.text[a:b].strip() for a, b in found.spans] == [token.strip() for token in found.tokens]
    assert written(made, [BOS, *ids]).text == found.text


def test_what_is_cut_is_said() -> None:
    found = read(tokenizer("word"), "the fine plot")
    assert truncate(found, 3) == (found, "")
    short, said = truncate(found, 2)
    assert short.tokens == ("the", "fine")
    assert said == "truncated after the first 2 of 3 tokens"
