"""Models of causal blocks that read one sequence: a text; or a source, <sep> and the target.

    x = enter(E[ids]) + positions;  x = blocks(x);  logits = W x + b

To translate, the model reads the source and <sep> with the embeddings of the source, and continues with the target; the
loss is on the target alone. What the blocks remember of the source is the state.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from unrolled import shapes
from unrolled.errors import ConfigError
from unrolled.layers import Bag, Blocks, Head, Last, TiedHead
from unrolled.models.model import Model, ModelState, Pairs, source_lengths
from unrolled.state import State

__all__ = ["DecoderModel"]

SEP = 4
"""The id of <sep>, the token between a source and its target."""


class DecoderModel(Model):
    """Base of the models of causal blocks; a subclass sets `blocks`, `head` and, to answer once, `pool`."""

    title = "decoder"
    """Its name in messages."""
    blocks: Blocks
    head: Head | TiedHead
    pool: Bag | Last | None

    def encode(self, source: Tensor, lengths: Tensor | None = None) -> ModelState:
        """Read the source and <sep> and return the initial state of decoding.

        Args:
            source: ids (B, S).
            lengths: (B,), numbers of real tokens; None: all S.

        Raises:
            ConfigError: the model was not built with Pairs.
            ShapeError: a source without any token.
        """
        if not isinstance(self.inputs, Pairs):
            raise ConfigError(f"model {self.title} has a source only if built with Pairs: start with state None")
        shapes.check("source", source, "BS")
        lengths = source_lengths(source, lengths)
        with_sep = F.pad(source, (0, 1)).scatter(1, lengths.unsqueeze(1), SEP)  # (B, S + 1)
        _, after = self.blocks(self.source_vectors(with_sep), None, lengths + 1)
        return ModelState(after, ())

    def remaining_length(self, lengths: Tensor) -> Tensor:
        """Return the remaining length, see Model; source, <sep> and target share the positions."""
        max_length = self.blocks.max_length
        return super().remaining_length(lengths) if max_length is None else max_length - 1 - lengths

    def outputs(self, inputs: Tensor, state: State = None, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        """(B, T) or (B, T, D) -> the inputs of the head (B, T, size) or (B, size), and the state of blocks and pool.

        Raises:
            ConfigError: no state with Pairs; call `encode` first.
        """
        if state is None and isinstance(self.inputs, Pairs):
            raise ConfigError(
                f"model {self.title} reads the source first: call encode(source, lengths) and pass its state"
            )
        before, pool = ModelState(None, None) if state is None else state
        y, after = self.blocks(self.vectors(inputs), before, lengths)
        if self.pool is None:
            return self.dropout(y), ModelState(after, ())
        pool = self.pool.absorb(y.to(self.head.bias.dtype), pool, lengths)
        return self.dropout(self.pool.summary(pool)), ModelState(after, pool)
