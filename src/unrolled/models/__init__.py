"""Models, one file for each architecture, with a common interface: (inputs, state, lengths) -> (logits, state)."""

from unrolled.models.decoder import DecoderModel
from unrolled.models.feedforward import FeedforwardModel
from unrolled.models.gpt import GPTModel
from unrolled.models.model import Answer, Features, Ids, Inputs, Model, ModelState, Pairs
from unrolled.models.recurrent import RecurrentModel
from unrolled.models.residual import ResidualModel
from unrolled.models.seq2seq import AttentionModel, EncoderDecoderModel
from unrolled.models.transformer import TransformerModel

__all__ = [
    "Answer",
    "AttentionModel",
    "DecoderModel",
    "EncoderDecoderModel",
    "Features",
    "FeedforwardModel",
    "GPTModel",
    "Ids",
    "Inputs",
    "Model",
    "ModelState",
    "Pairs",
    "RecurrentModel",
    "ResidualModel",
    "TransformerModel",
]
