"""Models: one file an architecture, all behind (inputs, state, lengths) -> (logits, state)."""

from unrolled.models.feedforward import FeedforwardModel
from unrolled.models.model import Answer, EncoderDecoderState, Features, Ids, Inputs, Model, ModelState, Pairs
from unrolled.models.recurrent import RecurrentModel
from unrolled.models.seq2seq import AttentionModel, EncoderDecoderModel

__all__ = [
    "Answer",
    "AttentionModel",
    "EncoderDecoderModel",
    "EncoderDecoderState",
    "Features",
    "FeedforwardModel",
    "Ids",
    "Inputs",
    "Model",
    "ModelState",
    "Pairs",
    "RecurrentModel",
]
