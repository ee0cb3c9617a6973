"""Pairs as ids: a tokeniser for each side, or one for both, and the pairs that a model can take.

A model reads the source, and the target from <bos> on; it is asked for the target to <eos>:

    source   s_1 … s_m
    ids      <bos> t_1 … t_n
    targets  t_1 … t_n <eos>
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import ClassVar, NamedTuple, Self

import torch
from torch import Tensor

from unrolled.config import DataConfig
from unrolled.data.encoding.batches import Sequences
from unrolled.data.encoding.tokenizers import BOS, EOS, UNK, Tokenizer
from unrolled.data.examples.pairs import SIDES, Pair, PairedTexts
from unrolled.data.reading.rows import SKIP
from unrolled.errors import CheckpointError, DataError

__all__ = ["Fault", "PairBatch", "PairSequences", "PairTokenizers", "encode", "fault", "leave_out"]

log = logging.getLogger("unrolled")


class PairTokenizers:
    """What cuts sources and what cuts targets: the same object where they share a vocabulary.

    Args:
        source, target: the tokenisers.
    """

    FILE: ClassVar[str] = "tokenizers.json"

    def __init__(self, source: Tokenizer, target: Tokenizer) -> None:
        self.source, self.target = source, target

    @classmethod
    def learn(cls, part: PairedTexts, config: DataConfig) -> Self:
        """Learn one vocabulary from each side of the training split, or one from both.

        Raises:
            ConfigError: as `Tokenizer.train`.
        """
        if config.shared_vocabulary:
            both = Tokenizer.learn(chain(part.sources(), part.targets()), config)
            return cls(both, both)
        of_sources = config.model_copy(update={"tokenizer": config.source_tokenizer or config.tokenizer})
        return cls(Tokenizer.learn(part.sources(), of_sources), Tokenizer.learn(part.targets(), config))

    @property
    def shared(self) -> bool:
        """Whether both sides have one vocabulary."""
        return self.source is self.target

    def to_json(self) -> str:
        """Return both as JSON, each as the `tokenizers` library reads it."""
        sides = {"both": self.source} if self.shared else {"source": self.source, "target": self.target}
        found = {side: json.loads(tokenizer.to_json()) for side, tokenizer in sides.items()}
        return json.dumps(found, indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return what `to_json` wrote.

        Raises:
            CheckpointError: it is damaged; the message says where.
        """
        try:
            stored = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise CheckpointError(f"the tokenizers are not JSON: {error}") from None
        if not isinstance(stored, dict) or set(stored) not in ({"both"}, set(SIDES)):
            raise CheckpointError("the tokenizers are damaged: they are neither for both sides nor one for each")
        made = {side: Tokenizer.from_json(json.dumps(tokenizer)) for side, tokenizer in stored.items()}
        return cls(made["both"], made["both"]) if "both" in made else cls(made["source"], made["target"])


class PairBatch(NamedTuple):
    """B pairs, padded on the right with <pad>, all int64."""

    source: Tensor  # (B, S)
    source_lengths: Tensor  # (B,)
    ids: Tensor  # (B, T), from <bos> on
    targets: Tensor  # (B, T), to <eos>
    lengths: Tensor  # (B,), of ids and targets

    def to(self, device: torch.device) -> PairBatch:
        """Return the batch on a device."""
        return PairBatch(*(each.to(device) for each in self))


class PairSequences:
    """N pairs as ids, flat in memory.

    Args:
        tokenizers: cut them. part: the pairs. most: where sources and targets are cut off; None: nowhere.
    """

    def __init__(self, tokenizers: PairTokenizers, part: PairedTexts, most: int | None = None) -> None:
        self.sources = Sequences(ids[:most] for ids in tokenizers.source.encode_each(part.sources()))
        targets = tokenizers.target.encode_each(part.targets())
        self.targets = Sequences([BOS, *ids[:most], EOS] for ids in targets)
        self.lengths = torch.stack([self.sources.lengths, self.targets.lengths - 1], dim=1)  # (N, 2), of S and T

    def __len__(self) -> int:
        return len(self.lengths)

    def pad(self, rows: Tensor) -> PairBatch:
        """Return the pairs (B,) as a batch."""
        framed, lengths = self.targets.pad(rows)
        return PairBatch(*self.sources.pad(rows), framed[:, :-1], framed[:, 1:], lengths - 1)

    @property
    def tokens(self) -> Tensor:
        """How many tokens each source and target has, (N, 2), without <bos> and <eos>."""
        return self.lengths - torch.tensor([0, 1])

    def longer(self, most: int) -> Tensor:
        """Return which sources and targets have more than `most` tokens, (N, 2) bool."""
        return self.tokens > most

    def unknown(self) -> Tensor:
        """Return which sources have unknown tokens only, (N,) bool."""
        known = torch.cat([torch.zeros(1, dtype=torch.long), (self.sources.ids[:-1] != UNK).cumsum(0)])
        return known[self.sources.starts + self.sources.lengths] == known[self.sources.starts]


