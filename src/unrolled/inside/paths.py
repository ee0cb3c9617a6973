"""Path length: how many nonlinear steps stand between a token and an answer on the shortest way, whatever they state.

    a layer upwards, or a step in time within one                    1
    reading all steps at once (attention, a bag, a window)           no more than the layer that does it

Vaswani et al., "Attention is all you need", 2017, table 1, asks for the longest of these; here is each of them. The
embedding and the head, which every way passes, do not count.
"""

from __future__ import annotations

import torch
from torch import Tensor

from unrolled.inside.example import Example
from unrolled.layers import Bahdanau, Luong
from unrolled.models import (
    AttentionModel,
    EncoderDecoderModel,
    FeedforwardModel,
    Model,
    RecurrentModel,
    TransformerModel,
)

__all__ = ["path_length"]


def path_length(model: Model, example: Example) -> dict[str, Tensor]:
    """Return the path length of every answer and token, (A, T), and (A, S) of a source; 0 where there is no way."""
    T, L, steps = example.inputs.shape[1], model.config.num_layers, example.steps.cpu()
    back = steps.unsqueeze(1) - torch.arange(T)  # (A, T)
    found = {"path_length": _within(model, back, L).float()}
    if example.source is not None:
        S = example.source.ids.shape[1]
        found["source.path_length"] = _across(model, steps, S, L).float()
    return found


def _within(model: Model, back: Tensor, L: int) -> Tensor:
    """Between an answer and what is read `back` (A, T) steps before it; below 0, after it."""
    if isinstance(model, FeedforwardModel):
        if model.window is None:
            return torch.full_like(back, L)
        length, ahead = model.window.length, model.window.ahead
        return torch.where((back >= -ahead) & (back < length - ahead), L, 0)
    if isinstance(model, RecurrentModel):
        if model.answer == "once" and model.read != "last":  # every step's output is read
            return torch.full_like(back, L)
        if model.answer == "once" and model.config.bidirectional:  # the other end's final state is read, too
            return L + torch.minimum(back, back.flip(1))
        return torch.where((back >= 0) | torch.tensor(model.config.bidirectional), L + back.abs(), 0)
    if isinstance(model, EncoderDecoderModel):
        return torch.where(back >= 0, L + back + _after(model), 0)
    return torch.where((back >= 0) | torch.tensor(not model.causal), L, 0)


def _across(model: Model, steps: Tensor, S: int, L: int) -> Tensor:
    """Between answers after `steps` (A,) and each of S tokens of the source."""
    A, place = len(steps), torch.arange(S)
    if isinstance(model, TransformerModel):  # up the encoder, into the decoder's last block
        return torch.full((A, S), L + 1)
    if not isinstance(model, EncoderDecoderModel):  # the source stands before the target, in one sequence
        return torch.full((A, S), L)
    from_end = place if model.config.reverse_source else S - 1 - place
    if model.config.bidirectional:
        from_end = torch.minimum(place, S - 1 - place)
    bridge = L + from_end + 1 + (steps.unsqueeze(1) + 1) + _after(model)  # along both, and up once
    if not isinstance(model, AttentionModel):
        return bridge
    looked = L + (L if isinstance(model.decoder, Bahdanau) else 1)  # up the encoder, then where the context enters
    return bridge.clamp(max=looked)


def _after(model: EncoderDecoderModel) -> int:
    """Layers above the decoder's recurrent ones: Luong's brings context and state together."""
    return 1 if isinstance(model.decoder, Luong) else 0
