"""Sentences as sequences of subword ids, and the positions at which words end, where their labels are predicted.

Every word is tokenized separately, so a word has the same ids in all sentences, and no subword spans two words.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unrolled.data.encoding.batches import Sequences
from unrolled.data.encoding.tokenizers import Tokenizer
from unrolled.data.reading.arrays import Growing, blocks, integer_for

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
        ends, first = Growing(np.uint8), Growing(np.int64)

        def encoded() -> Iterator[list[int]]:
            words = 0
            for sentence in sentences:
                first.append(words)
                words += len(sentence)
                for word in sentence:
                    ends.extend([0] * (len(ids[word]) - 1))
                    ends.append(1)
                yield list(chain.from_iterable(ids[word] for word in sentence))
            ends.append(0)

        super().__init__(encoded(), integer_for(tokenizer.vocabulary_size))
        self._set_words(ends.array(), first.array())

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Return the sentences with the arrays that `arrays` has returned."""
        words = {name: arrays[name] for name in ("is_end", "first")}
        made = super().of({name: values for name, values in arrays.items() if name not in words})
        made._set_words(**words)
        return made

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays that make up the sentences, by name."""
        return super().arrays() | {"is_end": self.is_end, "first": self._first}

    def _set_words(self, is_end: NDArray[Any], first: NDArray[np.int64]) -> None:
        self.is_end = is_end.view(bool)  # (total + 1,), whether a word ends at an id
        self._first = first  # (N,), index of the first word of each sentence

    @property
    def num_words(self) -> int:
        """The number W of words."""
        return sum(int(self.is_end[some].sum()) for some in blocks(len(self.is_end)))

    def words(self, indices: Tensor) -> Tensor:
        """Return the index (of all W) of the word that ends at each id of sentences (B,), or NO_WORD: (B, T)."""
        positions, _ = self.positions(indices)
        ends = self.is_end[positions.numpy()]
        words = self._first[indices.numpy(), None] + ends.cumsum(axis=1, dtype=np.int64) - 1
        return torch.from_numpy(np.where(ends, words, NO_WORD))
