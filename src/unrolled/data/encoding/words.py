"""Sentences as sequences of subword ids, and the positions at which words end, where their labels are predicted.

Every word is tokenized separately, so a word has the same ids in all sentences, and no subword spans two words.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np
import torch
from torch import Tensor

from unrolled.data.encoding.batches import Sequences
from unrolled.data.encoding.tokenizers import Tokenizer

__all__ = ["NO_WORD", "Subwords"]

NO_WORD = -1


class Subwords(Sequences):
    """N sentences with W words in total, as ids.

    Args:
        tokenizer: tokenizer of the words.
        sentences: the words of each.
    """

    def __init__(self, tokenizer: Tokenizer, sentences: Sequence[Sequence[str]]) -> None:
        words = list(dict.fromkeys(chain.from_iterable(sentences)))
        ids = dict(zip(words, tokenizer.encode_words(words), strict=True))
        super().__init__([list(chain.from_iterable(ids[word] for word in sentence)) for sentence in sentences])
        sizes = [len(ids[word]) for sentence in sentences for word in sentence]
        ends = torch.from_numpy(np.cumsum(sizes, dtype=np.int64)) - 1
        self.words_at = torch.full((len(self.ids),), NO_WORD)  # (total + 1,), index of the word that ends at each id
        self.words_at[ends] = torch.arange(len(sizes))
        self.num_words = len(sizes)

    def words(self, indices: Tensor) -> Tensor:
        """Return the index (of all W) of the word that ends at each id of sentences (B,), or NO_WORD: (B, T)."""
        positions, _ = self.positions(indices)
        return self.words_at[positions]
