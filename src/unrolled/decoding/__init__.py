"""Decoding: from a model's logits to an answer, over the contract of models alone."""

from unrolled.decoding.classification import Classification, ImageClassification, Readable, classify, probabilities
from unrolled.decoding.generation import Continuation, score_tokens
from unrolled.decoding.sampling import Generation, Sampling
from unrolled.decoding.search import Beam, Hypothesis, search, stream_tokens
from unrolled.decoding.tagging import TaggedSentence, TaggedWord, tag, word_probabilities
from unrolled.decoding.teacher_forcing import score_targets
from unrolled.decoding.translation import Target, Translation, translate

__all__ = [
    "Beam",
    "Classification",
    "Continuation",
    "Generation",
    "Hypothesis",
    "ImageClassification",
    "Readable",
    "Sampling",
    "TaggedSentence",
    "TaggedWord",
    "Target",
    "Translation",
    "classify",
    "probabilities",
    "score_targets",
    "score_tokens",
    "search",
    "stream_tokens",
    "tag",
    "translate",
    "word_probabilities",
]
