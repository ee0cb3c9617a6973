"""Search over model(ids, state) alone, compared with greedy decoding by hand and with every possible sequence."""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from unrolled.api import build
from unrolled.config import ModelConfig
from unrolled.data.encoding.tokenizers import BOS, EOS, SPECIAL
from unrolled.decoding.sampling import Sampling
from unrolled.decoding.search import Beam, Hypothesis, search, stream_tokens
from unrolled.errors import ConfigError, DataError
from unrolled.kernels import native
from unrolled.models import Ids, Model
from unrolled.state import EncoderDecoderState, select

WORDS = (5, 6, 7)  # with <eos>, four tokens may be chosen
V = 8
GREEDY = Sampling(temperature=0)


def language_model(seed: int = 1, vocabulary_size: int = V, name: str = "gru", **options: object) -> Model:
    torch.manual_seed(seed)
    config = ModelConfig(embedding_size=6, hidden_size=8, **options)
    model = build(name, Ids(vocabulary_size), vocabulary_size, config, answer="each")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.7)
    return model.eval()


class Carry(NamedTuple):
    h: Tensor


class Translator(nn.Module):
    """A little encoder-decoder: h' = tanh(A h + E[id] + memory), W h' + b. It records the batch size of each call."""

    max_length = None

    def __init__(self, seed: int = 3, vocabulary_size: int = V) -> None:
        super().__init__()
        self.max_length = None
        generator = torch.Generator().manual_seed(seed)
        self.num_outputs = vocabulary_size
        self.E = nn.Parameter(torch.randn(vocabulary_size, 6, generator=generator) * 2)
        self.A = nn.Parameter(torch.randn(6, 6, generator=generator))
        self.W = nn.Parameter(torch.randn(6, vocabulary_size, generator=generator))
        self.b = nn.Parameter(torch.zeros(vocabulary_size).index_fill(0, torch.tensor(EOS), 2.0))
        self.batch_sizes: list[int] = []

    def encode(self, sources: Tensor) -> EncoderDecoderState:
        return EncoderDecoderState(sources, Carry(torch.zeros(len(sources), 6)))

    def forward(
        self, ids: Tensor, state: EncoderDecoderState, lengths: Tensor | None = None
    ) -> tuple[Tensor, EncoderDecoderState]:
        self.batch_sizes.append(len(ids))
        h, logits = state.decoder.h, []
        for t in range(ids.shape[1]):
            after = torch.tanh(h @ self.A + self.E[ids[:, t]] + state.memory)
            h = after if lengths is None else torch.where((lengths > t)[:, None], after, h)
            logits.append(after @ self.W + self.b)
        return torch.stack(logits, dim=1), EncoderDecoderState(state.memory, Carry(h))


def sources(n: int, seed: int = 0) -> Tensor:
    return torch.randn(n, 6, generator=torch.Generator().manual_seed(seed)) * 2


def recomputed(model: nn.Module, prompt: Sequence[int], hypothesis: Hypothesis, state: object = None) -> float:
    """ln p of a hypothesis in one forward pass."""
    wanted = [*hypothesis.tokens, *([EOS] if hypothesis.ended == "eos" else [])]
    ids = [BOS, *prompt, *wanted]
    with torch.no_grad():
        log_p = model(torch.tensor([ids[:-1]]), state)[0][0].double().log_softmax(dim=1)
    return float(sum(log_p[len(prompt) + t, token] for t, token in enumerate(wanted)))


def exhaustive(
    model: nn.Module, prompt: Sequence[int], state: object, alpha: float, longest: int, fewest: int = 0
) -> list[tuple[tuple[int, ...], str]]:
    """Every sequence of at most so many tokens, <eos> included, best first; ended sequences before truncated ones."""
    every = []
    for n in range(fewest, longest):
        every += [Hypothesis(words, 0, 0, "eos") for words in itertools.product(WORDS, repeat=n)]
    every += [Hypothesis(words, 0, 0, "length") for words in itertools.product(WORDS, repeat=longest)]
    scored = []
    for one in every:
        length = len(one.tokens) + (one.ended == "eos")
        score = recomputed(model, prompt, one, state) / ((5 + length) / 6) ** alpha
        scored.append((one.ended != "eos", -score, one.tokens, one.ended))
    return [(tokens, ended) for _, _, tokens, ended in sorted(scored)]


def shown(hypotheses: Sequence[Hypothesis]) -> list[tuple[tuple[int, ...], str]]:
    return [(one.tokens, one.ended) for one in hypotheses]


