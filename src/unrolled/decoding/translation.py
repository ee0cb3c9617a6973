"""Decoding for the task translate: from a source, with which a model begins, to the targets that it finds for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from typing import Any

import torch
from torch import Tensor

from unrolled.data.encoding.batches import Sequences, by_length
from unrolled.data.encoding.tokenizers import Tokenizer
from unrolled.decoding.sampling import Sampling
from unrolled.decoding.search import Beam, Ended, Hypothesis, search, stream_tokens
from unrolled.errors import DataError, printable
from unrolled.models import Model
from unrolled.state import State

__all__ = ["Target", "Translation", "most_tokens", "stream", "translate"]

BATCH_TOKENS = 16_384  # of the sources, padding included, and as often as a beam is wide


@dataclass(frozen=True)
class Target:
    """One target that was found: see `Hypothesis`. tokens: how many it has, a forced prefix included."""

    text: str
    tokens: int
    score: float
    log_probability: float
    ended: Ended

    @property
    def truncated(self) -> str:
        """What a line says of it behind all else."""
        return f"\ttruncated at {self.tokens} tokens" if self.ended == "length" else ""


@dataclass(frozen=True)
class Translation:
    """The answer for one source: its targets, the best first. truncated: what was not read of the source, in a sentence."""

    source: str
    targets: tuple[Target, ...]
    truncated: str = ""

    @property
    def text(self) -> str:
        """The best target."""
        return self.targets[0].text

    def to_dict(self) -> dict[str, Any]:
        """As JSON takes it."""
        return asdict(self)

    def shown(self) -> str:
        """As lines: each target, its score and the source, with tabs between them; what was cut of either is said."""
        source, truncated = printable(self.source), f"\t{self.truncated}" if self.truncated else ""
        return "\n".join(f"{printable(t.text)}\t{t.score:.3f}\t{source}{t.truncated}{truncated}" for t in self.targets)


def translate(
    model: Model,
    tokenizer: Tokenizer,
    texts: Sequence[str],
    sources: Sequences,
    how: Sampling | Beam,
    *,
    prefix: str = "",
    min_length: int = 0,
    max_length: int | None = None,
) -> list[Translation]:
    """Return what a model finds for N sources, in their order; sources of like length share a batch.

    Args:
        model: begins with a source, in eval mode.
        tokenizer: of the targets.
        texts: the sources, to be named in the answers. sources: their ids, at least one each.
        how: greedy, sampling or a beam, see `search`.
        prefix: what every target begins with.
        min_length: fewest tokens of a target, the prefix not counted.
        max_length: most, <eos> counted too; None: twice as many as the source has, and ten. Where the model has a
            limit, no more than fit behind the source are written.

    Raises:
        ConfigError: a length out of range. DataError: a source that leaves no remaining in the model's limit.
    """
    begun = _ids(tokenizer, prefix)
    found: list[list[Hypothesis]] = [[] for _ in texts]
    width = how.size if isinstance(how, Beam) else 1
    for rows in by_length(sources.lengths, BATCH_TOKENS // width):
        ids, lengths = sources.pad(rows)
        longest = most_tokens(model, lengths, begun, max_length)
        state = _encode(model, ids, lengths)
        some = search(model, [begun] * len(rows), how, state=state, min_length=min_length, max_length=longest)
        for row, hypotheses in zip(rows.tolist(), some, strict=True):
            found[row] = hypotheses
    return [
        Translation(text, tuple(_target(tokenizer, begun, one) for one in some))
        for text, some in zip(texts, found, strict=True)
    ]


def stream(
    model: Model,
    tokenizer: Tokenizer,
    source: Sequence[int],
    sampling: Sampling,
    *,
    prefix: str = "",
    min_length: int = 0,
    max_length: int | None = None,
) -> Iterator[str]:
    """Yield the target of one source, its prefix first, piece by piece as it is certain. See `translate`.

    Errors are raised at once.
    """
    begun, lengths = _ids(tokenizer, prefix), torch.tensor([len(source)])
    (longest,) = most_tokens(model, lengths, begun, max_length)
    state = _encode(model, torch.tensor([source]), lengths)
    tokens = stream_tokens(model, begun, sampling, state=state, min_length=min_length, max_length=longest)
    read = tokenizer.reader()
    return (piece for token in chain(begun, tokens) if (piece := read(token)))


def most_tokens(model: Model, lengths: Tensor, prefix: Sequence[int], given: int | None = None) -> list[int]:
    """Return how many tokens may be written behind sources of these lengths (B,) and a prefix, <eos> counted.

    Args:
        given: as many, where they fit; None: twice as many as the source has, and ten.

    Raises:
        DataError: a source that leaves no remaining in the model's limit.
    """
    remaining = model.remaining_length(lengths) - len(prefix)
    if (remaining < 1).any():
        raise DataError(
            f"a source of {int(lengths[remaining < 1].max()):,} tokens leaves no remaining for a target in the model's window",
            fix="give a shorter one, or train with a larger --window",
        )
    wanted = 2 * lengths + 10 if given is None else torch.full_like(lengths, given)
    return torch.minimum(wanted, remaining).tolist()


def _ids(tokenizer: Tokenizer, prefix: str) -> list[int]:
    """A prefix's ids: none of one without a token, such as a space where tokens are words."""
    return [int(i) for ids in tokenizer.encode_blocks([prefix]) for i in ids]


def _target(tokenizer: Tokenizer, prefix: Sequence[int], found: Hypothesis) -> Target:
    tokens = [*prefix, *found.tokens]
    return Target(tokenizer.decode(tokens), len(tokens), found.score, found.log_probability, found.ended)


@torch.inference_mode()
def _encode(model: Model, source: Tensor, lengths: Tensor) -> State:
    """The state in which a search begins, of sources (B, S) of lengths (B,)."""
    device = next(model.parameters()).device
    return model.encode(source.to(device), lengths.to(device))
