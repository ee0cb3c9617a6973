"""The n-gram language model: its probabilities are those of the formula, written plainly."""

from collections import Counter

import numpy as np
import pytest

from unrolled.evaluation import ngrams
from unrolled.evaluation.ngrams import NGrams, ngram_nats

V = 6


def plain(text: list[int], context: tuple[int, ...], token: int) -> float:
    """Witten-Bell's probability, by its recursion, with counts made anew."""
    n = len(context) + 1
    after = Counter(text[i + n - 1] for i in range(len(text) - n + 1) if tuple(text[i : i + n - 1]) == context)
    shorter = plain(text, context[1:], token) if context else 1 / V
    total = sum(after.values())
    return (after[token] + len(after) * shorter) / (total + len(after)) if total else shorter


@pytest.fixture
def train() -> list[int]:
    """Text with one token only at its end, so that nothing follows it, and one that does not occur."""
    return [*np.random.default_rng(0).choice(4, 300, p=[0.5, 0.3, 0.15, 0.05]).tolist(), 4]


def test_the_probabilities_are_those_of_the_formula(train: list[int]) -> None:
    text = np.random.default_rng(1).integers(0, V, 80).tolist()
    every = [*NGrams(np.array(train, np.uint8), V, 4).probabilities(np.array(text, np.uint8))]
    assert len(every) == 4
    for n, found in enumerate(every, start=1):
        expected = [plain(train, tuple(text[max(0, i - n + 1) : i]), token) for i, token in enumerate(text)]
        assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("context", [(), (0,), (4, 0), (0, 1, 2), (4, 4, 4)])
def test_the_probabilities_of_all_tokens_sum_to_one(train: list[int], context: tuple[int, ...]) -> None:
    model = NGrams(np.array(train), V, 4)
    total = 0.0
    for token in range(V):
        *_, last = model.probabilities(np.array([*context, token]))
        total += last[-1]
    assert total == pytest.approx(1, abs=1e-12)


def test_the_order_is_chosen_on_the_validation_split() -> None:
    """A text of period 3 over two tokens: two tokens of context decide the next, one does not."""
    text = np.tile([0, 0, 1], 200)
    name, nats, seconds = ngram_nats(text, text[:60], text[:90], V)
    assert name in {f"{n}-gram language model" for n in (3, 4, 5, 6)}
    assert nats.shape == (90,)
    assert nats[6:].max() < 0.02
    noise = np.random.default_rng(0).integers(0, V, 3_000)
    assert ngram_nats(noise[:1_000], noise[1_000:2_000], noise[2_000:], V)[0] == "1-gram language model"
    assert seconds > 0


def test_the_test_split_does_not_choose() -> None:
    noise, text = np.random.default_rng(0).integers(0, V, 2_000), np.tile([0, 0, 1], 200)
    assert ngram_nats(noise[:1_000], noise[1_000:], text, V)[0] == "1-gram language model"


def test_a_short_text_has_few_orders_and_a_long_one_is_learned_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len([*NGrams(np.array([1, 2]), V, 6).probabilities(np.array([1, 2, 3]))]) == 2
    monkeypatch.setattr(ngrams, "MOST_TOKENS", 4)
    train = np.array([4, 4, 4, 4, 1, 1, 1, 1])
    name, nats, _ = ngram_nats(train, np.array([1, 1]), np.array([4]), V)
    assert name.endswith("-gram language model, learned from 4 tokens")
    assert np.exp(-nats[0]) == pytest.approx((0 + 1 / V) / 5)  # 4 was not seen; T = 1, c = 4
