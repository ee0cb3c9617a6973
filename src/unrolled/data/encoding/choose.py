"""The tokenizer that suits the texts, for `tokenizer = auto`.

    word       a closed vocabulary: few different words, all of them frequent, as phonemes and tags are
    character  short texts of words that are mostly new, as names are
    bpe        longer texts in which about half of the words are new, as in languages with rich inflection
    word, bpe  otherwise: the tokenizer of the task

A word is new if it occurs in a tenth of the texts that is held out, and not often enough in the others to be in a
vocabulary.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from unrolled.config import DataConfig
from unrolled.data.encoding.tokenizers import SPECIAL, UNK, Kind, Tokenizer
from unrolled.errors import ConfigError

__all__ = ["Choice", "choose", "learn"]

log = logging.getLogger("unrolled")

Usual = Literal["character", "word", "bpe"]

MOST_TEXTS = 20_000
SHORT = 3.0  # mean words of a text
MANY_NEW, MOSTLY_NEW = 0.25, 0.45  # fractions of the held-out words, of short and of longer texts
CLOSED, FEW_NEW = 300, 0.002


class Choice(NamedTuple):
    """A tokenizer, and the reason for it in words."""

    kind: Kind
    reason: str


def choose(texts: Sequence[str], config: DataConfig, *, usual: Usual) -> Choice:
    """Return the tokenizer that suits the texts.

    Args:
        texts: texts of the training split; of many, a part is examined.
        config: settings that say how words are counted.
        usual: tokenizer that is usual for the task.
    """
    some = texts if len(texts) <= MOST_TEXTS else [texts[i] for i in range(0, len(texts), len(texts) // MOST_TEXTS)]
    held_out = [text for i, text in enumerate(some) if i % 10 == 9] or [*some]
    others = [text for i, text in enumerate(some) if i % 10 != 9]
    words = Tokenizer.train(
        others, kind="word", vocabulary_size=10**7, min_frequency=config.min_frequency, lowercase=config.lowercase
    )
    ids = [id for text in words.encode(held_out) for id in text]
    new, length = sum(id == UNK for id in ids) / len(ids), len(ids) / len(held_out)
    distinct = words.vocabulary_size - len(SPECIAL)
    if usual == "bpe" and distinct <= CLOSED and new <= FEW_NEW:
        return Choice("word", f"there are {distinct:,} different words, and {new:.1%} of them are new in other texts")
    reason = f"{new:.0%} of the words are new in other texts"
    if new > MANY_NEW and length <= SHORT:
        return Choice("character", f"texts have {length:.1f} words, and {reason}")
    return Choice("bpe" if new > MOSTLY_NEW else usual, reason)


def learn(
    texts: Iterable[str],
    config: DataConfig,
    *,
    usual: Usual = "word",
    side: str = "",
) -> Tokenizer:
    """Learn a vocabulary with the settings of `config`; see `Tokenizer.train`.

    Args:
        texts: texts of the training split.
        config: the settings.
        usual: the tokenizer of the task, for tokenizer auto; characters suit every text.
        side: side of the pairs, for the log.

    Raises:
        ConfigError: as `Tokenizer.train`, or no token occurs often enough.
    """
    kind = config.tokenizer
    if kind == "auto" and usual == "character":
        kind = usual
    elif kind == "auto":
        texts = texts if isinstance(texts, Sequence) else [*texts]
        kind, reason = choose(texts, config, usual=usual)
        log.info("tokenizer%s: %s, since %s", f" of the {side}s" if side else "", kind, reason)
    learned = Tokenizer.train(
        texts,
        kind=kind,
        vocabulary_size=config.vocabulary_size,
        min_frequency=config.min_frequency,
        lowercase=config.lowercase,
        whole_words=config.whole_words,
        normalize=config.normalize,
    )
    if learned.vocabulary_size == len(SPECIAL):
        raise ConfigError(
            f"no {kind} occurs {config.min_frequency} times in the training split, so the vocabulary is empty: give "
            "more data, --min-frequency 1, or another --tokenizer"
        )
    return learned
