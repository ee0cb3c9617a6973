"""Models: one file an architecture, all behind (inputs, state, lengths) -> (logits, state)."""

from unrolled.models.feedforward import FeedforwardModel
from unrolled.models.model import Answer, Features, Ids, Inputs, Model, ModelState
from unrolled.models.recurrent import RecurrentModel

__all__ = ["Answer", "Features", "FeedforwardModel", "Ids", "Inputs", "Model", "ModelState", "RecurrentModel"]
