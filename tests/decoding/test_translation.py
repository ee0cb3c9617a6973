"""What a translator answers, over models with an encoder and without."""

import json
from collections.abc import Sequence
from itertools import chain
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from unrolled.api import build
from unrolled.config import ModelConfig
from unrolled.data.batches import Sequences
from unrolled.data.tokenizers import EOS, SEP, Tokenizer
from unrolled.decoding import Beam, Hypothesis, Sampling, search, translate, translations
from unrolled.decoding import translation as module
from unrolled.decoding.translation import stream
from unrolled.errors import ConfigError
from unrolled.models import Ids
from unrolled.state import EncoderDecoderState

TOKENIZER = Tokenizer.train(["abcdefgh"], kind="character", min_frequency=1)
WORDS = Tokenizer.train(["a b c d e f g h"], kind="word", min_frequency=1)
V = TOKENIZER.vocabulary_size
GREEDY = Sampling(temperature=0)
SOURCES = ["abc", "h", "ggggggg", "abcdefgh", "cab"]


class Copier(nn.Module):
    """Writes the source, token by token, and then <eos>; its carry is how many tokens were written."""

    inputs = "a source and a target"
    num_outputs = V

    def __init__(self, times: int = 1) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.times = times
        self.begun: list[list[int]] = []

    def begin(self, source: Tensor, lengths: Tensor) -> EncoderDecoderState:
        self.begun.append(lengths.tolist())
        return EncoderDecoderState((source, lengths), torch.zeros(len(source), dtype=torch.long))

    def forward(
        self, ids: Tensor, state: EncoderDecoderState, lengths: Tensor | None = None
    ) -> tuple[Tensor, EncoderDecoderState]:
        source, source_lengths = state.memory
        places = state.carry[:, None] + torch.arange(ids.shape[1])  # (B, T)
        wanted = source.gather(1, places % source_lengths[:, None])
        wanted = torch.where(places < self.times * source_lengths[:, None], wanted, EOS)
        read = ids.shape[1] if lengths is None else lengths
        return nn.functional.one_hot(wanted, V) * 9.0, EncoderDecoderState(state.memory, state.carry + read)


def sequences(texts: Sequence[str], tokenizer: Tokenizer = TOKENIZER) -> Sequences:
    return Sequences(tokenizer.encode(texts))


def answered(model: nn.Module, how: Sampling | Beam, prefix: str = "", **options: Any) -> list[str]:
    ids = TOKENIZER.encode([prefix])[0] if prefix else []
    found = translate(model, sequences(SOURCES), how, prefix=ids, **options)
    return [answer.text for answer in translations(SOURCES, found, TOKENIZER, ids)]


@pytest.mark.parametrize("how", [GREEDY, Beam(3), Sampling(top_k=1)])
def test_every_source_has_its_own_answer_in_its_place(how: Sampling | Beam, monkeypatch: pytest.MonkeyPatch) -> None:
    for budget in (16_384, 24, 1):
        monkeypatch.setattr(module, "BATCH_TOKENS", budget)
        model = Copier()
        assert answered(model, how) == SOURCES
        assert sorted(chain(*model.begun)) == sorted(map(len, SOURCES))
        assert (len(model.begun) == 1) == (budget == 16_384)


def test_a_target_begins_with_its_prefix() -> None:
    assert answered(Copier(), GREEDY, prefix="dd")[:2] == ["ddc", "dd"], "two tokens of the source have been passed"
    (some,) = translate(Copier(), sequences(["abc"]), Beam(2, n_best=2), prefix=TOKENIZER.encode(["d"])[0])
    (answer,) = translations(["abc"], [some], TOKENIZER, TOKENIZER.encode(["d"])[0])
    assert answer.targets[0].text == "dbc"
    assert answer.targets[0].tokens == 3


def test_lengths_depend_on_the_source_unless_they_are_given() -> None:
    found = translate(Copier(times=50), sequences(SOURCES), GREEDY)
    for text, (one,) in zip(SOURCES, found, strict=True):
        assert len(one.tokens) == 2 * len(text) + 10
        assert one.ended == "length"
    assert answered(Copier(), GREEDY, max_length=2)[0] == "ab"
    assert all(len(text) >= 9 for text in answered(Copier(), GREEDY, min_length=9))
    with pytest.raises(ConfigError, match="max_length must be at least 1"):
        translate(Copier(), sequences(["a"]), GREEDY, max_length=-1)


@pytest.mark.parametrize("how", [GREEDY, Sampling(seed=3), Beam(3, n_best=2)])
def test_without_an_encoder_source_and_target_are_one_sequence(how: Sampling | Beam) -> None:
    torch.manual_seed(1)
    model = build("gru", Ids(V), V, ModelConfig(embedding_size=6, hidden_size=8), answer="each").eval()
    (prefix,) = TOKENIZER.encode(["a"])
    found = translate(model, sequences(SOURCES), how, prefix=prefix, max_length=7)
    for ids, some in zip(TOKENIZER.encode(SOURCES), found, strict=True):
        assert [some] == search(model, [[*ids, SEP, *prefix]], how, max_length=7)


def test_a_stream_is_the_text_that_greedy_finds() -> None:
    for tokenizer, text in [(TOKENIZER, "abcdefgh"), (WORDS, "d a c h")]:
        (source,) = tokenizer.encode([text])
        for prefix in ([], source[:2]):
            pieces = list(stream(Copier(), tokenizer, source, GREEDY, prefix=prefix))
            assert "".join(pieces) == text
            assert all(pieces)
            assert len(pieces) == len(source) - max(0, len(prefix) - 1)


def test_an_answer_goes_into_json_and_onto_a_terminal() -> None:
    (a, b, c) = TOKENIZER.encode(["abc"])[0]
    found = [[Hypothesis((a, b), -1.0, -0.75, "eos"), Hypothesis((c, c, c), -2.5, -1.25, "length")]]
    (answer,) = translations(["so\turce"], found, TOKENIZER)
    assert answer.text == "ab"
    assert json.loads(json.dumps(answer.to_dict())) == {
        "source": "so\turce",
        "targets": [
            {"text": "ab", "tokens": 2, "score": -0.75, "log_probability": -1.0, "ended": "eos"},
            {"text": "ccc", "tokens": 3, "score": -1.25, "log_probability": -2.5, "ended": "length"},
        ],
    }
    assert answer.shown() == "ab\t-0.750\tso\\turce\nccc\t-1.250\tso\\turce\tcut at 3 tokens"