@pytest.mark.parametrize("alpha", [0.0, 0.6, 2.0])
def test_a_beam_as_wide_as_the_space_is_exhaustive(alpha: float) -> None:
    beam = Beam(4**5, alpha, n_best=4**5)
    for seed in range(3):
        model = language_model(seed)
        wanted = exhaustive(model, [], None, alpha, 5)
        assert shown(search(model, [[]], beam, max_length=5)[0]) == wanted
        assert shown(search(model, [[]], Beam(4**5, alpha, n_best=3), max_length=5)[0]) == wanted[:3]
        assert len(wanted) == 1 + 3 + 9 + 27 + 81 + 243
    translator, read = Translator(), sources(2)
    found = search(translator, [[], [6]], beam, state=translator.encode(read), max_length=[5, 4], min_length=1)
    for index, (prompt, longest) in enumerate([([], 5), ([6], 4)]):
        state = translator.encode(read[index : index + 1])
        assert shown(found[index]) == exhaustive(translator, prompt, state, alpha, longest, fewest=1)


def test_a_beam_of_one_is_greedy() -> None:
    for seed in range(4):
        model = language_model(seed, 40)
        prompts = [[], [5], [9, 9, 12, 30], [7] * 9]
        greedy = search(model, prompts, GREEDY, max_length=30)
        beam = search(model, prompts, Beam(1), max_length=30)
        assert [shown(one) for one in greedy] == [shown(one) for one in beam]
        for a, b in zip(greedy, beam, strict=True):
            assert a[0].log_probability == pytest.approx(b[0].log_probability, rel=1e-6)
            assert a[0].score == a[0].log_probability
    translator = Translator(36, 40)
    state = translator.encode(sources(20))
    greedy, beam = (
        search(translator, [[]] * 20, strategy, state=state, max_length=12) for strategy in (GREEDY, Beam(1))
    )
    assert [shown(one) for one in greedy] == [shown(one) for one in beam]
    assert {one[0].ended for one in greedy} == {"eos", "length"}, "of each kind there is some"


@pytest.mark.parametrize("strategy", [GREEDY, Sampling(seed=4), Sampling(0.7, top_k=9, top_p=0.9), Beam(4, 0.6, 4)])
def test_a_score_is_the_sum_of_log_probabilities(strategy: Sampling | Beam) -> None:
    translator, read = Translator(36, 40), sources(9)
    prompts = [[5, 6, 7][: index % 3] for index in range(9)]
    found = search(translator, prompts, strategy, state=translator.encode(read), max_length=12)
    for index, some in enumerate(found):
        assert len(some) == (4 if isinstance(strategy, Beam) else 1)
        for one in some:
            wanted = recomputed(translator, prompts[index], one, translator.encode(read[index : index + 1]))
            assert one.log_probability == pytest.approx(wanted, rel=1e-5)
            length = len(one.tokens) + (one.ended == "eos")
            alpha = strategy.length_penalty if isinstance(strategy, Beam) else 0
            assert one.score == pytest.approx(one.log_probability / ((5 + length) / 6) ** alpha)
        assert [one.score for one in some] == sorted((one.score for one in some), reverse=True) or {
            one.ended for one in some
        } == {"eos", "length"}


@pytest.mark.parametrize("strategy", [GREEDY, Sampling(seed=4), Beam(3, 0.6, 2), Beam(5, 0.0, 1)])
def test_a_source_is_answered_as_if_it_were_alone(strategy: Sampling | Beam) -> None:
    translator, read = Translator(36, 40), sources(30)
    prompts = [[5, 6, 7][: index % 4] for index in range(30)]
    longest = [3 + index % 20 for index in range(30)]
    together = search(translator, prompts, strategy, state=translator.encode(read), max_length=longest, min_length=2)
    for index in range(30):
        state = translator.encode(read[index : index + 1])
        (alone,) = search(translator, [prompts[index]], strategy, state=state, max_length=longest[index], min_length=2)
        assert shown(alone) == shown(together[index])
        assert [one.score for one in alone] == pytest.approx([one.score for one in together[index]], rel=1e-6)
    model = language_model(2, 40)
    together = search(model, prompts, strategy, max_length=9)
    alone = [search(model, [prompt], strategy, max_length=9)[0] for prompt in prompts]
    assert [shown(one) for one in together] == [shown(one) for one in alone]
    if native.compiled():
        assert together == alone, "a recurrent model has the same bits in any batch"
    assert search(model, [], strategy, max_length=9) == []


