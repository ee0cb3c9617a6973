"""Decoding: from a model's logits to an answer, over the contract of models alone."""

from unrolled.decoding.classification import Classification, classify, probabilities
from unrolled.decoding.generation import Continuation, Generation, Sampling, score_tokens

__all__ = ["Classification", "Continuation", "Generation", "Sampling", "classify", "probabilities", "score_tokens"]
