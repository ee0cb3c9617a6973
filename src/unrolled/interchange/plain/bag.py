"""A feedforward network in plain PyTorch: the mean or the maximum of embeddings, and linear layers.

    from model import load
    network = load("the folder of this file").eval()
    logits = network(ids, lengths)              # ids (B, T), lengths (B,): of the real steps of each sequence

export.json has the arguments of the network, the labels of its outputs and the temperature that divides its logits
where probabilities are wanted; model.safetensors has the weights.
"""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

__all__ = ["Network", "load"]
PHI = {"tanh": nn.Tanh(), "relu": nn.ReLU(), "gelu": nn.GELU(), "gelu_tanh": nn.GELU("tanh"), "silu": nn.SiLU()}


class Network(nn.Module):
    """Embedding (or features), pool, linear layers.

    Args:
        vocabulary_size: number of ids; None: inputs are vectors of size `sizes[0]`.
        sizes: sizes of an embedding and of the hidden layers.
        num_outputs: number of logits.
        nonlinearity: name of the activation after each hidden layer.
        read: "mean" or "max" of all steps.
    """

    def __init__(
        self, *, vocabulary_size: int | None, sizes: list[int], num_outputs: int, nonlinearity: str, read: str
    ) -> None:
        super().__init__()
        self.read = read
        self.embedding = None if vocabulary_size is None else nn.Embedding(vocabulary_size, sizes[0], padding_idx=0)
        layers = [layer for before, after in pairwise(sizes) for layer in (nn.Linear(before, after), PHI[nonlinearity])]
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(sizes[-1], num_outputs)

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return logits (B, V) of ids (B, T) or vectors (B, T, D)."""
        B, T = inputs.shape[:2]
        lengths = torch.full((B,), T, device=inputs.device) if lengths is None else lengths
        x = inputs if self.embedding is None else self.embedding(inputs)
        padding = (torch.arange(T, device=x.device) >= lengths[:, None]).unsqueeze(2)
        if self.read == "mean":
            pooled = x.masked_fill(padding, 0).sum(1) / lengths.to(x)[:, None]
        else:
            pooled = x.masked_fill(padding, -torch.inf).amax(1)
        logits: Tensor = self.head(self.layers(pooled))
        return logits


def load(folder: str | Path) -> Network:
    """Return the network of a folder with export.json and model.safetensors."""
    description = json.loads((Path(folder) / "export.json").read_text(encoding="utf-8"))
    network = Network(**description["arguments"])
    network.load_state_dict(load_file(Path(folder) / "model.safetensors"))
    return network
