"""Searching for a whole sequence that a model finds probable, until it ends itself with <eos>.

    ln p(y) = Σ_t ln p(y_t | all before it)                     y: the tokens, and <eos> where it ended so
    score(y) = ln p(y) / ((5 + |y|) / 6)^α                      Wu et al. 2016, equation 14

Greedy and sampling write one hypothesis a source. A beam keeps the `size` most probable beginnings y_1 … y_t of each
source. A hypothesis ends where <eos> is among the `size` best of all that could come next. A source is done when none
of its beginnings can come before the `n_best` that have ended: whatever may follow them, or, when `size` have ended, as
they stand. Among equals the smaller token goes first, and what continues the better beginning.

Wu et al., "Google's neural machine translation system", 2016; Sutskever, Vinyals & Le, "Sequence to sequence learning
with neural networks", 2014, section 3.2.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unrolled.data.encoding.tokenizers import EOS, SPECIAL
from unrolled.decoding.cursor import Cursor
from unrolled.decoding.options import (
    LENGTH_PENALTY,
    LONGEST,
    BeamOptions,
    Options,
    SamplingOptions,
    TranslationOptions,
    check,
)
from unrolled.decoding.sampling import GREEDY, Generation, Sampling
from unrolled.errors import ConfigError, DataError
from unrolled.models import Model
from unrolled.scan import frozen
from unrolled.state import State

__all__ = ["Beam", "Ended", "Hypothesis", "search", "strategy", "stream_tokens"]

Ended = Literal["eos", "length"]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Hypothesis:
    """A sequence that a search has found.

    tokens: without the prompt, and without <eos>. log_probability: ln p in nats, of all that was chosen, given what was
    read. score: what a beam ranks by; of greedy and sampling, ln p. ended: "eos" where it ended itself, "length" where
    it was cut.
    """

    tokens: tuple[int, ...]
    log_probability: float
    score: float
    ended: Ended


@dataclass(frozen=True)
class Beam:
    """A beam search.

    Args:
        size: how many beginnings are kept, at most 1,024; 1 is greedy.
        length_penalty: α; 0 ranks by ln p, which prefers what is short, larger ones what is longer.
        n_best: how many hypotheses are returned, at most `size`.

    Raises:
        ConfigError: a value out of range.
    """

    size: int = 5
    length_penalty: float = LENGTH_PENALTY
    n_best: int = 1

    def __post_init__(self) -> None:
        check(beam=self.size, length_penalty=self.length_penalty, n_best=self.n_best)

    def penalty(self, length: Tensor) -> Tensor:
        """What ln p is divided by, of hypotheses of so many tokens, <eos> included."""
        return ((5 + length.double()) / 6) ** self.length_penalty


def strategy(options: Options) -> Sampling | Beam:
    """Return the way of decoding that options describe: a beam of 2 or more, else sampling, else greedy."""
    if isinstance(options, BeamOptions) and options.beam > 1:
        n_best = options.n_best if isinstance(options, TranslationOptions) else 1
        return Beam(options.beam, options.length_penalty, n_best)
    if isinstance(options, SamplingOptions):
        return Sampling.from_options(options)
    return GREEDY


def search(
    model: Model,
    prompts: Sequence[Sequence[int]],
    how: Sampling | Beam,
    *,
    state: State = None,
    min_length: int = 0,
    max_length: int | Sequence[int],
) -> list[list[Hypothesis]]:
    """Return the hypotheses of each of the B prompts, in their order, the best first: one, or the beam's n_best.

    Those that ended themselves go before those that were cut. Where fewer are possible, there are fewer. A prompt's
    answer does not depend on its neighbours.

    Args:
        model: answers at each step, in eval mode.
        prompts: B rows of ids, of any length, without <bos>: what each hypothesis continues (behind a source: a forced
            prefix). Neither tokens nor scores have it.
        how: `Sampling(temperature=0)` is greedy.
        state: of B rows, what `model.begin` returned; None where there is no source.
        min_length: fewest tokens before <eos>.
        max_length: most tokens, <eos> included, of all or of each prompt; at most 1,000,000,000. Where the model's
            sequences have a limit, no more than fit behind the prompt are written.

    Raises:
        ConfigError: a length out of range. DataError: a prompt that leaves no remaining in the model's limit.
    """
    lengths = max_length if isinstance(max_length, Sequence) else [max_length] * len(prompts)
    for most in set(lengths):
        _check(min_length, most)
    if not len(prompts):
        return []
    longest = np.asarray(lengths, dtype=np.int64)
    longest = np.minimum(longest, _remaining(model, prompts))
    with frozen(model):
        if isinstance(how, Beam):
            return _Beams(Cursor(model, prompts, state), how, torch.from_numpy(longest)).run(min_length)
        return _written(Generation(model, prompts, how, state), min_length, longest)


def stream_tokens(
    model: Model,
    prompt: Sequence[int],
    sampling: Sampling,
    *,
    state: State = None,
    min_length: int = 0,
    max_length: int,
) -> Iterator[int]:
    """Yield the tokens that `search` finds for one prompt by sampling, as they are chosen; <eos> too, if it ends so.

    Arguments and errors are those of `search`; the errors are raised at once.
    """
    _check(min_length, max_length)
    longest = min(max_length, int(_remaining(model, [prompt])[0]))
    return _streamed(model, prompt, sampling, state, min_length, longest)


def _streamed(
    model: Model, prompt: Sequence[int], sampling: Sampling, state: State, min_length: int, longest: int
) -> Iterator[int]:
    with frozen(model):
        generation = Generation(model, [prompt], sampling, state)
        for step in range(longest):
            token = int(generation.step(end=step >= min_length)[0])
            yield token
            if token == EOS:
                return


def _check(min_length: int, max_length: int) -> None:
    if min_length < 0:
        raise ConfigError(f"min_length must be at least 0: got {min_length}")
    if not max(1, min_length) <= max_length <= LONGEST:
        raise ConfigError(
            f"max_length must be from 1 to {LONGEST:,}, and at least min_length, {min_length}: got {max_length}"
        )


def _remaining(model: Model, prompts: Sequence[Sequence[int]]) -> Integers:
    """How many tokens may follow each prompt, (B,): the model reads <bos>, the prompt, and all of them but the last."""
    lengths = np.array([len(prompt) for prompt in prompts])
    if model.max_length is None:
        return np.full(len(prompts), np.iinfo(np.int64).max)
    if lengths.max() >= model.max_length:
        raise DataError(
            f"{lengths.max()} tokens are given to go on from, and the model reads at most {model.max_length}, <bos> counted",
            fix="give fewer, or train with a larger --window",
        )
    return model.max_length - lengths


def _written(generation: Generation, min_length: int, longest: Integers) -> list[list[Hypothesis]]:
    """One hypothesis a row, by sampling."""
    found: list[list[Hypothesis]] = [[] for _ in longest]
    tokens: list[list[int]] = [[] for _ in longest]
    log_p = np.zeros(len(longest))
    going, step = np.arange(len(longest)), 0
    while len(going):
        chosen = generation.step(end=step >= min_length)
        log_p[going] += generation.log_probabilities()
        step += 1
        over = (chosen == EOS) | (longest[going] == step)
        for row, token in zip(going.tolist(), chosen.tolist(), strict=True):
            if token != EOS:
                tokens[row].append(token)
        if over.any():
            for place in np.flatnonzero(over).tolist():
                row = going[place]
                ended: Ended = "eos" if chosen[place] == EOS else "length"
                found[row] = [Hypothesis(tuple(tokens[row]), float(log_p[row]), float(log_p[row]), ended)]
            going = going[~over]
            if len(going):
                generation.keep(np.flatnonzero(~over).tolist())
    return found


class _Beams:
    """A beam search under way, over B sources with W ≤ size beginnings each.

    The beginnings of a source are W rows of the cursor, side by side, the better ones first.
    """

    def __init__(self, cursor: Cursor, beam: Beam, longest: Tensor) -> None:
        B, device = len(longest), cursor.device
        self.cursor, self.beam = cursor, beam
        self.found: list[list[Hypothesis]] = [[] for _ in range(B)]  # of all sources
        self.source = torch.arange(B)  # (B,): which ones are still searched
        self.longest = longest.to(device)  # (B,)
        self.log_p = torch.zeros(B, 1, dtype=torch.float64, device=device)  # (B, W)
        self.tokens = torch.empty(B, 0, dtype=torch.int64, device=device)  # (B·W, t)
        self.best = self.log_p.new_full((B, beam.size), -torch.inf)  # scores of those that have ended, the best first

    @torch.inference_mode()
    def run(self, min_length: int) -> list[list[Hypothesis]]:
        """Search to the end; what was found for each source, the best first."""
        step = 0
        while len(self.source):
            step += 1
            log_p, rows, tokens, ends = self._following()
            if step > min_length:
                self._end(step, log_p, ends)
            written = torch.cat([self.tokens[rows], tokens.unsqueeze(2)], dim=2)  # (B, W', t)
            cut = self.longest == step
            self._cut(cut, log_p, written)
            left = ~cut & ~self._done(step, log_p[:, 0])
            if left.all():
                move = self.cursor.reorder if rows.shape == self.log_p.shape else self.cursor.select
                self.log_p = log_p
            else:
                move = self.cursor.select
                self.source, self.longest, self.best = self.source[left.cpu()], self.longest[left], self.best[left]
                self.log_p, rows, tokens, written = log_p[left], rows[left], tokens[left], written[left]
            self.tokens = written.flatten(0, 1)
            if len(self.source):
                move(rows.flatten())
                self.cursor.step(tokens.flatten())
        return [
            sorted(some, key=lambda one: (one.ended != "eos", -one.score))[: self.beam.n_best] for some in self.found
        ]

    def _following(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The best continuations of each source: ln p, the row that each continues, and its token, (B, W') each.

        Last, ln p of each beginning if it ended here, (B, W).
        """
        B, W = self.log_p.shape
        logits = self.cursor.logits  # (B·W, V)
        before = self.log_p - logits.logsumexp(dim=1).view(B, W).double()
        words = logits[:, len(SPECIAL) :]
        values, tokens = _largest(words, self.beam.size)  # (B·W, k): no others can be among the best
        k = values.shape[1]
        every = (before.unsqueeze(2) + values.reshape(B, W, k)).flatten(1)  # (B, W·k)
        log_p, place = every.sort(dim=1, descending=True, stable=True)
        log_p, place = log_p[:, : self.beam.size], place[:, : self.beam.size]
        rows = place // k + W * torch.arange(B, device=place.device).unsqueeze(1)
        return log_p, rows, tokens.reshape(B, W * k).gather(1, place) + len(SPECIAL), before + logits[:, EOS].view(B, W)

    def _end(self, step: int, log_p: Tensor, ends: Tensor) -> None:
        """Keep the beginnings whose end is among the best of all that may come next."""
        every = torch.cat([log_p, ends], dim=1)
        bar = every.topk(min(self.beam.size, every.shape[1]), dim=1).values[:, -1:]
        ended = (ends >= bar) & (ends > -torch.inf)  # (B, W)
        if ended.any():
            scores = (ends / self.beam.penalty(torch.tensor(step))).masked_fill(~ended, -torch.inf)
            self.best = torch.cat([self.best, scores], dim=1).topk(self.beam.size, dim=1).values
            self._keep(ended, self.tokens.view(*ends.shape, -1), ends, scores, "eos")

    def _done(self, step: int, first: Tensor) -> Tensor:
        """Whether no beginning can come before the best that have ended, (B,). first: ln p of the best one, (B,)."""
        worst = self.best[:, self.beam.n_best - 1]
        hope, now = (first / self.beam.penalty(length) for length in (self.longest, torch.tensor(step)))
        return (worst >= hope) | ((self.best[:, -1] > -torch.inf) & (worst >= now))

    def _cut(self, cut: Tensor, log_p: Tensor, written: Tensor) -> None:
        """Keep the continuations of the sources (B,) that have reached their length."""
        if cut.any():
            scores = log_p / self.beam.penalty(self.longest).unsqueeze(1)
            self._keep(cut.unsqueeze(1) & (log_p > -torch.inf), written, log_p, scores, "length")

    def _keep(self, which: Tensor, tokens: Tensor, log_p: Tensor, scores: Tensor, ended: Ended) -> None:
        """Which of (B, W) to keep, their tokens (B, W, t), ln p and scores (B, W)."""
        sources = self.source[which.nonzero()[:, 0].cpu()].tolist()
        columns = tokens[which].tolist(), log_p[which].tolist(), scores[which].tolist()
        for source, written, nats, score in zip(sources, *columns, strict=True):
            self.found[source].append(Hypothesis(tuple(written), nats, score, ended))


def _largest(values: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k largest of each row (R, M), all where M < k, in falling order, and where they are; of equals the first."""
    top, places = values.topk(min(k + 1, values.shape[1]), dim=1)
    if (top[:, 1:] == top[:, :-1]).any():  # topk does not say which of equals it takes
        top, places = values.sort(dim=1, descending=True, stable=True)
    return top[:, :k], places[:, :k]
