"""Rules against repetition, compared with a slow implementation that reads everything again at each step."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
import torch
from torch import nn

from small import text_run, translation_run, translations
from unrolled.api import build
from unrolled.config import ModelConfig
from unrolled.data.encoding.tokenizers import BOS, EOS, SPECIAL
from unrolled.decoding.options import BeamOptions, GenerationOptions, TranslationOptions
from unrolled.decoding.repetition import History, Repetition
from unrolled.decoding.sampling import GREEDY, Generation, Sampling
from unrolled.decoding.search import Beam, search, strategy_of, stream_tokens
from unrolled.errors import ConfigError
from unrolled.models import Ids, Model

FEW = 8  # three words beside the special tokens


def language_model(name: str = "gru", V: int = 20, seed: int = 1, **options: object) -> Model:
    torch.manual_seed(seed)
    own = {"num_heads": 2} if name == "gpt" else {}
    model = build(name, Ids(V), V, ModelConfig(embedding_size=6, hidden_size=8, **own | options), answer="each")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.7)
    return model.eval()


def penalized(logits: list[float], text: Sequence[int], theta: float) -> list[float]:
    return [
        (value / theta if value > 0 else value * theta) if token in text else value
        for token, value in enumerate(logits)
    ]


def repeats(text: Sequence[int], token: int, n: int) -> bool:
    """Whether the last n − 1 tokens of the text and this one stand in the text already."""
    new = [*text[len(text) - n + 1 :], token]
    return n > 0 and len(new) == n and any([*text[i : i + n]] == new for i in range(len(text) - n + 1))


def after(model: nn.Module, text: Sequence[int], theta: float) -> list[float]:
    """The logits after a text, with the penalty."""
    with torch.no_grad():
        return penalized(model(torch.tensor([[BOS, *text]]))[0][0, -1].tolist(), text, theta)


def left(text: Sequence[int], V: int, n: int, *, end: bool) -> list[int]:
    """The tokens that may be chosen."""
    words = [token for token in range(len(SPECIAL), V) if not repeats(text, token, n)]
    return [EOS, *words] if end else words or list(range(len(SPECIAL), V))


RULES = [(0, 1.0), (1, 1.0), (2, 1.0), (3, 1.0), (0, 1.4), (0, 0.8), (2, 1.4)]
PROMPTS = [[], [5], [7, 9, 7, 9, 7], [6, 6, 6], [5, 6, 7, 8] * 3]


@pytest.mark.parametrize(("n", "theta"), RULES)
@pytest.mark.parametrize("name", ["gru", "gpt"])
def test_greedy_tokens_are_those_of_the_slow_rules(name: str, n: int, theta: float) -> None:
    model = language_model(name)
    generation = Generation(model, PROMPTS, Sampling(0, no_repeat_ngram=n, repetition_penalty=theta))
    found = np.stack([generation.step(end=False) for _ in range(25)], axis=1)
    for prompt, tokens in zip(PROMPTS, found.tolist(), strict=True):
        text = [*prompt]
        for token in tokens:
            logits = after(model, text, theta)
            assert token == max(left(text, 20, n, end=False), key=lambda each: logits[each])
            text.append(token)


@pytest.mark.parametrize(("n", "theta"), RULES)
def test_probabilities_are_those_after_the_penalty(n: int, theta: float) -> None:
    """Of drawn tokens, of which none is forbidden."""
    model, rules = language_model(), {"no_repeat_ngram": n, "repetition_penalty": theta}
    found = search(model, PROMPTS, Sampling(1.5, seed=3, **rules), max_length=18)
    for prompt, (one,) in zip(PROMPTS, found, strict=True):
        text, total = [*prompt], 0.0
        for token in [*one.tokens, *([EOS] if one.ended == "eos" else [])]:
            logits = torch.tensor(after(model, text, theta), dtype=torch.float64)
            assert token in left(text, 20, n, end=True)
            total += float(logits.log_softmax(0)[token])
            text.append(token)
        assert one.log_probability == pytest.approx(total, rel=1e-5)
        assert one.score == one.log_probability
        assert [*stream_tokens(model, prompt, Sampling(1.5, seed=3, **rules), max_length=18)][: len(one.tokens)] == [
            *one.tokens
        ]


def every(
    model: nn.Module, prompt: list[int], n: int, theta: float, longest: int, fewest: int
) -> Iterator[tuple[bool, float, tuple[int, ...]]]:
    """Each possible answer of at most so many tokens: whether it is truncated, ln p, its tokens."""

    def extended(tokens: tuple[int, ...], log_p: float) -> Iterator[tuple[bool, float, tuple[int, ...]]]:
        text, end = [*prompt, *tokens], len(tokens) >= fewest
        scores = torch.tensor(after(model, text, theta), dtype=torch.float64).log_softmax(0).tolist()
        for token in left(text, FEW, n, end=end):
            total = log_p + scores[token]
            if token == EOS:
                yield False, total, tokens
            elif len(tokens) + 1 == longest:
                yield True, total, (*tokens, token)
            else:
                yield from extended((*tokens, token), total)

    return extended((), 0.0)


@pytest.mark.parametrize(("n", "theta"), [(1, 1.0), (2, 1.0), (3, 1.3), (0, 1.7)])
@pytest.mark.parametrize("fewest", [0, 4])
def test_a_beam_as_wide_as_the_space_is_exhaustive(n: int, theta: float, fewest: int) -> None:
    beam = Beam(4**5, 0.6, n_best=4**5, no_repeat_ngram=n, repetition_penalty=theta)
    model, prompts = language_model(V=FEW), [[], [6, 7], [5, 5, 7, 5]]
    found = search(model, prompts, beam, max_length=5, min_length=fewest)
    for prompt, hypotheses in zip(prompts, found, strict=True):
        ranked = []
        for truncated, log_p, tokens in every(model, prompt, n, theta, 5, fewest):
            length = len(tokens) + (not truncated)
            ranked.append((truncated, -log_p / ((5 + length) / 6) ** 0.6, tokens, log_p))
        ranked.sort()
        assert [one.tokens for one in hypotheses] == [tokens for _, _, tokens, _ in ranked]
        assert [one.log_probability for one in hypotheses] == pytest.approx([log_p for *_, log_p in ranked], rel=1e-5)


@pytest.mark.parametrize("strategy", [Beam(4), Beam(3, 0.0, 3), Sampling(0), Sampling(seed=2)], ids=str)
def test_no_ngram_is_written_twice_and_a_source_is_answered_as_if_it_were_alone(strategy: Beam | Sampling) -> None:
    model = language_model("gpt", V=40)
    rules = {**vars(strategy), "no_repeat_ngram": 2, "repetition_penalty": 1.2}
    prompts = [[5, 6, 7, 8][: index % 5] for index in range(12)]
    found = search(model, prompts, type(strategy)(**rules), max_length=40)
    for prompt, hypotheses in zip(prompts, found, strict=True):
        for one in hypotheses:
            text = [*prompt, *one.tokens]
            grams = [*itertools.pairwise(text)]
            assert len(set(grams)) == len(grams)
        (alone,) = search(model, [prompt], type(strategy)(**rules), max_length=40)
        assert [one.tokens for one in alone] == [one.tokens for one in hypotheses]
    free = search(model, prompts, strategy, max_length=40)
    assert any(a[0].tokens != b[0].tokens for a, b in zip(free, found, strict=True))


@pytest.mark.parametrize("strategy", [Beam(4), Beam(2, 1.0, 2), Sampling(0), Sampling(0.7, seed=2)], ids=str)
def test_rules_that_are_off_change_no_bit_and_keep_nothing(
    strategy: Beam | Sampling, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = language_model(V=40)
    plain = search(model, PROMPTS, strategy, max_length=12)
    late = type(strategy)(**vars(strategy) | {"no_repeat_ngram": 100})  # on, and without effect
    assert search(model, PROMPTS, late, max_length=12) == plain
    monkeypatch.setattr(History, "__init__", None)
    assert search(model, PROMPTS, strategy, max_length=12) == plain


def test_a_history_follows_its_sequences() -> None:
    history = History(Repetition(no_repeat_ngram=2, repetition_penalty=2.0), [[5, 6], []], FEW, torch.device("cpu"))
    history.add(torch.tensor([7, 5]))
    history.select(torch.tensor([1, 0, 0]))
    history.add(torch.tensor([6, 5, 6]))
    assert history.tokens.tolist() == [[-1, -1, 5, 6], [5, 6, 7, 5], [5, 6, 7, 6]]
    assert [row.nonzero().flatten().tolist() for row in history.forbidden(end=True)] == [[], [6], [7]]
    logits = torch.tensor([[1.0, -1, 1, -1, 1, 1, -1, 3]] * 3)
    assert history.penalized(logits)[:, 5:].tolist() == [[0.5, -2, 3], [0.5, -2, 1.5], [0.5, -2, 1.5]]


def test_strategies_are_made_from_options() -> None:
    rules = {"no_repeat_ngram": 3, "repetition_penalty": 1.2}
    for schema, task, own, expected in [
        (GenerationOptions, "generate", {"seed": 4}, Sampling(seed=4, **rules)),
        (GenerationOptions, "generate", {"temperature": 0}, Sampling(0, **rules)),  # not of those that draw
        (TranslationOptions, "translate", {}, Sampling(0, **rules)),
        (TranslationOptions, "translate", {"beam": 3}, Beam(3, **rules)),
        (BeamOptions, "translate", {}, Sampling(0, **rules)),
        (BeamOptions, "translate", {"beam": 3}, Beam(3, **rules)),
    ]:
        assert strategy_of(schema.parse({**own, **rules}, task=task)) == expected
    assert strategy_of(BeamOptions.parse({}, task="translate")) == GREEDY
    for wrong, message in [
        ({"no_repeat_ngram": -1}, "no_repeat_ngram must be from 0 to 1,000,000,000: got -1"),
        ({"repetition_penalty": 0}, "repetition_penalty must be above 0 and at most 1,000: got 0"),
        ({"repetition_penalty": math.nan}, "repetition_penalty must be above 0"),
    ]:
        for make in (Sampling, Beam):
            with pytest.raises(ConfigError, match=message):
                make(**wrong)


def test_runs_decode_stream_and_evaluate_with_the_rules() -> None:
    run = text_run("gru")
    for options in ({"no_repeat_ngram": 2}, {"repetition_penalty": 5.0}):
        for temperature in (0, 1.0):
            (answer,) = run.decode("the ", length=30, temperature=temperature, **options)
            (plain,) = run.decode("the ", length=30, temperature=temperature)
            assert answer.text != plain.text
            assert "".join(run.stream("the ", length=30, temperature=temperature, **options)) == answer.text
    translator = translation_run()
    options = {"length": 9, "min_length": 4, "no_repeat_ngram": 1}
    for beam in (3, 1):
        (answer,) = translator.decode("abcdabcd", beam=beam, **options)
        assert len(set(answer.text)) == len(answer.text) >= 4
    assert "".join(translator.stream("abcdabcd", **options)) == answer.text
    (plain,) = translator.decode("abcdabcd", length=9, min_length=9)
    assert len(set(plain.text)) < len(plain.text)
    rule = {"repetition_penalty": 0.2}
    answers = translator.decode([source for source, _ in translations(20)], **rule)
    pairs = [(answer.source, answer.text) for answer in answers if answer.text]
    assert pairs
    for beam in (1, 2):
        assert (translator.evaluate(pairs, beam=beam, **rule).exact_match == 1) or beam == 2
    assert translator.evaluate(pairs).exact_match < 1
