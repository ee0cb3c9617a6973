"""What turns data into a model's inputs, and is kept with every run: a tokeniser for texts, an order for pixels."""

from __future__ import annotations

from typing import TypeAlias

from unrolled.data.pixels import Pixels
from unrolled.data.tokenizers import Tokenizer
from unrolled.models import Features, Ids, Inputs

__all__ = ["FILES", "Preprocessor", "inputs_of"]

Preprocessor: TypeAlias = Tokenizer | Pixels
FILES: dict[str, type[Preprocessor]] = {kind.FILE: kind for kind in (Tokenizer, Pixels)}
"""The file that each is kept in."""


def inputs_of(preprocessor: Preprocessor) -> Inputs:
    """Return what the model reads."""
    if isinstance(preprocessor, Tokenizer):
        return Ids(preprocessor.vocabulary_size)
    return Features(preprocessor.step_size)
