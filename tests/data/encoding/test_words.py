"""Sentences as ids: a word has the same ids in all sentences, and the position of its end is known."""

import pytest
import torch

from unrolled.data.encoding.tokenizers import UNK, Tokenizer, marked
from unrolled.data.encoding.words import NO_WORD, Subwords

SENTENCES = [("the", "don't", "the"), ("film", "…"), ("a",)]


@pytest.mark.parametrize("kind", ["character", "byte", "word", "bpe"])
def test_every_word_ends_once_in_its_order(kind: str) -> None:
    tokenizer = Tokenizer.train(marked(SENTENCES[0]), kind=kind, vocabulary_size=270, min_frequency=1)
    subwords = Subwords(tokenizer, SENTENCES)
    rows = torch.tensor([2, 0, 1])
    ids, lengths = subwords.pad(rows)
    words = subwords.words(rows)
    assert words.shape == ids.shape
    assert subwords.num_words == 6
    assert words[words != NO_WORD].tolist() == [5, 0, 1, 2, 3, 4]
    for row, (found, length) in enumerate(zip(words, lengths.tolist(), strict=True)):
        assert found[length - 1] != NO_WORD, "a sentence ends with a word"
        assert (found[length:] == NO_WORD).all()
        subwords = tokenizer.encode(marked(SENTENCES[rows[row]]))
        assert ids[row, :length].tolist() == [i for word in subwords for i in word]
        ends = torch.tensor([len(word) for word in subwords]).cumsum(0) - 1
        assert (found[:length] != NO_WORD).nonzero().flatten().tolist() == ends.tolist()


def test_a_space_marks_where_a_word_begins() -> None:
    tokenizer = Tokenizer.train(["ab ba"], kind="character", min_frequency=1)
    joined, apart = (Subwords(tokenizer, [words]).pad(torch.tensor([0]))[0].tolist() for words in (("ab",), ("a", "b")))
    assert joined != apart
    assert Subwords(Tokenizer.train(["x"], kind="word"), [("☃",)]).ids[0] == UNK


def test_no_sentences_are_no_words() -> None:
    assert Subwords(Tokenizer.train(["x"], kind="byte"), []).num_words == 0
