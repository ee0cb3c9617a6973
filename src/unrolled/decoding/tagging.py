"""Decoding for the task tag: the probability of each label for each word, in one forward pass a sentence."""

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
from unrolled.decoding.finite import refuse_infinite
from unrolled.display import Answers, Displayed
from unrolled.models import Model
from unrolled.strings import one_line

__all__ = ["TaggedSentence", "TaggedWord", "tag", "word_probabilities"]


@dataclass(frozen=True)
class TaggedWord:
    """A word, its most probable tag, and that tag's probability."""

    word: str
    tag: str
    probability: float


@dataclass(frozen=True, repr=False)
class TaggedSentence(Displayed):
    """The answer for one sentence."""

    words: tuple[TaggedWord, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary of JSON values."""
        return asdict(self)

    def _display(self) -> dict[str, object]:
        return {
            "sentence": " ".join(word.word for word in self.words),
            "tags": " ".join(word.tag for word in self.words),
        }

    def shown(self) -> str:
        """Return a line for each word (word, tag and probability, separated by tabs), and an empty line."""
        lines = (f"{one_line(word.word)}\t{one_line(word.tag)}\t{word.probability:.3f}\n" for word in self.words)
        return "".join(lines)


@torch.inference_mode()
def word_probabilities(model: Model, subwords: Subwords) -> NDArray[np.float64]:
    """Return the probability of each of the K labels for each of the W words, (W, K), in their order.

    Sentences of similar length share a batch.

    Args:
        model: answers at each step, in eval mode. subwords: of the sentences, with the last subword of each word.
    """
    device = next(model.parameters()).device
    probability = torch.empty(subwords.num_words, model.num_outputs, dtype=torch.float64)
    for indices in by_length(subwords.lengths, BATCH_TOKENS):
        ids, lengths = subwords.pad(indices)
        words = subwords.words(indices)
        ends = words != NO_WORD
        logits, _ = model(ids.to(device), None, lengths.to(device))
        probability[words[ends]] = logits[ends.to(device)].cpu().double().softmax(dim=1)
    return probability.numpy()


def tag(
    sentences: Sequence[Sequence[str]], labels: Sequence[str], probability: NDArray[np.float64]
) -> Answers[TaggedSentence]:
    """Return the answers for the sentences, in their order, from the probabilities (W, K) of their W words.

    Raises:
        CheckpointError: a probability is not finite.
    """
    refuse_infinite(probability)
    best = probability.argmax(axis=1)
    answers: Iterator[tuple[int, float]] = zip(best.tolist(), probability.max(axis=1).tolist(), strict=True)
    tagged: Answers[TaggedSentence] = Answers()
    for sentence in sentences:
        words = ((word, *next(answers)) for word in sentence)
        tagged.append(TaggedSentence(tuple(TaggedWord(word, labels[k], p) for word, k, p in words)))
    return tagged
