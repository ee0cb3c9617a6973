"""Decoding for the task generate, over model(ids, state) alone: continuations of prompts, and scores of texts.

A text begins with <bos> and the empty state.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unrolled.data.encoding.tokenizers import BOS, PAD, Tokenizer
from unrolled.decoding.cursor import CHUNK
from unrolled.decoding.sampling import Generation, Sampling
from unrolled.display import Answers, Displayed
from unrolled.kernels.cross_entropy import cross_entropy
from unrolled.models import Model
from unrolled.scan import Precision, frozen
from unrolled.state import State

__all__ = ["Continuation", "Scored", "Writer", "decode", "guesses", "score_each_token", "score_tokens", "stream"]

Integers = NDArray[np.integer[Any]]


@dataclass(frozen=True, repr=False)
class Continuation(Displayed):
    """Continuation of a prompt.

    Args:
        tokens: number of tokens of the text.
        ended: the reason of its end, "length" or "stop".
    """

    prompt: str
    text: str
    tokens: int
    ended: str

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary of JSON values."""
        return asdict(self)


def stream(
    model: Model,
    tokenizer: Tokenizer,
    prompt: Sequence[int],
    sampling: Sampling,
    *,
    length: int | None = None,
    stop: Sequence[str] = (),
    precision: Precision | None = None,
) -> Iterator[str]:
    """Yield the continuation of a prompt in pieces, each as soon as it is certain.

    Args:
        model, prompt, sampling: see `Generation`.
        tokenizer: ids to text.
        length: maximum number of tokens; None: without end.
        stop: the text ends before the first of these; text that may be the beginning of one is held back.
        precision: see `scan.frozen`.
    """
    writer = Writer(tokenizer, length, stop)
    weights = frozen(model, precision)
    with weights:
        generation = Generation(model, [prompt], sampling)
    while not writer.ended:
        with weights:
            token = int(generation.step()[0])
        if piece := writer.write(token):
            yield piece


def decode(
    model: Model,
    tokenizer: Tokenizer,
    prompts: Sequence[tuple[str, Sequence[int]]],
    sampling: Sampling,
    *,
    length: int,
    stop: Sequence[str] = (),
) -> Answers[Continuation]:
    """Return the continuation of each prompt (text and ids), in order; see `stream`."""
    writers = [Writer(tokenizer, length, stop) for _ in prompts]
    texts: list[list[str]] = [[] for _ in prompts]
    active = list(range(len(prompts))) if length else []  # indices of the prompts that are still continued
    with frozen(model):
        generation = Generation(model, [ids for _, ids in prompts], sampling) if active else None
        while generation and active:
            for prompt, token in zip(active, generation.step().tolist(), strict=True):
                texts[prompt].append(writers[prompt].write(token))
            rest = [position for position, prompt in enumerate(active) if not writers[prompt].ended]
            if 0 < len(rest) < len(active):
                generation.keep(rest)
            active = [active[position] for position in rest]
    return Answers(
        Continuation(prompt, "".join(pieces), writer.tokens, writer.ended)
        for (prompt, _), pieces, writer in zip(prompts, texts, writers, strict=True)
    )


class Writer:
    """Text of one continuation, written token by token.

    Args:
        tokenizer, length, stop: see `stream`.

    Attributes:
        tokens: number of tokens so far.
        ended: "" until it ends, then the reason.
    """

    def __init__(self, tokenizer: Tokenizer, length: int | None, stop: Sequence[str]) -> None:
        self.read, self.length, self.stop = tokenizer.reader(), length, tuple(stop)
        self.tokens, self.ended, self.held = 0, "length" if length == 0 else "", ""

    def write(self, token: int) -> str:
        """Add a token, and return the text that has become certain."""
        self.tokens += 1
        text = self.held + self.read(token)
        if self.tokens == self.length:
            self.ended = "length"
        if self.stop:
            stops = [start for word in self.stop if (start := text.find(word)) >= 0]
            if stops:
                self.ended, self.held = "stop", ""
                return text[: min(stops)]
            self.held = "" if self.ended else text[self._certain(text) :]
            return text[: len(text) - len(self.held)]
        return text

    def _certain(self, text: str) -> int:
        """Return the number of characters before the longest end of the text that may begin a stop."""
        longest = max(map(len, self.stop)) - 1
        for start in range(max(0, len(text) - longest), len(text)):
            if any(word.startswith(text[start:]) for word in self.stop):
                return start
        return len(text)


class Scored(NamedTuple):
    """Scores of the tokens of a text or of targets, summed over M segments (or targets)."""

    nats: NDArray[np.float64]  # (M,), −ln p, summed over each segment
    right: NDArray[np.int64]  # (M,), number of tokens that were the first guess
    tokens: NDArray[np.int64]  # (M,), number of tokens


