"""Decoding for the task translate: from a source to the targets that a model finds for it.

With an encoder, the model reads the source and begins; without one (row gpt) source, <sep> and target are one sequence.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from unrolled.data.batches import Sequences, by_length
from unrolled.data.tokenizers import SEP, Tokenizer
from unrolled.decoding.sampling import Sampling
from unrolled.decoding.search import Beam, Ended, Hypothesis, search, stream_tokens
from unrolled.errors import printable
from unrolled.models import Ids, Model
from unrolled.state import State

__all__ = ["Target", "Translation", "stream", "translate", "translations"]

BATCH_TOKENS = 16_384  # of the sources, padding included, and as often as a beam is wide


@dataclass(frozen=True)
class Target:
    """One target that was found: see `Hypothesis`. tokens: how many it has, a forced prefix included."""

    text: str
    tokens: int
    score: float
    log_probability: float
    ended: Ended


@dataclass(frozen=True)
class Translation:
    """The answer for one source: its targets, the best first."""

    source: str
    targets: tuple[Target, ...]

    @property
    def text(self) -> str:
        """The best target."""
        return self.targets[0].text

    def to_dict(self) -> dict[str, Any]:
        """As JSON takes it."""
        return asdict(self)

    def shown(self) -> str:
        """As lines: a target, its score and its source, with tabs between them; what was cut says so."""
        source = printable(self.source)
        return "\n".join(
            "\t".join(
                [
                    printable(target.text),
                    f"{target.score:.3f}",
                    source,
                    *([f"cut at {target.tokens} tokens"] if target.ended == "length" else []),
                ]
            )
            for target in self.targets
        )


def translate(
    model: Model,
    sources: Sequences,
    how: Sampling | Beam,
    *,
    prefix: Sequence[int] = (),
    min_length: int = 0,
    max_length: int | None = None,
) -> list[list[Hypothesis]]:
    """Search for the targets of N sources; sources of like length share a batch. Return them in the sources' order.

    Args:
        model: of a kind that answers at each step, in eval mode.
        sources: their ids, at least one each.
        how: greedy, sampling or a beam, see `search`.
        prefix: ids that every target begins with; the hypotheses do not repeat them.
        min_length: fewest tokens of a target, the prefix not counted.
        max_length: most tokens, <eos> included; None: twice as many as the source has, and ten.

    Raises:
        ConfigError: a length out of range.
    """
    found: list[list[Hypothesis]] = [[] for _ in range(len(sources))]
    width = how.size if isinstance(how, Beam) else 1
    for rows in by_length(sources.lengths, BATCH_TOKENS // width):
        ids, lengths = sources.pad(rows)
        prompts, state = _begin(model, ids, lengths, prefix)
        longest = [max_length or longest_of(S) for S in lengths.tolist()]
        some = search(model, prompts, how, state=state, min_length=min_length, max_length=longest)
        for row, hypotheses in zip(rows.tolist(), some, strict=True):
            found[row] = hypotheses
    return found


def translations(
    texts: Sequence[str], found: Sequence[Sequence[Hypothesis]], tokenizer: Tokenizer, prefix: Sequence[int] = ()
) -> list[Translation]:
    """Return the answers for N sources, in their order, from the hypotheses that `translate` found.

    tokenizer: of the targets. prefix: the same that was forced.
    """
    return [
        Translation(
            text,
            tuple(
                Target(
                    tokenizer.decode([*prefix, *one.tokens]),
                    len(prefix) + len(one.tokens),
                    one.score,
                    one.log_probability,
                    one.ended,
                )
                for one in some
            ),
        )
        for text, some in zip(texts, found, strict=True)
    ]


def stream(
    model: Model,
    tokenizer: Tokenizer,
    source: Sequence[int],
    sampling: Sampling,
    *,
    prefix: Sequence[int] = (),
    min_length: int = 0,
    max_length: int | None = None,
) -> Iterator[str]:
    """Yield the text of one source's target, the prefix first, piece by piece as it is certain. See `translate`."""
    prompts, state = _begin(model, torch.tensor([source]), torch.tensor([len(source)]), prefix)
    longest = max_length or longest_of(len(source))
    read = tokenizer.reader()
    options: dict[str, Any] = {"state": state, "min_length": min_length, "max_length": longest}
    if begun := "".join(map(read, prefix)):
        yield begun
    for token in stream_tokens(model, prompts[0], sampling, **options):
        if piece := read(token):
            yield piece


def longest_of(source_length: int) -> int:
    """Return how many tokens, <eos> included, a target may have where nothing else is said."""
    return 2 * source_length + 10


@torch.inference_mode()
def _begin(model: Model, source: Tensor, lengths: Tensor, prefix: Sequence[int]) -> tuple[list[list[int]], State]:
    """The prompts and the state in which a search begins, of sources (B, S) of lengths (B,)."""
    if isinstance(model.inputs, Ids):
        rows = zip(source.tolist(), lengths.tolist(), strict=True)
        return [[*ids[:length], SEP, *prefix] for ids, length in rows], None
    device = next(model.parameters()).device
    return [list(prefix)] * len(source), model.begin(source.to(device), lengths.to(device))
