"""Pairs as ids: a tokenizer for each side, or one for both, and the pairs that a model accepts.

A model reads the source and the target after <bos>; it predicts the target and <eos>:

    source   s_1 … s_m
    ids      <bos> t_1 … t_n
    targets  t_1 … t_n <eos>
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unrolled.config import DataConfig
from unrolled.data.encoding.batches import Sequences
from unrolled.data.encoding.choose import learn
from unrolled.data.encoding.tokenizers import BOS, EOS, UNK, Tokenizer
from unrolled.data.examples.pairs import SIDES, Pair, PairedTexts
from unrolled.data.reading.arrays import allocate, blocks, integer_for
from unrolled.data.reading.rows import SKIP
from unrolled.errors import CheckpointError, DataError
from unrolled.saved import parse
from unrolled.strings import normalized

__all__ = [
    "DistinctSources",
    "Fault",
    "PairBatch",
    "PairSequences",
    "PairTokenizers",
    "bad_rows",
    "distinct_sources",
    "encode",
    "fault",
    "first_fault",
    "leave_out",
]

log = logging.getLogger("unrolled")


class PairTokenizers:
    """Tokenizers of sources and targets; the same object if they share a vocabulary.

    Args:
        source, target: the tokenizers.
    """

    FILE: ClassVar[str] = "tokenizers.json"

    def __init__(self, source: Tokenizer, target: Tokenizer) -> None:
        self.source, self.target = source, target

    def __repr__(self) -> str:
        return f"<PairTokenizers: {self.source!r} of sources, {self.target!r} of targets>"

    @classmethod
    def learn(cls, pairs: PairedTexts, config: DataConfig) -> Self:
        """Learn a vocabulary from each side of the training split, or one from both sides.

        Raises:
            ConfigError: as `learn`.
        """
        if config.shared_vocabulary:
            both = learn(chain(pairs.sources(), pairs.targets()), config, usual="bpe")
            return cls(both, both)
        of_sources = config.model_copy(update={"tokenizer": config.source_tokenizer or config.tokenizer})
        return cls(
            learn(pairs.sources(), of_sources, usual="bpe", side="source"),
            learn(pairs.targets(), config, usual="bpe", side="target"),
        )

    @property
    def shared(self) -> bool:
        """Return True if both sides share a vocabulary."""
        return self.source is self.target

    def to_json(self) -> str:
        """Return both as JSON, each as the `tokenizers` library reads it."""
        sides = {"both": self.source} if self.shared else {"source": self.source, "target": self.target}
        stored = {side: json.loads(tokenizer.to_json()) for side, tokenizer in sides.items()}
        return json.dumps(stored, indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str, name: Path | str = FILE) -> Self:
        """Return the tokenizers of the JSON from `to_json`.

        Args:
            text: the JSON.
            name: name of the file, for the message.

        Raises:
            CheckpointError: the JSON is damaged; the message names the fault.
        """
        stored = parse(name, text.encode("utf-8", "surrogatepass"))
        if not isinstance(stored, dict) or set(stored) not in ({"both"}, set(SIDES)):
            raise CheckpointError(f"{name} is damaged: it has tokenizers neither for both sides nor one for each")
        sides = {
            side: Tokenizer.from_json(json.dumps(tokenizer), f"{name}, {side},") for side, tokenizer in stored.items()
        }
        return cls(sides["both"], sides["both"]) if "both" in sides else cls(sides["source"], sides["target"])


class PairBatch(NamedTuple):
    """A batch of B pairs, padded on the right with <pad>, all int64."""

    source: Tensor  # (B, S)
    source_lengths: Tensor  # (B,)
    ids: Tensor  # (B, T), <bos> and the target
    targets: Tensor  # (B, T), the target and <eos>
    lengths: Tensor  # (B,), of ids and targets

    def to(self, device: torch.device) -> PairBatch:
        """Return the batch on a device."""
        return PairBatch(*(each.to(device) for each in self))


class PairSequences:
    """N pairs as ids, flat in memory.

    Args:
        tokenizers: tokenizers of both sides.
        pairs: the texts.
        max_length: length to which sources and targets are truncated; None: not at all.
    """

    def __init__(self, tokenizers: PairTokenizers, pairs: PairedTexts, max_length: int | None = None) -> None:
        kinds = [integer_for(tokenizer.vocabulary_size) for tokenizer in (tokenizers.source, tokenizers.target)]
        sources = tokenizers.source.encode_each(pairs.sources())
        targets = tokenizers.target.encode_each(pairs.targets())
        self._set(
            Sequences((ids[:max_length] for ids in sources), kinds[0]),
            Sequences(([BOS, *ids[:max_length], EOS] for ids in targets), kinds[1]),
        )

    @classmethod
    def of(cls, arrays: Mapping[str, Mapping[str, NDArray[Any]]]) -> Self:
        """Return the pairs with the arrays that `arrays` has returned."""
        made = cls.__new__(cls)
        made._set(*(Sequences.of(arrays[side]) for side in SIDES))
        return made

    def arrays(self) -> dict[str, dict[str, NDArray[Any]]]:
        """Return the arrays that make up each side, by name."""
        return {side: each.arrays() for side, each in zip(SIDES, (self.sources, self.targets), strict=True)}

    def _set(self, sources: Sequences, targets: Sequences) -> None:
        self.sources, self.targets = sources, targets
        lengths = allocate((len(sources), 2), np.int32)
        for some in blocks(len(sources)):
            lengths[some, 0], lengths[some, 1] = sources.lengths[some], targets.lengths[some] - 1
        self.lengths = torch.from_numpy(lengths)  # (N, 2), of S and T

    def __len__(self) -> int:
        return len(self.lengths)

    def pad(self, indices: Tensor) -> PairBatch:
        """Return the pairs at `indices` (B,) as a batch."""
        framed, lengths = self.targets.pad(indices)
        return PairBatch(*self.sources.pad(indices), framed[:, :-1], framed[:, 1:], lengths - 1)

    @property
    def tokens(self) -> Tensor:
        """Number of tokens of each source and target, (N, 2), without <bos> and <eos>."""
        return self.lengths - torch.tensor([0, 1])

    def longer(self, max_length: int) -> Tensor:
        """Return a mask of the sources and targets with more than `max_length` tokens, (N, 2) bool."""
        return self.lengths > torch.tensor([max_length, max_length + 1])

    def unknown(self) -> Tensor:
        """Return a mask of the sources with unknown tokens only, (N,) bool."""
        ids, ends = self.sources.ids, self.sources.starts.numpy() + self.sources.lengths.numpy()
        unknown = np.ones(len(ends), bool)
        for some in blocks(len(ids) - 1):
            known = some.start + np.flatnonzero(ids[some] != UNK)
            unknown[np.searchsorted(ends, known[known < len(ids) - 1], side="right")] = False
        return torch.from_numpy(unknown)


class Fault(NamedTuple):
    """Reason why a model refuses a side of a pair."""

    side: str
    reason: str  # key under which it is counted
    problem: str
    fix: str


def fault(side: str, ids: Sequence[int], max_length: int) -> Fault | None:
    """Return the reason why a model refuses a source or target, or None.

    Args:
        side: "source" or "target".
        ids: its ids.
        max_length: maximum number of ids.
    """
    if len(ids) > max_length:
        return Fault(
            side,
            f"{side} too long",
            f"the {side} has {len(ids):,} tokens, more than the maximum of {max_length:,}",
            "truncate it with --truncate, or train with a larger --max-length (and --window, if the model has one)",
        )
    if side == "source" and all(i == UNK for i in ids):
        return Fault(
            side,
            "unknown source",
            "all tokens of the source are unknown to the vocabulary",
            "correct it, or train with --source-tokenizer bpe or byte, which have no unknown characters",
        )
    return None


def encode(pairs: PairedTexts, tokenizers: PairTokenizers, config: DataConfig) -> tuple[PairedTexts, PairSequences]:
    """Encode pairs as ids, and leave out those that a model refuses.

    Args:
        pairs: the texts.
        tokenizers: tokenizers of both sides.
        config: maximum length, whether longer texts are truncated, and whether a bad pair is an error.

    Returns:
        the pairs that are left, with counts of the others; and their ids.

    Raises:
        DataError: a side is longer than the maximum, or a source has unknown tokens only, unless bad rows are skipped;
            or no pair is left.
    """
    most = config.max_length
    encoded = PairSequences(tokenizers, pairs)
    if config.truncate and any(long := encoded.longer(most).sum(dim=0).tolist()):
        sides = " and ".join(f"{n:,} {side}{'s'[: n != 1]}" for side, n in zip(SIDES, long, strict=True))
        log.info("%s: truncated to %s tokens: %s", pairs.source, f"{most:,}", sides)
        encoded = PairSequences(tokenizers, pairs, most)
    if not (rows := bad_rows(encoded, most)):
        return pairs, encoded
    left = leave_out(pairs, {row: _fault(pairs.items[row], tokenizers, config) for row in rows}, config)
    return left, PairSequences(tokenizers, left, most if config.truncate else None)


def bad_rows(encoded: PairSequences, max_length: int) -> list[int]:
    """Return the indices of the pairs with a side that a model cannot read, ascending."""
    rows: list[int] = (encoded.longer(max_length).any(dim=1) | encoded.unknown()).nonzero().flatten().tolist()
    return rows


def first_fault(
    pairs: PairedTexts, tokenizers: PairTokenizers, rows: Sequence[int], config: DataConfig
) -> DataError | None:
    """Return the error with which a training refuses pairs, None if it does not.

    Args:
        pairs: the texts.
        tokenizers: tokenizers of both sides.
        rows: rows of the bad pairs.
        config: whether bad rows are skipped.
    """
    if not rows or config.on_bad_row == "skip":
        return None
    found = _fault(pairs.items[rows[0]], tokenizers, config)
    return pairs.error(rows[0], found.side, found.problem, f"{found.fix}, {SKIP}")


def leave_out(pairs: PairedTexts, bad: Mapping[int, Fault], config: DataConfig) -> PairedTexts:
    """Return the pairs without the bad ones, which are counted.

    Args:
        pairs: all pairs.
        bad: the fault of each bad pair, by index.
        config: whether a bad pair is an error.

    Raises:
        DataError: a pair is bad, unless bad rows are skipped; or no pair is left.
    """
    if not bad:
        return pairs
    row, first = next(iter(bad.items()))
    if config.on_bad_row == "stop":
        raise pairs.error(row, first.side, first.problem, f"{first.fix}, {SKIP}")
    left = pairs.without({row: fault.reason for row, fault in bad.items()})
    if not left:
        raise DataError(f"none of its pairs can be used: {left.counts}", file=pairs.source, fix=first.fix)
    return left


def _fault(pair: Pair, tokenizers: PairTokenizers, config: DataConfig) -> Fault:
    """Return the first fault of a bad pair."""
    for side, tokenizer in zip(SIDES, (tokenizers.source, tokenizers.target), strict=True):
        (ids,) = tokenizer.encode([getattr(pair, side)])
        if found := fault(side, ids[: config.max_length] if config.truncate else ids, config.max_length):
            return found
    raise AssertionError("the pair is not bad")


class DistinctSources(NamedTuple):
    """The M different sources of N pairs, in order of first occurrence."""

    sources: list[str]
    references: list[list[str]]  # the targets of each source, normalised
    sequences: Sequences  # the sources as ids
    indices: NDArray[np.int64]  # (N,), the source of each pair


def distinct_sources(pairs: PairedTexts, sequences: PairSequences, form: str) -> DistinctSources:
    """Return the different sources of pairs.

    Args:
        pairs: N pairs.
        sequences: the pairs as ids.
        form: the Unicode normal form of the references.
    """
    references = pairs.references()
    index = {source: number for number, source in enumerate(references)}
    indices = np.array([index[source] for source in pairs.sources()], dtype=np.int64)
    return DistinctSources(
        list(references),
        [[normalized(text, form) for text in texts] for texts in references.values()],
        sequences.sources.select(np.unique(indices, return_index=True)[1]),
        indices,
    )
