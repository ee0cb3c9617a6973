"""The tokenizer that suits the texts, for tokenizer auto."""

import logging

import numpy as np
import pytest

from unrolled.config import DataConfig
from unrolled.data.encoding.choose import choose, learn

CONSONANTS, VOWELS = list("bdfgklmnprstvz"), list("aeiou")


def names(n: int, seed: int = 0) -> list[str]:
    random = np.random.default_rng(seed)
    return [
        "".join(a + b for a, b in zip(random.choice(CONSONANTS, 4), random.choice(VOWELS, 4), strict=True))
        for _ in range(n)
    ]


def sentences(n: int, words: int, seed: int = 0) -> list[str]:
    random, vocabulary = np.random.default_rng(seed), names(words, seed=1)
    return [" ".join(random.choice(vocabulary, 9)) for _ in range(n)]


def inflected(n: int) -> list[str]:
    """Sentences of words that are mostly new, each with one of a few endings."""
    stems = names(9 * n, seed=2)
    return [" ".join(f"{stem}lar" for stem in stems[9 * i : 9 * i + 9]) for i in range(n)]


@pytest.mark.parametrize(
    ("texts", "usual", "wanted"),
    [
        (sentences(400, 500), "word", "word"),
        (sentences(400, 500), "bpe", "bpe"),
        (names(400), "word", "character"),
        (names(400), "bpe", "character"),
        ([f"plural {name}" for name in names(400)], "bpe", "character"),
        (inflected(200), "word", "bpe"),
        (inflected(200), "bpe", "bpe"),
        ([" ".join(np.random.default_rng(i).choice(["AA", "B", "K", "S", "T"], 6)) for i in range(400)], "bpe", "word"),
        (["one"], "word", "character"),
        (["a", "b"], "word", "character"),
    ],
)
def test_the_texts_decide(texts: list[str], usual: str, wanted: str) -> None:
    assert choose(texts, DataConfig(), usual=usual).kind == wanted  # type: ignore[arg-type]


def test_many_texts_are_looked_at_in_part() -> None:
    assert choose(names(50_000), DataConfig(), usual="word").kind == "character"


def test_the_choice_is_said_with_its_reason(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        assert learn(names(300), DataConfig(), side="source").kind == "character"
    assert caplog.messages == [
        "tokenizer of the sources: character, since texts have 1.0 words, and 100% of the words are new in other texts"
    ]


def test_a_tokenizer_that_was_named_is_taken(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        assert learn(names(300), DataConfig(tokenizer="byte")).kind == "byte"
        assert learn(names(300), DataConfig(), usual="character").kind == "character", "every text has characters"
    assert not caplog.messages
