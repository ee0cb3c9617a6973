"""Texts as tokens with their characters: the span of a token covers its text."""

import pytest

from unrolled.data.encoding.tokenizers import BOS, UNK, Tokenizer
from unrolled.errors import DataError
from unrolled.inside.tokens import read, read_words, truncate, unknown, written

TEXTS = ["The film's fine, the plot is not.", "the fine plot", "film fine the plot is, not the 's"]


def tokenizer(kind: str, **options: object) -> Tokenizer:
    return Tokenizer.train(TEXTS * 3, kind=kind, vocabulary_size=300, min_frequency=1, **options)


@pytest.mark.parametrize("kind", ["word", "character", "bpe", "byte"])
def test_the_span_of_each_token_covers_its_text(kind: str) -> None:
    tokens = read(tokenizer(kind), TEXTS[0])
    assert tokens.ids == tokenizer(kind).encode([TEXTS[0]])[0]
    assert [TEXTS[0][a:b] for a, b in tokens.spans] == list(tokens.tokens)
    if kind != "word":
        assert "".join(tokens.tokens) == TEXTS[0]


def test_an_unknown_word_is_shown_as_in_the_text() -> None:
    tokens = read(tokenizer("word"), "The zebra")
    assert tokens.ids[1] == UNK
    assert tokens.tokens == ("The", "zebra")


def test_a_list_of_tokens_is_tokenised_one_by_one() -> None:
    tokens = read(tokenizer("word"), ["fine film", "plot"])
    assert tokens.text == "fine film plot"
    assert tokens.tokens == ("fine", "film", "plot")
    assert tokens.spans == ((0, 4), (5, 9), (10, 14))
    assert read(tokenizer("character"), ["fi", "m"]).spans == ((0, 1), (1, 2), (3, 4))


@pytest.mark.parametrize("wrong", [7, ["a", 7], {"a": 1}, None])
def test_other_types_are_refused(wrong: object) -> None:
    with pytest.raises(DataError, match="expected a text or a list of its tokens"):
        read(tokenizer("word"), wrong)


def test_an_empty_text_has_no_tokens() -> None:
    assert read(tokenizer("character"), "") == ("", [], (), ())


@pytest.mark.parametrize("kind", ["word", "character", "bpe"])
def test_the_last_step_of_each_word(kind: str) -> None:
    learned = Tokenizer.train([f" {word}" for text in TEXTS for word in text.split()] * 2, kind=kind, min_frequency=1)
    tokens, ends = read_words(learned, ["the", "film", "is"])
    assert [tokens.text[: tokens.spans[end][1]] for end in ends] == ["the", "the film", "the film is"]
    assert tokens.ids == [i for ids in learned.encode_words(["the", "film", "is"]) for i in ids]


def test_the_token_of_a_whole_word_covers_it() -> None:
    words = [f" {word}" for text in TEXTS for word in text.split()]
    learned = Tokenizer.train(words * 3, kind="character", min_frequency=1, whole_words=5)
    tokens, ends = read_words(learned, ["the", "film"])
    assert [tokens.text[slice(*tokens.spans[end])] for end in ends] == ["the", "film"]
    assert len(tokens.ids) == len(tokens.spans) == len(tokens.tokens)


@pytest.mark.parametrize("kind", ["word", "character", "bpe"])
def test_the_spans_of_generated_tokens(kind: str) -> None:
    made = tokenizer(kind)
    ids = made.encode(["the fine plot"])[0]
    tokens = written(made, ids)
    assert tokens.text == made.decode(ids)
    assert [tokens.text[a:b].strip() for a, b in tokens.spans] == [token.strip() for token in tokens.tokens]
    assert written(made, [BOS, *ids]).text == tokens.text


def test_truncation_is_reported() -> None:
    tokens = read(tokenizer("word"), "the fine plot")
    assert truncate(tokens, 3) == (tokens, "")
    short, sentence = truncate(tokens, 2)
    assert short.tokens == ("the", "fine")
    assert sentence == "truncated after the first 2 of 3 tokens"


def test_unknown_tokens_are_counted_and_named() -> None:
    assert unknown(read(tokenizer("word"), "the fine plot")) == ""
    assert unknown(read(tokenizer("word"), "the dull plot")) == ("1 of 3 tokens is unknown to the network: “dull”")
    assert unknown(read(tokenizer("word"), "a b c d the")) == (
        "4 of 5 tokens are unknown to the network: “a”, “b”, “c” and others"
    )
    assert unknown(read(tokenizer("character"), "\u202ethe")).endswith("“\\u202e”"), "safe on a terminal"
