"""Decoding: from a model's logits to an answer, over the contract of models alone."""

from unrolled.decoding.classification import Classification, ImageClassification, Readable, classify, probabilities
from unrolled.decoding.generation import Continuation, Generation, Sampling, score_tokens
from unrolled.decoding.tagging import TaggedSentence, TaggedWord, tag, word_probabilities

__all__ = [
    "Classification",
    "Continuation",
    "Generation",
    "ImageClassification",
    "Readable",
    "Sampling",
    "TaggedSentence",
    "TaggedWord",
    "classify",
    "probabilities",
    "score_tokens",
    "tag",
    "word_probabilities",
]
