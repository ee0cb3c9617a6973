"""Beam search, greedy decoding and sampling of whole sequences, over any model that answers step by step.

    ln p(y) = Σ_t ln p(y_t | y_1 … y_{t−1})                    y: the tokens, with <eos> where the sequence ended itself
    score(y) = ln p(y) / ((5 + |y|) / 6)^α                     Wu et al. 2016, equation 14

Greedy decoding and sampling write one hypothesis for each source. A beam keeps the `size` most probable open hypotheses
y_1 … y_t of each source. A hypothesis ends where <eos> is among the `size` most probable next tokens of all of them. A
source is finished when no open hypothesis can score higher than the `n_best` that have ended: at any length it may
still reach, or, once `size` have ended, at its present length. Ties go to the continuation of the better hypothesis,
then to the smaller token.

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
from unrolled.decoding.candidates import Candidates
from unrolled.decoding.cursor import Cursor
from unrolled.decoding.finite import refuse_infinite
from unrolled.decoding.options import (
    LENGTH_PENALTY,
    LONGEST,
    BeamOptions,
    Options,
    SamplingOptions,
    TranslationOptions,
    check,
)
from unrolled.decoding.repetition import Repetition
from unrolled.decoding.sampling import GREEDY, Generation, Sampling
from unrolled.errors import ConfigError, DataError
from unrolled.kernels.cross_entropy import log_sum_exp
from unrolled.models import Model
from unrolled.scan import Precision, frozen
from unrolled.state import State

__all__ = ["Beam", "Ended", "Hypothesis", "search", "strategy_of", "stream_tokens"]

Ended = Literal["eos", "length"]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Hypothesis:
    """A sequence found by a search.

    Args:
        tokens: its tokens, without the prompt and without <eos>.
        log_probability: ln p in nats, of all chosen tokens (with <eos>), given the source and the prompt; with a
            repetition_penalty of the distribution after it.
        score: the rank of a beam; ln p for greedy decoding and sampling.
        ended: "eos" where the sequence ended itself, "length" where it was truncated.
    """

    tokens: tuple[int, ...]
    log_probability: float
    score: float
    ended: Ended


@dataclass(frozen=True)
class Beam(Repetition):
    """A beam search.

    Args:
        size: number of open hypotheses kept for each source, at most 1,024; 1 is greedy.
        length_penalty: α; 0 ranks by ln p, which favours short sequences; larger values favour longer ones.
        n_best: number of hypotheses returned, at most `size`.
        no_repeat_ngram, repetition_penalty: see Repetition.

    Raises:
        ConfigError: a value out of range.
    """

    size: int = 5
    length_penalty: float = LENGTH_PENALTY
    n_best: int = 1

    def __post_init__(self) -> None:
        check(beam=self.size, **{name: value for name, value in vars(self).items() if name != "size"})

    def penalty(self, length: Tensor) -> Tensor:
        """Return the divisor of ln p for hypotheses of these lengths, <eos> included."""
        return ((5 + length.double()) / 6) ** self.length_penalty


def strategy_of(options: Options) -> Sampling | Beam:
    """Return the decoding strategy of options: a beam of 2 or more, else sampling, else greedy."""
    if isinstance(options, BeamOptions) and options.beam > 1:
        n_best = options.n_best if isinstance(options, TranslationOptions) else 1
        return Beam(options.beam, options.length_penalty, n_best, **options.rules())
    if isinstance(options, SamplingOptions):
        return Sampling.from_options(options)
    return Sampling(temperature=0, **options.rules()) if isinstance(options, BeamOptions) else GREEDY


def search(
    model: Model,
    prompts: Sequence[Sequence[int]],
    strategy: Sampling | Beam,
    *,
    state: State = None,
    min_length: int = 0,
    max_length: int | Sequence[int],
    record: list[Candidates] | None = None,
) -> list[list[Hypothesis]]:
    """Return the hypotheses of each of B prompts, best first: one, or the beam's n_best.

    Hypotheses that ended themselves rank before truncated ones. If fewer than n_best sequences are possible, fewer are
    returned. A prompt's answer does not depend on the others of the batch.

    Args:
        model: a model that answers at each step, in eval mode.
        prompts: B sequences of ids, of any length, without <bos>, which each hypothesis continues (after a source: a
            forced prefix). They are not part of the returned tokens and scores.
        strategy: `Sampling(temperature=0)` is greedy.
        state: state of B sequences, as `model.encode` returns it; None where there is no source.
        min_length: minimum number of tokens before <eos>.
        max_length: maximum number of tokens, <eos> included, of all prompts or of each; at most 1,000,000,000. A model
            with a maximum length writes no more than its remaining length after the prompt.

        record: a list to which a beam adds the candidates of each step, for one prompt.

    Raises:
        ConfigError: a length out of range.
        DataError: a prompt that leaves no remaining length.
        CheckpointError: the model's logits are not finite.
    """
    lengths = max_length if isinstance(max_length, Sequence) else [max_length] * len(prompts)
    for length in set(lengths):
        _check(min_length, length)
    if not len(prompts):
        return []
    longest = np.minimum(np.asarray(lengths, dtype=np.int64), _remaining(model, prompts))
    with frozen(model):
        if isinstance(strategy, Beam):
            cursor = Cursor(model, prompts, state, strategy)
            found = _BeamSearch(cursor, strategy, torch.from_numpy(longest), record).run(min_length)
            refuse_infinite([hypothesis.score for each in found for hypothesis in each])
            return found
        return _sample(Generation(model, prompts, strategy, state), min_length, longest)


def stream_tokens(
    model: Model,
    prompt: Sequence[int],
    sampling: Sampling,
    *,
    state: State = None,
    min_length: int = 0,
    max_length: int,
    precision: Precision | None = None,
) -> Iterator[int]:
    """Yield the tokens that `search` returns for one prompt by sampling, as they are chosen, and <eos> if it is chosen.

    Arguments and errors are those of `search`; errors are raised at once. Precision: see `scan.frozen`.
    """
    _check(min_length, max_length)
    longest = min(max_length, int(_remaining(model, [prompt])[0]))
    return _stream(model, prompt, sampling, state, min_length, longest, precision)


def _stream(
    model: Model,
    prompt: Sequence[int],
    sampling: Sampling,
    state: State,
    min_length: int,
    longest: int,
    precision: Precision | None,
) -> Iterator[int]:
    weights = frozen(model, precision)
    with weights:
        generation = Generation(model, [prompt], sampling, state)
    for step in range(longest):
        with weights:
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
    """Return the remaining length after each prompt, (B,): the model reads <bos>, the prompt, and all but the last."""
    lengths = np.array([len(prompt) for prompt in prompts])
    if model.max_length is None:
        return np.full(len(prompts), np.iinfo(np.int64).max)
    if lengths.max() >= model.max_length:
        raise DataError(
            f"a prompt of {lengths.max()} tokens leaves no remaining length: the model reads at most "
            f"{model.max_length} tokens, <bos> included",
            fix="give a shorter one, or train with a larger --window",
        )
    return model.max_length - lengths


def _sample(generation: Generation, min_length: int, longest: Integers) -> list[list[Hypothesis]]:
    """Return one hypothesis for each prompt, by sampling.

    Args:
        longest: maximum lengths, (B,).
    """
    hypotheses: list[list[Hypothesis]] = [[] for _ in longest]
    tokens: list[list[int]] = [[] for _ in longest]
    log_p = np.zeros(len(longest))
    active, step = np.arange(len(longest)), 0  # active: indices of the prompts that are still continued
    while len(active):
        chosen = generation.step(end=step >= min_length)
        log_p[active] += generation.log_probabilities()
        step += 1
        over = (chosen == EOS) | (longest[active] == step)
        for prompt, token in zip(active.tolist(), chosen.tolist(), strict=True):
            if token != EOS:
                tokens[prompt].append(token)
        if over.any():
            for position in np.flatnonzero(over).tolist():
                prompt = active[position]
                ended: Ended = "eos" if chosen[position] == EOS else "length"
                score = float(log_p[prompt])
                hypotheses[prompt] = [Hypothesis(tuple(tokens[prompt]), score, score, ended)]
            active = active[~over]
            if len(active):
                generation.keep(np.flatnonzero(~over).tolist())
    return hypotheses


class _BeamSearch:
    """A beam search under way, over B sources with W ≤ size open hypotheses each.

    The open hypotheses of a source are W neighbouring sequences of the cursor, the best first. B falls as sources are
    finished.
    """

    def __init__(self, cursor: Cursor, beam: Beam, longest: Tensor, record: list[Candidates] | None = None) -> None:
        B, device = len(longest), cursor.device
        self.cursor, self.beam, self.record = cursor, beam, record
        self.ended: list[list[Hypothesis]] = [[] for _ in range(B)]  # of all sources
        self.source = torch.arange(B)  # (B,), indices of the sources that are still searched
        self.longest = longest.to(device)  # (B,)
        self.log_p = torch.zeros(B, 1, dtype=torch.float64, device=device)  # (B, W)
        self.tokens = torch.empty(B, 0, dtype=torch.int64, device=device)  # (B·W, t)
        self.any_ended = False  # whether `best` has a score
        self.best = self.log_p.new_full((B, beam.size), -torch.inf)  # scores of ended hypotheses, descending

    @torch.inference_mode()
    def run(self, min_length: int) -> list[list[Hypothesis]]:
        """Search to the end; return the hypotheses of each source, best first."""
        step = 0
        while len(self.source):
            step += 1
            log_p, parents, tokens, ends = self._continuations(end=step > min_length)
            if step > min_length:
                self._end(step, log_p, ends)
            written = torch.cat([self.tokens[parents], tokens.unsqueeze(2)], dim=2)  # (B, W', t)
            full = self.longest == step
            self._truncate(full, log_p, written)
            if self.record is not None:
                self.record[-1] = self.record[-1]._replace(truncated=bool(full[0]))
            open_sources = ~full & ~self._finished(step, log_p[:, 0])
            if open_sources.all():
                move = self.cursor.reorder if parents.shape == self.log_p.shape else self.cursor.select
                self.log_p = log_p
            else:
                move = self.cursor.select
                self.source = self.source[open_sources.cpu()]
                self.longest, self.best = self.longest[open_sources], self.best[open_sources]
                self.log_p, parents = log_p[open_sources], parents[open_sources]
                tokens, written = tokens[open_sources], written[open_sources]
            self.tokens = written.flatten(0, 1)
            if len(self.source):
                move(parents.flatten())
                self.cursor.step(tokens.flatten())
        return [
            sorted(ended, key=lambda each: (each.ended != "eos", -each.score))[: self.beam.n_best]
            for ended in self.ended
        ]

    def _continuations(self, *, end: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the best continuations of each source: ln p, index of the hypothesis continued, token, (B, W') each.

        The last result is ln p of each open hypothesis if it ended here, (B, W).

        Args:
            end: whether hypotheses may end here.
        """
        B, W = self.log_p.shape
        logits = self.cursor.logits  # (B·W, V)
        before = self.log_p - log_sum_exp(logits).view(B, W).double()
        forbidden = self.cursor.forbidden(end=end)
        words = (logits if forbidden is None else logits.masked_fill(forbidden, -torch.inf))[:, len(SPECIAL) :]
        values, tokens = _largest(words, self.beam.size)  # (B·W, k): no others can be among the best
        k = values.shape[1]
        every = (before.unsqueeze(2) + values.reshape(B, W, k)).flatten(1)  # (B, W·k)
        log_p, order = every.sort(dim=1, descending=True, stable=True)
        ends = before + logits[:, EOS].view(B, W)
        if self.record is not None:
            written = tokens.reshape(-1)[order[0]] + len(SPECIAL)
            kept, ended = min(self.beam.size, W * k), torch.zeros(W, dtype=torch.bool)
            self.record.append(Candidates(order[0] // k, written, log_p[0], kept, ends[0], ended))
        log_p, order = log_p[:, : self.beam.size], order[:, : self.beam.size]
        parents = order // k + W * torch.arange(B, device=order.device).unsqueeze(1)
        chosen = tokens.reshape(B, W * k).gather(1, order) + len(SPECIAL)
        return log_p, parents, chosen, ends

    def _end(self, step: int, log_p: Tensor, ends: Tensor) -> None:
        """End the hypotheses whose <eos> is among the `size` best of all next tokens."""
        every = torch.cat([log_p, ends], dim=1)
        bar = every.topk(min(self.beam.size, every.shape[1]), dim=1).values[:, -1:]
        ended = (ends >= bar) & (ends > -torch.inf)  # (B, W)
        if self.record is not None:
            self.record[-1] = self.record[-1]._replace(ended=ended[0])
        if ended.any():
            self.any_ended = True
            scores = (ends / self.beam.penalty(torch.tensor(step))).masked_fill(~ended, -torch.inf)
            self.best = torch.cat([self.best, scores], dim=1).topk(self.beam.size, dim=1).values
            self._add(ended, self.tokens.view(*ends.shape, -1), ends, scores, "eos")

    def _finished(self, step: int, first: Tensor) -> Tensor:
        """Return whether no open hypothesis can overtake the n_best ended ones, (B,).

        Args:
            first: ln p of the best open hypothesis, (B,).
        """
        if not self.any_ended:
            return first == -torch.inf
        worst = self.best[:, self.beam.n_best - 1]
        hope, now = (first / self.beam.penalty(length) for length in (self.longest, torch.tensor(step)))
        return (worst >= hope) | ((self.best[:, -1] > -torch.inf) & (worst >= now))

    def _truncate(self, full: Tensor, log_p: Tensor, written: Tensor) -> None:
        """Add the continuations of the sources, full (B,), that have reached their maximum length."""
        if full.any():
            scores = log_p / self.beam.penalty(self.longest).unsqueeze(1)
            self._add(full.unsqueeze(1) & (log_p > -torch.inf), written, log_p, scores, "length")

    def _add(self, chosen: Tensor, tokens: Tensor, log_p: Tensor, scores: Tensor, ended: Ended) -> None:
        """Add hypotheses that have ended: chosen (B, W), with their tokens (B, W, t), ln p and scores (B, W)."""
        sources = self.source[chosen.nonzero()[:, 0].cpu()].tolist()
        columns = tokens[chosen].tolist(), log_p[chosen].tolist(), scores[chosen].tolist()
        for source, written, nats, score in zip(sources, *columns, strict=True):
            self.ended[source].append(Hypothesis(tuple(written), nats, score, ended))


def _largest(values: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the k largest of each row of a matrix (R, M), all where M < k, descending, and their columns.

    Of equal values, the first in the row comes first.
    """
    top, columns = values.topk(min(k + 1, values.shape[1]), dim=1)
    if (top[:, 1:] == top[:, :-1]).any():  # topk returns equal values in any order
        top, columns = values.sort(dim=1, descending=True, stable=True)
    return top[:, :k], columns[:, :k]