@pytest.mark.parametrize("strategy", [GREEDY, Sampling(seed=4), Beam(4, 0.0, 4)])
def test_minimum_and_maximum_lengths_hold(strategy: Sampling | Beam) -> None:
    translator, read = Translator(36, 40), sources(20)
    free = search(translator, [[]] * 20, strategy, state=translator.encode(read), max_length=60)
    for fewest, most in [(0, 1), (0, 4), (3, 5), (4, 4)]:
        found = search(
            translator, [[]] * 20, strategy, state=translator.encode(read), min_length=fewest, max_length=most
        )
        for one in itertools.chain(*found):
            if one.ended == "eos":
                assert fewest <= len(one.tokens) < most
            else:
                assert len(one.tokens) == most
        if fewest == 0 and not isinstance(strategy, Beam):
            for short, long in zip(found, free, strict=True):
                assert short[0].tokens == long[0].tokens[:most]
                assert (short[0].ended == "eos") == (len(long[0].tokens) < most)
    assert len({len(one.tokens) for one in itertools.chain(*free)}) > 3


def test_finished_sources_leave_the_batch() -> None:
    translator, read = Translator(36, 40), sources(20)
    for strategy, width in [(GREEDY, 1), (Beam(3, 0.0), 3)]:
        translator.batch_sizes.clear()
        search(translator, [[]] * 20, strategy, state=translator.encode(read), max_length=20)
        assert translator.batch_sizes[0] == 20
        assert translator.batch_sizes[1:] == sorted(translator.batch_sizes[1:], reverse=True)
        assert max(translator.batch_sizes[1:]) <= 20 * width
        assert len(set(translator.batch_sizes)) > 3
        assert translator.batch_sizes[-1] < 20


def test_only_the_decoder_state_is_reordered(monkeypatch: pytest.MonkeyPatch) -> None:
    translator = Translator(36, 40)
    memories = []
    forward = translator.forward

    def watched(ids: Tensor, state: EncoderDecoderState, lengths: Tensor | None = None) -> tuple[Tensor, object]:
        memories.append(state.memory.data_ptr())
        return forward(ids, state, lengths)

    monkeypatch.setattr(translator, "forward", watched)
    search(translator, [[], []], Beam(3), state=translator.encode(sources(2)), min_length=8, max_length=9)
    assert len(set(memories)) == 2, "once spread over the beams, then left where it is"


class Table(nn.Module):
    """A model whose logits depend on the last token alone: logits = table[token]."""

    max_length = None

    def __init__(self, table: Sequence[Sequence[float]]) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.tensor(table))
        self.num_outputs, self.max_length = len(table), None

    def forward(self, ids: Tensor, state: object = None, lengths: Tensor | None = None) -> tuple[Tensor, object]:
        return self.table[ids], ()


def test_ties_go_to_the_first() -> None:
    flat = Table([[0.0] * V] * V)
    found = search(flat, [[]], Beam(4, 0.0, 4), min_length=2, max_length=3)[0]
    assert shown(found) == [((5, 5), "eos"), ((5, 6), "eos"), ((5, 7), "eos"), ((6, 5), "eos")]
    wide = Table([[0.0] * 3000] * 3000)
    for size in (1, 3, 50):
        found = search(wide, [[], []], Beam(size, 0.0, size), min_length=1, max_length=1)
        assert shown(found[0]) == shown(found[1]) == [((5 + k,), "length") for k in range(size)]
    assert shown(search(flat, [[]], GREEDY, max_length=3)[0]) == [((), "eos")]
    assert shown(search(flat, [[]], Beam(1), max_length=3)[0]) == [((), "eos")]


def test_a_length_penalty_favours_longer_sequences() -> None:
    table = np.full((6, 6), -30.0)
    table[BOS, [EOS, 5]] = math.log(0.6), math.log(0.4)  # end at once, or say 5 5 5
    table[5, [EOS, 5]] = math.log(0.1), math.log(0.9)
    model = Table(table.tolist())
    assert search(model, [[]], Beam(10, 0.0), max_length=9)[0][0].tokens == ()
    assert len(search(model, [[]], Beam(10, 3.0), max_length=9)[0][0].tokens) > 0


def test_a_search_continues_while_the_best_hypothesis_is_open() -> None:
    table = np.zeros((9, 9))
    for token, following in [(BOS, 5), (5, 6), (6, 7), (7, 8), (8, EOS)]:
        table[token, following] = 9.0  # what is improbable ends improbably, again and again, before 5 6 7 8 does
    for alpha in (0.0, 0.6, 2.0):
        (best,) = search(Table(table.tolist()), [[]], Beam(2, alpha), max_length=20)[0]
        assert best.tokens == (5, 6, 7, 8)


