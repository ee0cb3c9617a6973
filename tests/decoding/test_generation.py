"""Continuations of prompts and scores of texts, over model(ids, state) alone."""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from modules import MODERN
from unrolled import lineage
from unrolled.api import build
from unrolled.config import ModelConfig
from unrolled.data.encoding.tokenizers import BOS, SPECIAL, UNK, Tokenizer
from unrolled.decoding import cursor, generation
from unrolled.decoding.generation import decode, score_tokens, stream
from unrolled.decoding.sampling import Generation, Sampling
from unrolled.models import Ids, Model
from unrolled.state import leaves

TOKENIZER = Tokenizer.train(["abcdefgh"], kind="character", min_frequency=1)
V = TOKENIZER.vocabulary_size
MODELS = [architecture.name for architecture in lineage.architectures_for("generate")]


def model_of(name: str, **options: object) -> Model:
    torch.manual_seed(1)
    own = {"window": 3} if name == "feedforward" else {}
    config = ModelConfig(embedding_size=6, hidden_size=8, dropout=0.5, **own | options)
    model = build(name, Ids(V), V, config, answer="each")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.7)
    return model.eval()


class Counting(nn.Module):
    """Answers the next letter of the alphabet, round and round, with certainty 1 − 2⁻⁶ or so; its state is empty."""

    num_outputs, max_length = V, None

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.calls: list[tuple[int, int]] = []

    def forward(self, ids: Tensor, state: object = None, lengths: Tensor | None = None) -> tuple[Tensor, object]:
        self.calls.append(tuple(ids.shape))
        following = torch.where(ids < len(SPECIAL), len(SPECIAL), len(SPECIAL) + (ids - len(SPECIAL) + 1) % 8)
        return nn.functional.one_hot(following, V) * 6.0, ()


def ids_of(text: str) -> list[int]:
    return TOKENIZER.encode([text])[0] if text else []


def write(model: Model, prompts: Sequence[str], sampling: Sampling, **options: object) -> list[str]:
    answers = decode(model, TOKENIZER, [(p, ids_of(p)) for p in prompts], sampling, **options)
    return [answer.text for answer in answers]


def by_hand(model: Model, prompt: str, length: int) -> str:
    """Greedy, from the beginning for every token."""
    ids = [BOS, *ids_of(prompt)]
    for _ in range(length):
        logits = model(torch.tensor([ids]))[0][0, -1].detach()
        logits[: len(SPECIAL)] = -math.inf
        ids.append(int(logits.argmax()))
    return TOKENIZER.decode(ids[1 + len(prompt) :])


@pytest.mark.parametrize("name", MODELS)
def test_greedy_is_the_most_probable_token_each_time(name: str) -> None:
    model, prompts = model_of(name), ["", "a", "abcabcabc", "hg"]
    wanted = [by_hand(model, prompt, 12) for prompt in prompts]
    assert write(model, prompts, Sampling(temperature=0), length=12) == wanted
    assert write(model, prompts, Sampling(temperature=5, top_k=1), length=12) == wanted
    assert write(model, prompts, Sampling(temperature=5, top_p=1e-6), length=12) == wanted


@pytest.mark.parametrize("name", MODELS)
def test_a_prompts_answer_does_not_depend_on_its_neighbours(name: str) -> None:
    model, prompts = model_of(name), ["", "a", "abcabcabc", "a", "hg"]
    for sampling in (Sampling(), Sampling(temperature=0.7, top_k=4, top_p=0.9, seed=5)):
        together = write(model, prompts, sampling, length=40, stop=["ab", "c"])
        assert together == [write(model, [prompt], sampling, length=40, stop=["ab", "c"])[0] for prompt in prompts]
        streamed = [
            "".join(stream(model, TOKENIZER, ids_of(p), sampling, length=40, stop=["ab", "c"])) for p in prompts
        ]
        assert together == streamed
    assert write(model, ["a"], Sampling(seed=1), length=40) != write(model, ["a"], Sampling(seed=2), length=40)
    assert write(model, [], Sampling(), length=3) == []


