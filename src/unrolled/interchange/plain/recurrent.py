"""A recurrent network in plain PyTorch: an embedding, torch.nn.RNN, LSTM or GRU, and a linear layer.

    from model import load
    network = load("the folder of this file").eval()
    logits = network(ids, lengths)              # ids (B, T), lengths (B,): of the real steps of each sequence

export.json has the arguments of the network, the labels of its outputs and the temperature that divides its logits
where probabilities are wanted; model.safetensors has the weights.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

__all__ = ["Network", "load"]


class Network(nn.Module):
    """Embedding (or features), recurrent layers, a linear layer.

    Args:
        layers: name of the class of torch.nn: RNN, LSTM or GRU.
        options: its further options, such as the nonlinearity of RNN.
        vocabulary_size: number of ids; None: inputs are vectors of size `input_size`.
        input_size: size of an embedding.
        hidden_size, num_layers, bidirectional: of the recurrent layers.
        num_outputs: number of logits.
        read: "each" for logits at each step; "last", "mean" or "max" of all steps for one answer.
    """

    def __init__(
        self,
        *,
        layers: str,
        options: dict[str, Any],
        vocabulary_size: int | None,
        input_size: int,
        hidden_size: int,
        num_layers: int,
        bidirectional: bool,
        num_outputs: int,
        read: str,
    ) -> None:
        super().__init__()
        self.read = read
        self.embedding = None if vocabulary_size is None else nn.Embedding(vocabulary_size, input_size, padding_idx=0)
        self.layers = getattr(nn, layers)(
            input_size, hidden_size, num_layers, bidirectional=bidirectional, batch_first=True, **options
        )
        self.head = nn.Linear(hidden_size * (2 if bidirectional else 1), num_outputs)

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return logits (B, V), or (B, T, V) if read is "each"; see `step` for a stream."""
        B, T = inputs.shape[:2]
        if lengths is None:
            lengths = torch.full((B,), T)
        x = inputs if self.embedding is None else self.embedding(inputs)
        packed, after = self.layers(pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False))
        y, _ = pad_packed_sequence(packed, batch_first=True, total_length=T)
        padding = (torch.arange(T, device=y.device) >= lengths.to(y.device)[:, None]).unsqueeze(2)
        if self.read == "last":
            h = after[0] if isinstance(after, tuple) else after
            y = torch.cat(list(h[-2 if self.layers.bidirectional else -1 :]), dim=1)
        elif self.read == "mean":
            y = y.masked_fill(padding, 0).sum(1) / lengths.to(y)[:, None]
        elif self.read == "max":
            y = y.masked_fill(padding, -torch.inf).amax(1)
        logits: Tensor = self.head(y)
        return logits

    def step(self, inputs: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Return the logits (B, T, V) of inputs that continue a sequence, and the state after them."""
        x = inputs if self.embedding is None else self.embedding(inputs)
        y, state = self.layers(x, state)
        return self.head(y), state


def load(folder: str | Path) -> Network:
    """Return the network of a folder with export.json and model.safetensors."""
    description = json.loads((Path(folder) / "export.json").read_text(encoding="utf-8"))
    network = Network(**description["arguments"])
    network.load_state_dict(load_file(Path(folder) / "model.safetensors"))
    return network
