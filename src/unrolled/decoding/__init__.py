"""Decoding: from a model's logits to an answer, over the contract of models alone."""

from unrolled.decoding.classification import Classification, classify, probabilities

__all__ = ["Classification", "classify", "probabilities"]
