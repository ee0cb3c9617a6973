"""The ensemble of models that predict the same tokens: the mean of their probabilities at each step.

    logits = ln (1/M Σ_m softmax(logits_m))

Its state is those of its models, so that decoding and evaluation treat it as one model.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from unrolled.errors import ConfigError
from unrolled.models.model import Model
from unrolled.state import EncoderDecoderState, State

__all__ = ["Ensemble"]


class Ensemble(Model):
    """M models with the same inputs and outputs, which may differ in all else.

    Its maximum lengths are the smallest of its models.

    Args:
        models: models that answer at each step; all with an encoder, or all without.

    Raises:
        ConfigError: inputs, outputs or answers differ, or there is no model.
    """

    def __init__(self, models: Sequence[Model]) -> None:
        nn.Module.__init__(self)  # it has no embedding of its own
        kinds = {(model.inputs, model.num_outputs, model.answer) for model in models}
        if len(kinds) != 1:
            raise ConfigError(
                f"an ensemble needs models of the same inputs, outputs and answers: got {len(kinds)} kinds"
            )
        self.models = nn.ModuleList(models)
        self.config = models[0].config
        ((self.inputs, self.num_outputs, self.answer),) = kinds
        self.causal = all(model.causal for model in models)
        self.max_length, self.max_source_length = (
            min((limit for model in models if (limit := getattr(model, name)) is not None), default=None)
            for name in ("max_length", "max_source_length")
        )

    def encode(self, source: Tensor, lengths: Tensor | None = None) -> EncoderDecoderState:
        """Read the source with each model; see `Model.encode`."""
        return _joined([model.encode(source, lengths) for model in self.members()])

    def remaining_length(self, lengths: Tensor) -> Tensor:
        """Return the smallest remaining length of the models, (N,) -> (N,)."""
        return torch.stack([model.remaining_length(lengths) for model in self.members()]).amin(dim=0)

    def forward(self, inputs: Tensor, state: State = None, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        """(B, T) -> the logarithms of mean probabilities (B, T, V), and the states."""
        before = [None] * len(self.models) if state is None else _separated(state)
        answers = [model(inputs, own, lengths) for model, own in zip(self.models, before, strict=True)]
        dtype = torch.promote_types(answers[0][0].dtype, torch.float32)
        log_p = torch.stack([logits.to(dtype).log_softmax(dim=-1) for logits, _ in answers])
        return log_p.logsumexp(dim=0) - math.log(len(answers)), _joined([after for _, after in answers])

    def members(self) -> list[Model]:
        """Return its models."""
        return list(self.models)  # type: ignore[arg-type]


def _joined(states: Sequence[State]) -> EncoderDecoderState:
    """Return the states of the models as one, whose memories a beam need not reorder."""
    parted = [state if isinstance(state, EncoderDecoderState) else EncoderDecoderState((), state) for state in states]
    return EncoderDecoderState(tuple(each.memory for each in parted), tuple(each.decoder for each in parted))


def _separated(state: EncoderDecoderState) -> list[State]:
    """Return the state of each model: the inverse of `_joined`."""
    return [
        EncoderDecoderState(memory, decoder) if memory else decoder
        for memory, decoder in zip(state.memory, state.decoder, strict=True)
    ]
