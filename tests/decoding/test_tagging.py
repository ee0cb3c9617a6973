"""Tagging: each word is read at its last subword, for any batch."""

import numpy as np
import pytest
import torch

from unrolled.api import build
from unrolled.config import ModelConfig
from unrolled.data.encoding.tokenizers import Tokenizer
from unrolled.data.encoding.words import Subwords
from unrolled.decoding.tagging import tag, word_probabilities
from unrolled.models import Ids, Model

SENTENCES = [("the", "film"), ("a",), ("fine", "a", "plot", "the")]
TOKENIZER = Tokenizer.train([" the film a fine plot"], kind="character", min_frequency=1)


def model(name: str) -> Model:
    torch.manual_seed(0)
    config = ModelConfig(embedding_size=6, hidden_size=8, bidirectional=True)
    return build(name, Ids(TOKENIZER.vocabulary_size), 3, config, answer="each").eval()


@pytest.mark.parametrize("name", ["feedforward", "lstm"])
def test_a_word_is_read_at_its_last_subword(name: str) -> None:
    found = word_probabilities(model(name), Subwords(TOKENIZER, SENTENCES))
    assert found.shape == (7, 3)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    word = 0
    for sentence in SENTENCES:
        (ids,) = TOKENIZER.encode(["".join(f" {w}" for w in sentence)])
        logits = model(name)(torch.tensor([ids]))[0][0]
        ends = np.cumsum([1 + len(w) for w in sentence]) - 1
        expected = logits[ends].double().softmax(dim=1).detach().numpy()
        np.testing.assert_allclose(found[word : word + len(sentence)], expected, atol=1e-6)
        word += len(sentence)


def test_the_answer_is_the_most_probable_tag() -> None:
    first, second = tag([("a", "b\n"), ("c",)], ("X", "Y"), np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]]))
    assert [(found.word, found.tag, found.probability) for found in first.words] == [("a", "X", 0.9), ("b\n", "Y", 0.8)]
    assert first.shown() == "a\tX\t0.900\nb\\n\tY\t0.800\n"
    assert second.to_dict() == {
        "words": ({"word": "c", "tag": "X", "probability": 0.5, "probabilities": {"X": 0.5, "Y": 0.5}},)
    }
    assert tag([], ("X",), np.empty((0, 1))) == []


def test_the_most_probable_tags_stand_in_the_line_of_their_word() -> None:
    values = np.array([[0.2, 0.5, 0.3], [0.4, 0.2, 0.4]])
    (every,), (two,) = (tag([("a", "b")], ("X", "Y\t", "Z"), values, top) for top in (None, 2))
    assert two.words[0].probabilities == {"Y\t": 0.5, "Z": 0.3}
    assert [*two.words[1].probabilities] == ["X", "Z"]
    assert every.words[0].probabilities == {"X": 0.2, "Y\t": 0.5, "Z": 0.3}
    assert two.shown(2) == every.shown(2) == "a\tY\\t\t0.500\tZ\t0.300\nb\tX\t0.400\tZ\t0.400\n"
    assert every.shown(9) == "a\tY\\t\t0.500\tZ\t0.300\tX\t0.200\nb\tX\t0.400\tZ\t0.400\tY\\t\t0.200\n"
