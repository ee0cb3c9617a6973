"""Decoding for the task generate, over model(ids, state) alone: what comes next, and how probable what came was.

A text begins with <bos> and the empty state. The special tokens are never chosen: they stand for no text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from unrolled.data.tokenizers import BOS, PAD, SPECIAL, Tokenizer
from unrolled.errors import ConfigError
from unrolled.models import Model
from unrolled.scan import frozen
from unrolled.state import State, select

__all__ = ["Continuation", "Generation", "Sampling", "Scored", "decode", "score_tokens", "stream"]

CHUNK = 8192  # tokens that a model reads in one call, all rows counted: what bounds the memory of scoring
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
        if self.temperature != 0 and not 1e-9 <= self.temperature <= 1e9:  # beyond, float32 has no quotients
            raise ConfigError(f"temperature must be 0 (greedy), or from 1e-9 to 1e9: got {self.temperature}")
        if self.top_k is not None and self.top_k < 1:
            raise ConfigError(f"top_k must be at least 1: got {self.top_k}")
        if not 0 < self.top_p <= 1:
            raise ConfigError(f"top_p must be above 0 and at most 1: got {self.top_p}")
        if self.seed < 0:
            raise ConfigError(f"seed must be at least 0: got {self.seed}")

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


@dataclass(frozen=True)
class Continuation:
    """What a model wrote after a prompt: the text, how many tokens it has, and why it ended ("length" or "stop")."""

    prompt: str
    text: str
    tokens: int
    ended: str

    def to_dict(self) -> dict[str, Any]:
        """As JSON takes it."""
        return asdict(self)


class Generation:
    """Prompts that are being continued, a token at a time: a model's state and what it makes of it.

    Args:
        model: answers at each step, in eval mode.
        prompts: B rows of ids, of any length, without <bos>.
        sampling: how tokens are chosen.
    """

    @torch.inference_mode()
    def __init__(self, model: Model, prompts: Sequence[Sequence[int]], sampling: Sampling) -> None:
        self.model, self.sampling = model, sampling
        self.device = next(model.parameters()).device
        self.generators = [np.random.default_rng(sampling.seed) for _ in prompts]
        self.drawn = np.empty((len(prompts), 0), dtype=np.float32)
        self.logits, self.state = self._read(prompts)
        self.chosen: Integers | None = None  # what the model has not read yet

    @torch.inference_mode()
    def step(self) -> Integers:
        """Choose the next token of every prompt, (B,)."""
        if self.chosen is not None:
            ids = torch.from_numpy(self.chosen).unsqueeze(1).to(self.device)
            logits, self.state = self.model(ids, self.state)
            self.logits = logits[:, 0].float().cpu().numpy()
        self.chosen = self._choose(self.logits)
        return self.chosen

    @torch.inference_mode()
    def keep(self, rows: Sequence[int]) -> None:
        """Go on with some of the prompts only, in the given order."""
        self.state = select(self.state, rows)
        self.logits, self.drawn = self.logits[rows], self.drawn[rows]
        self.generators = [self.generators[row] for row in rows]
        self.chosen = None if self.chosen is None else self.chosen[rows]

    def _read(self, prompts: Sequence[Sequence[int]]) -> tuple[Floats, State]:
        """Read the prompts, <bos> first, in chunks -> the logits after each, (B, V), and the state."""
        lengths = torch.tensor([1 + len(prompt) for prompt in prompts])
        ids = torch.full((len(prompts), int(lengths.max())), PAD)
        for row, prompt in enumerate(prompts):
            ids[row, : lengths[row]] = torch.tensor([BOS, *prompt])
        found, state = torch.empty(len(prompts), self.model.num_outputs), None
        step = max(1, CHUNK // max(1, len(prompts)))
        for start in range(0, ids.shape[1], step):
            part = ids[:, start : start + step].to(self.device)
            real = (lengths - start).clamp(0, part.shape[1])
            logits, state = self.model(part, state, real.to(self.device))
            here = ((lengths - start >= 1) & (lengths - start <= part.shape[1])).nonzero()[:, 0]
            found[here] = logits[here.to(self.device), (real[here] - 1).to(self.device)].float().cpu()
        return found.numpy(), state

    def _choose(self, logits: Floats) -> Integers:
        logits[:, : len(SPECIAL)] = -np.inf
        if self.sampling.temperature == 0:
            return np.asarray(logits.argmax(axis=1))
        if not self.drawn.shape[1]:
            self.drawn = np.stack([generator.random(AHEAD, dtype=np.float32) for generator in self.generators])
        u, self.drawn = self.drawn[:, :1], self.drawn[:, 1:]
        below = self.sampling.probabilities(logits).cumsum(axis=1)  # (B, V)
        chosen = (below <= u * below[:, -1:]).sum(axis=1)
        return np.asarray(np.minimum(chosen, below.argmax(axis=1)))  # where rounding makes u · sum the sum itself


def stream(
    model: Model,
    tokenizer: Tokenizer,
    prompt: Sequence[int],
    sampling: Sampling,
    *,
    length: int | None = None,
    stop: Sequence[str] = (),
) -> Iterator[str]:
    """Yield the text that comes after a prompt, piece by piece, as soon as it is certain.

    Args:
        model, prompt, sampling: see Generation. tokenizer: ids to text.
        length: most tokens; None: without end.
        stop: the text ends before the first of these; what might be the beginning of one is held back.
    """
    writer = _Writer(tokenizer, length, stop)
    with frozen(model):
        generation = Generation(model, [prompt], sampling)
        while not writer.ended:
            if piece := writer.write(int(generation.step()[0])):
                yield piece


def decode(
    model: Model,
    tokenizer: Tokenizer,
    prompts: Sequence[tuple[str, Sequence[int]]],
    sampling: Sampling,
    *,
    length: int,
    stop: Sequence[str] = (),
) -> list[Continuation]:
    """Return what comes after each of the prompts (text and ids), in their order; see `stream`."""
    writers = [_Writer(tokenizer, length, stop) for _ in prompts]
    texts: list[list[str]] = [[] for _ in prompts]
    going = list(range(len(prompts))) if length else []
    with frozen(model):
        generation = Generation(model, [ids for _, ids in prompts], sampling) if going else None
        while generation and going:
            for row, chosen in zip(going, generation.step().tolist(), strict=True):
                texts[row].append(writers[row].write(chosen))
            rest = [place for place, row in enumerate(going) if not writers[row].ended]
            if 0 < len(rest) < len(going):
                generation.keep(rest)
            going = [going[place] for place in rest]
    return [
        Continuation(prompt, "".join(pieces), writer.tokens, writer.ended)
        for (prompt, _), pieces, writer in zip(prompts, texts, writers, strict=True)
    ]


class _Writer:
    """Turns the tokens of one continuation into text, and knows when it ends."""

    def __init__(self, tokenizer: Tokenizer, length: int | None, stop: Sequence[str]) -> None:
        self.read, self.length, self.stop = tokenizer.reader(), length, tuple(stop)
        self.tokens, self.ended, self.held = 0, "length" if length == 0 else "", ""

    def write(self, chosen: int) -> str:
        """Return the text that is certain now."""
        self.tokens += 1
        text = self.held + self.read(chosen)
        if self.tokens == self.length:
            self.ended = "length"
        if self.stop:
            found = [place for word in self.stop if (place := text.find(word)) >= 0]
            if found:
                self.ended, self.held = "stop", ""
                return text[: min(found)]
            self.held = "" if self.ended else text[self._certain(text) :]
            return text[: len(text) - len(self.held)]
        return text

    def _certain(self, text: str) -> int:
        """Where the longest end of the text begins that may be the beginning of a stop."""
        most = max(map(len, self.stop)) - 1
        for place in range(max(0, len(text) - most), len(text)):
            if any(word.startswith(text[place:]) for word in self.stop):
                return place
        return len(text)


class Scored(NamedTuple):
    """How probable the tokens of a text were, stretch by stretch."""

    nats: NDArray[np.float64]  # (M,), −ln p, summed over each stretch
    right: NDArray[np.int64]  # (M,), how many were the first guess
    tokens: NDArray[np.int64]  # (M,), how many there are


@torch.inference_mode()
def score_tokens(model: Model, ids: Integers, *, streams: int = 1) -> Scored:
    """Score each of the N tokens once, given all that stands before it: the first one given <bos> and the empty state.

    With one stream that is exact. With more, the text is cut into that many stretches that are read side by side, and
    each begins anew with <bos>: it is faster, and the first tokens of streams − 1 stretches lack what stood before.

    Args:
        model: answers at each step, in eval mode. ids: (N,) integers, read a chunk at a time. streams: at most N.
    """
    device = next(model.parameters()).device
    N, B = len(ids), streams
    steps = -(-N // B)  # of the longest stream
    starts = [row * N // B for row in range(B + 1)]
    nats: list[float] = []
    right: list[int] = []
    tokens: list[int] = []
    state: State = None
    before = np.full(B, BOS, dtype=np.int64)
    most = max(1, CHUNK // max(1, B))
    for start in range(0, steps, most):
        T = min(most, steps - start)
        targets = np.full((B, T), PAD, dtype=np.int64)
        for row in range(B):
            part = ids[starts[row] + start : min(starts[row] + start + T, starts[row + 1])]
            targets[row, : len(part)] = part
        inputs = np.concatenate([before[:, None], targets[:, :-1]], axis=1)
        before = targets[:, -1]
        logits, state = model(torch.from_numpy(inputs).to(device), state)
        wanted = torch.from_numpy(targets).to(device)
        lost = F.cross_entropy(logits.flatten(0, 1).float(), wanted.flatten(), reduction="none", ignore_index=PAD)
        nats += lost.view(B, T).double().sum(1).tolist()
        right += ((logits.argmax(2) == wanted) & (wanted != PAD)).sum(1).tolist()
        tokens += (targets != PAD).sum(1).tolist()
    return Scored(np.array(nats), np.array(right), np.array(tokens))
