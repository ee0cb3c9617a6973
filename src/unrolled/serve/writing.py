"""Rows that write: each token is chosen from the logits, handed on as text, and read by the model in the next step.

The choice and the text are those of `decode` and `stream` (see `decoding/sampling.py`, `decoding/generation.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from unrolled.data.encoding.tokenizers import EOS, Tokenizer
from unrolled.decoding.repetition import History
from unrolled.decoding.sampling import AHEAD, Sampling, choose
from unrolled.serve.rows import Logits, Row, Slot
from unrolled.state import State

__all__ = ["TargetWriter", "TextWriter", "Writing", "write"]


class TextWriter(Protocol):
    """Tokens to text; `ended` is "" until the text ends, then the reason."""

    tokens: int
    ended: str

    def write(self, token: int) -> str:
        """Add a token, and return the text that has become certain."""
        ...


class TargetWriter:
    """Tokens to the target of a translation, which ends with <eos> or at its maximum length.

    Args:
        tokenizer: tokeniser of the targets.
        prefix: ids that the target begins with.
        length: maximum number of tokens, <eos> included.
    """

    def __init__(self, tokenizer: Tokenizer, prefix: Sequence[int], length: int) -> None:
        self.read, self.length, self.tokens, self.ended = tokenizer.reader(), length, 0, ""
        self.before = "".join(self.read(token) for token in prefix)

    def write(self, token: int) -> str:
        """Add a token, and return the text that has become certain."""
        self.tokens += 1
        self.ended = "eos" if token == EOS else "length" if self.tokens == self.length else ""
        text, self.before = self.before + self.read(token), ""
        return text


class Draws:
    """Random numbers of one sequence, from a generator of its own, drawn ahead as `Generation` draws them."""

    def __init__(self, seed: int) -> None:
        self.generator = np.random.default_rng(seed)
        self.ahead: NDArray[np.float32] = np.empty(0, dtype=np.float32)

    def next(self) -> np.float32:
        """Return the next number, in [0, 1)."""
        if not len(self.ahead):
            self.ahead = self.generator.random(AHEAD, dtype=np.float32)
        u, self.ahead = self.ahead[0], self.ahead[1:]
        return np.float32(u)


class Writing(Row):
    """A row that writes.

    Args:
        state, inputs, context: see Row; the inputs are the prompt.
        sampling: how tokens are chosen.
        writer: tokens to text.
        emit: called with each piece of text that has become certain.
        ends: whether a token may be <eos>, from `min_length` tokens on.
        min_length: minimum number of tokens before <eos>.
        prompt: ids that the rules against repetition know from the beginning.
        num_outputs: number V of logits.
        logits: logits of the next token (1, V), of a state that needs no further input; None: those after the inputs.
        reads_last: whether the model reads the last token, too, so that a session can go on.
    """

    def __init__(
        self,
        state: State | Slot,
        inputs: list[int],
        context: list[int] | None,
        *,
        sampling: Sampling,
        writer: TextWriter,
        emit: Callable[[str], None],
        num_outputs: int,
        ends: bool = False,
        min_length: int = 0,
        prompt: Sequence[int] = (),
        logits: Logits | None = None,
        reads_last: bool = False,
    ) -> None:
        super().__init__(state, inputs, context)
        self.reads_last, self.written = reads_last, list[int]()
        self.sampling, self.writer, self.emit = sampling, writer, emit
        self.ends, self.min_length = ends, min_length
        self.draws = Draws(sampling.seed) if sampling.temperature else None
        self.logits = logits  # (1, V), from which the next token is to be chosen
        cpu = torch.device("cpu")
        self.history = History(sampling, [prompt], num_outputs, cpu) if sampling.is_used else None

    def receive(self, logits: Logits) -> None:
        """Keep the logits after the last input."""
        self.logits = logits[-1:] if not self.waiting else None

    @property
    def is_done(self) -> bool:
        """True once the text has ended and the model has read all of it that is to be read."""
        return bool(self.writer.ended) and not (self.reads_last and self.waiting)

    @property
    def may_end(self) -> bool:
        """True if the next token may be <eos>."""
        return self.ends and self.writer.tokens >= self.min_length

    @property
    def rule(self) -> tuple[float, int, float, bool]:
        """All that the choice from logits depends on, without rules against repetition."""
        return self.sampling.temperature, self.sampling.top_k or 0, self.sampling.top_p, self.may_end

    def accept(self, token: int) -> None:
        """Write a token, which the model reads in the next step."""
        self.logits = None
        self.written.append(token)
        if self.history is not None:
            self.history.add(torch.tensor([token]))
        if piece := self.writer.write(token):
            self.emit(piece)
        if not self.writer.ended or self.reads_last:
            self.add(token)


def write(rows: Sequence[Writing]) -> None:
    """Choose and write a token of every row that has logits; rows with the same rule are chosen together."""
    ready = [row for row in rows if row.logits is not None and not row.writer.ended]
    plain = [row for row in ready if row.history is None]
    for row in ready:
        if row.history is not None:
            _choose_alone(row)
    plain.sort(key=lambda row: row.rule)
    for _, group in groupby(plain, key=lambda row: row.rule):
        same = [*group]
        logits = np.concatenate([row.logits for row in same if row.logits is not None])
        drawn = [row.draws.next() for row in same if row.draws is not None]
        u = np.array(drawn, dtype=np.float32)[:, None] if drawn else None
        for row, token in zip(same, choose(logits, same[0].sampling, u, end=same[0].may_end).tolist(), strict=True):
            row.accept(token)


def _choose_alone(row: Writing) -> None:
    """Choose the next token of a row with rules against repetition."""
    assert row.history is not None
    assert row.logits is not None
    logits = row.history.penalized(torch.from_numpy(row.logits)).numpy()
    forbidden = row.history.forbidden(end=row.may_end)
    u = None if row.draws is None else np.array([[row.draws.next()]], dtype=np.float32)
    mask = None if forbidden is None else forbidden.numpy()
    (token,) = choose(logits, row.sampling, u, forbidden=mask, end=row.may_end).tolist()
    row.accept(token)