def test_a_text_ends_before_the_first_stop() -> None:
    model = Counting()
    for stop, text, ended in [
        ([], "bcdefghabc", "length"),
        (["ef"], "bcd", "stop"),
        (["zz", "gh", "fgh"], "bcde", "stop"),
        (["b"], "", "stop"),
        (["hz"], "bcdefghabc", "length"),
        (["cz"], "bcdefghabc", "length"),  # the last letter was held back as the beginning of a stop
    ]:
        (answer,) = decode(model, TOKENIZER, [("a", ids_of("a"))], Sampling(temperature=0), length=10, stop=stop)
        assert (answer.text, answer.ended) == (text, ended)
        pieces = list(stream(model, TOKENIZER, ids_of("a"), Sampling(temperature=0), length=10, stop=stop))
        assert "".join(pieces) == text
        assert all(pieces)


def test_a_stream_yields_text_as_soon_as_it_is_certain() -> None:
    pieces = stream(Counting(), TOKENIZER, ids_of("a"), Sampling(temperature=0), stop=["dex"])
    assert [next(pieces) for _ in range(4)] == ["b", "c", "def", "g"]


def test_it_ends_after_so_many_tokens() -> None:
    for length in (0, 1, 5):
        (answer,) = decode(Counting(), TOKENIZER, [("", [])], Sampling(), length=length)
        assert (answer.tokens, len(answer.text), answer.ended) == (length, length, "length")
        assert len(list(stream(Counting(), TOKENIZER, [], Sampling(), length=length))) == length


def test_prompts_that_have_ended_are_not_computed_further() -> None:
    model = Counting()
    prompts = [(text, ids_of(text)) for text in ("a", "e", "h")]
    decode(model, TOKENIZER, prompts, Sampling(temperature=0), length=6, stop=["d"])
    assert [shape[0] for shape in model.calls] == [3, 3, 3, 2, 1, 1]


def test_a_long_prompt_is_read_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in MODELS:
        model, prompts = model_of(name), ["abcdefgh" * 3, "a", "hgfedcba" * 2, ""]
        whole = write(model, prompts, Sampling(), length=9)
        for chunk in (1, 4, 8, 25):
            with monkeypatch.context() as patch:
                patch.setattr(cursor, "CHUNK", chunk)
                assert write(model, prompts, Sampling(), length=9) == whole


@pytest.mark.parametrize("name", ["elman", "lstm", "gru", "feedforward"])
def test_the_state_does_not_grow(name: str) -> None:
    made = Generation(model_of(name), [ids_of("ab")], Sampling())
    sizes = []
    for _ in range(50):
        made.step()
        sizes.append(sum(leaf.numel() for leaf in leaves(made.cursor.state)))
    assert len(set(sizes)) == 1


def nats_by_hand(model: Model, ids: Sequence[int]) -> list[float]:
    logits = model(torch.tensor([[BOS, *ids[:-1]]]))[0][0].detach().double().log_softmax(1)
    return [-float(logits[t, i]) for t, i in enumerate(ids)]


