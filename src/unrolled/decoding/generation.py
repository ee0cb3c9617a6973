"""Decoding for the task generate, over model(ids, state) alone: what comes next, and how probable what came was.

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
from torch.nn import functional as F

from unrolled.data.encoding.tokenizers import BOS, PAD, Tokenizer
from unrolled.decoding.cursor import CHUNK
from unrolled.decoding.sampling import Generation, Sampling
from unrolled.models import Model
from unrolled.scan import frozen
from unrolled.state import State

__all__ = ["Continuation", "Scored", "decode", "score_tokens", "stream"]

Integers = NDArray[np.integer[Any]]


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
    A model whose sequences have a limit is given all that it can see for the first so many tokens, and half as many at
    least for each other one.

    Args:
        model: answers at each step, in eval mode. ids: (N,) integers, read a chunk at a time. streams: at most N.
    """
    if model.max_length:
        return _score_windows(model, ids, model.max_length)
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
        found = _compared(logits, wanted)
        nats += found.nats.tolist()
        right += found.right.tolist()
        tokens += found.tokens.tolist()
    return Scored(np.array(nats), np.array(right), np.array(tokens))


def _score_windows(model: Model, ids: Integers, limit: int) -> Scored:
    """Score in windows of `limit` tokens, each half a window after the one before it, of which the new half counts."""
    device = next(model.parameters()).device
    N, new = len(ids), max(1, limit // 2)
    starts = np.arange(0, max(1, N - limit + new), new)  # of the windows; the last one may end behind the text
    most = max(1, CHUNK // limit)
    found = []
    for first in range(0, len(starts), most):
        places = starts[first : first + most, None] + np.arange(limit)  # (B, T), of the targets
        targets = np.where(places < N, np.asarray(ids[places.clip(max=N - 1)], dtype=np.int64), PAD)
        inputs = np.where(places > 0, np.asarray(ids[(places - 1).clip(0, N - 1)], dtype=np.int64), BOS)
        logits, _ = model(torch.from_numpy(inputs).to(device))
        targets[(1 if first == 0 else 0) :, : limit - new] = PAD  # they were scored in the window before
        found.append(_compared(logits, torch.from_numpy(targets).to(device)))
    return Scored(*(np.concatenate(each) for each in zip(*found, strict=True)))


def _compared(logits: Tensor, targets: Tensor) -> Scored:
    """Logits (B, T, V) and targets (B, T), <pad> where there is none -> the sums of every row."""
    lost = F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), reduction="none", ignore_index=PAD)
    real = targets != PAD
    right = ((logits.argmax(2) == targets) & real).sum(1)
    return Scored(
        lost.view(targets.shape).double().sum(1).cpu().numpy(), right.cpu().numpy(), real.sum(1).cpu().numpy()
    )
