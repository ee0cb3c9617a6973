"""Decoding: from a model's logits to an answer, over the contract of models alone."""

from unrolled.decoding.classification import Classification, ImageClassification, Readable, classify, probabilities
from unrolled.decoding.generation import Continuation, Generation, Sampling, score_tokens

__all__ = [
    "Classification",
    "Continuation",
    "Generation",
    "ImageClassification",
    "Readable",
    "Sampling",
    "classify",
    "probabilities",
    "score_tokens",
]