@torch.inference_mode()
def score_tokens(model: Model, ids: Integers, *, streams: int = 1) -> Scored:
    """Score each of N tokens once, given all tokens before it; the first is given <bos> and the empty state.

    One stream is exact. With more, the text is divided into that many segments, which are read in parallel and each
    start with <bos> and the empty state. This is faster, but the first tokens of `streams` − 1 segments lack their
    context. A model with a maximum length L is given all tokens before each of the first L, and at least L / 2 tokens
    before each later one.

    Args:
        model: a model that answers at each step, in eval mode.
        ids: (N,) integers, read a chunk at a time.
        streams: number of streams, at most N.
    """
    nothing = Scored(np.zeros(0), np.zeros(0, np.int64), np.zeros(0, np.int64))
    scored = [nothing, *(_score(*read) for read in _read(model, ids, streams))]
    return Scored(*(np.concatenate(each) for each in zip(*scored, strict=True)))


@torch.inference_mode()
def score_each_token(model: Model, ids: Integers) -> NDArray[np.float64]:
    """Return −ln p of each of N tokens, (N,), read as by `score_tokens` in one stream.

    Args:
        model: a model that answers at each step, in eval mode.
        ids: (N,) integers, read a chunk at a time.
    """
    each = [(_nats(*read)[read.targets != PAD]).double().cpu().numpy() for read in _read(model, ids, 1)]
    return np.concatenate([np.zeros(0), *each])


@torch.inference_mode()
def guesses(model: Model, ids: Integers) -> NDArray[np.int64]:
    """Return the most probable token at the place of each of N tokens, (N,), read as by `score_each_token`."""
    each = [read.logits.argmax(2)[read.targets != PAD].cpu().numpy() for read in _read(model, ids, 1)]
    return np.concatenate([np.zeros(0, np.int64), *each])


class _Read(NamedTuple):
    """Logits of a model, and the tokens that followed."""

    logits: Tensor  # (B, T, V)
    targets: Tensor  # (B, T), <pad> where a position is not scored


def _read(model: Model, ids: Integers, streams: int) -> Iterator[_Read]:
    """Yield the logits of each of N tokens once; with one stream, in the order of the text.

    Args:
        model, ids, streams: see `score_tokens`.
    """
    if not len(ids):
        return
    if model.max_length:
        yield from _read_windows(model, ids, model.max_length)
        return
    device = next(model.parameters()).device
    N, B = len(ids), streams
    steps = -(-N // B)  # of the longest stream
    starts = [stream * N // B for stream in range(B + 1)]
    state: State = None
    before = np.full(B, BOS, dtype=np.int64)
    longest = max(1, CHUNK // max(1, B))
    for start in range(0, steps, longest):
        T = min(longest, steps - start)
        targets = np.full((B, T), PAD, dtype=np.int64)
        for stream in range(B):
            chunk = ids[starts[stream] + start : min(starts[stream] + start + T, starts[stream + 1])]
            targets[stream, : len(chunk)] = chunk
        inputs = np.concatenate([before[:, None], targets[:, :-1]], axis=1)
        before = targets[:, -1]
        logits, state = model(torch.from_numpy(inputs).to(device), state)
        yield _Read(logits, torch.from_numpy(targets).to(device))


def _read_windows(model: Model, ids: Integers, length: int) -> Iterator[_Read]:
    """Read in windows of `length` tokens that overlap by half; only the new half of each window is scored."""
    device = next(model.parameters()).device
    N, new = len(ids), max(1, length // 2)
    starts = np.arange(0, max(1, N - length + new), new)  # of the windows; the last one may end behind the text
    batch = max(1, CHUNK // length)
    for first in range(0, len(starts), batch):
        positions = starts[first : first + batch, None] + np.arange(length)  # (B, T), of the targets
        targets = np.where(positions < N, np.asarray(ids[positions.clip(max=N - 1)], dtype=np.int64), PAD)
        inputs = np.where(positions > 0, np.asarray(ids[(positions - 1).clip(0, N - 1)], dtype=np.int64), BOS)
        logits, _ = model(torch.from_numpy(inputs).to(device))
        targets[(1 if first == 0 else 0) :, : length - new] = PAD  # scored in the window before
        yield _Read(logits, torch.from_numpy(targets).to(device))


def _score(logits: Tensor, targets: Tensor) -> Scored:
    """Score logits (B, T, V) against targets (B, T), which are <pad> where there is none; sum over each sequence."""
    nats = _nats(logits, targets)
    real = targets != PAD
    right = ((logits.argmax(2) == targets) & real).sum(1)
    return Scored(nats.double().sum(1).cpu().numpy(), right.cpu().numpy(), real.sum(1).cpu().numpy())


def _nats(logits: Tensor, targets: Tensor) -> Tensor:
    """Return −ln p of each target, (B, T); 0 where it is <pad>."""
    nats = cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), ignore_index=PAD)
    return nats.view(targets.shape)
