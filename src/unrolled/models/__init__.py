"""Models: one file an architecture, all behind (inputs, state, lengths) -> (logits, state)."""

from unrolled.models.feedforward import FeedforwardModel
from unrolled.models.model import Answer, Features, Ids, Inputs, Model, ModelState, Pairs
from unrolled.models.recurrent import RecurrentModel
from unrolled.models.seq2seq import AttentionModel, EncoderDecoderModel

__all__ = [
    "Answer",
    "AttentionModel",
    "EncoderDecoderModel",
    "Features",
    "FeedforwardModel",
    "Ids",
    "Inputs",
    "Model",
    "ModelState",
    "Pairs",
    "RecurrentModel",
]
