"""The vocabulary of a tokeniser, learned from the training texts: equal texts give equal vocabularies."""

from __future__ import annotations

import json
import logging
import sys
from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple, get_args

import numpy as np
import tokenizers as library
from tokenizers import trainers

from unrolled.data.encoding.blocks import codes_of
from unrolled.data.encoding.pipeline import BYTES, Kind, Normalize, byte_pairs, pipeline
from unrolled.data.encoding.scanner import counted
from unrolled.data.special import SPECIAL
from unrolled.errors import ConfigError
from unrolled.strings import normalized

__all__ = ["Vocabulary", "learned"]

logger = logging.getLogger(__name__)

MOST_BYTES = 50_000_000  # of text that a vocabulary is learned from; more text hardly changes it


class Vocabulary(NamedTuple):
    """The tokens of a tokeniser.

    Args:
        tokens: the tokens, by id.
        merges: merges of bpe, in order.
        lowercase: whether upper case is folded.
    """

    tokens: tuple[str, ...]
    merges: tuple[tuple[str, str], ...] = ()
    lowercase: bool = False


def learned(
    texts: Iterable[str],
    *,
    kind: Kind,
    vocabulary_size: int,
    min_frequency: int,
    lowercase: bool,
    whole_words: int,
    normalize: Normalize,
) -> Vocabulary:
    """Return the vocabulary of texts; see `Tokenizer.train` for the arguments and errors."""
    if normalize != "none":
        texts = (normalized(text, normalize) for text in texts)
    if whole_words:
        counts = Counter(texts := list(texts))
        frequent = sorted((text for text in counts if counts[text] >= min_frequency), key=lambda text: -counts[text])
        subwords = _learned(texts, kind, vocabulary_size, min_frequency, lowercase, normalize)
        return subwords._replace(tokens=(*subwords.tokens, *frequent[:whole_words]))
    return _learned(texts, kind, vocabulary_size, min_frequency, lowercase, normalize)


def _learned(
    texts: Iterable[str],
    kind: Kind,
    vocabulary_size: int,
    min_frequency: int,
    lowercase: bool,
    normalize: Normalize,
) -> Vocabulary:
    """Return the vocabulary without whole words."""
    if kind not in get_args(Kind):
        raise ConfigError(f'tokenizer "{kind}" is unknown; tokenizers are {", ".join(get_args(Kind))}')
    smallest = len(SPECIAL) + (len(BYTES) if kind == "bpe" else 1)
    if vocabulary_size < smallest:
        raise ConfigError(f"vocabulary_size must be at least {smallest} for tokenizer {kind}: got {vocabulary_size}")
    if kind == "byte":
        return Vocabulary((*SPECIAL, *BYTES))
    if kind == "character":
        characters = _characters(texts, vocabulary_size - len(SPECIAL), min_frequency)
        return Vocabulary((*SPECIAL, *characters))
    lowercase = lowercase and kind == "word"
    # The trainers make special tokens "added tokens"; their vocabulary moves into a tokenizer without added tokens.
    learner = pipeline(kind, SPECIAL, lowercase=lowercase, normalize=normalize)
    options: dict[str, Any] = {
        "vocab_size": vocabulary_size,
        "min_frequency": min_frequency,
        "special_tokens": list(SPECIAL),
        "show_progress": False,
    }
    if kind == "bpe":
        learner.train_from_iterator(_first(texts), trainers.BpeTrainer(initial_alphabet=BYTES, **options))
        merges = tuple((left, right) for left, right in json.loads(learner.to_str())["model"]["merges"])
        return Vocabulary(tuple(byte_pairs(merges)), merges)
    numbers = counted(_first(texts), lowercase=lowercase, words_of=lambda text: _words(learner, text))
    if numbers is not None:
        order = sorted((-number, word) for word, number in numbers.items() if number >= min_frequency)
        words = [*SPECIAL, *(word for _, word in order)][:vocabulary_size]
        return Vocabulary(tuple(words), lowercase=lowercase)
    learner.train_from_iterator(_first(texts), trainers.WordLevelTrainer(**options))
    vocabulary = learner.get_vocab()
    words = sorted(vocabulary, key=lambda token: vocabulary[token])
    return Vocabulary(tuple(words), lowercase=lowercase)


def _words(inner: library.Tokenizer, text: str) -> list[str]:
    """Return the words of a text, as the library splits it."""
    return [word for word, _ in inner.pre_tokenizer.pre_tokenize_str(inner.normalizer.normalize_str(text))]


def _characters(texts: Iterable[str], most: int, min_frequency: int) -> list[str]:
    """Return the most frequent characters; of equally frequent ones the smaller code point first."""
    counts = np.zeros(sys.maxunicode + 1, dtype=np.int64)
    for text in texts:
        occurrences = np.bincount(codes_of(text, "character"))
        counts[: len(occurrences)] += occurrences
    order = np.argsort(-counts, kind="stable")[: max(0, most)]
    return [chr(number) for number in order[counts[order] >= max(1, min_frequency)]]


def _first(texts: Iterable[str]) -> Iterable[str]:
    """Yield the first texts that together have no more than 50 MB."""
    total = 0
    for number, text in enumerate(texts):
        total += len(text.encode())
        if total > MOST_BYTES and number:
            logger.warning("the vocabulary was learned from the first %d texts (%d bytes)", number, MOST_BYTES)
            return
        yield text
