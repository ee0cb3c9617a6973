"""Decoding for the task tag: the probability of each label for each word, in one forward pass a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from unrolled.data.encoding.batches import by_length
from unrolled.data.encoding.words import NO_WORD, Subwords
from unrolled.data.reading.arrays import allocate
from unrolled.decoding.classification import BATCH_TOKENS, class_probabilities, most_probable
from unrolled.decoding.finite import refuse_infinite
from unrolled.display import Answers, Displayed
from unrolled.models import Model
from unrolled.strings import one_line

__all__ = ["TaggedSentence", "TaggedWord", "tag", "word_probabilities"]


@dataclass(frozen=True)
class TaggedWord:
    """A word, its most probable tag, that tag's probability, and those of the others; see `Classification`."""

    word: str
    tag: str
    probability: float
    probabilities: dict[str, float]


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

    def shown(self, top: int = 1) -> str:
        """Return a line for each word, and an empty line: word, tag and probability, separated by tabs.

        Args:
            top: number of pairs of tag and probability in a line, the most probable first.
        """
        lines = []
        for word in self.words:
            pairs = (f"\t{one_line(tag)}\t{value:.3f}" for tag, value in most_probable(word.probabilities, top))
            lines.append(f"{one_line(word.word)}{''.join(pairs)}\n")
        return "".join(lines)


@torch.inference_mode()
def word_probabilities(model: Model, subwords: Subwords) -> NDArray[np.float64]:
    """Return the probability of each of the K tags for each of the W words, (W, K), in the order of the words.

    Sentences of similar length share a batch.

    Args:
        model: a model that answers at each step, in eval mode.
        subwords: subwords of the sentences, with the last subword of each word.
    """
    device = next(model.parameters()).device
    probability = torch.from_numpy(allocate((subwords.num_words, model.num_outputs), np.float64))
    for indices in by_length(subwords.lengths, BATCH_TOKENS):
        ids, lengths = subwords.pad(indices)
        words = subwords.words(indices)
        ends = words != NO_WORD
        logits, _ = model(ids.to(device), None, lengths.to(device))
        probability[words[ends]] = logits[ends.to(device)].cpu().double().softmax(dim=1)
    return probability.numpy()


def tag(
    sentences: Sequence[Sequence[str]],
    labels: Sequence[str],
    probability: NDArray[np.float64],
    top: int | None = None,
) -> Answers[TaggedSentence]:
    """Return the answers for the sentences, in their order, from the probabilities (W, K) of their W words.

    Args:
        top: see `class_probabilities`.

    Raises:
        CheckpointError: a probability is not finite.
    """
    refuse_infinite(probability)
    answers = zip(probability.argmax(axis=1).tolist(), probability.tolist(), strict=True)

    def tagged(word: str) -> TaggedWord:
        best, values = next(answers)
        return TaggedWord(word, labels[best], values[best], class_probabilities(labels, values, top))

    return Answers(TaggedSentence(tuple(tagged(word) for word in sentence)) for sentence in sentences)
