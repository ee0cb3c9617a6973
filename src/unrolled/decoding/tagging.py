"""Decoding for the task tag: one forward pass a sentence, and the probability of each label for each word."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from unrolled.data.encoding.batches import by_length
from unrolled.data.encoding.words import NO_WORD, Subwords
from unrolled.decoding.classification import BATCH_TOKENS
from unrolled.errors import printable
from unrolled.models import Model

__all__ = ["TaggedSentence", "TaggedWord", "tag", "word_probabilities"]


@dataclass(frozen=True)
class TaggedWord:
    """A word, its most probable tag, and that tag's probability."""

    word: str
    tag: str
    probability: float


@dataclass(frozen=True)
class TaggedSentence:
    """The answer for one sentence."""

    words: tuple[TaggedWord, ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON takes it."""
        return asdict(self)

    def shown(self) -> str:
        """For a terminal: word, tag and probability, with tabs between them, a line each; then an empty one."""
        lines = (f"{printable(found.word)}\t{printable(found.tag)}\t{found.probability:.3f}\n" for found in self.words)
        return "".join(lines)


@torch.inference_mode()
def word_probabilities(model: Model, subwords: Subwords) -> NDArray[np.float64]:
    """Return the probability of each of the K labels for each of the W words, (W, K), in their order.

    The model should be in eval mode; sentences of like length share a batch.
    """
    device = next(model.parameters()).device
    found = torch.empty(subwords.num_words, model.num_outputs, dtype=torch.float64)
    for rows in by_length(subwords.lengths, BATCH_TOKENS):
        ids, lengths = subwords.pad(rows)
        words = subwords.words(rows)
        ends = words != NO_WORD
        logits, _ = model(ids.to(device), None, lengths.to(device))
        found[words[ends]] = logits[ends.to(device)].cpu().double().softmax(dim=1)
    return found.numpy()


def tag(
    sentences: Sequence[Sequence[str]], labels: Sequence[str], probability: NDArray[np.float64]
) -> list[TaggedSentence]:
    """Return the answers for the sentences, in their order, from the probabilities (W, K) of their W words."""
    best = probability.argmax(axis=1)
    answers: Iterator[tuple[int, float]] = zip(best.tolist(), probability.max(axis=1).tolist(), strict=True)
    tagged = []
    for sentence in sentences:
        found = ((word, *next(answers)) for word in sentence)
        tagged.append(TaggedSentence(tuple(TaggedWord(word, labels[k], p) for word, k, p in found)))
    return tagged
