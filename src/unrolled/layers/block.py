"""A Transformer's block: self-attention, attention to a source where there is one, and a feedforward network.

    pre:   x ← x + f(norm(x))         for each f of them in turn
    post:  x ← norm(x + f(x))

    feedforward(x) = W_2 φ(W_1 x + b_1) + b_2

Each f is followed by dropout. Post: Vaswani et al., "Attention is all you need", 2017; pre, which learns without a
warm-up: Xiong et al., "On layer normalization in the Transformer architecture", 2020.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from torch import Tensor, nn

from unrolled import shapes
from unrolled.errors import ConfigError
from unrolled.layers.attention import CrossAttention, SelfAttention
from unrolled.layers.dropout import Dropout
from unrolled.layers.layer import Layer
from unrolled.layers.mlp import PHI, Linear
from unrolled.layers.position import Position
from unrolled.state import State

__all__ = ["Block", "Feedforward", "Norm"]

Norm = Literal["pre", "post"]


class Feedforward(nn.Sequential):
    """W_2 φ(W_1 x + b_1) + b_2, step by step.

    Args:
        size: D of x and y. inner_size: of what stands between. nonlinearity: φ. dropout: of what stands between.
    """

    def __init__(self, size: int, inner_size: int, *, nonlinearity: str, dropout: float) -> None:
        super().__init__(Linear(size, inner_size), PHI[nonlinearity](), Dropout(dropout), Linear(inner_size, size))


class Block(Layer):
    """Self-attention, attention to a source where there is one, feedforward; each with its norm around it.

    Args:
        size: D. num_heads: N. inner_size: of the feedforward network.
        causal: whether a step sees only itself and those before it.
        source_size: D of the source's encoder; None: no source.
        norm: "pre" or "post". nonlinearity: φ. dropout: after each part.

    State: its self-attention's.
    """

    def __init__(
        self,
        size: int,
        num_heads: int,
        inner_size: int,
        *,
        causal: bool,
        source_size: int | None = None,
        norm: Norm = "pre",
        nonlinearity: str = "relu",
        dropout: float = 0.0,
    ) -> None:
        super().__init__(size, size, causal=causal)
        if norm not in ("pre", "post"):
            raise ConfigError(f'norm must be "pre" or "post": got {norm!r}')
        self.norm = norm
        self.attention = SelfAttention(size, num_heads, causal=causal)
        self.cross = None if source_size is None else CrossAttention(size, source_size, num_heads)
        self.feedforward = Feedforward(size, inner_size, nonlinearity=nonlinearity, dropout=dropout)
        self.norms = nn.ModuleList(nn.LayerNorm(size) for _ in range(2 if self.cross is None else 3))
        self.dropout = Dropout(dropout)

    def forward(
        self,
        x: Tensor,
        state: State = None,
        lengths: Tensor | None = None,
        source: tuple[Tensor, Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, State]:
        """(B, T, D) -> (B, T, D). source: keys, values (see `CrossAttention.keys`) and lengths (B,)."""
        after: State = None

        def attention(x: Tensor) -> Tensor:
            nonlocal after
            y: Tensor
            y, after = self.attention(x, state, lengths)
            return y

        parts: list[Callable[[Tensor], Tensor]] = [attention, self.feedforward]
        if self.cross is not None:
            assert source is not None
            key, value, source_lengths = source
            cross = self.cross
            parts.insert(1, lambda x: cross(x, key, value, source_lengths))
        for norm, part in zip(self.norms, parts, strict=True):
            x = x + self.dropout(part(norm(x))) if self.norm == "pre" else norm(x + self.dropout(part(x)))
        if lengths is not None:
            x = x.masked_fill(~shapes.real(lengths, x.shape[1]).unsqueeze(2), 0)
        return x, after


class Blocks(Layer):
    """The way in, places, blocks on top of each other, and where norms stand before the parts a last one.

    Args:
        input_size: of x; where it is not D, a linear layer makes it so. size: D of y. num_blocks: L.
        position, max_length: see Position.
        causal, source_size, options: of each block.

    State: a tuple with one state a block.
    """

    def __init__(
        self,
        input_size: int,
        size: int,
        num_blocks: int,
        *,
        num_heads: int,
        inner_size: int,
        causal: bool,
        source_size: int | None = None,
        position: Literal["sinusoidal", "learned"] = "sinusoidal",
        max_length: int | None = None,
        norm: Norm = "pre",
        nonlinearity: str = "relu",
        dropout: float = 0.0,
    ) -> None:
        super().__init__(input_size, size, causal=causal)
        self.enter = Linear(input_size, size) if input_size != size else nn.Identity()
        self.position = Position(size, position, max_length=max_length)
        self.blocks = nn.ModuleList(
            Block(
                size,
                num_heads,
                inner_size,
                causal=causal,
                source_size=source_size,
                norm=norm,
                nonlinearity=nonlinearity,
                dropout=dropout,
            )
            for _ in range(num_blocks)
        )
        self.norm = nn.LayerNorm(size) if norm == "pre" else nn.Identity()

    def keys(self, outputs: Tensor) -> tuple[tuple[Tensor, Tensor], ...]:
        """What an encoder left, (B, S, source_size) -> keys and values for every block: once for a source."""
        return tuple(block.cross.keys(outputs) for block in self.blocks)  # type: ignore[operator, union-attr]

    def forward(
        self,
        x: Tensor,
        state: State = None,
        lengths: Tensor | None = None,
        keys: tuple[tuple[Tensor, Tensor], ...] | None = None,
        source_lengths: Tensor | None = None,
    ) -> tuple[Tensor, State]:
        """(B, T, input_size) -> (B, T, D). keys: of the source, see `keys`; source_lengths: (B,)."""
        states = state or [None] * len(self.blocks)
        x = self.position(self.enter(x), states[0].length if state else None, lengths)
        after = []
        for i, (block, before) in enumerate(zip(self.blocks, states, strict=True)):
            source = None if keys is None else (*keys[i], source_lengths)
            x, block_state = block(x, before, lengths, source)
            after.append(block_state)
        x = self.norm(x)
        if lengths is not None:
            x = x.masked_fill(~shapes.real(lengths, x.shape[1]).unsqueeze(2), 0)
        return x, tuple(after) if self.causal else ()