class Fault(NamedTuple):
    """Why a model cannot take a side of a pair."""

    side: str
    reason: str  # for counting
    problem: str
    fix: str


def fault(side: str, ids: Sequence[int], most: int) -> Fault | None:
    """Say why a model cannot take the ids of a source or target, if so.

    Args:
        side: "source" or "target". ids: of it. most: as many there may be.
    """
    if len(ids) > most:
        return Fault(
            side,
            f"{side} too long",
            f"the {side} has {len(ids):,} tokens, more than the limit of {most:,}",
            "cut it with --truncate, or train with a larger --max-length (and --window, where there is one)",
        )
    if side == "source" and all(i == UNK for i in ids):
        return Fault(
            side,
            "unknown source",
            "the source has nothing but tokens that the training split does not know",
            "correct it, or train with --source-tokenizer bpe or byte, which know every character",
        )
    return None


def encode(part: PairedTexts, tokenizers: PairTokenizers, config: DataConfig) -> tuple[PairedTexts, PairSequences]:
    """Turn pairs into ids, and leave out those that a model cannot take.

    Args:
        part: the pairs. tokenizers: cut them. config: the limit, whether longer ones are cut, whether bad ones stop.

    Returns:
        the pairs that are left, with counts of the others; and their ids.

    Raises:
        DataError: a side is longer than the limit, or a source has unknown tokens only, unless such pairs are skipped;
            or none is left.
    """
    most = config.max_length
    found = PairSequences(tokenizers, part)
    if config.truncate and any(long := found.longer(most).sum(dim=0).tolist()):
        sides = " and ".join(f"{n:,} {side}{'s'[: n != 1]}" for side, n in zip(SIDES, long, strict=True))
        log.info("%s: cut at %s tokens, being longer: %s", part.source, f"{most:,}", sides)
        found = PairSequences(tokenizers, part, most)
    rows = (found.longer(most).any(dim=1) | found.unknown()).nonzero().flatten().tolist()
    if not rows:
        return part, found
    left = leave_out(part, {row: _fault(part.items[row], tokenizers, config) for row in rows}, config)
    return left, PairSequences(tokenizers, left, most if config.truncate else None)


def leave_out(part: PairedTexts, bad: Mapping[int, Fault], config: DataConfig) -> PairedTexts:
    """Return the pairs that are left, with counts of the others.

    Args:
        part: the pairs. bad: those that a model cannot take, and why. config: whether they stop.

    Raises:
        DataError: there are bad ones, unless such pairs are skipped; or none is left.
    """
    if not bad:
        return part
    row, first = next(iter(bad.items()))
    if config.on_bad_row == "stop":
        raise part.error(row, first.side, first.problem, f"{first.fix}, {SKIP}")
    left = part.without({row: fault.reason for row, fault in bad.items()})
    if not left:
        raise DataError(f"none of its pairs can be used: {left.counts}", file=part.source, fix=first.fix)
    return left


def _fault(pair: Pair, tokenizers: PairTokenizers, config: DataConfig) -> Fault:
    """What is wrong with a pair that is bad."""
    for side, tokenizer in zip(SIDES, (tokenizers.source, tokenizers.target), strict=True):
        (ids,) = tokenizer.encode([getattr(pair, side)])
        if found := fault(side, ids[: config.max_length] if config.truncate else ids, config.max_length):
            return found
    raise AssertionError("the pair is not bad")
