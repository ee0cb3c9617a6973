"""Sampling: distribution of the chosen tokens, ranges of the settings, and log probabilities."""

import numpy as np
import pytest
import torch

from unrolled.api import build
from unrolled.config import ModelConfig
from unrolled.data.encoding.tokenizers import EOS, SPECIAL
from unrolled.decoding.sampling import Generation, Sampling
from unrolled.errors import ConfigError
from unrolled.models import Ids, Model

V = 13


def model() -> Model:
    torch.manual_seed(1)
    return build("gru", Ids(V), V, ModelConfig(embedding_size=6, hidden_size=8), answer="each").eval()


def test_tokens_are_chosen_as_often_as_they_are_probable() -> None:
    logits = np.linspace(-2, 1, V, dtype=np.float32)[None]
    sampling = Sampling(temperature=0.8)
    generation = Generation(model(), [[]], sampling)
    n = 20_000
    found = np.bincount([int(generation._choose(logits.copy())[0]) for _ in range(n)], minlength=V) / n
    wanted = np.exp(logits[0] / 0.8)
    wanted[: len(SPECIAL)] = 0
    wanted /= wanted.sum()
    assert not found[: len(SPECIAL)].any(), "special tokens are never chosen"
    # 5 standard deviations of a fraction of n draws
    assert np.all(np.abs(found - wanted) <= 5 * np.sqrt(wanted * (1 - wanted) / n))


def test_top_k_and_top_p_restrict_the_tokens() -> None:
    p = np.array([[0.1, 0.4, 0.2, 0.3]], dtype=np.float32)
    logits = np.log(p)

    def left(**options: object) -> list[int]:
        return np.flatnonzero(Sampling(**options).probabilities(logits)[0]).tolist()

    assert left() == left(top_k=4) == left(top_k=9) == [0, 1, 2, 3]
    assert left(top_k=2) == [1, 3]
    assert left(top_p=0.39) == [1], "at least one"
    assert left(top_p=0.5) == [1, 3]
    assert left(top_p=0.75) == [1, 2, 3]
    assert left(top_k=3, top_p=0.6) == [1, 3], "of the three that are left"
    scaled = Sampling(temperature=0.5).probabilities(logits)[0]
    np.testing.assert_allclose(scaled / scaled.sum(), p[0] ** 2 / (p**2).sum(), rtol=1e-5)
    assert Sampling(temperature=1e-9).probabilities(logits)[0].tolist() == [0, 1, 0, 0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": -0.1}, "temperature must be 0 (greedy), or from 1e-9 to 1e9: got -0.1"),
        ({"temperature": float("nan")}, "temperature must be"),
        ({"temperature": float("inf")}, "temperature must be"),
        ({"temperature": 1e-50}, "temperature must be"),
        ({"top_k": 0}, "top_k must be from 1 to 1,000,000,000: got 0"),
        ({"top_p": 0.0}, "top_p must be above 0 and at most 1: got 0.0"),
        ({"top_p": 1.1}, "top_p must be above 0 and at most 1: got 1.1"),
        ({"top_p": float("nan")}, "top_p must be"),
        ({"seed": -1}, "seed must be at least 0: got -1"),
    ],
)
def test_settings_out_of_range_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        Sampling(**options)
    assert str(refused.value).startswith(message)


def test_eos_is_chosen_only_where_it_is_allowed() -> None:
    logits = np.zeros((1, V), dtype=np.float32)
    logits[0, EOS] = 9
    for temperature in (0, 0.5):
        generation = Generation(model(), [[]], Sampling(temperature))
        assert generation._choose(logits)[0] >= len(SPECIAL)
        assert generation._choose(logits, end=True)[0] == EOS
    assert logits.tolist() == [[0.0] * EOS + [9.0] + [0.0] * (V - EOS - 1)], "the logits of the model are unchanged"


def test_log_probabilities_are_those_of_the_chosen_tokens() -> None:
    generation = Generation(model(), [[5, 6], [7]], Sampling(seed=2))
    for _ in range(3):
        chosen = generation.step(end=True)
        wanted = generation.cursor.logits.double().log_softmax(1)[torch.arange(2), torch.from_numpy(chosen)]
        np.testing.assert_allclose(generation.log_probabilities(), wanted.numpy(), rtol=1e-6)
