"""The GPT: the decoder of a Transformer alone, a language model that attends to all previous tokens.

    x = enter(E[ids]) + positions;  x = blocks(x), in which step t attends to steps 0 … t;  logits = W x + b

Its state is the keys and values of every block; it grows with the sequence, up to the context window. To translate, it
reads the source, <sep> and the target as one sequence; the loss is on the target alone.

Radford et al., "Improving language understanding by generative pre-training", 2018; with norms before the sublayers and
GELU: Radford et al., "Language models are unsupervised multitask learners", 2019.
"""

from __future__ import annotations

from unrolled.config import ModelConfig
from unrolled.errors import ConfigError
from unrolled.models.decoder import DecoderModel
from unrolled.models.model import Answer, Inputs, Pairs
from unrolled.models.transformer import DEFAULT_POSITIONS, blocks, head

__all__ = ["GPTModel"]

WINDOW = 64
"""The default maximum length of a sequence."""


class GPTModel(DecoderModel):
    """Embedding or features, positions, causal blocks, head.

    Args:
        inputs, num_outputs, config, answer: see Model; the answer must be "each". Of the config it uses the options of
            TransformerModel, with a default window of 64 (with Pairs: unlimited) and GELU as the default
            nonlinearity; tied, if its outputs are the tokens of its inputs; and head_bias.

    Raises:
        ConfigError: the answer is "once", or the config sets an option that the model does not use.
    """

    title = "gpt"

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
        self.pool = None
        self.head = head(self)
        self.head.bias.requires_grad_(config.head_bias)
