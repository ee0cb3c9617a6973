"""Preprocessors, which turn data into a model's inputs and are saved with every run: tokenisers, pixels of images."""

from __future__ import annotations

from collections.abc import Collection
from typing import TypeAlias

from unrolled.data.encoding.pairs import PairTokenizers
from unrolled.data.encoding.pixels import Pixels
from unrolled.data.encoding.tokenizers import Tokenizer
from unrolled.models import Features, Ids, Inputs, Pairs

__all__ = ["FILES", "Preprocessor", "inputs_of", "num_outputs_of"]

Preprocessor: TypeAlias = Tokenizer | Pixels | PairTokenizers
FILES: dict[str, type[Preprocessor]] = {kind.FILE: kind for kind in (Tokenizer, Pixels, PairTokenizers)}
"""The preprocessors by the name of their file in a run's folder."""


def inputs_of(preprocessor: Preprocessor) -> Inputs:
    """Return the inputs of the model for a preprocessor."""
    if isinstance(preprocessor, Tokenizer):
        return Ids(preprocessor.vocabulary_size)
    if isinstance(preprocessor, PairTokenizers):
        sizes = preprocessor.source.vocabulary_size, preprocessor.target.vocabulary_size
        return Pairs(*sizes, shared=preprocessor.shared)
    return Features(preprocessor.step_size)


def num_outputs_of(inputs: Inputs, labels: Collection[str]) -> int:
    """Return the size V of a model's logits: the number of labels or, if there are none, of tokens."""
    return len(labels) or (inputs.size if isinstance(inputs, Features) else inputs.vocabulary_size)
