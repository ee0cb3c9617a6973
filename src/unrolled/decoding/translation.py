"""Decoding for the task translate: targets found for encoded sources."""

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
from unrolled.display import Displayed
from unrolled.errors import DataError
from unrolled.models import Model
from unrolled.scan import Precision, frozen
from unrolled.state import State
from unrolled.strings import one_line

__all__ = ["Target", "Translation", "encode_sources", "max_lengths", "stream", "translate"]

BATCH_TOKENS = 16_384  # of the sources, padding included, times the size of the beam


@dataclass(frozen=True, repr=False)
class Target(Displayed):
    """A target found for a source, with the fields of `Hypothesis`.

    Args:
        tokens: number of tokens, a forced prefix included.
    """

    text: str
    tokens: int
    score: float
    log_probability: float
    ended: Ended

    @property
    def truncated(self) -> str:
        """A note for the end of its line: that it was truncated; "" where it was not."""
        return f"\ttruncated at {self.tokens} tokens" if self.ended == "length" else ""


@dataclass(frozen=True, repr=False)
class Translation(Displayed):
    """The answer for one source: its targets, best first.

    Args:
        truncated: a note on the tokens left out, if the source was truncated, else "".
    """

    source: str
    targets: tuple[Target, ...]
    truncated: str = ""

    @property
    def text(self) -> str:
        """The best target."""
        return self.targets[0].text

    def to_dict(self) -> dict[str, Any]:
        """Return the answer as JSON values: source, targets with scores, and a note if the source was truncated."""
        return asdict(self)

    def _display(self) -> dict[str, object]:
        best = self.targets[0]
        return {"source": self.source, "text": best.text, "score": best.score, "ended": best.ended} | (
            {"targets": self.targets} if len(self.targets) > 1 else {}
        )

    def shown(self) -> str:
        """Return a line for each target: text, score, source and notes on truncation, separated by tabs."""
        source, truncated = one_line(self.source), f"\t{self.truncated}" if self.truncated else ""
        return "\n".join(f"{one_line(t.text)}\t{t.score:.3f}\t{source}{t.truncated}{truncated}" for t in self.targets)


def translate(
    model: Model,
    tokenizer: Tokenizer,
    texts: Sequence[str],
    sources: Sequences,
    strategy: Sampling | Beam,
    *,
    prefix: str = "",
    min_length: int = 0,
    max_length: int | None = None,
) -> list[Translation]:
    """Return the translations of N sources, in order; sources of similar length share a batch.

    Args:
        model: a model with an encoder, in eval mode.
        tokenizer: tokenizer of the targets.
        texts: the sources, as the answers name them.
        sources: their ids, at least one each.
        strategy: greedy, sampling or a beam, see `search`.
        prefix: text that every target begins with.
        min_length: minimum number of tokens of a target, without the prefix.
        max_length: maximum number of tokens, <eos> included; None: twice that of the source, plus ten. A model with a
            maximum length writes no more than its remaining length after the source.

    Raises:
        ConfigError: a length out of range.
        DataError: a source that leaves no remaining length for a target.
    """
    prompt = _ids(tokenizer, prefix)
    answers: list[list[Hypothesis]] = [[] for _ in texts]
    size = strategy.size if isinstance(strategy, Beam) else 1
    for indices in by_length(sources.lengths, BATCH_TOKENS // size):
        ids, lengths = sources.pad(indices)
        longest = max_lengths(model, lengths, prompt, max_length)
        with frozen(model):  # the search uses what the encoder has packed
            state = encode_sources(model, ids, lengths)
            prompts = [prompt] * len(indices)
            batch = search(model, prompts, strategy, state=state, min_length=min_length, max_length=longest)
        for index, hypotheses in zip(indices.tolist(), batch, strict=True):
            answers[index] = hypotheses
    return [
        Translation(text, tuple(_target(tokenizer, prompt, each) for each in hypotheses))
        for text, hypotheses in zip(texts, answers, strict=True)
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
    precision: Precision | None = None,
) -> Iterator[str]:
    """Yield the target of one source in pieces, its prefix first, each as soon as it is certain.

    See `translate`, and `scan.frozen` for the precision.

    Errors are raised at once.
    """
    prompt, lengths = _ids(tokenizer, prefix), torch.tensor([len(source)])
    (longest,) = max_lengths(model, lengths, prompt, max_length)
    with frozen(model, precision):
        state = encode_sources(model, torch.tensor([source]), lengths)
    limits = {"min_length": min_length, "max_length": longest}
    tokens = stream_tokens(model, prompt, sampling, state=state, **limits, precision=precision)
    read = tokenizer.reader()
    return (piece for token in chain(prompt, tokens) if (piece := read(token)))


def max_lengths(model: Model, lengths: Tensor, prefix: Sequence[int], requested: int | None = None) -> list[int]:
    """Return the maximum lengths of targets after sources of these lengths (B,) and a prefix, <eos> included.

    Args:
        requested: the maximum length, where the remaining length allows it; None: twice that of the source, plus ten.

    Raises:
        DataError: a source that leaves no remaining length for a target.
    """
    remaining = model.remaining_length(lengths) - len(prefix)
    if (remaining < 1).any():
        raise DataError(
            f"a source of {int(lengths[remaining < 1].max()):,} tokens leaves no remaining length for a target in the "
            "model's context window",
            fix="give a shorter one, or train with a larger --window",
        )
    wanted = 2 * lengths + 10 if requested is None else torch.full_like(lengths, requested)
    return torch.minimum(wanted, remaining).tolist()


def _ids(tokenizer: Tokenizer, prefix: str) -> list[int]:
    """Return the ids of a prefix; none where it has no token, such as a space where tokens are words."""
    return [int(i) for ids in tokenizer.encode_blocks([prefix]) for i in ids]


def _target(tokenizer: Tokenizer, prefix: Sequence[int], hypothesis: Hypothesis) -> Target:
    tokens = [*prefix, *hypothesis.tokens]
    return Target(tokenizer.decode(tokens), len(tokens), hypothesis.score, hypothesis.log_probability, hypothesis.ended)


@torch.inference_mode()
def encode_sources(model: Model, source: Tensor, lengths: Tensor) -> State:
    """Return the state after sources (B, S) of lengths (B,), in which a search begins."""
    device = next(model.parameters()).device
    return model.encode(source.to(device), lengths.to(device))
