"""The scanner of words gives the ids and the vocabulary of the `tokenizers` library, which is its definition."""

import json
import subprocess
import sys
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unrolled.data.encoding import scanner
from unrolled.data.encoding.batches import Sequences
from unrolled.data.encoding.tokenizers import SPECIAL, UNK, Tokenizer
from unrolled.errors import DataError

needs_scanner = pytest.mark.skipif(scanner._words is None, reason="it was not compiled")

PARTS = [
    "n't",
    "N'T",
    "do",
    "can",
    "n",
    "'s",
    "'S",
    "'re",
    "'LL",
    "'ve",
    "'m",
    "t",
    "ts",
    "'",
    "’",
    "é",
    "e\u0301",
    "9",
    "_",
]
SPACES = [" ", "\t", "\n", "\r", "\v", "\f", "\x1c", "\x1f", "\x00", "\x7f", "\x85", "\u00a0", "中", "ſ", "İ"]
contracted = st.lists(st.sampled_from(PARTS + SPACES), max_size=12).map("".join)
ascii_text = st.text(st.characters(max_codepoint=127), max_size=40)
any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
texts = st.lists(contracted | ascii_text | any_text, max_size=8)


def by_library(tokenizer: Tokenizer, some: Sequence[str]) -> list[list[int]]:
    encodings = tokenizer._inner.encode_batch(list(some), add_special_tokens=False)
    return [encoding.ids or [UNK] for encoding in encodings]


@needs_scanner
@given(texts, st.booleans(), st.sampled_from(["none", "nfc", "nfkc"]))
def test_the_ids_are_those_of_the_library(some: list[str], lowercase: bool, normalize: str) -> None:
    words = sorted({word for text in some for word in text.split()} | set(PARTS))
    tokenizer = Tokenizer.train(
        [*some, *words], min_frequency=1, lowercase=lowercase, normalize=normalize, vocabulary_size=60
    )
    expected = by_library(tokenizer, some)
    assert tokenizer.encode(some) == expected
    assert [ids for text in some for ids in tokenizer.encode([text])] == expected
    sequences = Sequences.encode(tokenizer, some)
    assert sequences.lengths.tolist() == [len(ids) for ids in expected]
    for start, length, ids in zip(sequences.starts, sequences.lengths, expected, strict=True):
        assert sequences.ids[start : start + length].tolist() == ids


@needs_scanner
@given(texts, st.booleans(), st.sampled_from([1, 2, 3]), st.sampled_from([6, 12, 1000]))
def test_the_vocabulary_is_that_of_the_library(
    some: list[str], lowercase: bool, min_frequency: int, vocabulary_size: int
) -> None:
    options = {"lowercase": lowercase, "min_frequency": min_frequency, "vocabulary_size": vocabulary_size}
    ours = Tokenizer.train(some, **options)  # type: ignore[arg-type]
    with pytest.MonkeyPatch.context() as without:
        without.setattr(scanner, "_words", None)
        theirs = Tokenizer.train(some, **options)  # type: ignore[arg-type]
    assert ours.to_json() == theirs.to_json()


@needs_scanner
def test_long_words_and_many_words() -> None:
    words = [f"w{i}" for i in range(3000)] + ["x" * n for n in range(1, 200)]
    tokenizer = Tokenizer.train([" ".join(words)], min_frequency=1, vocabulary_size=10_000)
    assert tokenizer.vocabulary_size == len(SPECIAL) + len(words)
    assert tokenizer.encode([" ".join(words)]) == by_library(tokenizer, [" ".join(words)])


def test_texts_that_are_not_ascii_keep_their_places() -> None:
    tokenizer = Tokenizer.train(["a b c é"], min_frequency=1)
    some = ["é é", "a", "", "b é", "", "é", "c c c"] * 3000  # more than are encoded at once
    assert tokenizer.encode(some) == by_library(tokenizer, some)
    ids, lengths = (np.concatenate(each) for each in zip(*tokenizer.encode_flat(some), strict=True))
    assert [ids.tolist(), lengths.tolist()] == [
        [i for each in by_library(tokenizer, some) for i in each],
        [len(each) for each in by_library(tokenizer, some)],
    ]


@pytest.mark.parametrize("bad", [3, None, "a\ud800"])
def test_what_is_no_text_is_refused_as_by_the_library(bad: object) -> None:
    tokenizer = Tokenizer.train(["a b"], min_frequency=1)
    with pytest.raises(DataError, match="item 1"):
        tokenizer.encode(["a", bad])  # type: ignore[list-item]
    with pytest.raises(DataError, match="item 1"):
        list(tokenizer.encode_flat(["a", bad]))  # type: ignore[list-item]


def test_without_the_scanner_the_library_encodes() -> None:
    program = """
import json
from unrolled.data.encoding import scanner
from unrolled.data.encoding.tokenizers import Tokenizer
tokenizer = Tokenizer.train(["Don't stop the film, don't"], min_frequency=1)
arrays = [[each.tolist() for each in some] for some in tokenizer.encode_flat(["film don't", "stop"])]
print(json.dumps([scanner._words is None, tokenizer._tokens, arrays]))
"""
    outputs = [
        json.loads(subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, check=True).stdout)
        for env in ({"UNROLLED_ISA": "none"}, {})
    ]
    assert outputs[0][0]
    assert outputs[0][1:] == outputs[1][1:]
