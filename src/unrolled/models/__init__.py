"""Models: one file an architecture, all behind (inputs, state, lengths) -> (logits, state)."""

from unrolled.models.feedforward import FeedforwardModel
from unrolled.models.model import Features, Ids, Model, ModelState
from unrolled.models.recurrent import RecurrentModel

__all__ = ["Features", "FeedforwardModel", "Ids", "Model", "ModelState", "RecurrentModel"]
