"""Choosing tokens one after another: the most probable one (greedy), or by chance.

The special tokens are never chosen, for they stand for no text; but <eos>, which ends a row, where it is asked for.
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
from unrolled.decoding.options import SamplingOptions, check
from unrolled.models import Model
from unrolled.state import State

__all__ = ["GREEDY", "Generation", "Sampling"]

AHEAD = 256  # random numbers that are drawn at once

Integers = NDArray[np.integer[Any]]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen.

    Args:
        temperature: what logits are divided by; 0 takes the most probable token (greedy).
        top_k: choose among the k most probable tokens only.
        top_p: choose among the most probable tokens that together have this probability (Holtzman et al. 2020).
        seed: of the choices. Every prompt has a generator of its own that begins with this seed, so that its answer
            does not depend on the prompts beside it.

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
        """Logits (B, V) -> what is chosen from, (B, V), not normalised: 0 for what is left out. temperature > 0."""
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
    """Rows that are being continued, a token at a time.

    Args:
        model, prompts, state: see `Cursor`.
        sampling: how tokens are chosen.
    """

    def __init__(self, model: Model, prompts: Sequence[Sequence[int]], sampling: Sampling, state: State = None) -> None:
        self.sampling, self.cursor = sampling, Cursor(model, prompts, state)
        self.generators = [np.random.default_rng(sampling.seed) for _ in prompts]
        self.drawn = np.empty((len(prompts), 0), dtype=np.float32)
        self.chosen: Integers | None = None  # what the model has not read yet

    def step(self, *, end: bool = False) -> Integers:
        """Choose the next token of every row, (B,). end: whether that may be <eos>."""
        if self.chosen is not None:
            self.cursor.step(torch.from_numpy(self.chosen))
        self.chosen = self._choose(self.cursor.logits.cpu().numpy(), end)
        return self.chosen

    def log_probabilities(self) -> NDArray[np.float64]:
        """Return ln p of what was chosen last, (B,): as the model says, before anything was left out."""
        assert self.chosen is not None, "nothing was chosen yet"
        logits = self.cursor.logits
        chosen = torch.from_numpy(self.chosen).unsqueeze(1).to(logits.device)
        found: NDArray[np.float64] = (logits.gather(1, chosen)[:, 0] - logits.logsumexp(1)).double().cpu().numpy()
        return found

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with some of the rows only, in the given order."""
        self.cursor.select(rows)
        self.drawn = self.drawn[rows]
        self.generators = [self.generators[row] for row in rows]
        self.chosen = None if self.chosen is None else self.chosen[rows]

    def _choose(self, logits: Floats, end: bool = False) -> Integers:
        left = logits.copy()
        left[:, : len(SPECIAL)] = -np.inf
        if end:
            left[:, EOS] = logits[:, EOS]
        if self.sampling.temperature == 0:
            return np.asarray(left.argmax(axis=1))
        if not self.drawn.shape[1]:
            self.drawn = np.stack([generator.random(AHEAD, dtype=np.float32) for generator in self.generators])
        u, self.drawn = self.drawn[:, :1], self.drawn[:, 1:]
        below = self.sampling.probabilities(left).cumsum(axis=1)  # (B, V)
        chosen = (below <= u * below[:, -1:]).sum(axis=1)
        return np.asarray(np.minimum(chosen, below.argmax(axis=1)))  # where rounding makes u · sum the sum itself