def test_truncated_hypotheses_rank_last() -> None:
    table = np.full((V, V), -30.0)
    table[:, 5], table[:, EOS] = math.log(0.99), math.log(0.01)
    found = search(Table(table.tolist()), [[]], Beam(2, 0.0, 2), max_length=3)[0]
    assert [one.ended for one in found] == ["eos", "eos"]
    assert shown(search(Table(table.tolist()), [[]], GREEDY, max_length=3)[0]) == [((5, 5, 5), "length")]


def test_special_tokens_are_never_written() -> None:
    table = np.zeros((V, V))
    table[:, [0, 1, 2, 4]] = 50.0
    for strategy in (GREEDY, Sampling(), Beam(3, n_best=3)):
        for one in search(Table(table.tolist()), [[]], strategy, max_length=4)[0]:
            assert all(token >= len(SPECIAL) for token in one.tokens)


@pytest.mark.parametrize("strategy", [GREEDY, Sampling(seed=4), Beam(3, 0.0, 3)])
def test_a_model_with_a_maximum_length_writes_no_more_than_the_remaining_length(strategy: Sampling | Beam) -> None:
    model = language_model(1, 40, "gpt", window=9, num_heads=2)
    prompts = [[5] * n for n in (0, 3, 8)]
    found = search(model, prompts, strategy, min_length=20, max_length=30)
    for prompt, some in zip(prompts, found, strict=True):
        for one in some:
            assert (len(one.tokens), one.ended) == (9 - len(prompt), "length")
            assert one.log_probability == pytest.approx(recomputed(model, prompt, one), rel=1e-5)
    assert len(list(stream_tokens(model, [5], GREEDY, min_length=20, max_length=30))) == 8
    with pytest.raises(
        DataError, match="a prompt of 9 tokens leaves no remaining length: the model reads at most 9 tokens"
    ):
        search(model, [[5] * 9], strategy, max_length=3)
    with pytest.raises(DataError, match="a prompt of 9 tokens leaves no remaining"):
        stream_tokens(model, [5] * 9, GREEDY, max_length=3)


@pytest.mark.parametrize("sampling", [GREEDY, Sampling(seed=4)])
def test_a_stream_is_what_search_finds(sampling: Sampling) -> None:
    translator, read = Translator(36, 40), sources(20)
    for index in range(20):
        state = translator.encode(read[index : index + 1])
        options = {"state": state, "min_length": 1, "max_length": 7}
        (wanted,) = search(translator, [[6]], sampling, **options)[0]
        streamed = list(stream_tokens(translator, [6], sampling, **options))
        assert streamed == [*wanted.tokens, *([EOS] if wanted.ended == "eos" else [])]


def test_the_initial_state_is_not_changed() -> None:
    translator = Translator()
    state = translator.encode(sources(3))
    before = select(state, [0, 1, 2])
    first = search(translator, [[]] * 3, Beam(3), state=state, max_length=6)
    assert torch.equal(state.memory, before.memory)
    assert torch.equal(state.decoder.h, before.decoder.h)
    assert search(translator, [[]] * 3, Beam(3), state=state, max_length=6) == first


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Beam(0), "beam must be from 1 to 1,024: got 0"),
        (lambda: Beam(10**10), "beam must be from 1 to 1,024: got 10000000000"),
        (lambda: Beam(2, -0.5), "length_penalty must be at least 0 and below 100: got -0.5"),
        (lambda: Beam(2, float("nan")), "length_penalty must be at least 0 and below 100: got nan"),
        (lambda: Beam(2, n_best=3), "n_best must be from 1 to the beam's size, 2: got 3"),
        (lambda: Beam(2, n_best=0), "n_best must be from 1 to 1,024: got 0"),
        (
            lambda: search(Translator(), [[]], GREEDY, max_length=0),
            "max_length must be from 1 to 1,000,000,000, and at",
        ),
        (lambda: search(Translator(), [[]], GREEDY, max_length=10**20), "max_length must be from 1 to 1,000,000,000"),
        (lambda: search(Translator(), [[], []], Beam(2), max_length=[3, 0]), "max_length must be from 1 to"),
        (lambda: search(Translator(), [[]], GREEDY, min_length=5, max_length=4), "max_length must be from 1 to"),
        (lambda: search(Translator(), [[]], GREEDY, min_length=-1, max_length=4), "min_length must be at least 0"),
        (lambda: stream_tokens(Translator(), [], GREEDY, max_length=0), "max_length must be from 1 to"),
    ],
)
def test_settings_out_of_range_are_refused(make: object, message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        make()
    assert str(refused.value).startswith(message)
