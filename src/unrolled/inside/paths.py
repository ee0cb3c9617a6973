"""Path length: the number of nonlinear steps on the shortest path from a token to an answer.

    a layer upwards, or a step in time within one                    1
    reading all steps at once (attention, a bag, a window)           0 more than its layer
    a step in time within a linear cell (minGRU, gated DeltaNet, …)  0: the state is a linear function of earlier inputs

Vaswani et al., "Attention is all you need", 2017, table 1, compare the maximum over all pairs; here is each pair. The
embedding and the head are on every path and do not count.
"""

from __future__ import annotations

import torch
from torch import Tensor

from unrolled.inside.example import Example
from unrolled.layers import Bahdanau, Luong, Recurrent
from unrolled.models import (
    AttentionModel,
    EncoderDecoderModel,
    FeedforwardModel,
    Model,
    RecurrentModel,
    ResidualModel,
    TransformerModel,
)

__all__ = ["path_length"]


def path_length(model: Model, example: Example) -> dict[str, Tensor]:
    """Return the path length of every answer and token, (A, T), and (A, S) for a source; 0 where there is no path."""
    T, L, steps = example.inputs.shape[1], model.config.num_layers, example.steps.cpu()
    back = steps.unsqueeze(1) - torch.arange(T)  # (A, T)
    lengths = {"path_length": _from_input(model, back, L).float()}
    if example.source is not None:
        S = example.source.ids.shape[1]
        lengths["source.path_length"] = _from_source(model, steps, S, L).float()
    return lengths


def _from_input(model: Model, back: Tensor, L: int) -> Tensor:
    """Return the path length from the input `back` (A, T) steps before an answer; `back` < 0 is after it."""
    if isinstance(model, FeedforwardModel):
        if model.window is None:
            return torch.full_like(back, L)
        length, ahead = model.window.length, model.window.ahead
        return torch.where((back >= -ahead) & (back < length - ahead), L, 0)
    if isinstance(model, RecurrentModel):
        if model.answer == "once" and model.read != "last":  # every step's output is read
            return torch.full_like(back, L)
        if model.answer == "once" and model.config.bidirectional:  # the final states of both directions are read
            return L + torch.minimum(back, back.flip(1))
        return torch.where((back >= 0) | torch.tensor(model.config.bidirectional), L + back.abs(), 0)
    if isinstance(model, ResidualModel) and not _reads_at_once(model):
        if model.answer == "once" and model.read != "last":
            return torch.full_like(back, L)
        return torch.where(back >= 0, L + back, 0)
    if isinstance(model, EncoderDecoderModel):
        return torch.where(back >= 0, L + back + _layers_above(model), 0)
    return torch.where((back >= 0) | torch.tensor(not model.causal), L, 0)


def _from_source(model: Model, steps: Tensor, S: int, L: int) -> Tensor:
    """Return the path length from each of S tokens of the source to the answers after `steps` (A,), (A, S)."""
    A, position = len(steps), torch.arange(S)
    if isinstance(model, TransformerModel):  # up the encoder, into the decoder's last block
        return torch.full((A, S), L + 1)
    if isinstance(model, ResidualModel) and not _reads_at_once(
        model
    ):  # along the rest of the source, <sep>, the target
        return L + (S - position) + 1 + steps.unsqueeze(1)
    if not isinstance(model, EncoderDecoderModel):  # source and target are one sequence
        return torch.full((A, S), L)
    from_end = position if model.config.reverse_source else S - 1 - position
    if model.config.bidirectional:
        from_end = torch.minimum(position, S - 1 - position)
    bridge = L + from_end + 1 + (steps.unsqueeze(1) + 1) + _layers_above(model)  # along both sequences, up L layers
    if not isinstance(model, AttentionModel):
        return bridge
    attended = L + (
        L if isinstance(model.decoder, Bahdanau) else 1
    )  # up the encoder, then from where the context enters
    return bridge.clamp(max=attended)


def _reads_at_once(model: ResidualModel) -> bool:
    """Return whether some mixer reads all earlier steps in one nonlinear step: attention, or a linear cell."""
    cells = [module.cell for module in model.modules() if isinstance(module, Recurrent)]
    return len(cells) < len(model.mixers) or any(cell.is_linear for cell in cells)


def _layers_above(model: EncoderDecoderModel) -> int:
    """Return the number of layers above the decoder's recurrent ones: Luong's combines context and state in one."""
    return 1 if isinstance(model.decoder, Luong) else 0
