"""A Transformer in plain PyTorch: embeddings, positions, torch.nn.TransformerEncoder, a linear layer.

    from model import load
    network = load("the folder of this file").eval()
    logits = network(ids, lengths)              # ids (B, T), lengths (B,): of the real steps of each sequence

With a decoder: logits = network(ids, lengths, source, source_lengths), where ids begin with <bos>, id 2.

export.json has the arguments of the network, the labels of its outputs and the temperature that divides its logits
where probabilities are wanted; model.safetensors has the weights.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["Network", "load"]
PHI: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "relu": F.relu,
    "gelu": F.gelu,
    "gelu_tanh": partial(F.gelu, approximate="tanh"),
    "silu": F.silu,
}


class Stack(nn.Module):
    """A linear layer to the size of the blocks, positions, blocks.

    Args:
        input_size: size of the inputs; if it is `size` there is no linear layer.
        size, num_heads, feedforward_size, num_layers, nonlinearity: of the blocks.
        norm: "pre" or "post".
        positions: the number of learned positions; None: sinusoids.
        decodes: whether the blocks are causal and attend to a source, too (torch.nn.TransformerDecoder).
    """

    def __init__(
        self,
        input_size: int,
        size: int,
        *,
        num_heads: int,
        feedforward_size: int,
        num_layers: int,
        nonlinearity: str,
        norm: str,
        positions: int | None,
        decodes: bool = False,
    ) -> None:
        super().__init__()
        self.enter = nn.Identity() if input_size == size else nn.Linear(input_size, size)
        self.position = None if positions is None else nn.Parameter(torch.empty(positions, size))
        kind: Any = nn.TransformerDecoderLayer if decodes else nn.TransformerEncoderLayer
        pre = norm == "pre"
        block = kind(
            size,
            num_heads,
            feedforward_size,
            dropout=0.0,
            activation=PHI[nonlinearity],
            batch_first=True,
            norm_first=pre,
        )
        last = nn.LayerNorm(size) if pre else None
        self.blocks: nn.Module = (
            nn.TransformerDecoder(block, num_layers, last)
            if decodes
            else nn.TransformerEncoder(block, num_layers, last, enable_nested_tensor=False)
        )

    def positioned(self, x: Tensor) -> Tensor:
        """(B, T, input_size) -> (B, T, size), with positions."""
        x = self.enter(x)
        T, D = x.shape[1:]
        if self.position is not None:
            return x + self.position[:T]
        rates = 10_000 ** (torch.arange(0, D, 2, dtype=torch.float64) / D)
        angles = torch.arange(T, dtype=torch.float64)[:, None] / rates
        return x + torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)[:, :D].to(x)


class Network(nn.Module):
    """Embedding (or features), a stack of blocks (and one that decodes), a linear layer.

    Args:
        vocabulary_size: number of ids; None: inputs are vectors.
        input_size: size of an embedding.
        blocks: arguments of the stacks.
        causal: whether a step attends only to itself and the steps before it.
        source_size: number of ids of the source, of a network with a decoder; None: it has none.
        num_outputs: number of logits.
        read: "each" for logits at each step; "mean" or "max" of all steps for one answer.
    """

    def __init__(
        self,
        *,
        vocabulary_size: int | None,
        input_size: int,
        blocks: dict[str, Any],
        causal: bool,
        source_size: int | None,
        num_outputs: int,
        read: str,
    ) -> None:
        super().__init__()
        self.read, self.causal = read, causal
        self.embedding = None if vocabulary_size is None else nn.Embedding(vocabulary_size, input_size, padding_idx=0)
        self.source_embedding = None if source_size is None else nn.Embedding(source_size, input_size, padding_idx=0)
        self.encoder = Stack(input_size, **blocks)
        self.decoder = None if source_size is None else Stack(input_size, **blocks, decodes=True)
        self.head = nn.Linear(blocks["size"], num_outputs)

    def forward(
        self,
        inputs: Tensor,
        lengths: Tensor | None = None,
        source: Tensor | None = None,
        source_lengths: Tensor | None = None,
    ) -> Tensor:
        """Return logits (B, V), or (B, T, V) if read is "each"."""
        T = inputs.shape[1]
        x = inputs if self.embedding is None else self.embedding(inputs)
        padding = padded(inputs, lengths)
        mask = torch.ones(T, T, dtype=torch.bool, device=x.device).triu(1) if self.causal else None
        if self.decoder is None or self.source_embedding is None or source is None:
            y = self.encoder.blocks(self.encoder.positioned(x), mask=mask, src_key_padding_mask=padding)
        else:
            source_padding = padded(source, source_lengths)
            z = self.encoder.positioned(self.source_embedding(source))
            memory = self.encoder.blocks(z, src_key_padding_mask=source_padding)
            y = self.decoder.blocks(
                self.decoder.positioned(x), memory, tgt_mask=mask, memory_key_padding_mask=source_padding
            )
        if self.read == "mean":
            y = y.masked_fill(padding.unsqueeze(2), 0).sum(1) / (~padding).sum(1, keepdim=True)
        elif self.read == "max":
            y = y.masked_fill(padding.unsqueeze(2), -torch.inf).amax(1)
        logits: Tensor = self.head(y)
        return logits


def padded(inputs: Tensor, lengths: Tensor | None) -> Tensor:
    """Return whether each step of inputs (B, T, …) is padding, (B, T)."""
    B, T = inputs.shape[:2]
    lengths = torch.full((B,), T, device=inputs.device) if lengths is None else lengths
    return torch.arange(T, device=inputs.device) >= lengths[:, None]


def load(folder: str | Path) -> Network:
    """Return the network of a folder with export.json and model.safetensors."""
    description = json.loads((Path(folder) / "export.json").read_text(encoding="utf-8"))
    network = Network(**description["arguments"])
    network.load_state_dict(load_file(Path(folder) / "model.safetensors"))
    return network
