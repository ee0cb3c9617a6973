"""Sentences as sequences of ids, and where in them each word ends: there the label of a word is read.

A tokeniser cuts every word by itself, so a word has the same ids in every sentence, and no piece reaches across two.
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
    """N sentences of W words in all, as ids.

    Args:
        tokenizer: cuts the words. sentences: the words of each.
    """

    def __init__(self, tokenizer: Tokenizer, sentences: Sequence[Sequence[str]]) -> None:
        words = list(dict.fromkeys(chain.from_iterable(sentences)))
        ids = dict(zip(words, tokenizer.encode_words(words), strict=True))
        super().__init__([list(chain.from_iterable(ids[word] for word in sentence)) for sentence in sentences])
        sizes = [len(ids[word]) for sentence in sentences for word in sentence]
        ends = torch.from_numpy(np.cumsum(sizes, dtype=np.int64)) - 1
        self.words_at = torch.full((len(self.ids),), NO_WORD)  # (total + 1,), the word that ends at each id
        self.words_at[ends] = torch.arange(len(sizes))
        self.num_words = len(sizes)

    def words(self, rows: Tensor) -> Tensor:
        """Return which word of all W ends at each place of the rows (B,), as `pad` has them, or NO_WORD: (B, T)."""
        places, _ = self.places(rows)
        return self.words_at[places]
