"""Greedy decoding and sampling: tokens chosen one after another.

Special tokens are never chosen, because they stand for no text, except <eos> where the caller allows it to end a
sequence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from unrolled.data.encoding.tokenizers import EOS, SPECIAL
from unrolled.decoding.cursor import Cursor
from unrolled.decoding.finite import refuse_infinite
from unrolled.decoding.options import SamplingOptions, check
from unrolled.decoding.repetition import Repetition
from unrolled.kernels.cross_entropy import log_sum_exp
from unrolled.models import Model
from unrolled.state import State

__all__ = ["AHEAD", "GREEDY", "Generation", "Sampling", "choose"]

AHEAD = 256
"""Number of random numbers that are drawn at once."""

Integers = NDArray[np.integer[Any]]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Sampling(Repetition):
    """Rule by which the next token is chosen: first the temperature is applied, then top_k, then top_p to those left.

    Rules against repetition come before them (see `decoding/repetition.py`).

    Args:
        temperature: divisor of the logits; 0 takes the most probable token (greedy).
        top_k: choose among the k most probable tokens only.
        top_p: choose among the most probable tokens that together have this probability (Holtzman et al. 2020).
        seed: of the choices. Every prompt has a generator of its own that starts from this seed, so that its answer
            does not depend on the other prompts of the batch.
        no_repeat_ngram, repetition_penalty: see Repetition.

    Raises:
        ConfigError: a value out of range.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        check(**vars(self))

    @classmethod
    def from_options(cls, options: SamplingOptions) -> Self:
        """Return the sampling that options describe."""
        return cls(**{field.name: getattr(options, field.name) for field in fields(cls)})

    def probabilities(self, logits: Floats) -> Floats:
        """Return the unnormalised probabilities of logits (B, V), (B, V); 0 for tokens left out. temperature > 0."""
        p: Floats = np.exp((logits - logits.max(axis=1, keepdims=True)) / np.float32(self.temperature))
        if self.top_k is not None and self.top_k < p.shape[1]:
            p[p < np.partition(p, -self.top_k, axis=1)[:, [-self.top_k]]] = 0
        if self.top_p < 1:
            order = np.argsort(-p, axis=1, kind="stable")
            ranked = np.take_along_axis(p, order, axis=1)
            before = ranked.cumsum(axis=1) - ranked
            ranked[before >= self.top_p * ranked.sum(axis=1, keepdims=True)] = 0
            np.put_along_axis(p, order, ranked, axis=1)
        return p


GREEDY = Sampling(temperature=0)


class Generation:
    """Continuation of B sequences, a token at a time.

    Args:
        model, prompts, state: see `Cursor`.
        sampling: how tokens are chosen.
    """

    def __init__(self, model: Model, prompts: Sequence[Sequence[int]], sampling: Sampling, state: State = None) -> None:
        self.sampling, self.cursor = sampling, Cursor(model, prompts, state, sampling)
        self.generators = [np.random.default_rng(sampling.seed) for _ in prompts]
        self.drawn = np.empty((len(prompts), 0), dtype=np.float32)
        self.chosen: Integers | None = None  # tokens that the model has not read yet

    def step(self, *, end: bool = False) -> Integers:
        """Return the next token of every sequence, (B,).

        Args:
            end: whether the token may be <eos>.

        Raises:
            CheckpointError: the model's logits are not finite.
        """
        if self.chosen is not None:
            self.cursor.step(torch.from_numpy(self.chosen))
        self.logits: Floats = self.cursor.logits.cpu().numpy()
        refuse_infinite(self.logits)
        self.chosen = self._choose(self.logits, end)
        return self.chosen

    def log_probabilities(self) -> NDArray[np.float64]:
        """Return ln p of the tokens chosen last, (B,), under the distribution over all V tokens, after any penalty."""
        assert self.chosen is not None, "no token was chosen yet"
        chosen = self.logits[np.arange(len(self.chosen)), self.chosen]
        log_p: NDArray[np.float64] = chosen.astype(np.float64) - log_sum_exp(self.cursor.logits).cpu().numpy()
        return log_p

    def keep(self, indices: Sequence[int]) -> None:
        """Continue with the sequences at these indices only, in this order."""
        self.cursor.select(indices)
        self.drawn = self.drawn[indices]
        self.generators = [self.generators[index] for index in indices]
        self.chosen = None if self.chosen is None else self.chosen[indices]

    def _choose(self, logits: Floats, end: bool = False) -> Integers:
        forbidden = self.cursor.forbidden(end=end)
        u = None
        if self.sampling.temperature != 0:
            if not self.drawn.shape[1]:
                self.drawn = np.stack([generator.random(AHEAD, dtype=np.float32) for generator in self.generators])
            u, self.drawn = self.drawn[:, :1], self.drawn[:, 1:]
        return choose(
            logits, self.sampling, u, forbidden=None if forbidden is None else forbidden.cpu().numpy(), end=end
        )


def choose(
    logits: Floats,
    sampling: Sampling,
    u: Floats | None = None,
    *,
    forbidden: NDArray[np.bool_] | None = None,
    end: bool = False,
) -> Integers:
    """Return a token for each of B sequences, (B,); that of a sequence does not depend on the others.

    Args:
        logits: (B, V), after any penalty.
        sampling: the rule; its seed is not used here.
        u: random numbers in [0, 1), (B, 1); at temperature 0 none.
        forbidden: (B, V), True for tokens that would repeat an n-gram.
        end: whether the token may be <eos>.
    """
    if sampling.temperature == 0 and not end and forbidden is None:  # greedy, without <eos>
        return np.asarray(logits[:, len(SPECIAL) :].argmax(axis=1) + len(SPECIAL))
    allowed = logits.copy()
    if forbidden is not None:
        np.putmask(allowed, forbidden, -np.inf)
    allowed[:, : len(SPECIAL)] = -np.inf
    if end:
        allowed[:, EOS] = logits[:, EOS]
    if sampling.temperature == 0:
        return np.asarray(allowed.argmax(axis=1))
    assert u is not None, "at a temperature above 0, a random number is needed for each sequence"
    below = sampling.probabilities(allowed).cumsum(axis=1)  # (B, V)
    chosen = (below <= u * below[:, -1:]).sum(axis=1)
    return np.asarray(
        np.minimum(chosen, below.argmax(axis=1))
    )  # below is nowhere above u · sum where rounding makes it the sum
