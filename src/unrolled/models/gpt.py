"""The GPT: the decoder of a Transformer alone, a language model that attends to all previous tokens.

    x = enter(E[ids]) + positions;  x = blocks(x), in which step t attends to steps 0 … t;  logits = W x + b

Its state is the keys and values of every block; it grows with the sequence, up to the context window. To translate, it
reads the source, <sep> and the target as one sequence; the loss is on the target alone.

Radford et al., "Improving language understanding by generative pre-training", 2018; with norms before the sublayers and
GELU: Radford et al., "Language models are unsupervised multitask learners", 2019.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from unrolled import shapes
from unrolled.config import ModelConfig
from unrolled.errors import ConfigError
from unrolled.models.model import Answer, Inputs, Model, ModelState, Pairs, source_lengths
from unrolled.models.transformer import DEFAULT_POSITIONS, blocks, head
from unrolled.state import State

__all__ = ["GPTModel"]

WINDOW = 64
"""The default maximum length of a sequence."""
SEP = 4
"""The id of <sep>, the token between a source and its target."""


class GPTModel(Model):
    """Embedding or features, positions, causal blocks, head.

    Args:
        inputs, num_outputs, config, answer: see Model; the answer must be "each". Of the config it uses the options of
            TransformerModel, with a default window of 64 (with Pairs: unlimited) and GELU as the default
            nonlinearity; tied, if its outputs are the tokens of its inputs; and head_bias.

    Raises:
        ConfigError: the answer is "once", or the config sets an option that the model does not use.
    """

    def __init__(self, inputs: Inputs, num_outputs: int, config: ModelConfig, answer: Answer = "each") -> None:
        super().__init__(inputs, num_outputs, config, answer, causal=True)
        if answer == "once":
            raise ConfigError('model gpt predicts the next token at each step: answer must be "each", got "once"')
        self.refuse_unused("gpt")
        pairs = isinstance(inputs, Pairs)
        window = (DEFAULT_POSITIONS if config.position == "learned" else None) if pairs else WINDOW
        self.blocks = blocks(self.input_size, config, causal=True, window=window, nonlinearity="gelu")
        max_length = self.blocks.max_length
        if not pairs:
            self.max_length = max_length
        elif max_length is not None:  # <sep> and <bos> follow the source and need a position each
            self.max_source_length = max(0, max_length - 2)
        self.head = head(self)
        self.head.bias.requires_grad_(config.head_bias)

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
            raise ConfigError("model gpt has a source only if built with Pairs: start with state None")
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
        """(B, T) or (B, T, D) -> the inputs of the head (B, T, size), and the keys and values of all steps so far.

        Raises:
            ConfigError: no state with Pairs; call `encode` first.
        """
        if state is None and isinstance(self.inputs, Pairs):
            raise ConfigError("model gpt reads the source first: call encode(source, lengths) and pass its state")
        y, after = self.blocks(self.vectors(inputs), None if state is None else state.layers, lengths)
        return self.dropout(y), ModelState(after, ())