@pytest.mark.parametrize("name", ["feedforward", "elman", "lstm", "gru"])
@pytest.mark.parametrize("chunk", [1, 7, 512])
def test_one_stream_scores_each_token_given_all_before_it(
    name: str, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generation, "CHUNK", chunk)
    model = model_of(name)
    ids = np.random.default_rng(0).integers(5, V, size=50).astype(np.uint8)
    scored = score_tokens(model, ids)
    wanted = nats_by_hand(model, ids.tolist())
    assert scored.nats.sum() == pytest.approx(sum(wanted), rel=1e-5)
    assert scored.tokens.sum() == 50
    np.testing.assert_allclose(scored.nats, np.add.reduceat(wanted, range(0, 50, chunk)), rtol=1e-4)
    assert len(scored.nats) == -(-50 // chunk)


@pytest.mark.parametrize("streams", [2, 3, 50])
def test_streams_score_each_token_once_and_start_from_bos(streams: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generation, "CHUNK", 4)
    model = model_of("gru")
    ids = np.random.default_rng(0).integers(5, V, size=50)
    borders = [stream * 50 // streams for stream in range(streams + 1)]
    wanted = [nats_by_hand(model, ids[a:b].tolist()) for a, b in pairwise(borders)]
    scored = score_tokens(model, ids, streams=streams)
    assert scored.tokens.sum() == 50
    assert scored.nats.sum() == pytest.approx(sum(map(sum, wanted)), rel=1e-5)


def test_the_first_guess_is_counted() -> None:
    ids = np.array([*ids_of("abcdefgh"), UNK, *ids_of("ad")])
    scored = score_tokens(Counting(), ids)
    assert scored.right.sum() == 8 + 1, "a follows what is special; d does not follow a"


@pytest.mark.parametrize("max_length", [1, 2, 7, 8, 64])
@pytest.mark.parametrize("chunk", [1, 20, 512])
def test_a_model_with_a_maximum_length_scores_each_token_given_half_of_it_or_more(
    max_length: int, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generation, "CHUNK", chunk)
    model = model_of("gpt", window=max_length)
    ids = np.random.default_rng(0).integers(5, V, size=50).astype(np.uint8)
    read = [BOS, *ids.tolist()]
    new, wanted = max(1, max_length // 2), []
    for t in range(50):
        window = max(0, t - max_length + new) // new * new  # the first one that has the target in its new half
        logits = model(torch.tensor([read[window : t + 1]]))[0][0, -1].detach().double().log_softmax(0)
        wanted.append(-float(logits[ids[t]]))
        assert t + 1 - window >= min(t + 1, max(1, max_length - new + 1) if t >= max_length else 1)
    scored = score_tokens(model, ids)
    assert scored.tokens.sum() == 50
    assert scored.nats.sum() == pytest.approx(sum(wanted), rel=1e-5)


@pytest.mark.parametrize("options", [{}, MODERN], ids=["plain", "modern"])
def test_a_model_with_a_maximum_length_continues_from_the_last_half(options: dict[str, object]) -> None:
    """The prompts reach the maximum length at different steps; each continues as it would alone, and as by hand."""
    model = model_of("gpt", window=8, **options)
    prompts = ["abc", "", "abcdefghabcdefgh", "gg"]
    together = write(model, prompts, Sampling(temperature=0), length=20)
    for prompt, text in zip(prompts, together, strict=True):
        context, written = [BOS, *ids_of(prompt)][-8:], []
        for _ in range(20):
            if len(context) > 8:
                context = context[-4:]
            logits = model(torch.tensor([context]))[0][0, -1].detach()
            logits[: len(SPECIAL)] = -math.inf
            written.append(int(logits.argmax()))
            context.append(written[-1])
        assert text == TOKENIZER.decode(written)
        assert write(model, [prompt], Sampling(temperature=0), length=20) == [text]


def test_continuations_of_one_prompt_have_contexts_of_their_own() -> None:
    """They differ by their next token, and then reach the maximum length."""
    model, prompt = model_of("gpt", window=4), [*ids_of("ab")]
    together = cursor.Cursor(model, [prompt])
    together.select([0, 0])
    alone = [cursor.Cursor(model, [prompt]) for _ in range(2)]
    for pair in zip(ids_of("cdefgh"), ids_of("habcde"), strict=True):
        together.step(torch.tensor(pair))
        for index, (each, token) in enumerate(zip(alone, pair, strict=True)):
            each.step(torch.tensor([token]))
            torch.testing.assert_close(together.logits[index], each.logits[0], rtol=1e-5, atol=1e-5)


def test_a_full_context_keeps_its_last_half() -> None:
    model, ids = model_of("gpt", window=8), ids_of("abcdefg")
    one = cursor.Cursor(model, [ids])  # with <bos> it is full
    one.step(torch.tensor(ids_of("h")))
    torch.testing.assert_close(one.logits[0], model(torch.tensor([ids_of("efgh")]))[0][0, -1])
