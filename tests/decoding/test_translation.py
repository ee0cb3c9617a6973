"""Translation: answers for encoded sources, their lengths, streams and output formats."""

import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from unrolled.data.encoding.batches import Sequences
from unrolled.data.encoding.tokenizers import EOS, Tokenizer
from unrolled.decoding import translation as module
from unrolled.decoding.sampling import Sampling
from unrolled.decoding.search import Beam
from unrolled.decoding.translation import Target, Translation, stream, translate
from unrolled.errors import ConfigError
from unrolled.models import Model
from unrolled.state import EncoderDecoderState

TOKENIZER = Tokenizer.train(["abcdefgh"], kind="character", min_frequency=1)
WORDS = Tokenizer.train(["a b c d e f g h"], kind="word", min_frequency=1)
V = TOKENIZER.vocabulary_size
GREEDY = Sampling(temperature=0)
SOURCES = ["abc", "h", "ggggggg", "abcdefgh", "cab"]


class Copier(nn.Module):
    """Writes the source, token by token, and then <eos>; its decoder state is the number of tokens written."""

    num_outputs, max_length, remaining_length = V, None, Model.remaining_length

    def __init__(self, times: int = 1) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.times = times
        self.begun: list[list[int]] = []

    def encode(self, source: Tensor, lengths: Tensor) -> EncoderDecoderState:
        self.begun.append(lengths.tolist())
        return EncoderDecoderState((source, lengths), torch.zeros(len(source), dtype=torch.long))

    def forward(
        self, ids: Tensor, state: EncoderDecoderState, lengths: Tensor | None = None
    ) -> tuple[Tensor, EncoderDecoderState]:
        source, source_lengths = state.memory
        positions = state.decoder[:, None] + torch.arange(ids.shape[1])  # (B, T)
        wanted = source.gather(1, positions % source_lengths[:, None])
        wanted = torch.where(positions < self.times * source_lengths[:, None], wanted, EOS)
        read = ids.shape[1] if lengths is None else lengths
        return nn.functional.one_hot(wanted, V) * 9.0, EncoderDecoderState(state.memory, state.decoder + read)


def answers(model: nn.Module, texts: Sequence[str], strategy: Sampling | Beam, **options: Any) -> list[Translation]:
    return translate(model, TOKENIZER, texts, Sequences(TOKENIZER.encode(texts)), strategy, **options)


def answered(model: nn.Module, strategy: Sampling | Beam, **options: Any) -> list[str]:
    return [answer.text for answer in answers(model, SOURCES, strategy, **options)]


@pytest.mark.parametrize("strategy", [GREEDY, Beam(3), Sampling(top_k=1)])
def test_answers_are_in_the_order_of_the_sources(strategy: Sampling | Beam, monkeypatch: pytest.MonkeyPatch) -> None:
    for budget in (16_384, 24, 1):
        monkeypatch.setattr(module, "BATCH_TOKENS", budget)
        model = Copier()
        assert answered(model, strategy) == SOURCES
        assert sorted(chain(*model.begun)) == sorted(map(len, SOURCES))
        assert (len(model.begun) == 1) == (budget == 16_384)


def test_a_target_begins_with_its_prefix() -> None:
    assert answered(Copier(), GREEDY, prefix="dd")[:2] == ["ddc", "dd"], "two tokens of the source have been passed"
    (answer,) = answers(Copier(), ["abc"], Beam(2, n_best=2), prefix="d")
    assert (answer.targets[0].text, answer.targets[0].tokens, len(answer.targets)) == ("dbc", 3, 2)
    read = Sequences(WORDS.encode(["d a c h"]))
    without, blank = (translate(Copier(), WORDS, ["d a c h"], read, GREEDY, prefix=prefix) for prefix in ("", " \n"))
    assert blank == without, "a prefix without a token is none"


def test_maximum_lengths_depend_on_the_source_unless_requested() -> None:
    for text, answer in zip(SOURCES, answers(Copier(times=50), SOURCES, GREEDY), strict=True):
        assert answer.targets[0].tokens == len(answer.text) == 2 * len(text) + 10
        assert answer.targets[0].ended == "length"
    assert answered(Copier(), GREEDY, max_length=2)[0] == "ab"
    assert all(len(text) >= 9 for text in answered(Copier(), GREEDY, min_length=9))
    with pytest.raises(ConfigError, match="max_length must be from 1 to"):
        answers(Copier(), ["a"], GREEDY, max_length=0)


def test_a_stream_is_the_text_that_greedy_finds() -> None:
    for tokenizer, text, prefix in [(TOKENIZER, "abcdefgh", "ab"), (WORDS, "d a c h", "d a")]:
        (source,) = tokenizer.encode([text])
        for begun in ("", prefix):
            pieces = list(stream(Copier(), tokenizer, source, GREEDY, prefix=begun))
            assert "".join(pieces) == text
            assert len(pieces) == len(source)
    assert list(stream(Copier(), TOKENIZER, source, GREEDY, max_length=1)) == ["d"]
    with pytest.raises(ConfigError, match="max_length must be from 1 to"):
        stream(Copier(), TOKENIZER, source, GREEDY, max_length=0)


def test_an_answer_goes_into_json_and_onto_a_terminal() -> None:
    answer = Translation("so\turce", (Target("ab", 2, -0.75, -1.0, "eos"), Target("c\nc", 3, -1.25, -2.5, "length")))
    assert answer.text == "ab"
    assert json.loads(json.dumps(answer.to_dict())) == {
        "source": "so\turce",
        "targets": [
            {"text": "ab", "tokens": 2, "score": -0.75, "log_probability": -1.0, "ended": "eos"},
            {"text": "c\nc", "tokens": 3, "score": -1.25, "log_probability": -2.5, "ended": "length"},
        ],
        "truncated": "",
    }
    assert answer.shown() == "ab\t-0.750\tso\\turce\nc\\nc\t-1.250\tso\\turce\ttruncated at 3 tokens"
    truncated = replace(answer, truncated="truncated after the first 2 of 9 tokens of the source")
    assert truncated.shown().splitlines() == [f"{line}\t{truncated.truncated}" for line in answer.shown().splitlines()]
