"""A residual block: a sequence mixer, attention to a source where there is one, and a feedforward network.

    pre:   x ← x + f(norm(x))         for each sublayer f in turn
    post:  x ← norm(x + f(x))

    feedforward(x) = W_2 φ(W_1 x + b_1) + b_2
    gated:           W_2 (φ(W_1 x + b_1) ⊙ (W_3 x + b_3)) + b_2

    layer norm:  (x − mean(x)) / √(var(x) + ε) ⊙ g + b,   mean and variance over the D numbers of a step
    rms norm:    x / √(mean(x²) + ε) ⊙ g

The mixer is any layer (B, T, D) -> (B, T, D): self-attention in a Transformer, a recurrent layer in a residual
recurrent network. Each f is followed by dropout. Post: Vaswani et al., "Attention is all you need", 2017; pre, which
learns without a warm-up: Xiong et al., "On layer normalization in the Transformer architecture", 2020. Gated (GEGLU,
SwiGLU, … by their φ): Shazeer, "GLU variants improve Transformer", 2020. RMS norm: Zhang & Sennrich, "Root mean square
layer normalization", 2019. Scaled initial weights: Radford et al., "Language models are unsupervised multitask
learners", 2019, section 2.3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from unrolled import shapes
from unrolled.errors import ConfigError
from unrolled.kernels import freeze
from unrolled.layers import block_step
from unrolled.layers.attention import CrossAttention, SelfAttention
from unrolled.layers.dropout import Dropout
from unrolled.layers.layer import Layer
from unrolled.layers.mlp import PHI, Linear
from unrolled.layers.position import Position
from unrolled.layers.projected import Projected
from unrolled.state import State

__all__ = ["Block", "Blocks", "BlocksState", "Feedforward", "Gated", "Norm"]

Norm = Literal["pre", "post"]
NORMALIZATIONS: dict[str, Callable[[int], nn.Module]] = {
    "layer": nn.LayerNorm,
    "rms": lambda size: nn.RMSNorm(size, eps=1e-5),
}


class Gated(nn.Module):
    """φ(a) ⊙ b of vectors x = [a, b], (…, 2 F) -> (…, F)."""

    def __init__(self, nonlinearity: str) -> None:
        super().__init__()
        self.phi = PHI[nonlinearity]()

    def forward(self, x: Tensor) -> Tensor:
        """(…, 2 F) -> (…, F)."""
        a, b = x.chunk(2, dim=-1)
        y: Tensor = self.phi(a) * b
        return y


class Feedforward(nn.Sequential):
    """W_2 φ(W_1 x + b_1) + b_2, step by step; gated: W_2 (φ(W_1 x + b_1) ⊙ (W_3 x + b_3)) + b_2, W_1 above W_3.

    Args:
        size: size D of x and y.
        inner_size: size F of the hidden layer.
        nonlinearity: name of φ.
        dropout: dropout rate of the hidden layer.
        gated: whether the second half of a hidden layer of 2 F multiplies φ of its first half.
    """

    def __init__(self, size: int, inner_size: int, *, nonlinearity: str, dropout: float, gated: bool = False) -> None:
        super().__init__(
            Linear(size, 2 * inner_size if gated else inner_size),
            Gated(nonlinearity) if gated else PHI[nonlinearity](),
            Dropout(dropout),
            Linear(inner_size, size),
        )


class Block(Layer):
    """A sequence mixer, attention to a source where there is one, a feedforward network; each with its norm.

    Args:
        mixer: a layer from D to D, such as `SelfAttention(D, num_heads, causal=True)` or `Recurrent(GRUCell(D, D))`.
        inner_size: hidden size of the feedforward network.
        cross: attention to a source; None: no source.
        norm: "pre" or "post".
        normalization: "layer" or "rms".
        nonlinearity: name of φ.
        gated: see Feedforward.
        dropout: dropout rate after each sublayer.

    State: the mixer's.

    Raises:
        ConfigError: a mixer that changes the size, or another norm or normalization.
    """

    def __init__(
        self,
        mixer: Layer,
        inner_size: int,
        *,
        cross: CrossAttention | None = None,
        norm: Norm = "pre",
        normalization: str = "layer",
        nonlinearity: str = "relu",
        gated: bool = False,
        dropout: float = 0.0,
    ) -> None:
        size = mixer.input_size
        super().__init__(size, size, causal=mixer.causal)
        if mixer.output_size != size:
            raise ConfigError(f"the mixer of a block must not change the size of x: got {size} to {mixer.output_size}")
        if norm not in ("pre", "post"):
            raise ConfigError(f'norm must be "pre" or "post": got {norm!r}')
        if normalization not in NORMALIZATIONS:
            raise ConfigError(f'normalization must be "layer" or "rms": got {normalization!r}')
        self.norm, self.normalization = norm, normalization
        self.mixer, self.cross = mixer, cross
        self.feedforward = Feedforward(size, inner_size, nonlinearity=nonlinearity, dropout=dropout, gated=gated)
        self.norms = nn.ModuleList(NORMALIZATIONS[normalization](size) for _ in range(2 if self.cross is None else 3))
        self.dropout = Dropout(dropout)

    def forward(
        self,
        x: Tensor,
        state: State = None,
        lengths: Tensor | None = None,
        source: tuple[Tensor, Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, State]:
        """(B, T, D) -> (B, T, D).

        Args:
            source: keys, values (see `CrossAttention.keys`) and lengths (B,).
        """
        after: State = None

        def mix(x: Tensor) -> Tensor:
            nonlocal after
            y: Tensor
            y, after = self.mixer(x, state, lengths)
            return y

        sublayers: list[Callable[[Tensor], Tensor]] = [mix, self.feedforward]
        if self.cross is not None:
            assert source is not None
            key, value, source_lengths = source
            cross = self.cross
            sublayers.insert(1, lambda x: cross(x, key, value, source_lengths))
        for norm, f in zip(self.norms, sublayers, strict=True):
            x = x + self.dropout(f(norm(x))) if self.norm == "pre" else norm(x + self.dropout(f(x)))
        return _masked(x, lengths), after

    def scale_residuals(self, factor: float) -> None:
        """Multiply the weights of the linear layers whose outputs are added to x; a mixer without one has none."""
        with_output = (SelfAttention, CrossAttention, Projected)
        mixers = [layer for layer in (self.mixer, self.cross) if isinstance(layer, with_output)]
        with torch.no_grad():
            for linear in (*(mixer.output for mixer in mixers), self.feedforward[-1]):
                linear.get_parameter("weight").mul_(factor)

    def summary(self, state: State) -> Tensor:
        """Refuse: the block adds to its mixer's output, which its state does not hold."""
        raise NotImplementedError("a block has no summary: use the mean or the maximum of its outputs")


