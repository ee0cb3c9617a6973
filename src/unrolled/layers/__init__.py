"""Layers: (x, state, lengths) -> (y, state), interchangeable."""

from unrolled.layers.attention import AttentionState, CrossAttention, SelfAttention
from unrolled.layers.bag import Bag, BagState
from unrolled.layers.bahdanau import Bahdanau
from unrolled.layers.block import Block, Blocks, BlocksState
from unrolled.layers.dropout import Dropout
from unrolled.layers.embedding import Embedding
from unrolled.layers.last import Last, LastState
from unrolled.layers.layer import Layer
from unrolled.layers.luong import Luong
from unrolled.layers.memory import AttentionDecoderState, Memory
from unrolled.layers.mlp import MLP, Head, TiedHead
from unrolled.layers.position import Position, Rotary
from unrolled.layers.projected import Projected
from unrolled.layers.recurrent import Bidirectional, BothStates, Recurrent, Stacked, set_backend
from unrolled.layers.scores import Additive, Dot, General, Score
from unrolled.layers.torch import from_torch, to_torch
from unrolled.layers.window import Window, WindowState

__all__ = [
    "MLP",
    "Additive",
    "AttentionDecoderState",
    "AttentionState",
    "Bag",
    "BagState",
    "Bahdanau",
    "Bidirectional",
    "Block",
    "Blocks",
    "BlocksState",
    "BothStates",
    "CrossAttention",
    "Dot",
    "Dropout",
    "Embedding",
    "General",
    "Head",
    "Last",
    "LastState",
    "Layer",
    "Luong",
    "Memory",
    "Position",
    "Projected",
    "Recurrent",
    "Rotary",
    "Score",
    "SelfAttention",
    "Stacked",
    "TiedHead",
    "Window",
    "WindowState",
    "from_torch",
    "set_backend",
    "to_torch",
]
