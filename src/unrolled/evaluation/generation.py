"""How well a language model predicts held-out text: what `unrolled evaluate` shows for the task generate.

Numbers in, numbers out: the nats of stretches of text, no model. With N tokens that stand for C characters:

    loss_nats           = Σ −ln p(token | all before it) / N
    perplexity          = exp(loss_nats)
    bits_per_character  = Σ −log2 p(token | all before it) / C

Loss and perplexity are about tokens, and so only compare models with the same tokeniser. Bits per character are about
the text, and compare whatever the tokens are, as long as they lose nothing of it (`unknown` is 0, and the tokeniser is
not `word`, which forgets spaces).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from unrolled.errors import DataError, ShapeError
from unrolled.evaluation.intervals import Interval, bootstrap

__all__ = ["GenerationResult", "evaluate_generation"]


@dataclass(frozen=True)
class GenerationResult:
    """Every figure of a language model on one text. The interval covers 95 %: see `unrolled.evaluation.intervals`.

    `accuracy` is the share of the tokens that were the model's first guess. `frequency_bits_per_character` is what the
    simplest rival needs, which knows how often each token stands in the training split and nothing else.
    """

    characters: int
    tokens: int
    unknown: int
    loss_nats: float
    perplexity: float
    bits_per_character: float
    bits_per_character_interval: Interval
    accuracy: float
    frequency_bits_per_character: float

    def to_dict(self) -> dict[str, Any]:
        """Return every figure under its field's name, ready for JSON; an interval is a list of low and high."""
        return asdict(self) | {"bits_per_character_interval": list(self.bits_per_character_interval)}

    def text(self) -> str:
        """Return the figures as lines for a terminal."""
        return "\n".join(_lines(self)) + "\n"


def evaluate_generation(
    nats: ArrayLike,
    right: ArrayLike,
    tokens: ArrayLike,
    *,
    characters: int,
    unknown: int,
    train_counts: ArrayLike,
    counts: ArrayLike,
) -> GenerationResult:
    """Measure a language model's predictions.

    Args:
        nats: (M,) floats, −Σ ln p of the tokens in each of M stretches of the text, which the interval resamples.
        right: (M,) integers, how many of them were the first guess.
        tokens: (M,) integers, how many there are.
        characters: of the whole text. unknown: how many of its tokens are <unk>.
        train_counts: (V,) integers, how often each token stands in the training split.
        counts: (V,) integers, how often in this text.

    Raises:
        ShapeError: arguments of unequal shape. DataError: there is no token to evaluate on.
    """
    nats, right, tokens = np.asarray(nats, dtype=np.float64), np.asarray(right), np.asarray(tokens)
    if not nats.shape == right.shape == tokens.shape or nats.ndim != 1:
        raise ShapeError(f"nats, right and tokens must be (M,): got {nats.shape}, {right.shape} and {tokens.shape}")
    known, found = np.asarray(train_counts) + 1, np.asarray(counts)  # + 1: what training never saw has a probability
    if known.shape != found.shape:
        raise ShapeError(f"train_counts and counts must be (V,): got {known.shape} and {found.shape}")
    N = int(tokens.sum())
    if N == 0 or characters == 0:
        raise DataError("there is no token to evaluate on", fix="give a text with at least one character")
    loss, bits = float(nats.sum() / N), N / (characters * math.log(2))
    frequency = float(-(found * np.log(known / known.sum())).sum() / N)
    return GenerationResult(
        characters=characters,
        tokens=N,
        unknown=unknown,
        loss_nats=loss,
        perplexity=math.exp(loss) if loss < 700 else math.inf,
        bits_per_character=loss * bits,
        bits_per_character_interval=bootstrap(
            np.ones(len(nats), dtype=np.int64), lambda drawn: drawn @ nats / (drawn @ tokens) * bits
        ),
        accuracy=float(right.sum() / N),
        frequency_bits_per_character=frequency * bits,
    )


def _lines(result: GenerationResult) -> Iterator[str]:
    low, high = result.bits_per_character_interval
    unknown = f", {result.unknown:,} unknown" if result.unknown else ""
    yield f"{result.characters:,} characters, {result.tokens:,} tokens{unknown}"
    yield ""
    yield f"bits per character  {result.bits_per_character:>7.3f}   95 % interval {low:.3f} to {high:.3f}"
    yield f"  by frequency      {result.frequency_bits_per_character:>7.3f}   each token as often as in training"
    yield f"loss                {result.loss_nats:>7.3f}   nats a token"
    yield f"perplexity          {result.perplexity:>7.2f}"
    yield f"first guess right   {result.accuracy:>7.1%}"