class BlocksState(NamedTuple):
    """The state of a stack of blocks: steps (B,), the number read of each sequence, and the state of each block."""

    steps: Tensor
    blocks: tuple[Any, ...]


class Blocks(Layer):
    """A linear layer to size D, positions, a stack of blocks and, after pre-norm blocks, a final norm.

    Args:
        input_size: size of x; if it is D there is no linear layer.
        size: size D of the vectors.
        blocks: the blocks from the lowest to the highest, all of size D; an iterator is read after the layers below are
            built.
        position, max_length: see Position; None: no positions, as mixers that know the order need none.
        scaled: whether the initial weights of the layers that are added to x are divided by the root of their number,
            2 or 3 in a block, so that the spread of x does not grow with the number of blocks.

    State: BlocksState; () if a block is not causal, because then a call is a whole sequence.
    """

    def __init__(
        self,
        input_size: int,
        size: int,
        blocks: Iterable[Block],
        *,
        position: Literal["sinusoidal", "learned"] | None = "sinusoidal",
        max_length: int | None = None,
        scaled: bool = False,
    ) -> None:
        super().__init__(input_size, size, causal=True)
        self.enter = Linear(input_size, size) if input_size != size else nn.Identity()
        self.position = None if position is None else Position(size, position, max_length=max_length)
        self.max_length = max_length
        stack = list(blocks)
        self.blocks = nn.ModuleList(stack)
        self.causal = all(block.causal for block in stack)
        last = stack[-1]
        self.norm = NORMALIZATIONS[last.normalization](size) if last.norm == "pre" else nn.Identity()
        if scaled:
            sublayers = sum(len(block.norms) for block in stack)
            for block in stack:
                block.scale_residuals(sublayers**-0.5)

    def keys(self, outputs: Tensor) -> tuple[tuple[Tensor, Tensor], ...]:
        """Return keys and values of an encoder's outputs (B, S, source_size) for every block."""
        return tuple(block.cross.keys(outputs) for block in self.blocks)  # type: ignore[operator, union-attr]

    def forward(
        self,
        x: Tensor,
        state: State = None,
        lengths: Tensor | None = None,
        keys: tuple[tuple[Tensor, Tensor], ...] | None = None,
        source_lengths: Tensor | None = None,
    ) -> tuple[Tensor, State]:
        """(B, T, input_size) -> (B, T, D).

        Args:
            keys: keys and values of the source, see `keys`.
            source_lengths: lengths of the sources (B,).
        """
        B, T = x.shape[:2]
        steps, before = state or (None, [None] * len(self.blocks))
        x = self.enter(x)
        if T == 1 and state and lengths is None and not self.training:
            packed = freeze.packed_weights(self, "step", (x, steps))
            if packed is not None and packed.computes(x, state):  # by the kernels, in one call
                y, length, layers = packed.run(x, state, keys, source_lengths)
                return y, BlocksState(length, layers)
        if self.position is not None:
            x = self.position(x, steps, lengths)
        after = []
        for i, (block, block_state) in enumerate(zip(self.blocks, before, strict=True)):
            source = None if keys is None else (*keys[i], source_lengths)
            x, block_state = block(x, block_state, lengths, source)
            after.append(block_state)
        x = _masked(self.norm(x), lengths)
        if not self.causal:
            return x, ()
        read = torch.full((B,), T, device=x.device) if lengths is None else lengths.long()
        return x, BlocksState(read if steps is None else steps + read, tuple(after))


def _masked(x: Tensor, lengths: Tensor | None) -> Tensor:
    """Return x (B, T, D) with 0 at padded steps."""
    return x if lengths is None else x.masked_fill(~shapes.real(lengths, x.shape[1]).unsqueeze(2), 0)


freeze.OWNERS[Blocks] = block_step.packable
