"""Metrics of a language model on held-out text, as `unrolled evaluate` prints them for the task generate.

They are functions of the nats of chunks of the text, not of a model. For N tokens that encode C characters:

    loss_nats           = Σ −ln p(token | all tokens before it) / N
    perplexity          = exp(loss_nats)
    bits_per_character  = Σ −log2 p(token | all tokens before it) / C

Loss and perplexity are per token, and only compare models with the same tokeniser. Bits per character compare models
with any tokenisers that lose nothing of the text (`unknown` is 0, and the tokeniser is not `word`, which drops spaces).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unrolled.display import Displayed
from unrolled.errors import DataError, ShapeError
from unrolled.evaluation.intervals import Interval, bootstrap

__all__ = ["GenerationResult", "evaluate_generation", "frequency_nats"]


@dataclass(frozen=True, repr=False)
class GenerationResult(Displayed):
    """Metrics of a language model on one text. The interval covers 95 %: see `unrolled.evaluation.intervals`.

    `accuracy` is the fraction of the tokens that the model gave the highest probability.
    `frequency_bits_per_character` is the score of the baseline that predicts each token with its relative frequency in
    the training split.
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
    """Return the metrics of a language model's predictions.

    Args:
        nats: (M,) floats, −Σ ln p of the tokens in each of M chunks of the text, which the interval resamples.
        right: (M,) integers, the number of tokens in each chunk that had the highest probability.
        tokens: (M,) integers, the number of tokens in each chunk.
        characters: number of characters of the whole text.
        unknown: number of its tokens that are <unk>.
        train_counts: (V,) integers, the count of each token in the training split.
        counts: (V,) integers, the count of each token in this text.

    Raises:
        ShapeError: arguments of unequal shape.
        DataError: there is no token to evaluate on.
    """
    nats, right, tokens = np.asarray(nats, dtype=np.float64), np.asarray(right), np.asarray(tokens)
    if not nats.shape == right.shape == tokens.shape or nats.ndim != 1:
        raise ShapeError(f"nats, right and tokens must be (M,): got {nats.shape}, {right.shape} and {tokens.shape}")
    by_frequency, counts = frequency_nats(train_counts), np.asarray(counts)
    if by_frequency.shape != counts.shape:
        raise ShapeError(f"train_counts and counts must be (V,): got {by_frequency.shape} and {counts.shape}")
    N = int(tokens.sum())
    if N == 0 or characters == 0:
        raise DataError("there is no token to evaluate on", fix="pass a text with at least one character")
    loss, bits = float(nats.sum() / N), N / (characters * math.log(2))
    frequency = float((counts * by_frequency).sum() / N)
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


def frequency_nats(train_counts: ArrayLike) -> NDArray[np.float64]:
    """Return −ln of the relative frequency of each token in the training split, (V,), after adding 1 to each count.

    Args:
        train_counts: (V,) integers, the count of each token; 1 is added, so that each has a probability.
    """
    smoothed = np.asarray(train_counts) + 1
    return np.asarray(-np.log(smoothed / smoothed.sum()))


def _lines(result: GenerationResult) -> Iterator[str]:
    low, high = result.bits_per_character_interval
    unknown = f", {result.unknown:,} unknown" if result.unknown else ""
    yield f"{result.characters:,} characters, {result.tokens:,} tokens{unknown}"
    yield ""
    yield f"bits per character  {result.bits_per_character:>7.3f}   95 % interval {low:.3f} to {high:.3f}"
    yield f"  baseline          {result.frequency_bits_per_character:>7.3f}   frequency of each token in training"
    yield f"loss                {result.loss_nats:>7.3f}   nats a token"
    yield f"perplexity          {result.perplexity:>7.2f}"
    yield f"first guess right   {result.accuracy:>7.1%}"
